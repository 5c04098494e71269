"""Channels that listen, and senders in a process of their own over some connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import Measured, Stopwatch
from benchmarks.processes import run_module
from pichannels.channels import BaseChannel
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.endpoints.mllp import MLLPEndpoint
from pichannels.journal import Journal

__all__ = ["CONNECTIONS", "Server", "journaled", "kept_busy", "started"]

CONNECTIONS: Final = 16

Server = Callable[[], AbstractAsyncContextManager[int]]
"""Runs a server, whose port it gives."""
Listening = Callable[[], tuple[BaseChannel, HTTPEndpoint | MLLPEndpoint]]
"""Makes a channel and its endpoint."""


def started(make: Listening) -> Server:
    """A channel without a journal."""

    @asynccontextmanager
    async def server() -> AsyncIterator[int]:
        channel, endpoint = make()
        await channel.start()
        yield endpoint.bound_port
        await channel.stop()

    return server


def journaled(make: Listening, file: Path) -> Server:
    """A channel with a journal in a file."""

    @asynccontextmanager
    async def server() -> AsyncIterator[int]:
        channel, endpoint = make()
        journal = Journal(file)
        await journal.open()
        channel.attach(journal=journal)
        await channel.start()
        yield endpoint.bound_port
        await channel.stop()
        await journal.close()

    return server


def kept_busy(
    server: Server, module: str, **job: Any
) -> Callable[[int], Awaitable[Measured]]:
    """What a server takes for what a module sends.

    Args:
        server: runs for that time.
        module: sends, as `benchmarks.http_load` does.
        job: what is sent.
    """

    async def run(count: int) -> Measured:
        async with server() as port:
            wanted = {"port": port, "count": count, "connections": CONNECTIONS, **job}
            with Stopwatch() as watch:
                load = await run_module(module, wanted)
        assert load.count == count, f"{load.count} of {count} went well"
        return Measured(count, load.wall, watch.cpu)

    return run
