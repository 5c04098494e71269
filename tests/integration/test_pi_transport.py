"""A PI channel where websockets do not get through: polled, with the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import NotConnected, UsageError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.manifest import decode_manifest
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample

ONE, OTHER, GOES = "UNIT1.SPARE.AI1", "UNIT2.SPARE.AI1", "UNIT3.SPARE.AI1"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
SLOWLY = RetryPolicy(attempts=0, initial=0.01, factor=100)


class Sink(BaseNode):
    """Keeps what comes, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self.messages: list[Message] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            self.samples.extend(msg.payload)
            self.messages.append(msg)
            self._changed.notify_all()
        return msg

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    def values(self, tag: str = ONE) -> list[Any]:
        return [sample.value for sample in self.samples if sample.tag.name == tag]


class Running:
    """A channel, its sink, and what it told."""

    def __init__(self, channel: PIWebChannel, sink: Sink, journal: Journal) -> None:
        self.channel, self.sink, self.journal = channel, sink, journal
        self.events: list[Event] = []
        self._heard = asyncio.Event()
        channel.events.subscribe(self._listen)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self._heard.set()

    async def event(self, name: str, count: int = 1) -> Event:
        async with asyncio.timeout(10):
            while True:
                found = [event for event in self.events if event.name == name]
                if len(found) >= count:
                    return found[count - 1]
                self._heard.clear()
                await self._heard.wait()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    plant = Plant(seed=1, tags=200, activity=0)
    async with Simulator(plant, poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    simulator: Simulator, folder: Path, **options: Any
) -> AsyncIterator[Running]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    given: dict[str, Any] = {"tags": [ONE], "poll_interval": 0.02, "heartbeat": 20}
    given["reconnect"] = SOON
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        server="PLANT",
        message_store_factory=SQLiteMessageStoreFactory(),
        **given | options,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    found = Running(channel, sink, journal)
    await channel.start()
    try:
        yield found
    finally:
        await channel.stop()
        await journal.close()


async def test_a_channel_without_websockets_is_polled(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.status(502, count=None, path="channel")
    async with running(simulator, tmp_path) as plant:
        told = await plant.event("pi.fell_back")
        await plant.event("pi.connected")
        simulator.push(ONE, 1.5)
        await plant.sink.until(lambda: 1.5 in plant.sink.values())
        facts = plant.channel.statistics()
    assert (facts["polled"], facts["open"]) == (1, 1)
    assert facts["fell_back"] == told.facts["error"] and "502" in told.facts["error"]


async def test_polled_messages_have_a_manifest_and_a_lane(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, transport="updates") as plant:
        await plant.event("pi.connected")
        simulator.push(ONE, 1.5)
        await plant.sink.until(lambda: 1.5 in plant.sink.values())
        message, sample = plant.sink.messages[-1], plant.sink.samples[-1]
        record = await plant.journal.get("plant", int(message.store_id or 0))
    assert record is not None and record.manifest is not None
    (entry,) = decode_manifest(record.manifest)
    assert (entry.last, message.meta["lane"]) == (sample.ticks, "live")


async def test_a_place_that_the_server_has_lost_is_a_loss(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, transport="updates") as plant:
        await plant.event("pi.connected")
        simulator.faults.expire()
        lost = await plant.event("pi.lost")
        await plant.event("pi.connected", 2)
        simulator.push(ONE, 2.5)
        await plant.sink.until(lambda: 2.5 in plant.sink.values())
    assert (lost.facts["reason"], plant.channel.losses) == ("marker", 1)


async def test_a_server_that_is_away_at_the_start_is_no_reason_to_poll(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plant:
        await plant.event("pi.connected")
    simulator.faults.status(503, count=6)
    async with running(simulator, tmp_path) as plant:
        await plant.event("pi.not_opened")
        await plant.event("pi.connected")
        facts = plant.channel.statistics()
    assert (facts["polled"], facts["fell_back"]) == (0, "")


async def test_tags_of_a_polled_channel_change_without_a_gap(
    simulator: Simulator, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"transport": "updates", "tags": [ONE, GOES]}
    async with running(simulator, tmp_path, **options) as plant:
        await plant.event("pi.connected")
        changing = asyncio.create_task(plant.channel.update_tags([ONE, OTHER]))
        count = 0
        while not changing.done():
            count += 1
            simulator.push(ONE, float(count))
            await asyncio.sleep(0.002)
        await changing
        simulator.push(OTHER, -1.0)
        await plant.sink.until(lambda: -1.0 in plant.sink.values(OTHER))
        await plant.sink.until(lambda: count in plant.sink.values())
    values = plant.sink.values()
    assert values[values.index(1.0) :] == [*map(float, range(1, count + 1))]
    assert values.count(values[0]) == 1


async def test_new_tags_that_are_refused_leave_the_old_ones_open(
    simulator: Simulator, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"transport": "channel", "tags": [ONE, GOES]}
    async with running(simulator, tmp_path, **options) as plant:
        await simulator.connected()
        before = simulator.channels[0]
        simulator.faults.status(403, path="channel")
        with pytest.raises(NotConnected, match="403"):
            await plant.channel.update_tags([ONE, OTHER])
        simulator.push(ONE, 3.5)
        await plant.sink.until(lambda: 3.5 in plant.sink.values())
        assert simulator.channels == [before]
    assert plant.channel.tags == [ONE, GOES]


def test_an_unknown_transport_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean 'updates'"):
        PIWebChannel(url="https://pi.test", tags=["A"], transport="update")  # type: ignore[arg-type]


async def test_a_channel_stops_at_once_while_no_answer_comes(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.slow(5, path="channel")
    async with running(simulator, tmp_path) as plant:
        for _ in range(200):
            if simulator.faults.counts["slow"]:
                break
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await plant.channel.stop()
        assert plant.channel.is_stopped()


async def test_a_channel_stops_at_once_while_the_server_is_away(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, reconnect=SLOWLY) as plant:
        await plant.event("pi.connected")
        await simulator.close()
        await plant.event("pi.not_opened")
        async with asyncio.timeout(5):
            await plant.channel.stop()
        assert plant.channel.is_stopped()
