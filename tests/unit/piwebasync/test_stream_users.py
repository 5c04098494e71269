"""What users' functions do to a stream: it goes on, or says why it does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from pichannels.errors import UsageError
from pichannels.piwebasync import APIRequest, Controller, Stream, WebsocketMessage
from pichannels.piwebasync.stream import HandlerFailed, OnError, StreamEvent
from pichannels.simulator import Plant, Simulator

TEMP = "UNIT1.BOILER.TEMP"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nothing changes but when a test says so."""
    async with Simulator(Plant(tags=10, activity=0), poll=60) as simulator:
        yield simulator


@pytest.fixture
def queue() -> asyncio.Queue[Any]:
    return asyncio.Queue(100)


def request_of(sim: Simulator) -> APIRequest:
    url = URL(sim.url)
    pi = Controller(url.scheme, str(url.host), url.port, url.path)
    return pi.streamsets.get_channel_adhoc([sim.plant.tag(TEMP).web_id])


def send(sim: Simulator, number: float) -> None:
    sim.push(TEMP, number)
    sim.tick()


async def await_what_is_cancelled() -> None:
    other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    other.cancel()
    await other


async def cancelled_once(message: WebsocketMessage) -> str:
    if b"-777" in message.raw_response:
        await await_what_is_cancelled()
    return "handled"


async def cancelled_within(message: WebsocketMessage) -> AsyncIterator[str]:
    yield await cancelled_once(message)


@pytest.mark.parametrize("handler", [cancelled_once, cancelled_within])
async def test_a_handler_that_awaits_something_cancelled_costs_its_message(
    sim: Simulator, queue: asyncio.Queue[Any], handler: Any
) -> None:
    failed: asyncio.Queue[Exception] = asyncio.Queue()

    def note(event: StreamEvent) -> None:
        if isinstance(event, HandlerFailed):
            failed.put_nowait(event.error)

    stream = Stream(queue, on_event=note)
    await stream.start(request_of(sim), handler)
    await sim.connected()
    async with asyncio.timeout(10):
        send(sim, -777.0)
        assert isinstance((await failed.get()).__cause__, asyncio.CancelledError)
        send(sim, 1.0)
        assert await queue.get() == "handled"
    await stream.stop()


async def test_taking_that_awaits_something_cancelled_ends_the_stream(
    sim: Simulator,
) -> None:
    async def take(frames: list[bytes]) -> None:
        await await_what_is_cancelled()

    errors: asyncio.Queue[BaseException | None] = asyncio.Queue()
    stream = Stream()
    await stream.receive(
        request_of(sim), take, lambda future: errors.put_nowait(future.exception())
    )
    await sim.connected()
    send(sim, 13.0)
    async with asyncio.timeout(10):
        assert isinstance(await errors.get(), UsageError)
    assert stream.is_closed
    with pytest.raises(UsageError, match="was cancelled"):
        await stream.stop()


async def test_a_stream_that_is_aborted_stays_cancelled(
    sim: Simulator, queue: asyncio.Queue[Any]
) -> None:
    began = asyncio.Event()

    async def wait(message: WebsocketMessage) -> None:
        began.set()
        await asyncio.Event().wait()

    events: list[StreamEvent] = []
    stream = Stream(queue, on_event=events.append)
    await stream.start(request_of(sim), wait)
    await sim.connected()
    send(sim, 1.0)
    async with asyncio.timeout(10):
        await began.wait()
        await stream.abort()
    assert not [one for one in events if isinstance(one, HandlerFailed)]


async def failed(stream: Stream, sim: Simulator, on_error: OnError) -> None:
    """Let the stream end by an error of the one who takes."""

    async def take(frames: list[bytes]) -> None:
        raise ValueError("it is too much")

    await stream.receive(request_of(sim), take, on_error)
    await sim.connected()
    send(sim, 1.0)


async def test_a_callback_may_be_a_coroutine_function(sim: Simulator) -> None:
    told: list[BaseException | None] = []
    began, may_go = asyncio.Event(), asyncio.Event()

    async def on_error(future: asyncio.Future[None]) -> None:
        began.set()
        await may_go.wait()
        told.append(future.exception())

    stream = Stream()
    await failed(stream, sim, on_error)
    async with asyncio.timeout(10):
        await began.wait()
        may_go.set()
        with pytest.raises(ValueError, match="too much"):
            await stream.stop()
    assert [str(error) for error in told] == ["it is too much"]


async def test_a_callback_that_never_ends_is_given_up_at_stop(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def on_error(future: asyncio.Future[None]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = Stream(stop_timeout=0.01)
    await failed(stream, sim, on_error)
    async with asyncio.timeout(10):
        await began.wait()
        with pytest.raises(ValueError, match="too much"):
            await stream.stop()
    assert ended.is_set()
    assert "took too long" in caplog.text


async def test_a_callback_may_stop_its_own_stream(sim: Simulator) -> None:
    stopped = asyncio.Event()
    stream = Stream()

    async def on_error(future: asyncio.Future[None]) -> None:
        with contextlib.suppress(ValueError):
            await stream.stop()
        stopped.set()

    await failed(stream, sim, on_error)
    async with asyncio.timeout(10):
        await stopped.wait()
        await stream.stop()
    assert not stream.is_running


async def test_a_callback_that_fails_is_logged(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    called = asyncio.Event()

    async def on_error(future: asyncio.Future[None]) -> None:
        called.set()
        raise KeyError("callback")

    stream = Stream()
    await failed(stream, sim, on_error)
    async with asyncio.timeout(10):
        await called.wait()
        with pytest.raises(ValueError, match="too much"):
            await stream.stop()
    found = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert any("error callback" in one.message for one in found)
