"""A PI channel goes on at another member of its server, and says what it missed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Member, Plant, Simulator
from pichannels.values import Sample

TAG, OTHER = "UNIT1.SPARE.AI1", "UNIT1.FEED.FLOW"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.02)


class Sink(BaseNode):
    """Keeps what comes of one tag, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            self.samples.extend(s for s in msg.payload if s.tag.name == TAG)
            self._changed.notify_all()
        return msg

    async def until(self, value: float) -> None:
        def came() -> bool:
            return any(sample.value == value for sample in self.samples)

        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(came)


class Running:
    """Two members, a channel that knows both, its sink, and what it told."""

    def __init__(
        self, a: Simulator, b: Simulator, channel: PIWebChannel, sink: Sink
    ) -> None:
        self.a, self.b, self.channel, self.sink = a, b, channel, sink
        self.events: list[Event] = []
        self._heard = asyncio.Event()
        channel.events.subscribe(self._listen)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self._heard.set()

    async def event(self, name: str) -> Event:
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if event.name == name:
                        return event
                self._heard.clear()
                await self._heard.wait()

    def losses(self) -> list[str]:
        return [e.facts["reason"] for e in self.events if e.name == "pi.lost"]


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[Running]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    plant = Plant(seed=1, tags=50, activity=0)
    async with Simulator(plant, poll=0.01) as a, Member(a, "b") as b:
        channel = PIWebChannel(
            "plant",
            url=a.url,
            others=[b.url],
            tags=[TAG, OTHER],
            server="PLANT",
            poll_interval=0.05,
            reconnect=SOON,
            **options,
        )
        sink = Sink()
        channel.add(decode.PI(), sink)
        channel.attach(journal=journal)
        found = Running(a, b, channel, sink)
        await channel.start()
        try:
            yield found
        finally:
            await channel.stop()
            await journal.close()


async def test_another_member_takes_over_under_load(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        await plant.a.connected()
        failing, count = asyncio.create_task(plant.event("pi.failed_over")), 0
        while not failing.done() or not plant.b.channels:
            count += 1
            plant.b.push(TAG, float(count))
            await asyncio.sleep(0.002)
            if count == 50:
                plant.a.faults.status(503, count=None)
                plant.a.faults.drop("reset")
        plant.b.push(TAG, -1.0)
        await plant.sink.until(-1.0)
        told = (await failing).facts
    numbers = [s.value for s in plant.sink.samples if isinstance(s.value, float)]
    values = list(dict.fromkeys(numbers))
    assert (told["before"], told["after"]) == (plant.a.url, plant.b.url)
    assert plant.losses().count("failover") == 1
    # In order, with the one hole that is told; only what the new one began with again.
    assert values[:-1] == sorted(values[:-1])
    assert sum(b > a + 1 for a, b in pairwise(values[:-1])) <= 1
    assert max(Counter(numbers).values()) <= 2 and len(numbers) - len(values) <= 1


async def test_its_own_web_ids_are_asked_of_the_new_one(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        await plant.a.connected()
        before = {point.web_id for point in plant.channel.points}
        await plant.a.close()
        await plant.b.connected()
        after = {point.web_id for point in plant.channel.points}
        assert len(plant.b.channels[0].tags) == 2
        assert plant.channel.statistics()["failovers"] == 1
    assert not before & after


async def test_a_first_member_that_is_away_at_the_start_is_left(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await first.a.connected()
        await first.channel.stop()
        first.a.faults.status(503, count=None)
        await first.channel.start()
        await first.b.connected()
        first.b.push(TAG, 5.0)
        await first.sink.until(5.0)
        assert first.channel.statistics()["failovers"] == 1


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_what_another_member_would_say_too_is_no_reason(
    tmp_path: Path, status: int
) -> None:
    async with running(tmp_path, transport="channel") as plant:
        await plant.a.connected()
        plant.a.faults.status(status, count=2, path="channel")
        plant.a.faults.drop()
        await plant.event("pi.not_opened")
        await plant.a.connected()
        assert "failover" not in plant.losses()
