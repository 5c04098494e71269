"""`pichannels tail` goes on when its link was lost, and tells what it has missed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pichannels.message import Message
from pichannels.remote import Hub, HubServer, Ring
from tests.servers.proxy import Proxy


@asynccontextmanager
async def tailing(port: int, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, which follows a stream through this port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pichannels", "tail", name, "--from", "start"),
        *("--url", f"http://127.0.0.1:{port}"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def line_of(stream: asyncio.StreamReader | None) -> str:
    """The next line that the command writes, without the time before it."""
    assert stream is not None
    return (await stream.readline()).decode().rstrip("\n").rpartition("  ")[2]


def message(text: str) -> Message:
    """What comes out of a channel."""
    return Message("text/plain", text)


async def test_it_goes_on_behind_what_it_has_shown() -> None:
    hub, ring = Hub(), Ring(100)
    hub.publish("channels/flow", ring)
    ring.put(message("one"))
    async with (
        hub,
        HubServer(hub) as server,
        Proxy(server.port) as proxy,
        tailing(proxy.port, "flow") as command,
    ):
        shown = [await line_of(command.stdout)]
        proxy.hang_up()
        ring.put(message("two"))
        shown.append(await line_of(command.stdout))
    assert shown == ["one", "two"]


async def test_what_was_missed_is_told() -> None:
    hub, ring = Hub(), Ring(2, overflow="skip")
    hub.publish("channels/flow", ring)
    ring.put(message("one"))
    async with (
        hub,
        HubServer(hub) as server,
        Proxy(server.port) as proxy,
        tailing(proxy.port, "flow") as command,
    ):
        await line_of(command.stdout)
        proxy.hang_up()
        for text in ("lost", "lost too", "three", "four"):
            ring.put(message(text))
        shown = [await line_of(command.stdout) for _ in range(2)]
        told = await line_of(command.stderr)
        while told.startswith("-- the link"):
            told = await line_of(command.stderr)
    assert shown == ["three", "four"]
    assert told == "-- 2 messages are missing: this was too slow"
