"""With a stalled sink intake goes on and memory does not grow."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from pichannels.simulator import Plant, Simulator
from tests.strength import either

STALLED = either(60.0, 15.0)
"""Seconds without an answer from the sink."""
GROWTH = either(32, 24) * 2**20

SETTINGS = """
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, publish
from pichannels.channels.pi import PIWebChannel

channel = PIWebChannel(
    "plant",
    url={pi!r},
    tags=["UNIT*"],
    message_store_factory=SQLiteMessageStoreFactory(),
)
channel.add(decode.PI(), publish.HTTP({sink!r}, timeout=3600))
CHANNELS = [channel]
"""


class Web:
    """A sink that answers, or keeps all requests waiting."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.answering.set()
        self.event_ids: set[str] = set()
        self.requests = 0
        self.url = ""
        self._heard = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        samples = await request.json()
        self.requests += 1
        self._heard.set()
        await self.answering.wait()
        self.event_ids.update(sample["event_id"] for sample in samples)
        self._heard.set()
        return web.Response(status=204)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._heard.clear()
            await self._heard.wait()


@pytest.fixture
async def sink() -> AsyncIterator[Web]:
    found = Web()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield found
    found.answering.set()
    await runner.cleanup()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


async def largest(pid: int, seconds: float) -> int:
    """The most memory that a process has within so many seconds."""
    found = 0
    for _ in range(int(seconds * 4)):
        found = max(found, await asyncio.to_thread(resident, pid))
        await asyncio.sleep(0.25)
    return found


@pytest.mark.timeout(150)
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
async def test_a_stalled_sink_costs_disk_and_no_memory(
    tmp_path: Path, sink: Web
) -> None:
    async with Simulator(Plant(seed=3, tags=1000), poll=0.05, speed=20) as simulator:
        settings = SETTINGS.format(pi=simulator.url, sink=sink.url)
        (tmp_path / "settings.py").write_text(settings, encoding="utf-8")
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "pichannels", "start"),
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            )
        try:
            await sink.until(lambda: sink.requests >= 100)
            before = await asyncio.to_thread(resident, process.pid)
            sink.answering.clear()
            most = await largest(process.pid, STALLED)
            delivered = len(sink.event_ids)
            sink.answering.set()
            await sink.until(lambda: len(sink.event_ids) > delivered + 10_000)
            process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    print(f"{(most - before) / 2**20:.1f} MiB more")  # noqa: T201
    assert (code, most - before < GROWTH) == (0, True)
