"""Programs for piwebasync give parameters that work, or are told what to use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from pichannels.errors import UsageError
from pichannels.piwebasync import (
    Controller,
    HTTPClient,
    Stream,
    StreamUpdates,
    WebsocketClient,
)
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelClosed,
    ChannelClosedError,
    NotARequest,
)

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Handler, Server

CHANNEL = Controller("https", "pi.invalid").streams.get_channel("W")


def socket_that_sends(
    text: str, ends: asyncio.Queue[int | None] | None = None
) -> Handler:
    """Each connection gets this text; how it then ends is noted."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(text)
        assert (await socket.receive()).type is WSMsgType.CLOSE
        if ends is not None:
            await ends.put(socket.close_code)
        return socket

    return handle


def a_request(server: Server) -> Any:
    return server.controller.streams.get_channel("W")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("create_protocol", lambda: None, "use auth="),
        ("extensions", [], "use compression='deflate'"),
        ("subprotocols", ["pi"], "use extra_headers="),
        ("ping_timeout", 20, "leave it out, a pong is awaited for half"),
        ("ping_timeout", None, "leave it out"),
        ("read_limit", 2**16, "use buffer_bytes="),
        ("write_limit", 2**16, "leave it out"),
        ("loop", object(), "leave it out"),
        ("heartbeet", 5, "did you mean 'heartbeat'"),
    ],
)
def test_parameters_of_piwebasync_that_are_gone_are_told_with_what_to_use(
    name: str, value: object, said: str
) -> None:
    unknown: dict[str, Any] = {name: value}
    with pytest.raises(UsageError, match=f"no parameter '{name}'; {said}"):
        WebsocketClient(CHANNEL, **unknown)


@pytest.mark.parametrize(
    "name", ["create_protocol", "extensions", "subprotocols", "loop", "origin"]
)
def test_the_defaults_of_piwebasync_ask_for_nothing(name: str) -> None:
    given: dict[str, Any] = {name: None}
    assert WebsocketClient(CHANNEL, **given).is_closed


async def test_the_loop_may_be_the_one_that_runs() -> None:
    loop = asyncio.get_running_loop()
    assert WebsocketClient(CHANNEL, loop=loop).is_closed


async def test_another_loop_than_the_one_that_runs_is_refused() -> None:
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(UsageError, match="no parameter 'loop'"):
            WebsocketClient(CHANNEL, loop=other)
    finally:
        other.close()


@pytest.mark.parametrize("size", [None, 0])
def test_what_waits_cannot_be_without_bound(size: int | None) -> None:
    given: dict[str, Any] = {"max_queue": size}
    with pytest.raises(UsageError, match="max_queue is at least 1"):
        WebsocketClient(CHANNEL, **given)


def test_a_compression_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'deflate', not 'gzip'"):
        WebsocketClient(CHANNEL, compression="gzip")


@pytest.mark.parametrize(("compression", "offered"), [("deflate", True), (None, False)])
async def test_messages_are_compressed_where_it_is_wanted(
    server: Server, compression: str | None, offered: bool
) -> None:
    text = '{"Items":[]}' * 10_000
    server.handler = socket_that_sends(text)
    async with WebsocketClient(a_request(server), compression=compression) as client:
        assert await client.recv_raw() == text.encode()
    extensions = server.requests[0].headers.get("Sec-WebSocket-Extensions", "")
    assert ("permessage-deflate" in extensions) is offered


async def test_the_origin_is_sent(server: Server) -> None:
    server.handler = socket_that_sends("{}")
    async with WebsocketClient(a_request(server), origin="https://plant") as client:
        await client.recv_raw()
    assert server.requests[0].headers["Origin"] == "https://plant"


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_a_message_larger_than_wanted_ends_the_connection(
    server: Server, compression: str | None
) -> None:
    ends: asyncio.Queue[int | None] = asyncio.Queue()
    server.handler = socket_that_sends("x" * 100_000, ends)
    request = a_request(server)
    async with WebsocketClient(
        request, max_size=70_000, compression=compression
    ) as client:
        with pytest.raises(ChannelClosedError, match="exceeds"):
            await client.recv_raw()
    assert await ends.get() == WSCloseCode.MESSAGE_TOO_BIG


async def test_a_message_as_large_as_wanted_comes(server: Server) -> None:
    server.handler = socket_that_sends("x" * 70_000)
    async with WebsocketClient(a_request(server), max_size=70_000) as client:
        assert len(await client.recv_raw()) == 70_000


NONE = ["http://pi.example.org/piwebapi/points", None, b"ws://h", {"method": "GET"}]


@pytest.mark.parametrize("found", NONE)
async def test_what_is_no_request_is_told_in_words(found: Any) -> None:
    async with HTTPClient() as client:
        for send in (client.get, client.post, client.request):
            with pytest.raises(NotARequest, match="no request; a Controller makes"):
                await send(found)
    with pytest.raises(NotARequest, match="method, protocol and absolute_url"):
        WebsocketClient(found)


@pytest.mark.parametrize("transport", ["auto", "updates"])
async def test_a_stream_tells_what_is_no_request(transport: Any) -> None:
    stream = Stream(asyncio.Queue(1), transport=transport)
    for change in (stream.start("ws://h", print), stream.update(None)):  # type: ignore[arg-type]
        with pytest.raises(NotARequest):
            await change


async def test_an_open_channel_goes_on_when_told_to_change_to_no_request(
    server: Server,
) -> None:
    server.handler = socket_that_sends("{}")
    async with WebsocketClient(a_request(server)) as client:
        with pytest.raises(NotARequest):
            await client.update("ws://h")  # type: ignore[arg-type]
        assert await client.recv_raw() == b"{}"


def test_no_request_is_a_type_error_and_a_value_error_as_there() -> None:
    for kind in (TypeError, APIException):
        with pytest.raises(kind):
            WebsocketClient("ws://pi.example.org")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["recv", "recv_raw", "recv_many", "anext", "update"])
@pytest.mark.parametrize("family", [ChannelClosed, UsageError])
async def test_a_channel_that_is_not_open_says_so(
    call: str, family: type[Exception]
) -> None:
    client = WebsocketClient(CHANNEL)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "recv": client.recv,
        "recv_raw": client.recv_raw,
        "recv_many": client.recv_many,
        "anext": aiter(client).__anext__,
        "update": lambda: client.update(CHANNEL),
    }
    with pytest.raises(family, match="not open yet"):
        await calls[call]()


@pytest.mark.parametrize("kind", [Stream, StreamUpdates])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("logger", "the logger is 'pichannels.piwebasync'"),
        ("loop", "the loop is the one that runs"),
        ("reconnect", "a stream opens lost connections again"),
        ("ping_timeout", "a pong is awaited for half"),
        ("dead_chanel_timeout", "did you mean 'dead_channel_timeout'"),
        ("extra_header", "did you mean 'extra_headers'"),
        ("pol", "did you mean 'poll'"),
    ],
)
def test_parameters_of_pi_stream_util_that_are_gone_are_told_with_what_to_use(
    kind: Any, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=f"no parameter '{name}'.*{said}"):
        kind(asyncio.Queue(1), **{name: object()})


@pytest.mark.parametrize("kind", [Stream, StreamUpdates])
def test_the_defaults_of_pi_stream_util_ask_for_nothing(kind: Any) -> None:
    assert kind(asyncio.Queue(1), None, 60.0, None, None).is_closed
    assert kind(asyncio.Queue(1), logger=None, loop=None).is_closed


@pytest.mark.parametrize("kind", [Stream, StreamUpdates])
def test_a_logger_by_position_is_refused_in_words(kind: Any) -> None:
    with pytest.raises(UsageError, match="the logger is 'pichannels.piwebasync'"):
        kind(asyncio.Queue(1), None, 60.0, object(), None)


def test_stream_updates_have_one_transport() -> None:
    given: dict[str, Any] = {"transport": "channel"}
    with pytest.raises(UsageError, match=r"use Stream\(transport"):
        StreamUpdates(**given)


@pytest.mark.parametrize("queue", [[], 5, SimpleQueue()])
def test_results_go_into_a_queue_of_asyncio(queue: Any) -> None:
    with pytest.raises(UsageError, match=r"is an asyncio.Queue, not a"):
        Stream(queue)


@pytest.mark.parametrize("function", [None, 5])
async def test_what_cannot_be_called_is_no_handler(function: Any) -> None:
    stream = Stream(asyncio.Queue(1))
    with pytest.raises(UsageError, match="handler is a function"):
        await stream.start(CHANNEL, function)
    with pytest.raises(UsageError, match="take is a function"):
        await stream.receive(CHANNEL, function)


async def test_what_cannot_be_called_is_no_callback() -> None:
    callback: Any = 5
    with pytest.raises(UsageError, match="on_error_callback is a function, not 5"):
        await Stream(asyncio.Queue(1)).start(CHANNEL, print, callback)
