"""Faults while the tags of a PI channel change, and while it starts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels import clock
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import NotConnected
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.limiter import Limits
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.limiting import Limiters
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample

STAYS, SOME, OTHER = "UNIT1.SPARE.AI1", "UNIT3.SPARE.AI1", "UNIT2.SPARE.AI1"
SOON = RetryPolicy(attempts=0, initial=0.005, maximum=0.02)
DROPS = 20


class Sink(BaseNode):
    """Keeps what comes of one tag, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            self.samples.extend(s for s in msg.payload if s.tag.name == STAYS)
            self._changed.notify_all()
        return msg

    async def until(self, value: float) -> None:
        def came() -> bool:
            return any(sample.value == value for sample in self.samples)

        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(came)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=200, activity=0), poll=0.01) as running:
        yield running


@asynccontextmanager
async def running(
    sim: Simulator, folder: Path, limits: Limits, **options: Any
) -> AsyncIterator[tuple[PIWebChannel, Sink, list[Event]]]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant", url=sim.url, server="PLANT", poll_interval=0.01, **options
    )
    sink, events = Sink(), list[Event]()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal, limiters=Limiters(limits))
    channel.events.subscribe(events.append)
    await channel.start()
    try:
        await sim.connected()
        yield channel, sink, events
    finally:
        await channel.stop()
        await journal.close()


async def change_often(sim: Simulator, channel: PIWebChannel) -> int:
    """Drop all connections in the middle of each change; how many changes held."""
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng, held = random.Random(seed), 0
    for number in range(DROPS):
        tags = [STAYS, OTHER if number % 2 else SOME]
        changing = asyncio.create_task(channel.update_tags(tags))
        await asyncio.sleep(rng.random() * 0.04)
        sim.faults.drop(rng.choice(["reset", "fin", "close"]))
        try:
            await changing
            held += 1
        except (NotConnected, PIWebAsyncException):
            assert channel.tags != tags
    return held


async def test_drops_during_changes_of_tags_lose_only_what_came_meanwhile(
    sim: Simulator, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"tags": [STAYS, OTHER], "reconnect": SOON}
    count, limits = 0, Limits(rate=5000, concurrency=50)
    async with running(sim, tmp_path, limits, **options) as (channel, sink, events):
        changing = asyncio.create_task(change_often(sim, channel))
        while not changing.done():
            count += 1
            sim.push(STAYS, float(count))
            await asyncio.sleep(0.001)
        assert await changing >= DROPS // 2
        await sim.connected()
        # Pushed until it comes: the connection may be on its way.
        while not sink.samples or sink.samples[-1].value != count:
            count += 1
            sim.push(STAYS, float(count))
            await asyncio.sleep(0.03)
    told = Counter(event.name for event in events)
    once = list(dict.fromkeys(sample.event_id for sample in sink.samples))
    numbers = (s.value for s in sink.samples if isinstance(s.value, float))
    values = list(dict.fromkeys(numbers))
    assert values == sorted(values)
    jumps = sum(after > before + 1 for before, after in pairwise(values))
    assert jumps <= told["pi.lost"] and told["pi.lost"] >= DROPS
    # Nothing is twice but what a new connection begins with.
    assert len(sink.samples) - len(once) <= told["pi.connected"]


async def test_a_storm_of_429_at_the_start_is_not_answered_by_one_of_ours(
    sim: Simulator, tmp_path: Path
) -> None:
    limits = Limits(rate=100, settle=0.05, slowest=0.2, rise=1.0)
    sim.faults.status(429, count=None, seconds=0.4)
    begun = clock.monotonic()
    tags = [tag.path for tag in sim.tags[:60]]
    options: dict[str, Any] = {"tags": tags, "url_length": 400}
    before = sim.requests
    async with running(sim, tmp_path, limits, reconnect=SOON, **options) as found:
        channel = found[0]
        for _ in range(1000):
            if channel.is_ready:
                break
            await asyncio.sleep(0.01)
        elapsed = clock.monotonic() - begun
        asked = sim.requests - before
        assert channel.limiters is not None
        facts = channel.limiters.of(sim.url).statistics()
    assert asked <= limits.rate * elapsed + 1
    assert abs(asked - facts["live"]) <= limits.concurrency
    assert facts["too_many"] >= 3
