"""Opening a channel: once, and not when it is closed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pichannels.errors import UsageError
from pichannels.piwebasync import APIRequest, Stream, WebsocketClient
from pichannels.piwebasync.exceptions import ChannelClosedOK, StreamStateError

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server


class Door:
    """A handshake that waits until it may go on."""

    def __init__(self) -> None:
        self.knocked = asyncio.Event()
        self.may_open = asyncio.Event()
        self.opened = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.knocked.set()
        await self.may_open.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.opened += 1
        await socket.receive()
        return socket


@pytest.fixture
def door(server: Server) -> Door:
    found = Door()
    server.handler = found.handle
    return found


def a_request(server: Server) -> APIRequest:
    return server.controller.streams.get_channel("W")


async def test_closing_while_it_opens_ends_the_opening(
    server: Server, door: Door
) -> None:
    client = WebsocketClient(a_request(server))
    opening = asyncio.create_task(client.open())
    await door.knocked.wait()
    await client.close()
    with pytest.raises(ChannelClosedOK, match="closed by this client"):
        async with asyncio.timeout(10):
            await opening
    assert (client.is_closed, client.is_open) == (True, False)
    door.may_open.set()


async def test_two_that_open_a_channel_open_it_once(server: Server, door: Door) -> None:
    client = WebsocketClient(a_request(server))
    both = [asyncio.create_task(client.open()) for _ in range(2)]
    await door.knocked.wait()
    door.may_open.set()
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert first is client
    assert isinstance(second, UsageError)
    assert door.opened == 1
    await client.close()


async def test_a_channel_that_opens_is_not_started_besides(
    server: Server, door: Door
) -> None:
    client = WebsocketClient(a_request(server), reconnect=True)
    opening = asyncio.create_task(client.open())
    await door.knocked.wait()
    with pytest.raises(UsageError, match="opening already"):
        client.start()
    door.may_open.set()
    await (await opening).close()


@pytest.mark.parametrize("end", [Stream.stop, Stream.abort])
async def test_a_stream_that_is_stopped_opens_no_further(
    server: Server, door: Door, end: Callable[[Stream], Awaitable[None]]
) -> None:
    stream = Stream(asyncio.Queue(1))
    starting = asyncio.create_task(stream.start(a_request(server), print))
    await door.knocked.wait()
    async with asyncio.timeout(5):
        await end(stream)
        with pytest.raises(StreamStateError, match="stopped meanwhile"):
            await starting
    assert stream.is_closed
    door.may_open.set()


async def test_a_stream_that_is_stopped_changes_no_further(server: Server) -> None:
    door = Door()

    async def first_at_once(request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        return await door.handle(request)

    server.handler = first_at_once
    stream = Stream(asyncio.Queue(1))
    await stream.start(a_request(server), print)
    changing = asyncio.create_task(stream.update(a_request(server)))
    await door.knocked.wait()
    async with asyncio.timeout(5):
        await stream.stop()
        with pytest.raises(StreamStateError, match="stopped meanwhile"):
            await changing
    door.may_open.set()


async def test_no_task_has_a_login_in_its_name(server: Server, door: Door) -> None:
    class WithLogin:
        method, protocol = "GET", "Websocket"
        absolute_url = a_request(server).absolute_url.replace("//", "//bob:pw@", 1)

    door.may_open.set()
    async with WebsocketClient(WithLogin()):
        names = [task.get_name() for task in asyncio.all_tasks()]
    assert [name for name in names if name.startswith("pi-channel ws://...@")]
    assert "bob" not in str(names)
