"""What the server alone takes for a start: the same requests, nothing kept.

A process of its own; the answers are read and thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
from yarl import URL

from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work

__all__ = ["run"]

_AT_ONCE = 50
_TAKEN = 2**24


async def run(requests: Sequence[str], sockets: Sequence[str]) -> Measured:
    """Ask all requests, then open all sockets until each has its first message."""
    connector = aiohttp.TCPConnector(limit=0)
    with Stopwatch() as watch:
        async with aiohttp.ClientSession(connector=connector) as session:
            limit = asyncio.Semaphore(_AT_ONCE)
            await asyncio.gather(*[_read(session, url, limit) for url in requests])
            opened = [_opened(session, url, limit) for url in sockets]
            for socket in await asyncio.gather(*opened):
                await socket.close()
    return watch.measured(1)


async def _read(
    session: aiohttp.ClientSession, url: str, limit: asyncio.Semaphore
) -> None:
    async with limit, session.get(URL(url, encoded=True)) as answer:
        answer.raise_for_status()
        await answer.read()


async def _opened(
    session: aiohttp.ClientSession, url: str, limit: asyncio.Semaphore
) -> aiohttp.ClientWebSocketResponse:
    async with limit:
        socket = await session.ws_connect(URL(url, encoded=True), max_msg_size=_TAKEN)
        await socket.receive()
    return socket


if __name__ == "__main__":
    work(run)
