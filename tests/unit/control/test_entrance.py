"""Who comes in to the control server, and does nothing there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from pichannels.control.entrance import Connections, listen


class Door:
    """A server behind an entrance."""

    def __init__(self, connections: Connections, port: int) -> None:
        self.connections = connections
        self.port = port

    async def asked(self, *parts: bytes) -> bytes:
        """What it answers to what comes in these parts, until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def opened(patience: float = 30.0) -> AsyncIterator[Door]:
    """A door that takes two."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"hello {await request.text()}")

    server = web.Server(answer)
    connections = Connections(server, most=2, patience=patience)
    listening = await listen(connections, "127.0.0.1", 0)
    try:
        yield Door(connections, listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        await server.shutdown(1)


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r"


async def test_who_asks_is_answered_however_it_comes() -> None:
    async with opened() as door:
        answer = await door.asked(HEAD, b"\nwor", b"ld")
    assert answer.endswith(b"hello world")


async def test_who_says_nothing_is_sent_away() -> None:
    async with opened(patience=0.1) as door:
        said = await asyncio.gather(door.asked(), door.asked(HEAD))
        left = len(door.connections.waiting)
    assert (*said, left) == (b"", b"", 0)


async def test_no_more_come_in_than_there_is_room_for() -> None:
    keeping = HEAD.replace(b"close", b"keep-alive") + b"\nworld"
    async with opened() as door, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            stack.callback(writer.close)
            writer.write(keeping)
            await reader.readuntil(b"world")
        assert await door.asked(HEAD, b"\nworld") == b""


async def test_a_head_has_a_bound() -> None:
    async with opened() as door:
        assert await door.asked(b"GET / HTTP/1.1\r\n", b"x" * 100_000) == b""
