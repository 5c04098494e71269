"""What filter.Duplicates leaves out, and what it must let pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import filter, publish, split
from pichannels.channels.base import BaseChannel
from pichannels.errors import Dropped, RetryLater, SampleErrors, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.persistence import MemoryPersistence
from pichannels.retry import RetryPolicy
from pichannels.testing import ManualClock
from pichannels.values import DigitalState, Sample, Tag

TAG = Tag("TI1", server="pi", key="1")
NOON = 17 * 10**15


def sample(number: int, value: Any = 1.0, tag: Tag = TAG) -> Sample:
    return Sample(tag, NOON + number, value)


def batch(*numbers: int, lane: str = "live", value: Any = 1.0) -> Message:
    samples = [sample(number, value) for number in numbers]
    return Message(payload=samples, meta={"lane": lane})


def passes(node: BaseNode, msg: Message) -> list[int]:
    """The numbers of the samples that pass."""
    try:
        result: Message = node.process(msg)
    except Dropped:
        return []
    return [found.ticks - NOON for found in result.payload]


class Sink(BaseNode):
    """Keeps what comes, and fails as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.came: list[list[int]] = []

    def process(self, msg: Message) -> Message:
        self.came.append([found.ticks - NOON for found in msg.payload])
        if self.errors:
            raise self.errors.pop(0)
        return msg


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Journal]:
    journal = Journal(folder / "journal.db")
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def run(
    sink: BaseNode, *msgs: Message, journal: Journal | None = None, **options: Any
) -> filter.Duplicates:
    """Run messages through the filter and the sink."""
    node = filter.Duplicates(**options)
    channel = BaseChannel("d", retry=RetryPolicy(attempts=3, initial=0.01))
    channel.add(node, sink)
    channel.attach(journal=journal)
    await channel.start()
    for msg in msgs:
        if journal is None:
            await channel.run(msg)
        else:
            await channel.accept(msg, lane=msg.meta["lane"])
    await channel.stop()
    return node


def test_what_has_passed_is_left_out() -> None:
    node = filter.Duplicates()
    assert [passes(node, batch(1, 2)), passes(node, batch(2, 3))] == [[1, 2], [3]]
    assert passes(node, batch(1, 3)) == []


def test_another_value_at_the_same_time_passes() -> None:
    node = filter.Duplicates()
    passes(node, batch(1, value=1.0))
    assert passes(node, batch(1, value=2.0)) == [1]


def test_another_quality_passes() -> None:
    node = filter.Duplicates()
    passes(node, batch(1))
    bad = Message(payload=[Sample(TAG, NOON + 1, 1.0, good=False)])
    assert passes(node, bad) == [1]


def test_identical_events_of_one_message_all_pass() -> None:
    node = filter.Duplicates()
    twins = [Sample(TAG, NOON, 1.0, nth=n) for n in range(3)]
    assert passes(node, Message(payload=twins)) == [0, 0, 0]


def test_a_converted_sample_is_the_same_event() -> None:
    node = filter.Duplicates()
    passes(node, batch(1))
    converted = sample(1).with_value(274.15, "K")
    assert passes(node, Message(payload=[converted])) == []


def test_a_renamed_tag_is_the_same_tag() -> None:
    node = filter.Duplicates()
    passes(node, batch(1))
    renamed = sample(1, tag=Tag("TI1.PV", server="pi", key="1"))
    assert passes(node, Message(payload=[renamed])) == []


@pytest.mark.parametrize("lane", ["late", "repair"])
def test_overlaps_between_lanes_are_left_out(lane: str) -> None:
    node = filter.Duplicates()
    passes(node, batch(2, 3))
    assert passes(node, batch(1, 2, 3, lane=lane)) == [1]
    assert passes(node, batch(1)) == []


def test_corrections_always_pass() -> None:
    node = filter.Duplicates()
    passes(node, batch(1))
    assert passes(node, batch(1, lane="correction")) == [1]


def test_a_deleted_event_may_come_again() -> None:
    node = filter.Duplicates()
    passes(node, batch(1))
    assert passes(node, batch(1, lane="delete")) == [1]
    assert [passes(node, batch(1)), passes(node, batch(1))] == [[1], []]


@pytest.mark.parametrize(("asked", "kept"), [(False, [1, 2]), (True, [2])])
def test_replays_pass_unless_asked(asked: bool, kept: list[int]) -> None:
    node = filter.Duplicates(replay=asked)
    passes(node, batch(1))
    assert passes(node, batch(1, 2, lane="replay")) == kept


def test_names_and_states_that_are_no_unicode_are_no_obstacle() -> None:
    node = filter.Duplicates()
    odd = [sample(1, DigitalState("\ud800", 1), Tag("\udfff"))]
    assert passes(node, Message(payload=odd)) == [1]
    assert passes(node, Message(payload=odd)) == []


def test_what_is_no_batch_is_told() -> None:
    with pytest.raises(UsageError, match="works on a list of samples"):
        filter.Duplicates().process(Message(payload="text"))


# Bounds


def test_at_most_twice_as_many_events_are_remembered() -> None:
    node = filter.Duplicates(max_events=10)
    for number in range(1000):
        passes(node, batch(number))
        assert node.statistics()["remembered"] <= 20
    assert passes(node, batch(*range(990, 1000))) == []


def test_a_busy_tag_takes_nothing_from_another() -> None:
    node = filter.Duplicates(max_events=10)
    passes(node, Message(payload=[sample(1, tag=Tag("quiet"))]))
    passes(node, batch(*range(1000)))
    assert passes(node, Message(payload=[sample(1, tag=Tag("quiet"))])) == []


def test_an_event_is_remembered_for_the_window_and_not_for_two() -> None:
    node = filter.Duplicates(window=60)
    with ManualClock() as clock:
        passes(node, batch(1))
        clock.advance(59)
        assert passes(node, batch(1)) == []
        clock.advance(62)
        assert passes(node, batch(1)) == [1]


@pytest.mark.parametrize("seed", range(20))
def test_random_overlaps_give_each_event_once(seed: int) -> None:
    rng = random.Random(seed)
    node = filter.Duplicates(max_events=500)
    found: list[int] = []
    for start in range(0, 500, 10):
        first = max(0, start - rng.randrange(100))
        found += passes(node, batch(*range(first, start + 10)))
    assert found == list(range(500))


# Failures


async def test_a_message_that_runs_again_passes_again(tmp_path: Path) -> None:
    sink = Sink(RetryLater("not now", 0.01))
    async with opened(tmp_path) as journal:
        await run(sink, batch(1, 2), batch(2, 3), journal=journal)
    assert sink.came == [[1, 2], [1, 2], [3]]


class LateOnce(BaseNode):
    """Cannot work on the second message that comes, the first time."""

    def process(self, msg: Message) -> Message:
        self.count = getattr(self, "count", 0) + 1
        if self.count == 2:
            raise RetryLater("not now", 0.01)
        return msg


async def test_a_part_that_had_not_come_so_far_passes_when_it_runs_again(
    tmp_path: Path,
) -> None:
    sink = Sink()
    channel = BaseChannel("d", retry=RetryPolicy(attempts=3, initial=0.01))
    channel.add(split.Split(1), LateOnce(), filter.Duplicates(), sink)
    async with opened(tmp_path) as journal:
        channel.attach(journal=journal)
        await channel.start()
        await channel.accept(batch(1, 2))
        await channel.stop()
    assert sink.came == [[1], [1], [2]]


async def test_events_of_a_message_that_failed_are_forgotten() -> None:
    sink = Sink(ValueError("no"))
    await run(sink, batch(1, 2), batch(1, 2))
    assert sink.came == [[1, 2], [1, 2]]


async def test_events_that_were_set_aside_are_forgotten() -> None:
    sink = Sink(SampleErrors({1: "no"}))
    await run(sink, batch(1, 2), batch(1, 2))
    assert sink.came == [[1, 2], [2]]


async def test_what_was_dropped_behind_is_remembered() -> None:
    sink = Sink(Dropped("no use"))
    await run(sink, batch(1), batch(1))
    assert sink.came == [[1]]


# The next run


async def test_the_next_run_remembers(tmp_path: Path) -> None:
    came = []
    for numbers in ([1, 2], [2, 3], [1, 3, 4]):
        sink = Sink()
        async with opened(tmp_path) as journal:
            await run(sink, batch(*numbers), journal=journal)
        came += sink.came
    assert came == [[1, 2], [3], [4]]


async def test_the_next_run_knows_of_deletions(tmp_path: Path) -> None:
    came = []
    for lane in ("live", "delete", "live", "live"):
        sink = Sink()
        async with opened(tmp_path) as journal:
            await run(sink, batch(1, lane=lane), journal=journal)
        came.append(sink.came)
    assert came == [[[1]], [[1]], [[1]], []]


async def test_what_is_unsettled_is_not_remembered_by_the_next_run(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as journal:
        held = publish.Call(lambda msg: asyncio.get_running_loop().create_future())
        node = filter.Duplicates()
        channel = BaseChannel("d", drain_timeout=0.05)
        channel.add(node, held)
        channel.attach(journal=journal)
        await channel.start()
        await channel.accept(batch(1))
        await channel.stop()
    sink = Sink()
    async with opened(tmp_path) as journal:
        await run(sink, journal=journal)
    assert sink.came == [[1]]


async def test_keys_are_used_again_in_turn() -> None:
    kept = MemoryPersistence()
    for number in range(10):
        node = filter.Duplicates(window=1)
        node.persistence = kept
        await node.start()
        passes(node, batch(number))
        await node.stop()
    assert await kept.restore("Duplicates", "seen.3") is not None
    assert await kept.restore("Duplicates", "seen.4", None) is None


async def test_what_has_passed_is_saved_while_it_runs() -> None:
    node = filter.Duplicates(window=1)
    await node.start()
    passes(node, batch(1))
    while await node.restore_data("seen.0", None) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    again = filter.Duplicates(window=1)
    again.persistence = node.persistence
    await again.start()
    assert not passes(again, batch(1))
    await again.stop()
    await node.stop()


async def test_counts_tell_what_was_left_out() -> None:
    node = await run(Sink(), batch(1, 2), batch(2, 3), batch(3))
    assert node.statistics() == {"left_out": 2, "remembered": 3}
