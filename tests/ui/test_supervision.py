"""The pages begin again when they end, and end with their instance."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import socket
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path

import httpx
import msgspec
import pytest

from pichannels.ui.console import ConsolePlan
from pichannels.ui.links import Place
from pichannels.ui.supervision import Supervisor
from pichannels.ui_config import UIConfig
from tests.ui.plants import Plant, running


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant that is killed."""
    with running(tmp_path_factory.mktemp("own")) as found:
        yield found


def own_pid(plant: Plant) -> int | None:
    """The process of the pages; None while nobody listens."""
    try:
        answer = plant.client().get("/load")
    except httpx.TransportError:
        return None
    return int(answer.json()["pid"])


def test_pages_share_the_session_of_the_instance_not_its_group(own: Plant) -> None:
    pages = own_pid(own)
    assert pages is not None and own.process is not None
    instance = own.process.pid
    assert os.getsid(pages) == os.getsid(instance)
    assert os.getpgid(pages) != os.getpgid(instance)


def test_pages_that_are_killed_begin_again(own: Plant) -> None:
    before = own_pid(own)
    assert before is not None and own.process is not None
    assert before != own.process.pid
    os.kill(before, signal.SIGKILL)
    while own_pid(own) in (before, None):
        continue
    assert own.get("/status")["pid"] == own.process.pid


def test_pages_end_with_an_instance_that_is_killed(own: Plant) -> None:
    assert own.process is not None
    own.process.kill()
    while own_pid(own) is not None:
        continue
    assert own.process.wait() == -signal.SIGKILL


async def test_pages_whose_port_is_taken_begin_when_it_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    said: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(said)
    logger = logging.getLogger("pichannels.ui")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(handler)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = ConsolePlan(
            config=UIConfig(port=port),
            places=[Place(name="plant", data_dir=str(tmp_path))],
            folder=str(tmp_path / "ui"),
        )
        told = msgspec.json.encode(plan)
        supervisor = Supervisor(told, lambda started: heard.put(started["url"]))
        supervisor.start()
        while "begin again" not in (await asyncio.to_thread(said.get)).getMessage():
            continue
    url = await asyncio.to_thread(heard.get)
    await supervisor.close()
    logger.removeHandler(handler)
    assert url == f"http://127.0.0.1:{port}"
    assert "address already in use" in caplog.text
    assert supervisor.pid is None


def test_an_instance_stops_while_somebody_follows_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running(tmp_path_factory.mktemp("followed")) as plant:
        assert plant.process is not None
        with plant.client().stream("GET", "/instances/plant/events") as answer:
            assert next(answer.iter_lines()) == ": following"
            plant.process.terminate()
            assert plant.process.wait(timeout=30) == 0
        assert own_pid(plant) is None
