"""A stream handles what comes, survives what happens, and tells what it cannot."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from yarl import URL

from pichannels.errors import UsageError
from pichannels.piwebasync import APIRequest, Controller, Stream, WebsocketMessage
from pichannels.piwebasync.exceptions import (
    ChannelOpenTimeout,
    ChannelRefused,
    ChannelRollback,
    ChannelUpdateError,
    StreamStateError,
    WatchdogTimeout,
    WebsocketClientError,
)
from pichannels.piwebasync.frames import Connected, Lost
from pichannels.piwebasync.stream import (
    FellBack,
    Handler,
    HandlerFailed,
    OnError,
    StreamEvent,
)
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nothing changes and nothing is polled but when a test says so."""
    async with Simulator(Plant(tags=100, activity=0), poll=60) as simulator:
        yield simulator


@pytest.fixture
def queue() -> asyncio.Queue[Any]:
    return asyncio.Queue(100)


def request_of(sim: Simulator, *names: str, **options: Any) -> APIRequest:
    url = URL(sim.url)
    pi = Controller(url.scheme, str(url.host), url.port, url.path)
    web_ids = [sim.plant.tag(name).web_id for name in names]
    return pi.streamsets.get_channel_adhoc(web_ids, **options)


def values(message: WebsocketMessage) -> Any:
    (found,) = message.select("Items.Items.Value")["Items.Items.Value"]
    return found[0]


def message_of(number: float) -> str:
    return json.dumps({"Items": [{"Items": [{"Value": number}]}]})


def send(sim: Simulator, number: float) -> None:
    sim.push(TEMP, number)
    sim.tick()


async def begin(
    stream: Stream, sim: Simulator, handler: Handler = values, *on_error: OnError
) -> str:
    run = await stream.start(request_of(sim, TEMP), handler, *on_error)
    await sim.connected()
    return run


async def within(seconds: float, queue: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await queue.get()


async def test_results_of_the_handler_go_into_the_queue(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    stream = Stream(queue)
    run = await begin(stream, sim)
    send(sim, 1.5)
    assert (await within(2, queue), len(run)) == (1.5, 32)
    assert (stream.is_running, stream.is_closed) == (True, False)
    await stream.stop()
    assert (stream.is_running, stream.is_closed) == (False, True)


async def one_later(message: WebsocketMessage) -> Any:
    await asyncio.sleep(0)
    return values(message)


def both(message: WebsocketMessage) -> list[Any]:
    return [values(message), "and"]


def by_and_by(message: WebsocketMessage) -> Iterator[Any]:
    yield values(message)
    yield "then"


async def later_by_and_by(message: WebsocketMessage) -> AsyncIterator[Any]:
    yield values(message)
    yield "later"


def not_the_first(message: WebsocketMessage) -> Any:
    return None if values(message) == 1.0 else values(message)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (one_later, [1.0, 2.0]),
        (both, [1.0, "and", 2.0, "and"]),
        (by_and_by, [1.0, "then", 2.0, "then"]),
        (later_by_and_by, [1.0, "later", 2.0, "later"]),
        (not_the_first, [2.0]),
        (lambda message: (values(message), "x"), [(1.0, "x"), (2.0, "x")]),
    ],
)
async def test_a_handler_gives_one_many_or_none_sync_or_async(
    sim: Simulator, queue: asyncio.Queue[Any], handler: Any, expected: list[Any]
) -> None:
    stream = Stream(queue)
    await begin(stream, sim, handler)
    for number in (1.0, 2.0):
        sim.send(message_of(number))
    assert [await within(2, queue) for _ in expected] == expected
    await stream.stop()


async def test_failures_of_the_handler_are_told_and_cost_one_message(
    sim: Simulator, queue: asyncio.Queue[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    events: list[StreamEvent] = []

    def handle(message: WebsocketMessage) -> Any:
        if values(message) == 1.0:
            raise ValueError("one is too few")
        return values(message)

    stream = Stream(queue, on_event=events.append)
    await begin(stream, sim, handle)
    for number in (1.0, 2.0):
        sim.send(message_of(number))
    assert await within(2, queue) == 2.0
    (failed,) = [event for event in events if isinstance(event, HandlerFailed)]
    assert (str(failed.error), values(failed.message)) == ("one is too few", 1.0)
    assert stream.statistics()["handler_failures"] == 1
    await stream.stop()


async def test_a_full_queue_holds_the_stream_up_and_loses_nothing(
    sim: Simulator,
) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    stream = Stream(queue)
    await begin(stream, sim)
    for number in range(5):
        sim.send(message_of(number))
    assert [await within(2, queue) for _ in range(5)] == list(range(5))
    assert queue.maxsize == 1
    await stream.stop()


async def test_lost_connections_are_told_and_opened_again(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    events: list[StreamEvent] = []
    stream = Stream(queue, on_event=events.append, backoff=AT_ONCE)
    await begin(stream, sim)
    for number in range(5):
        await sim.connected()
        send(sim, float(number))
        assert await within(2, queue) == number
        sim.faults.drop("reset")
        await sim.disconnected()
    await stream.stop()
    kinds = [type(event) for event in events if isinstance(event, (Connected, Lost))]
    assert kinds[:8] == [Connected, Lost] * 4


async def test_a_dead_channel_ends_the_stream_and_calls_back(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    called: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    stream = Stream(queue, dead_channel_timeout=0.02, backoff=AT_ONCE)
    await begin(stream, sim, values, called.put_nowait)
    sim.faults.status(503, count=None)
    sim.faults.drop()
    future = await within(2, called)
    assert isinstance(future, asyncio.Future)
    assert isinstance(future.exception(), WatchdogTimeout)
    with pytest.raises(WatchdogTimeout):
        await stream.stop()
    await stream.stop()


async def test_an_error_callback_may_start_the_stream_again(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    again: asyncio.Queue[asyncio.Task[str]] = asyncio.Queue()

    def restart(future: asyncio.Future[None]) -> None:
        sim.faults.clear()
        starting = stream.start(request_of(sim, TEMP), values)
        again.put_nowait(asyncio.create_task(starting))

    stream = Stream(queue, dead_channel_timeout=0.02, backoff=AT_ONCE)
    first = await begin(stream, sim, values, restart)
    sim.faults.status(503, count=None)
    sim.faults.drop()
    assert await (await within(2, again)) != first
    send(sim, 3.0)
    assert await within(2, queue) == 3.0
    await stream.stop()


async def test_a_callback_that_fails_or_looks_away_harms_nothing(
    sim: Simulator, queue: asyncio.Queue[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    called = asyncio.Event()

    def fail(future: asyncio.Future[None]) -> None:
        called.set()
        raise RuntimeError("no alert today")

    stream = Stream(queue, dead_channel_timeout=0.0, backoff=AT_ONCE)
    await begin(stream, sim, values, fail)
    sim.faults.drop()
    await called.wait()
    with pytest.raises(WatchdogTimeout):
        await stream.stop()


async def test_stop_is_idempotent_and_handles_what_was_received(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    stream = Stream(queue)
    await stream.stop()
    await begin(stream, sim)
    send(sim, 1.0)
    assert await within(2, queue) == 1.0
    await stream.stop()
    await stream.stop()
    assert stream.is_closed


async def test_stop_does_not_wait_for_a_queue_that_nobody_empties(
    sim: Simulator,
) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    came = asyncio.Event()

    def handle(message: WebsocketMessage) -> Iterator[int]:
        yield 1
        yield 2
        came.set()
        yield 3

    stream = Stream(queue, stop_timeout=0.05)
    await begin(stream, sim, handle)
    send(sim, 1.0)
    assert await within(2, queue) == 1
    await came.wait()
    async with asyncio.timeout(5):
        await stream.stop()
    assert queue.get_nowait() == 2


async def test_a_handler_may_stop_its_own_stream(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    async def handle(message: WebsocketMessage) -> str:
        await stream.stop()
        return "last"

    stream = Stream(queue)
    await begin(stream, sim, handle)
    send(sim, 1.0)
    assert await within(2, queue) == "last"
    await stream.stop()


async def test_a_running_stream_changes_its_tags(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    def names(message: WebsocketMessage) -> Any:
        return message.select("Items.Name")["Items.Name"]

    stream = Stream(queue)
    await begin(stream, sim, names)
    await stream.update(request_of(sim, TEMP, FLOW, include_initial_values=True))
    assert [await within(2, queue) for _ in "12"] == [TEMP, FLOW]
    await stream.stop()


async def test_twenty_drops_during_updates_are_told_and_survived(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    events: list[StreamEvent] = []
    stream = Stream(queue, on_event=events.append, backoff=AT_ONCE)
    await begin(stream, sim)
    for number in range(20):
        names = (TEMP, FLOW) if number % 2 else (TEMP,)
        updating = asyncio.create_task(stream.update(request_of(sim, *names)))
        await asyncio.sleep(0.001 * (number % 4))
        sim.faults.drop("reset")
        await updating
    while queue.empty():
        send(sim, 1.0)
        await asyncio.sleep(0.01)
    assert stream.is_running
    lost = [event for event in events if isinstance(event, Lost)]
    assert len(lost) >= 20
    await stream.stop()


async def test_a_failed_update_rolls_back_and_the_stream_goes_on(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    stream = Stream(queue)
    await begin(stream, sim)
    sim.faults.status(404, path="channel")
    with pytest.raises(ChannelRollback):
        await stream.update(request_of(sim, FLOW))
    send(sim, 1.0)
    assert await within(2, queue) == 1.0
    await stream.stop()


async def test_a_failed_update_without_rollback_ends_the_stream(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    called: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    stream = Stream(queue)
    await begin(stream, sim, values, called.put_nowait)
    sim.faults.status(404, path="channel")
    with pytest.raises(ChannelUpdateError):
        await stream.update(request_of(sim, FLOW), rollback=False)
    assert stream.is_closed
    assert isinstance((await within(2, called)).exception(), ChannelUpdateError)
    with pytest.raises(ChannelUpdateError):
        await stream.stop()
    await stream.stop()


async def test_what_does_not_fit_the_state_is_refused(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    stream = Stream(queue)
    with pytest.raises(RuntimeError, match="not running"):
        await stream.update(request_of(sim, TEMP))
    await begin(stream, sim)
    with pytest.raises(StreamStateError, match="running already"):
        await begin(stream, sim)
    await stream.stop()


async def test_polling_takes_over_where_no_websocket_opens(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    events: list[StreamEvent] = []
    sim.faults.status(400, count=None, path="channel")
    stream = Stream(queue, poll=0.01, on_event=events.append)
    await stream.start(request_of(sim, TEMP), values)
    send(sim, 1.0)
    assert await within(2, queue) == 1.0
    assert stream.is_polling
    assert isinstance(events[0], FellBack)
    await stream.stop()


@pytest.mark.parametrize("transport", ["auto", "channel"])
async def test_a_handshake_that_cannot_succeed_is_told(
    sim: Simulator, queue: asyncio.Queue[Any], transport: Any
) -> None:
    sim.faults.status(400, count=None, path="channel" if transport != "auto" else "")
    stream = Stream(queue, transport=transport)
    with pytest.raises(ChannelRefused) as caught:
        await begin(stream, sim)
    assert caught.value.status_code == 400
    assert stream.is_closed


async def test_missing_credentials_are_no_reason_to_poll(
    queue: asyncio.Queue[Any],
) -> None:
    async with Simulator(Plant(tags=100), poll=60, auth=("user", "secret")) as sim:
        with pytest.raises(ChannelRefused):
            await Stream(queue).start(request_of(sim, TEMP), values)
        stream = Stream(queue, auth=("user", "secret"))
        await begin(stream, sim)
        await stream.stop()


async def test_opening_has_its_time(sim: Simulator, queue: asyncio.Queue[Any]) -> None:
    sim.faults.slow(0.2, count=None)
    stream = Stream(queue, open_timeout=0.02)
    with pytest.raises(ChannelOpenTimeout):
        await stream.start(request_of(sim, TEMP), values)


async def test_a_server_that_is_not_there_is_told(
    queue: asyncio.Queue[Any], unused_port: int
) -> None:
    request = Controller("ws", "127.0.0.1", unused_port).streams.get_channel("W")
    with pytest.raises(WebsocketClientError, match="not reached"):
        await Stream(queue).start(request, values)


async def test_unknown_options_are_refused(queue: asyncio.Queue[Any]) -> None:
    unknown: Any = {"hearbeat": 1}
    with pytest.raises(UsageError, match="did you mean 'heartbeat'"):
        Stream(queue, **unknown)
