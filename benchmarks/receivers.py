"""One client of a PI channel that takes frames, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

import aiohttp
from websockets.asyncio.client import connect
from yarl import URL

from benchmarks.handwritten import RAW_TEXT
from benchmarks.load import connected, flood, streams_of
from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work
from pichannels.piwebasync import APIRequest, Controller, WebsocketClient

__all__ = ["WAYS", "run"]

Take: TypeAlias = Callable[[int], Awaitable[int]]
"""Takes so many frames; their size."""
Opened: TypeAlias = AbstractAsyncContextManager[Take]


@asynccontextmanager
async def bare_aiohttp(request: APIRequest) -> AsyncIterator[Take]:
    """The socket of aiohttp, as our own client uses it."""
    url = URL(request.absolute_url, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=0, compress=0, **RAW_TEXT) as socket,
    ):

        async def take(frames: int) -> int:
            size = 0
            for _ in range(frames):
                message = await socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT
                size += len(message.data)
            return size

        yield take


@asynccontextmanager
async def with_websockets(request: APIRequest) -> AsyncIterator[Take]:
    """The library websockets."""
    opening = connect(
        request.absolute_url, max_size=None, compression=None, ping_interval=None
    )
    async with opening as socket:

        async def take(frames: int) -> int:
            size = 0
            for _ in range(frames):
                size += len(await socket.recv(decode=False))
            return size

        yield take


@asynccontextmanager
async def one_by_one(request: APIRequest) -> AsyncIterator[Take]:
    """`recv_raw` of our client."""
    async with WebsocketClient(request) as channel:

        async def take(frames: int) -> int:
            size = 0
            for _ in range(frames):
                size += len(await channel.recv_raw())
            return size

        yield take


@asynccontextmanager
async def all_that_wait(request: APIRequest) -> AsyncIterator[Take]:
    """`recv_many` of our client."""
    async with WebsocketClient(request) as channel:

        async def take(frames: int) -> int:
            size = count = 0
            while count < frames:
                found = await channel.recv_many()
                count += len(found)
                size += sum(map(len, found))
            assert count == frames
            return size

        yield take


WAYS: Final[dict[str, Callable[[APIRequest], Opened]]] = {
    "aiohttp": bare_aiohttp,
    "websockets": with_websockets,
    "recv_raw": one_by_one,
    "recv_many": all_that_wait,
}
"""Clients by what is called."""


async def run(url: str, way: str, **shape: int) -> Measured:
    """Receive a flood of this shape from the simulator at `url`."""
    address = URL(url)
    pi = Controller("http", str(address.host), address.port, address.path)
    async with aiohttp.ClientSession() as session:
        names = await streams_of(session, url)
        request = pi.streamsets.get_channel_adhoc(list(names))
        async with WAYS[way](request) as take:
            await connected(session, url)
            values = await flood(session, url, **shape)
            with Stopwatch() as watch:
                size = await take(shape["frames"])
    assert size > values
    return watch.measured(shape["frames"])


if __name__ == "__main__":
    work(run)
