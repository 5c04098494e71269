"""The pages begin again when they end, and end with their instance."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import httpx
import pytest

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
