"""A channel that changes or is away: what is told of it, and how long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pichannels import clock
from pichannels.piwebasync import HTTPClient, WebsocketClient
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelClosedError,
    ChannelRefused,
)
from pichannels.piwebasync.polling import UpdatesClient
from pichannels.retry import RetryPolicy

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)


async def say_path(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"Path": request.path})
    await socket.receive()
    return socket


async def test_a_message_has_the_url_that_it_came_from(server: Server) -> None:
    server.handler = say_path
    streams = server.controller.streams
    old, new = streams.get_channel("OLD"), streams.get_channel("NEW")
    async with WebsocketClient(old) as client:
        for _ in range(5000):
            if client.statistics()["frames"]:
                break
            await asyncio.sleep(0.001)
        await client.update(new)
        urls = [(await client.recv()).url for _ in range(2)]
    assert urls == [old.absolute_url, new.absolute_url]


@pytest.mark.parametrize("rollback", [True, False])
async def test_a_wrong_request_leaves_an_open_channel_alone(
    server: Server, rollback: bool
) -> None:
    server.handler = say_path
    async with WebsocketClient(server.controller.streams.get_channel("W")) as client:
        with pytest.raises(APIException, match="no channel request"):
            await client.update(server.controller.home.get(), rollback)
        assert client.is_open


async def sign_up(request: web.Request) -> web.Response:
    """Updates are signed up for, and polls are not answered."""
    if request.method == "POST":
        item = {"Source": "W", "LatestMarker": "m", "Status": "Succeeded"}
        return web.json_response({"Items": [item]})
    await asyncio.Event().wait()
    raise AssertionError


async def polled(server: Server) -> UpdatesClient:
    server.handler = sign_up
    client = UpdatesClient(
        server.controller.streams.get_channel("W"),
        HTTPClient(),
        poll=0.01,
        dead_channel_timeout=0.2,
        backoff=RetryPolicy(attempts=0, initial=9.0, jitter=0.0),
        on_event=lambda event: None,
    )
    return await client.open()


@pytest.mark.parametrize("rollback", [True, False])
async def test_a_wrong_request_leaves_polling_alone(
    server: Server, rollback: bool
) -> None:
    client = await polled(server)
    with pytest.raises(APIException, match="is no PI channel"):
        await client.update(server.controller.home.get(), rollback)
    assert client.is_open
    await client.close()


async def test_a_server_that_hangs_in_the_handshake_prolongs_no_life(
    server: Server,
) -> None:
    may_go = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if len(server.requests) > 1:
            await may_go.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    server.handler = handle
    async with WebsocketClient(
        server.controller.streams.get_channel("W"),
        reconnect=True,
        dead_channel_timeout=0.1,
        backoff=AT_ONCE,
    ) as client:
        with pytest.raises(ChannelClosedError, match="had no connection"):
            async with asyncio.timeout(10):
                await client.recv()
    may_go.set()


async def test_a_server_that_hangs_in_polls_prolongs_no_life(server: Server) -> None:
    client = await polled(server)
    with pytest.raises(ChannelClosedError, match="had no connection"):
        async with asyncio.timeout(10):
            await client.recv()
    await client.close()


@pytest.mark.parametrize(("maximum", "least"), [(0.2, 0.19), (9.0, 0.99)])
async def test_a_refused_handshake_is_tried_again_when_the_server_wants_it(
    server: Server, maximum: float, least: float
) -> None:
    times: list[float] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        times.append(clock.monotonic())
        if len(times) == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return await say_path(request)

    server.handler = handle
    client = WebsocketClient(
        server.controller.streams.get_channel("W"),
        reconnect=True,
        backoff=RetryPolicy(attempts=0, initial=0.001, maximum=maximum, jitter=0.0),
    ).start()
    await client.recv()
    await client.close()
    assert least <= times[1] - times[0] < least + 0.5


async def test_a_refusal_tells_when_the_server_wants_to_be_asked(
    server: Server,
) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    server.handler = busy
    with pytest.raises(ChannelRefused) as caught:
        await WebsocketClient(server.controller.streams.get_channel("W"))
    assert caught.value.retry_after == 7.0
