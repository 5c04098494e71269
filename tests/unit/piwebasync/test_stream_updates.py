"""Stream updates give what a channel gives, and tell what they lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from pichannels.limiter import Limits
from pichannels.piwebasync import (
    APIRequest,
    Controller,
    Limiter,
    StreamUpdates,
    WebsocketMessage,
)
from pichannels.piwebasync.exceptions import (
    ChannelRollback,
    ChannelUpdateError,
    HTTPClientError,
    HTTPStatusError,
    WatchdogTimeout,
)
from pichannels.piwebasync.frames import Connected, Lost, NotOpened
from pichannels.piwebasync.parsing import parse_channel, to_samples
from pichannels.piwebasync.polling import NotSignedUp
from pichannels.piwebasync.stream import StreamEvent
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)


class Watched:
    """A stream of updates, what it has put into its queue, and what it told."""

    def __init__(self, **options: Any) -> None:
        self.queue: asyncio.Queue[Sample] = asyncio.Queue(1000)
        self.events: list[StreamEvent] = []
        quick: dict[str, Any] = {"poll": 0.005, "backoff": AT_ONCE} | options
        self.stream = StreamUpdates(self.queue, on_event=self.events.append, **quick)

    async def start(self, request: APIRequest) -> None:
        await self.stream.start(request, samples)

    async def take(self, count: int = 1) -> list[Any]:
        async with asyncio.timeout(10):
            return [(await self.queue.get()).value for _ in range(count)]

    def lost(self) -> list[Lost]:
        found = [event for event in self.events if isinstance(event, Lost)]
        return [event for event in found if event.reason == "marker"]

    async def until(self, kind: type[StreamEvent], count: int = 1) -> None:
        """Until so many events of this kind were told."""
        async with asyncio.timeout(10):
            for _ in range(10_000):
                if sum(isinstance(one, kind) for one in self.events) >= count:
                    return
                await asyncio.sleep(0.001)


def samples(message: WebsocketMessage) -> list[Sample]:
    return to_samples(parse_channel(message.raw_response)).samples


def request_of(sim: Simulator, *names: str, **options: Any) -> APIRequest:
    web_ids = [sim.plant.tag(name).web_id for name in names]
    return controller(sim).streamsets.get_channel_adhoc(web_ids, **options)


def controller(sim: Simulator) -> Controller:
    url = URL(sim.url)
    return Controller(url.scheme, str(url.host), url.port, url.path)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nothing changes and nothing is polled but when a test says so."""
    async with Simulator(Plant(tags=100, activity=0), poll=60) as simulator:
        yield simulator


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    found = Watched()
    yield found
    await found.stream.stop()


async def test_changes_come_once_and_in_order(sim: Simulator, watched: Watched) -> None:
    await watched.start(request_of(sim, TEMP))
    for number in range(5):
        sim.push(TEMP, float(number))
        assert await watched.take() == [float(number)]
    assert watched.queue.empty()
    assert watched.stream.is_polling


async def test_initial_values_come_first(sim: Simulator, watched: Watched) -> None:
    await watched.start(request_of(sim, TEMP, FLOW, include_initial_values=True))
    async with asyncio.timeout(10):
        found = [await watched.queue.get() for _ in range(2)]
    assert [sample.tag.name for sample in found] == [TEMP, FLOW]


async def test_silence_is_told_by_heartbeats(sim: Simulator) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue(10)
    stream = StreamUpdates(queue, poll=0.005)
    request = request_of(sim, TEMP, heartbeat_rate=2)
    await stream.start(request, lambda message: message.raw_response)
    async with asyncio.timeout(10):
        assert await queue.get() == b'{"Links":{},"Items":[]}'
    await stream.stop()


async def test_the_attributes_of_an_element_are_watched(
    sim: Simulator, watched: Watched
) -> None:
    path = sim.assets.server.database_path + r"\Site\Area1\Unit1\Boiler"
    element = sim.assets.element(path)
    assert element is not None
    web_id = element.web_id_as("Full")
    await watched.start(controller(sim).streamsets.get_channel(web_id))
    sim.push(TEMP, 4.0)
    assert await watched.take() == [4.0]
    refused = [one for one in watched.events if isinstance(one, NotSignedUp)]
    assert any("Design Pressure" in one.stream for one in refused)


async def test_a_lost_place_is_told_and_taken_up_again(
    sim: Simulator, watched: Watched
) -> None:
    await watched.start(request_of(sim, TEMP, FLOW))
    sim.push(TEMP, 1.0)
    assert await watched.take() == [1.0]
    sim.faults.expire(TEMP)
    await watched.until(Connected, 2)
    (lost,) = watched.lost()
    assert TEMP in lost.detail and lost.last_received is not None
    sim.push(TEMP, 2.0)
    assert await watched.take() == [2.0]


async def test_twenty_lost_caches_are_told_and_survived(
    sim: Simulator, watched: Watched
) -> None:
    await watched.start(request_of(sim, TEMP, FLOW))
    for number in range(20):
        sim.push(FLOW, float(number))
        assert await watched.take() == [float(number)]
        sim.faults.expire()
        await watched.until(Connected, number + 2)
    assert len(watched.lost()) == 20


async def test_failing_polls_lose_nothing(sim: Simulator, watched: Watched) -> None:
    await watched.start(request_of(sim, TEMP))
    sim.faults.status(503, count=3, path="updates")
    sim.push(TEMP, 1.0)
    assert await watched.take() == [1.0]
    assert watched.lost() == []
    assert sum(isinstance(one, NotOpened) for one in watched.events) == 3


async def test_answers_that_break_off_are_asked_for_again(
    sim: Simulator, watched: Watched
) -> None:
    await watched.start(request_of(sim, TEMP))
    sim.faults.truncate(2, path="updates")
    sim.faults.truncate(2, abort=True, path="updates")
    sim.push(TEMP, 1.0)
    assert await watched.take() == [1.0]
    assert watched.lost() == []


async def test_a_server_that_stays_away_ends_the_stream(sim: Simulator) -> None:
    watched = Watched(dead_channel_timeout=0.02)
    ended = asyncio.Event()
    request = request_of(sim, TEMP)
    await watched.stream.start(request, samples, lambda future: ended.set())
    sim.faults.status(503, count=None)
    await ended.wait()
    with pytest.raises(WatchdogTimeout):
        await watched.stream.stop()


async def test_what_the_server_could_not_keep_is_told() -> None:
    async with Simulator(Plant(tags=100, activity=0), poll=60, overflow=5) as sim:
        watched = Watched(poll=0.1)
        await watched.start(request_of(sim, TEMP))
        for number in range(10):
            sim.push(TEMP, float(number))
        sim.tick()
        await watched.until(Connected, 2)
        assert len(watched.lost()) == 1
        sim.push(TEMP, 99.0)
        assert await watched.take() == [99.0]
        await watched.stream.stop()


async def test_an_update_keeps_the_place_of_streams_that_stay(
    sim: Simulator, watched: Watched
) -> None:
    await watched.start(request_of(sim, TEMP))
    for number in range(10):
        sim.push(TEMP, float(number))
        names = (TEMP, FLOW) if number % 2 else (TEMP,)
        await watched.stream.update(request_of(sim, *names))
    assert await watched.take(10) == [float(number) for number in range(10)]
    sim.push(FLOW, 100.0)
    assert await watched.take() == [100.0]


async def test_a_failed_update_rolls_back(sim: Simulator, watched: Watched) -> None:
    await watched.start(request_of(sim, TEMP))
    bad = controller(sim).streamsets.get_channel_adhoc(["nonsense"])
    with pytest.raises(ChannelRollback):
        await watched.stream.update(bad)
    sim.push(TEMP, 1.0)
    assert await watched.take() == [1.0]


async def test_a_failed_update_without_rollback_ends_it(sim: Simulator) -> None:
    watched = Watched()
    await watched.start(request_of(sim, TEMP))
    bad = controller(sim).streamsets.get_channel_adhoc(["nonsense"])
    with pytest.raises(ChannelUpdateError):
        await watched.stream.update(bad, rollback=False)
    with pytest.raises(ChannelUpdateError):
        await watched.stream.stop()


async def test_streams_without_updates_are_refused_at_the_start(
    sim: Simulator, watched: Watched
) -> None:
    sim.faults.tag(TEMP, 403)
    with pytest.raises(HTTPStatusError, match="denied"):
        await watched.start(request_of(sim, TEMP))


async def test_a_server_that_is_not_there_is_told(
    watched: Watched, unused_port: int
) -> None:
    request = Controller("ws", "127.0.0.1", unused_port).streams.get_channel("W")
    with pytest.raises(HTTPClientError):
        await watched.start(request)


async def test_many_streams_take_several_requests_within_the_url_limit(
    watched: Watched,
) -> None:
    async with Simulator(Plant(tags=200, activity=0), poll=60) as sim:
        names = [tag.name for tag in sim.tags if tag.kind != "string"]
        await watched.start(request_of(sim, *names))
        sim.push(TEMP, 1.0)
        assert await watched.take() == [1.0]
        assert watched.stream.statistics()["signups"] == len(names)
        await watched.stream.stop()


async def test_polls_go_through_the_limiter(sim: Simulator) -> None:
    limiter = Limiter(Limits(rate=1000))
    watched = Watched(limiter=limiter)
    await watched.start(request_of(sim, TEMP))
    sim.push(TEMP, 1.0)
    await watched.take()
    await watched.stream.stop()
    assert limiter.statistics()["live"] >= 2
