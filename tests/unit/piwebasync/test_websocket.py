"""The channel client loses nothing silently, and tells what it loses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.piwebasync import APIRequest, Controller, WebsocketClient
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelClosedError,
    ChannelClosedOK,
    ChannelInUse,
    ChannelOpenTimeout,
    ChannelRefused,
    ChannelRollback,
    ChannelUpdateError,
    WatchdogTimeout,
    WebsocketClientError,
)
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost, NotOpened
from pichannels.retry import RetryPolicy

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Handler, Server

Script = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)


def channel(*scripts: Script) -> Handler:
    """A server of channels: the n-th connection runs the n-th script, or the last."""
    waiting = list(scripts)

    async def handle(request: web.Request) -> web.StreamResponse:
        script = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            await script(socket, request)
        return socket

    return handle


def sends(*messages: str, code: int | None = None) -> Script:
    """Send these, then close with `code`, or stay."""

    async def script(socket: web.WebSocketResponse, request: web.Request) -> None:
        for message in messages:
            await socket.send_str(message)
        if code is None:
            await socket.receive()
        else:
            await socket.close(code=code)

    return script


def drops(*messages: str) -> Script:
    """Send these, then cut the line without a close frame."""

    async def script(socket: web.WebSocketResponse, request: web.Request) -> None:
        for message in messages:
            await socket.send_str(message)
        assert request.transport is not None
        request.transport.abort()

    return script


def refuses(status: int, body: str = "", **options: Any) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, **options)

    return handle


def a_request(server: Server, *web_ids: str) -> APIRequest:
    return server.controller.streamsets.get_channel_adhoc(web_ids or ["W"])


async def received(client: WebsocketClient, count: int) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < count:
        frames += await client.recv_many()
    return frames


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of the client that it does not announce by itself."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came so far")


async def test_messages_come_in_order_until_the_server_closes(server: Server) -> None:
    server.handler = channel(sends('{"Items":[1]}', '{"Items":[2]}', code=1000))
    async with WebsocketClient(a_request(server)) as client:
        assert [message.items async for message in client] == [[1], [2]]
    assert client.is_closed


async def test_a_client_can_be_awaited_and_tells_its_state(server: Server) -> None:
    server.handler = channel(sends("{}"))
    client = WebsocketClient(a_request(server))
    assert (client.is_open, client.is_closed) == (False, True)
    await client
    assert (client.is_open, client.is_closed) == (True, False)
    await client.close()
    assert (client.is_open, client.is_closed) == (False, True)


async def test_close_1000_ends_in_good_order(server: Server) -> None:
    server.handler = channel(sends(code=1000))
    async with WebsocketClient(a_request(server)) as client:
        with pytest.raises(ChannelClosedOK) as caught:
            await client.recv()
    assert caught.value.code == 1000


@pytest.mark.parametrize("script", [sends("{}", code=1011), drops("{}")])
async def test_any_other_end_is_an_error_after_the_last_frame(
    server: Server, script: Script
) -> None:
    server.handler = channel(script)
    async with WebsocketClient(a_request(server)) as client:
        assert await client.recv_raw() == b"{}"
        with pytest.raises(ChannelClosedError):
            await client.recv()


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 503])
async def test_a_refused_handshake_tells_status_and_body(
    server: Server, status: int
) -> None:
    server.handler = refuses(status, '{"Errors":["because"]}')
    with pytest.raises(ChannelRefused, match="because") as caught:
        await WebsocketClient(a_request(server))
    assert caught.value.status_code == status


async def test_no_answer_to_the_handshake_is_a_timeout(server: Server) -> None:
    async def wait(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    server.handler = wait
    with pytest.raises(ChannelOpenTimeout):
        await WebsocketClient(a_request(server), open_timeout=0.05)


async def test_an_unreachable_server_is_told(unused_port: int) -> None:
    request = Controller("http", "127.0.0.1", unused_port).streams.get_channel("W")
    with pytest.raises(WebsocketClientError, match="not reached"):
        await WebsocketClient(request)


async def test_credentials_go_with_every_handshake(server: Server) -> None:
    server.handler = channel(drops("{}"), sends("{}"))
    tickets = iter(["one", "two"])
    client = WebsocketClient(
        a_request(server),
        auth=lambda: {"Authorization": next(tickets)},
        reconnect=True,
        backoff=AT_ONCE,
    )
    async with client:
        await received(client, 2)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["one", "two"]


async def test_bad_json_costs_one_message(server: Server) -> None:
    server.handler = channel(sends('{"Items":[', '{"Items":[2]}', "", code=1000))
    events: list[ChannelEvent] = []
    async with WebsocketClient(a_request(server), on_event=events.append) as client:
        assert [message.dict() async for message in client] == [{"Items": [2]}, {}]
    assert client.statistics()["undecodable"] == 1
    assert [type(event).__name__ for event in events].count("Undecodable") == 1


async def test_a_message_of_many_megabytes_in_fragments_is_whole(
    server: Server,
) -> None:
    text = '"' + "x" * (6 * 2**20) + '"'

    async def fragments(socket: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        data, size = text.encode(), 2**20
        for start in range(0, len(data), size):
            part = data[start : start + size]
            first = 0x01 if start == 0 else 0x00
            last = 0x80 if start + size >= len(data) else 0x00
            head = bytes([first | last, 127]) + len(part).to_bytes(8, "big")
            request.transport.write(head + part)
        await socket.receive()

    server.handler = channel(fragments)
    async with WebsocketClient(a_request(server)) as client:
        assert await client.recv_raw() == text.encode()


async def test_cancelling_recv_loses_nothing(server: Server) -> None:
    go = asyncio.Event()

    async def script(socket: web.WebSocketResponse, request: web.Request) -> None:
        await go.wait()
        for number in range(20):
            await socket.send_str(f"[{number}]")
        await socket.close()

    server.handler = channel(script)
    found = []
    async with WebsocketClient(a_request(server)) as client:
        with contextlib.suppress(ChannelClosedOK):
            while True:
                task = asyncio.create_task(client.recv_raw())
                await asyncio.sleep(0)
                task.cancel()
                go.set()
                with contextlib.suppress(asyncio.CancelledError):
                    found.append(await task)
                await asyncio.sleep(0)
                found.append(await client.recv_raw())
    assert found == [b"[%d]" % number for number in range(20)]


async def test_a_second_receiver_is_refused(server: Server) -> None:
    server.handler = channel(sends())
    async with WebsocketClient(a_request(server)) as client:
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        with pytest.raises(ChannelInUse):
            await client.recv()
        await client.close()
        with pytest.raises(ChannelClosedOK):
            await task


async def test_an_http_request_is_no_channel(server: Server) -> None:
    with pytest.raises(APIException, match="no channel request"):
        await WebsocketClient(server.controller.dataservers.list())


async def test_waiting_frames_come_together_and_survive_close(server: Server) -> None:
    server.handler = channel(sends(*(f"[{n}]" for n in range(50)), code=1000))
    events: list[ChannelEvent] = []
    client = WebsocketClient(a_request(server), on_event=events.append)
    await client
    await until(lambda: client.is_closed)
    await client.close()
    assert len(await client.recv_many()) == 50
    with pytest.raises(ChannelClosedOK):
        await client.recv_many()


async def test_recv_many_keeps_to_the_bytes_asked_for(server: Server) -> None:
    server.handler = channel(sends("[1]", "[22]", "[333]", code=1000))
    client = await WebsocketClient(a_request(server))
    await until(lambda: client.is_closed)
    sizes = [len(await client.recv_many(max_bytes=7)) for _ in range(2)]
    assert sizes == [2, 1]


async def test_a_lost_connection_is_opened_again_and_told_in_order(
    server: Server,
) -> None:
    server.handler = channel(
        drops("[1]"), sends("[2]", code=1000), sends("[3]", code=None)
    )
    told: list[Any] = []
    client = WebsocketClient(
        a_request(server), reconnect=True, backoff=AT_ONCE, on_event=told.append
    )
    async with client:
        while len(told) < 5 or told[-1] != b"[3]":
            told += await client.recv_many()
    kinds = [e if isinstance(e, bytes) else type(e).__name__ for e in told]
    assert kinds == [
        "Connected",
        b"[1]",
        "Lost",
        "Connected",
        b"[2]",
        "Lost",
        "Connected",
        b"[3]",
    ]


async def test_the_server_tells_its_date_with_the_connection(server: Server) -> None:
    server.handler = channel(sends("[]"))
    events: list[ChannelEvent] = []
    async with WebsocketClient(a_request(server), on_event=events.append) as client:
        await client.recv_raw()
    (connected,) = events
    assert isinstance(connected, Connected) and connected.server_date is not None
    assert abs(connected.at - connected.server_date) < 100_000_000


async def test_a_refusal_while_reconnecting_is_told_and_tried_again(
    server: Server,
) -> None:
    handlers = [
        channel(drops("[1]")),
        refuses(401, "expired"),
        channel(sends("[2]")),
    ]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handlers[min(len(server.requests), 3) - 1](request)

    server.handler = handle
    events: list[ChannelEvent] = []
    client = WebsocketClient(
        a_request(server), reconnect=True, backoff=AT_ONCE, on_event=events.append
    )
    async with client:
        assert await received(client, 2) == [b"[1]", b"[2]"]
    refused = [e.error for e in events if isinstance(e, NotOpened)]
    assert len(refused) == 1 and "expired" in str(refused[0])


async def test_start_opens_in_the_background_until_the_server_is_there(
    server: Server,
) -> None:
    handlers = [refuses(503), refuses(503), channel(sends("[1]"))]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handlers[min(len(server.requests), 3) - 1](request)

    server.handler = handle
    client = WebsocketClient(a_request(server), reconnect=True, backoff=AT_ONCE)
    assert client.start().is_reconnecting
    assert await client.recv_many() == [b"[1]"]
    await client.close()


async def test_the_watchdog_ends_a_channel_without_connection(server: Server) -> None:
    handlers = [channel(drops()), refuses(503)]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handlers[min(len(server.requests), 2) - 1](request)

    server.handler = handle
    client = WebsocketClient(
        a_request(server), reconnect=True, backoff=AT_ONCE, dead_channel_timeout=0.05
    )
    async with client:
        with pytest.raises(ChannelClosedError) as caught:
            await client.recv()
    assert isinstance(caught.value.__cause__, WatchdogTimeout)


async def test_silence_for_two_heartbeats_counts_as_lost(server: Server) -> None:
    server.handler = channel(sends("{}"))
    events: list[ChannelEvent] = []
    client = WebsocketClient(a_request(server), heartbeat=0.02, on_event=events.append)
    async with client:
        assert await client.recv_raw() == b"{}"
        with pytest.raises(ChannelClosedError, match="silence"):
            await client.recv_raw()
    assert isinstance(events[-1], Lost) and events[-1].last_received is not None


async def test_heartbeats_keep_a_quiet_channel_open(server: Server) -> None:
    async def beat(socket: web.WebSocketResponse, request: web.Request) -> None:
        for _ in range(20):
            await socket.send_str('{"Links":{},"Items":[]}')
            await asyncio.sleep(0.01)
        await socket.close()

    server.handler = channel(beat)
    async with WebsocketClient(a_request(server), heartbeat=0.05) as client:
        assert len([message async for message in client]) == 20


async def test_a_user_who_takes_nothing_loses_the_connection_but_no_frame(
    server: Server,
) -> None:
    lost = asyncio.Event()

    async def flood(socket: web.WebSocketResponse, request: web.Request) -> None:
        try:
            for number in range(10**6):
                await socket.send_str(f"[{number}]" + " " * 10_000)
        finally:
            lost.set()

    server.handler = channel(flood)
    events: list[ChannelEvent] = []
    client = WebsocketClient(
        a_request(server),
        max_block=0.05,
        buffer_bytes=100_000,
        on_event=events.append,
    )
    async with client:
        await lost.wait()
        frames: list[bytes] = []
        with pytest.raises(ChannelClosedError, match="backpressure"):
            while True:
                frames += await client.recv_many()
    assert [int(f.strip(b"[] ")) for f in frames] == list(range(len(frames)))
    assert len(frames) < 12


async def test_close_is_bounded_though_the_server_floods(server: Server) -> None:
    async def flood(socket: web.WebSocketResponse, request: web.Request) -> None:
        while not socket.closed:
            await socket.send_str("[]" + " " * 10_000)

    server.handler = channel(flood)
    client = await WebsocketClient(a_request(server), close_timeout=0.05)
    await client.recv_raw()
    async with asyncio.timeout(5):
        await client.close()
    assert client.is_closed


async def test_after_backpressure_it_comes_back_when_there_is_room(
    server: Server,
) -> None:
    messages = [f"[{n}]" for n in range(40)]
    server.handler = channel(sends(*messages), sends("[99]"))
    events: list[ChannelEvent] = []
    client = WebsocketClient(
        a_request(server),
        reconnect=True,
        backoff=AT_ONCE,
        max_block=0.02,
        max_queue=10,
        on_event=events.append,
    )
    async with client:
        frames = [await client.recv_raw()]
        await until(lambda: not client.is_open)
        assert len(server.requests) == 1
        # It is told though nothing is taken.
        assert [type(event) for event in events] == [Connected, Lost]
        while frames[-1] != b"[99]":
            frames.append(await client.recv_raw())
    assert [e.reason for e in events if isinstance(e, Lost)] == ["backpressure"]


async def test_update_opens_the_new_request_and_keeps_what_waits(
    server: Server,
) -> None:
    server.handler = channel(sends("[1]", "[2]"), sends("[3]"))
    async with WebsocketClient(a_request(server)) as client:
        assert await client.recv_raw() == b"[1]"
        await client.update(a_request(server, "W", "V"))
        assert await received(client, 2) == [b"[2]", b"[3]"]
    assert client.url.endswith("webId=W&webId=V")


async def test_recv_waits_through_an_update(server: Server) -> None:
    server.handler = channel(sends(), sends("[1]"))
    async with WebsocketClient(a_request(server)) as client:
        task = asyncio.create_task(client.recv_raw())
        await asyncio.sleep(0)
        await client.update(a_request(server, "V"))
        assert await task == b"[1]"


async def test_a_failed_update_with_rollback_goes_on_without_interruption(
    server: Server,
) -> None:
    go = asyncio.Event()

    async def script(socket: web.WebSocketResponse, request: web.Request) -> None:
        await go.wait()
        await socket.send_str("[1]")
        await socket.receive()

    handlers = [channel(script), refuses(404)]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handlers[len(server.requests) - 1](request)

    server.handler = handle
    async with WebsocketClient(a_request(server)) as client:
        with pytest.raises(ChannelRollback, match="404"):
            await client.update(a_request(server, "V"), rollback=True)
        go.set()
        assert await client.recv_raw() == b"[1]"
        assert client.url.endswith("webId=W")


async def test_a_failed_update_without_rollback_closes_the_channel(
    server: Server,
) -> None:
    handlers = [channel(sends()), refuses(404)]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handlers[len(server.requests) - 1](request)

    server.handler = handle
    async with WebsocketClient(a_request(server)) as client:
        with pytest.raises(ChannelUpdateError, match="404"):
            await client.update(a_request(server, "V"))
        with pytest.raises(ChannelClosedError) as caught:
            await client.recv()
    assert isinstance(caught.value.__cause__, ChannelUpdateError)


async def test_update_of_a_closed_channel_is_refused(server: Server) -> None:
    server.handler = channel(sends())
    client = await WebsocketClient(a_request(server))
    await client.close()
    await client.close()
    with pytest.raises(ChannelClosedOK):
        await client.update(a_request(server, "V"))


async def test_update_ends_a_vain_reconnecting(server: Server) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if "V" in request.query.getall("webId"):
            return await channel(sends("[2]"))(request)
        if len(server.requests) == 1:
            return await channel(drops("[1]"))(request)
        return await refuses(503)(request)

    server.handler = handle
    client = WebsocketClient(a_request(server), reconnect=True, backoff=AT_ONCE)
    async with client:
        assert await client.recv_raw() == b"[1]"
        await until(lambda: client.is_reconnecting)
        await client.update(a_request(server, "V"))
        assert await client.recv_raw() == b"[2]"


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_an_update_that_is_given_up_leaves_no_half_changed_channel(
    server: Server, end: str
) -> None:
    asked = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            return await channel(sends("[1]"))(request)
        asked.set()
        await asyncio.sleep(0.05)
        return await channel(sends("[2]"))(request)

    server.handler = handle
    async with WebsocketClient(a_request(server)) as client:
        update = asyncio.create_task(client.update(a_request(server, "V")))
        await asked.wait()
        if end == "cancel":
            update.cancel()
            with pytest.raises(asyncio.CancelledError):
                await update
            assert await client.recv_raw() == b"[1]" and client.is_open
        else:
            await client.close()
            with pytest.raises(ChannelClosedOK):
                await update
            assert client.is_closed


async def test_an_update_cancelled_at_any_moment_leaves_a_channel_that_delivers(
    server: Server,
) -> None:
    async def count(socket: web.WebSocketResponse, request: web.Request) -> None:
        for number in range(10**6):
            await socket.send_str(str(number))
            await asyncio.sleep(0.0005)

    server.handler = channel(count)
    async with WebsocketClient(a_request(server), close_timeout=0.05) as client:
        for steps in range(40):
            update = asyncio.create_task(client.update(a_request(server, "V")))
            for _ in range(steps):
                await asyncio.sleep(0)
            update.cancel()
            await asyncio.wait([update])
            await client.recv_many()
        assert client.is_open


async def test_frames_one_by_one_come_in_order_with_what_is_told(
    server: Server,
) -> None:
    came: list[object] = []
    server.handler = channel(drops("1", "2"), drops("3", "4"), sends("5"))
    client = WebsocketClient(
        a_request(server),
        reconnect=True,
        backoff=AT_ONCE,
        on_event=lambda event: came.append(type(event)),
    )
    async with client:
        for _ in range(5):
            came.append(await client.recv_raw())
    frames = [Connected, b"1", b"2", Lost, Connected, b"3", b"4", Lost, Connected, b"5"]
    assert came == frames
    assert client.statistics()["waiting"] == client.statistics()["waiting_bytes"] == 0


async def test_receiving_may_be_cancelled_at_any_moment_and_nothing_is_lost(
    server: Server,
) -> None:
    async def count(socket: web.WebSocketResponse, request: web.Request) -> None:
        for number in range(300):
            await socket.send_str(str(number))
            await asyncio.sleep(0)
        await socket.receive()

    server.handler = channel(count)
    frames: list[bytes] = []
    async with WebsocketClient(a_request(server)) as client:
        for steps in range(10**6):
            receiving = asyncio.create_task(client.recv_raw())
            for _ in range(steps % 4):
                await asyncio.sleep(0)
            receiving.cancel()
            await asyncio.wait([receiving])
            if not receiving.cancelled():
                frames.append(receiving.result())
            if len(frames) == 300:
                break
    assert frames == [str(number).encode() for number in range(300)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_is_a_refusal_and_nothing_is_sent_elsewhere(
    server: Server, status: int
) -> None:
    elsewhere = {"Location": f"http://127.0.0.1:{server.server.port}/elsewhere"}
    server.handler = refuses(status, "gone there", headers=elsewhere)
    client = WebsocketClient(a_request(server), extra_headers={"X-Api-Key": "secret"})
    with pytest.raises(ChannelRefused, match="gone there") as caught:
        await client.open()
    assert (caught.value.status_code, len(server.requests)) == (status, 1)
