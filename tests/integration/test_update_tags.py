"""`PIWebChannel.update_tags` against the simulator: no gap, nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import NotConnected, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample

STAYS, GOES, COMES = "UNIT1.SPARE.AI1", "UNIT3.SPARE.AI1", "UNIT2.SPARE.AI1"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


class Sink(BaseNode):
    """Keeps the samples that come, and lets a test wait for them."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            self.samples.extend(msg.payload)
            self._changed.notify_all()
        return msg

    async def until(self, tag: str, value: Any) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: value in self.values(tag))

    def values(self, tag: str) -> list[Any]:
        return [sample.value for sample in self.samples if sample.tag.name == tag]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=200), poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    simulator: Simulator, folder: Path, tags: list[str], **options: Any
) -> AsyncIterator[tuple[PIWebChannel, Sink]]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        tags=tags,
        server="PLANT",
        poll_interval=0.05,
        heartbeat=2,
        reconnect=SOON,
        **options,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    try:
        await simulator.connected()
        yield channel, sink
    finally:
        await channel.stop()
        await journal.close()


class Pushing:
    """Gives a tag one number after the other while the block runs."""

    def __init__(self, simulator: Simulator, tag: str) -> None:
        self._push: Callable[[float], object] = lambda number: simulator.push(
            tag, number
        )
        self.count = 0

    async def __aenter__(self) -> Pushing:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            self.count += 1
            self._push(float(self.count))


async def test_a_tag_that_stays_misses_nothing_and_gets_nothing_twice(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS, GOES]) as (channel, sink):
        async with Pushing(simulator, STAYS) as pushed:
            await sink.until(STAYS, 5.0)
            await channel.update_tags([STAYS, COMES])
        simulator.push(STAYS, -1.0)
        await sink.until(STAYS, -1.0)
    values = sink.values(STAYS)
    first = values.index(1.0)
    assert values[first:] == [*map(float, range(1, pushed.count + 1)), -1.0]


async def test_current_values_of_tags_that_stay_do_not_come_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS, GOES]) as (channel, sink):
        simulator.push(STAYS, 1.0)
        await sink.until(STAYS, 1.0)
        await channel.update_tags([STAYS, COMES])
        simulator.push(STAYS, 2.0)
        await sink.until(STAYS, 2.0)
    ids = Counter(sample.event_id for sample in sink.samples)
    assert set(ids.values()) == {1}


async def test_tags_come_and_go(simulator: Simulator, tmp_path: Path) -> None:
    async with running(simulator, tmp_path, [STAYS, GOES]) as (channel, sink):
        await channel.update_tags([STAYS, COMES])
        simulator.push(GOES, 1.0)
        simulator.push(COMES, 2.0)
        await sink.until(COMES, 2.0)
    assert (1.0 in sink.values(GOES), channel.tags) == (False, [STAYS, COMES])


async def test_added_tags_do_not_touch_open_pi_channels(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS]) as (channel, _):
        before = simulator.channels
        await channel.update_tags([STAYS, COMES])
        await simulator.connected(2)
        assert simulator.channels[0] is before[0]


async def test_tags_that_cannot_be_resolved_change_nothing(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS]) as (channel, sink):
        with pytest.raises(NotConnected):
            await channel.update_tags(["NO.SUCH.TAG"])
        simulator.push(STAYS, 3.0)
        await sink.until(STAYS, 3.0)
    assert channel.tags == [STAYS]


async def test_tags_of_a_stopped_channel_change_for_its_next_start(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS]) as (channel, sink):
        await channel.stop()
        await channel.update_tags([COMES])
        await channel.start()
        await simulator.connected()
        simulator.push(COMES, 4.0)
        await sink.until(COMES, 4.0)
    assert [point.name for point in channel.points] == [COMES]


async def test_many_changes_do_not_scatter_the_tags(
    simulator: Simulator, tmp_path: Path
) -> None:
    names = [tag.name for tag in simulator.tags[:8]]
    async with running(simulator, tmp_path, names[:1]) as (channel, _):
        for count in range(2, 9):
            await channel.update_tags(names[:count])
        facts = channel.statistics()
    assert (facts["tags"], facts["pi_channels"] <= 4) == (8, True)


async def test_what_is_no_tag_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    async with running(simulator, tmp_path, [STAYS]) as (channel, _):
        with pytest.raises(UsageError):
            await channel.update_tags([])


async def test_a_channel_goes_on_with_the_source_of_another(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, [STAYS]) as (old, before):
        after = Sink()
        new = PIWebChannel("plant", url=simulator.url, tags=[STAYS], server="PLANT")
        new.add(decode.PI(), after)
        new.attach(journal=old.journal)
        async with Pushing(simulator, STAYS) as pushed:
            await before.until(STAYS, 5.0)
            assert await new.take_source_from(old)
            await old.stop()
            await new.start()
            await after.until(STAYS, pushed.count + 1.0)
        await new.stop()
    values = before.values(STAYS) + after.values(STAYS)
    assert values[values.index(1.0) :] == [*map(float, range(1, len(values)))]
