"""Messages as they came, over a websocket or by polling, whichever works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from pichannels.errors import UsageError
from pichannels.limiter import Limits
from pichannels.piwebasync import APIRequest, Controller, Limiter, Stream
from pichannels.piwebasync.frames import Connected, Lost
from pichannels.piwebasync.parsing import parse_channel, to_samples
from pichannels.piwebasync.stream import CameBack, FellBack, StreamEvent
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

TEMP = "UNIT1.BOILER.TEMP"
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)
NEVER = RetryPolicy(attempts=0, initial=3600.0)


class Taker:
    """A stream that receives, what it was given, and what it told."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[float]] = []
        self.events: list[StreamEvent] = []
        self.errors: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.may_take = asyncio.Event()
        self.may_take.set()
        self._came = asyncio.Condition()
        quick: dict[str, Any] = {"poll": 0.01, "backoff": AT_ONCE, "comeback": NEVER}
        self.stream = Stream(on_event=self._note, **quick | options)

    def _note(self, event: StreamEvent) -> None:
        self.events.append(event)

    async def start(self, request: APIRequest) -> None:
        await self.stream.receive(request, self.take, self._failed)

    def _failed(self, future: asyncio.Future[None]) -> None:
        self.errors.put_nowait(future.exception())

    async def take(self, frames: list[bytes]) -> None:
        await self.may_take.wait()
        async with self._came:
            self.batches.append([v for frame in frames for v in values(frame)])
            self._came.notify_all()

    @property
    def values(self) -> list[float]:
        return [value for batch in self.batches for value in batch]

    async def until(self, value: float) -> None:
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: value in self.values)

    async def counted(self, name: str, count: int) -> None:
        for _ in range(10_000):
            if self.stream.statistics()[name] >= count:
                return
            await asyncio.sleep(0)

    async def told(self, kind: type[StreamEvent], count: int = 1) -> None:
        async with asyncio.timeout(10):
            for _ in range(10_000):
                if sum(isinstance(one, kind) for one in self.events) >= count:
                    return
                await asyncio.sleep(0.001)


def values(frame: bytes) -> list[Any]:
    return [sample.value for sample in to_samples(parse_channel(frame)).samples]


def request_of(sim: Simulator) -> APIRequest:
    url = URL(sim.url)
    pi = Controller(url.scheme, str(url.host), url.port, url.path)
    return pi.streamsets.get_channel_adhoc([sim.plant.tag(TEMP).web_id])


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nothing changes and nothing is polled but when a test says so."""
    async with Simulator(Plant(tags=100, activity=0), poll=60) as simulator:
        yield simulator


def send(sim: Simulator, *numbers: float) -> None:
    for number in numbers:
        sim.push(TEMP, number)
        sim.tick()


@pytest.mark.parametrize("transport", ["channel", "updates"])
async def test_what_waits_together_is_given_together(
    sim: Simulator, transport: Any
) -> None:
    taker = Taker(transport=transport)
    await taker.start(request_of(sim))
    taker.may_take.clear()
    for number in range(50):
        send(sim, float(number))
        await asyncio.sleep(0.001)
    taker.may_take.set()
    await taker.until(49.0)
    await taker.stream.stop()
    assert taker.values == [float(number) for number in range(50)]
    assert len(taker.batches) < 25


async def test_what_take_raises_ends_the_stream(sim: Simulator) -> None:
    async def refuse(frames: list[bytes]) -> None:
        raise UsageError("enough")

    taker = Taker()
    await taker.stream.receive(request_of(sim), refuse, taker._failed)
    send(sim, 1.0)
    assert isinstance(await taker.errors.get(), UsageError)
    assert taker.stream.is_closed
    with pytest.raises(UsageError, match="enough"):
        await taker.stream.stop()


async def test_stop_gives_what_was_received(sim: Simulator) -> None:
    taker = Taker(transport="channel", stop_timeout=None)
    await taker.start(request_of(sim))
    await sim.connected()
    taker.may_take.clear()
    send(sim, 1.0)
    await taker.counted("messages", 1)
    send(sim, 2.0)
    await taker.counted("frames", 2)
    stopping = asyncio.create_task(taker.stream.stop())
    await asyncio.sleep(0.01)
    taker.may_take.set()
    await stopping
    assert taker.values == [1.0, 2.0]


async def test_websockets_that_stop_opening_are_replaced_by_polling(
    sim: Simulator,
) -> None:
    taker = Taker()
    await taker.start(request_of(sim))
    await sim.connected()
    sim.faults.status(502, count=None, path="channel")
    sim.faults.drop("reset")
    await taker.told(FellBack)
    await taker.told(Connected, 2)
    send(sim, 5.0)
    await taker.until(5.0)
    assert taker.stream.is_polling and taker.stream.is_open
    await taker.stream.stop()


async def test_a_server_that_is_away_is_not_polled_instead(sim: Simulator) -> None:
    taker = Taker()
    await taker.start(request_of(sim))
    await sim.connected()
    sim.faults.status(503, count=20)
    sim.faults.drop("reset")
    await taker.told(Connected, 2)
    assert not taker.stream.is_polling
    assert not [event for event in taker.events if isinstance(event, FellBack)]
    await taker.stream.stop()


async def test_a_websocket_that_opens_again_ends_the_polling(sim: Simulator) -> None:
    sim.faults.status(400, count=3, path="channel")
    taker = Taker(comeback=RetryPolicy(attempts=0, initial=0.05, jitter=0.0))
    await taker.start(request_of(sim))
    count = 0
    while not [event for event in taker.events if isinstance(event, CameBack)]:
        count += 1
        send(sim, float(count))
        await asyncio.sleep(0.001)
    send(sim, -1.0)
    await taker.until(-1.0)
    await taker.stream.stop()
    once = list(dict.fromkeys(taker.values))
    assert once == [*map(float, range(1, count + 1)), -1.0]
    assert not taker.stream.is_polling
    assert not [event for event in taker.events if isinstance(event, Lost)]


async def test_handshakes_and_polls_go_through_the_limiter(sim: Simulator) -> None:
    limiter = Limiter(Limits(rate=1000))
    taker = Taker(limiter=limiter)
    await taker.start(request_of(sim))
    assert limiter.statistics()["live"] == 1
    await taker.stream.stop()


async def test_a_handler_needs_a_queue(sim: Simulator) -> None:
    with pytest.raises(UsageError, match="queue"):
        await Stream().start(request_of(sim), values)  # type: ignore[arg-type]
