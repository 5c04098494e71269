"""systemd hears over its socket what the instance does."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.control.supervisor import Supervisor
from pichannels.events import EventBus

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="there is no systemd on this system"
)


class Listener:
    """What systemd has: a datagram socket in the file system."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.setblocking(False)

    async def said(self) -> list[str]:
        """The words of the next datagram."""
        loop = asyncio.get_running_loop()
        return (await loop.sock_recv(self.socket, 4096)).decode().split("\n")

    async def until(self, word: str) -> list[str]:
        """The words of the next datagram that has this one."""
        while word not in (said := await self.said()):
            continue
        return said


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "notify")
    yield listener
    listener.socket.close()


async def test_ready_reloading_and_stopping_are_told(systemd: Listener) -> None:
    events = EventBus()
    async with Supervisor(systemd.address, drain_timeout=20).told(events):
        assert (await systemd.said())[0] == "STATUS=starting"
        events.fire("instance.started", project="plant")
        assert (await systemd.said())[0] == "READY=1"
        events.fire("instance.reloading")
        reloading = await systemd.said()
        assert reloading[0] == "RELOADING=1"
        assert re.fullmatch(r"MONOTONIC_USEC=\d+", reloading[1])
        events.fire("instance.reloaded", applied=True)
        assert (await systemd.said())[0] == "READY=1"
        events.fire("instance.stopping", project="plant")
        stopping = await systemd.said()
    assert stopping[0] == "STOPPING=1"
    assert "EXTEND_TIMEOUT_USEC=30000000" in stopping


async def test_a_start_that_takes_long_is_given_more_time(systemd: Listener) -> None:
    async with Supervisor(systemd.address, watchdog=0.03).told(EventBus()):
        await systemd.said()
        said = await systemd.said()
    assert said == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=60000000"]


async def test_the_watchdog_is_fed_as_long_as_the_loop_goes_on(
    systemd: Listener,
) -> None:
    events = EventBus()
    async with Supervisor(systemd.address, watchdog=0.03).told(events):
        events.fire("instance.started")
        await systemd.until("READY=1")
        assert [await systemd.said() for _ in range(3)] == [["WATCHDOG=1"]] * 3


async def test_nobody_who_listens_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = EventBus()
    async with Supervisor(str(tmp_path / "gone")).told(events):
        events.fire("instance.started")
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}]
)
def test_without_a_socket_there_is_no_supervisor(environ: dict[str, str]) -> None:
    assert Supervisor.of_system(environ) is None


async def test_the_watchdog_of_another_process_is_not_fed(systemd: Listener) -> None:
    environ = {
        "NOTIFY_SOCKET": systemd.address,
        "WATCHDOG_USEC": "30000",
        "WATCHDOG_PID": str(os.getpid() + 1),
    }
    supervisor = Supervisor.of_system(environ)
    assert supervisor is not None
    events = EventBus()
    async with supervisor.told(events):
        events.fire("instance.started")
        await systemd.until("READY=1")
        await asyncio.sleep(0.1)
        with pytest.raises(BlockingIOError):
            systemd.socket.recv(4096)


async def test_a_started_instance_tells_systemd(
    systemd: Listener, tmp_path: Path
) -> None:
    (tmp_path / "settings.py").write_text(
        "from pichannels.channels import BaseChannel\nCHANNELS = [BaseChannel('a')]\n"
    )
    environ = {
        **os.environ,
        "NOTIFY_SOCKET": systemd.address,
        "WATCHDOG_USEC": "200000",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pichannels", "start"),
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    await systemd.until("READY=1")
    await systemd.until("WATCHDOG=1")
    process.terminate()
    assert "STATUS=draining" in await systemd.until("STOPPING=1")
    assert await process.wait() == 0
