"""Which limits count, what is held back, and that nothing of it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nodes.compress import Deadband, ExceptionReport, SwingingDoor
from pichannels.channels.base import BaseChannel
from pichannels.errors import Dropped, NotConnected, SettingsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.testing import ManualClock, RecordingNode, RefusingSink
from pichannels.values import TICKS_PER_SECOND, Sample, Tag

BEGIN = 10**16


def sample(second: float, value: Any, name: str = "A", path: str = "") -> Sample:
    return Sample(Tag(name, path), BEGIN + int(second * TICKS_PER_SECOND), value)


def batch(*samples: Sample, **meta: Any) -> Message:
    return Message(payload=list(samples), meta=meta)


def seconds(samples: list[Sample]) -> list[float]:
    return [(s.ticks - BEGIN) / TICKS_PER_SECOND for s in samples]


def passed(node: BaseNode, *samples: Sample, **meta: Any) -> list[Any]:
    """The values that pass, one message for each sample."""
    found = []
    for one in samples:
        try:
            found += [s.value for s in node.process(batch(one, **meta)).payload]
        except Dropped:
            pass
    return found


def ramp(*values: float, name: str = "A") -> list[Sample]:
    return [sample(at, value, name) for at, value in enumerate(values)]


# Which limits count


def test_without_a_deviation_everything_passes() -> None:
    assert passed(Deadband(), *ramp(1, 1, 1)) == [1, 1, 1]


def test_the_option_counts_for_all_tags() -> None:
    assert passed(Deadband(2), *ramp(0, 1, 2, 3, 4)) == [0, 3]


def test_a_deviation_of_nothing_leaves_out_repetitions() -> None:
    assert passed(Deadband(0), *ramp(1, 1, 1.5, 1.5)) == [1, 1.5]


@pytest.mark.parametrize(
    "facts",
    [
        {"excdev": 2},
        {"ExcDev": "2"},
        {"excdevpercent": 2, "span": 100},
        {"deadband": 2, "excdev": 50},
        {"deadband": "2%", "span": 100.0},
    ],
)
def test_the_facts_of_a_tag_count_before_the_option(facts: dict[str, Any]) -> None:
    found = passed(Deadband(0), *ramp(0, 1, 2, 3, 4), tags={"A": facts})
    assert found == [0, 3]


def test_an_override_counts_before_the_facts() -> None:
    node = Deadband(0, overrides={"B*": {"deviation": 9}, "a*": {"deviation": 2}})
    found = passed(node, *ramp(0, 1, 2, 3, 4), tags={"A": {"excdev": 0}})
    assert found == [0, 3]


def test_the_first_override_that_matches_counts() -> None:
    overrides = {r"\\S\*": {"deviation": 2}, "*": {"deviation": 50}}
    stream = [sample(at, at, path=r"\\S\A") for at in range(5)]
    assert passed(Deadband(overrides=overrides), *stream) == [0, 3]


def test_a_percentage_in_an_override_counts_before_a_number_in_the_facts() -> None:
    node = SwingingDoor(overrides={"*": {"comp_dev": "10%"}})
    limits = node.limits_of(
        Tag("A"), node.turn(batch(tags={"A": {"compdev": 1, "span": 50}}), None)
    )
    assert limits.deviation == 5


def test_a_percentage_without_a_span_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert passed(Deadband("2%"), *ramp(1, 1, 1)) == [1, 1, 1]
    assert "span" in caplog.text


def test_a_fact_that_is_no_number_is_told(caplog: pytest.LogCaptureFixture) -> None:
    found = passed(Deadband(2), *ramp(0, 1, 3), tags={"A": {"excdev": "much"}})
    assert found == [0, 3]
    assert "excdev is 'much'" in caplog.text


def test_facts_are_looked_at_again() -> None:
    with ManualClock() as clock:
        node = Deadband(refresh=60)
        first = passed(node, *ramp(0, 1, 2), tags={"A": {"excdev": 5}})
        clock.advance(61)
        later = [sample(3 + at, 2 + at) for at in range(4)]
        second = passed(node, *later, tags={"A": {"excdev": 1}})
    assert (first, second) == ([0], [2, 4])


@pytest.mark.parametrize("kind", [ExceptionReport, SwingingDoor])
def test_other_limits_end_what_was_begun(kind: Any) -> None:
    with ManualClock() as clock:
        node = kind(refresh=60)
        dev = {"excdev": 5, "compdev": 5}
        first = passed(node, *ramp(0, 1, 0, 1), tags={"A": dev})
        clock.advance(61)
        dev = {"excdev": 0, "compdev": 0}
        later = [sample(4 + at, value) for at, value in enumerate((9, 9.5, 9))]
        second = passed(node, *later, tags={"A": dev})
    assert (first, second[:3]) == ([0], [1, 9, 9.5])


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Deadband(-1), "deviation"),
        (lambda: Deadband("2"), "deviation"),
        (lambda: Deadband("much%"), "deviation"),
        (lambda: Deadband(1, max_time=-1), "maxtime"),
        (lambda: SwingingDoor(1, overrides={"*": {"comp_dve": 1}}), "comp"),
        (lambda: ExceptionReport(1, overrides={"*": {"excmin": "x"}}), "excmin"),
        (lambda: ExceptionReport(1, max_hold=-1), "max_hold"),
    ],
)
def test_limits_that_are_not_usable_are_refused(make: Any, key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        make()


# PI's semantics


def test_an_exception_brings_the_value_before_it() -> None:
    node = ExceptionReport(1)
    assert passed(node, *ramp(10, 10.2, 10.4, 20, 20.1)) == [10, 10.4, 20]


def test_within_exc_min_nothing_is_an_exception() -> None:
    node = ExceptionReport(1, exc_min=2.5)
    assert passed(node, *ramp(0, 9, 9, 9, 0)) == [0, 9, 9]


def test_after_exc_max_any_value_is_one() -> None:
    node = ExceptionReport(1, exc_max=3)
    assert passed(node, *ramp(0, 0.1, 0.2, 0.3, 0.4)) == [0, 0.2, 0.3]


def test_a_straight_line_needs_its_ends() -> None:
    node = SwingingDoor(0.1)
    assert passed(node, *ramp(0, 1, 2, 3, 4, 0, 0)) == [0, 4, 0]


def test_after_comp_max_a_value_passes() -> None:
    node = SwingingDoor(0.1, comp_max=3)
    assert passed(node, *ramp(*range(8))) == [0, 2, 4, 6]


def test_within_comp_min_values_are_left_out() -> None:
    node = SwingingDoor(0.1, comp_min=1.5)
    assert passed(node, *ramp(0, 50, 0, 0, 60, 70)) == [0, 0]


def test_a_tag_that_is_not_compressed_passes() -> None:
    facts = {"A": {"compressing": "0", "compdev": 5}}
    assert passed(SwingingDoor(5), *ramp(0, 0, 0), tags=facts) == [0, 0, 0]


def test_a_step_tag_gets_a_deadband() -> None:
    facts = {"A": {"step": 1, "compdev": 2}}
    node = SwingingDoor()
    assert passed(node, *ramp(0, 1, 2, 3, 4), tags=facts) == [0, 3]


@pytest.mark.parametrize("lane", ["correction", "delete"])
def test_instructions_pass(lane: str) -> None:
    assert passed(Deadband(5), *ramp(1, 1, 1), lane=lane) == [1, 1, 1]


# What is held back, in a channel


async def until(is_so: Callable[[], object]) -> None:
    """Until something is so; it must not take long."""
    async with asyncio.timeout(30):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.001)


class Rig:
    """A channel with a filter and a sink, and the journal of its instance."""

    def __init__(self, node: BaseNode, journal: Journal, sink: Any = None) -> None:
        self.journal = journal
        self.node = node
        self.sink: Any = sink or RecordingNode(name="sink")
        self.channel = BaseChannel(
            "plant",
            retry=RetryPolicy(attempts=0, initial=0.001, factor=1),
            drain_timeout=0.2,
        )
        self.channel.add(node, self.sink)
        self.channel.attach(journal=journal)

    async def give(self, *samples: Sample) -> None:
        await self.channel.accept(batch(*samples))

    @property
    def sent(self) -> list[float]:
        """The seconds of what the sink has got."""
        return seconds([s for msg in self.sink.messages for s in msg.payload])

    @property
    def unsettled(self) -> int:
        return self.journal.count_unsettled("plant")

    async def until_unsettled(self, count: int) -> None:
        await until(lambda: self.unsettled == count)

    async def until_sent(self, count: int) -> None:
        await until(lambda: len(self.sent) >= count)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite", durability="normal")
    await opened.open()
    yield opened
    await opened.close()


def door(max_hold: float = 60.0, **options: Any) -> SwingingDoor:
    return SwingingDoor(0.1, name="door", max_hold=max_hold, **options)


async def test_the_message_of_a_held_value_is_not_settled(journal: Journal) -> None:
    rig = Rig(door(), journal)
    await rig.channel.start()
    for one in ramp(0, 1, 2, 3):
        await rig.give(one)
    await rig.until_unsettled(1)
    assert rig.sent == [0]
    await rig.channel.stop()


async def test_what_is_held_runs_again_after_a_crash(journal: Journal) -> None:
    first = Rig(door(), journal)
    await first.channel.start()
    for one in ramp(0, 1, 2):
        await first.give(one)
    await first.until_unsettled(1)
    # A crash: nothing of the first channel's memory is left.
    second = Rig(door(), journal)
    await second.channel.start()
    await second.give(sample(3, 50))
    await second.until_sent(1)
    assert second.sent[0] == 2
    await second.channel.stop()
    await first.channel.stop()


async def test_a_held_value_is_settled_with_what_it_goes_out_with(
    journal: Journal,
) -> None:
    rig = Rig(door(), journal, RefusingSink(times=1, name="sink"))
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.give(sample(2, "end"))
    await rig.until_unsettled(0)
    assert rig.sent == [0, 1, 2]
    await rig.channel.stop()


async def test_thousands_of_messages_may_wait_for_each_other(
    journal: Journal,
) -> None:
    rig = Rig(door(), journal)
    await rig.channel.start()
    for second in range(3000):
        await rig.channel.way_in().hand_over(batch(sample(second, second % 3 * 50)))
    await rig.give(sample(3000, "end"))
    await rig.until_unsettled(0)
    assert len(rig.sent) > 2000
    await rig.channel.stop()


async def test_a_silent_tag_does_not_keep_its_message_unsettled(
    journal: Journal,
) -> None:
    rig = Rig(door(max_hold=0.01), journal)
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.until_unsettled(0)
    assert await journal.restore("plant.door", "held.0") == [sample(1, 1)]
    await rig.channel.stop()


async def test_a_heartbeat_far_ahead_keeps_no_later_message_unsettled(
    journal: Journal,
) -> None:
    rig = Rig(door(max_hold=0.01, comp_max=600), journal)
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.until_unsettled(0)
    await rig.give(sample(2, 2))
    await rig.until_unsettled(0)
    assert await journal.restore("plant.door", "held.0") == [sample(2, 2)]
    await rig.channel.stop()


async def test_a_caller_who_waits_gets_a_result_within_max_hold(
    journal: Journal,
) -> None:
    rig = Rig(door(max_hold=0.01), journal)
    await rig.channel.start()
    async with asyncio.timeout(10):
        result = await rig.channel.handle(batch(sample(0, 0), sample(1, 1)))
    assert seconds(result.payload) == [0]
    await rig.channel.stop()


@pytest.mark.parametrize("kind", [SwingingDoor, ExceptionReport])
async def test_what_was_saved_goes_out_after_a_restart(
    journal: Journal, kind: Any
) -> None:
    first = Rig(kind(0.1, name="door", max_hold=0.01), journal)
    await first.channel.start()
    await first.give(sample(0, 0), sample(1, 0.05))
    await first.until_unsettled(0)
    await first.channel.stop()
    second = Rig(kind(0.1, name="door", max_hold=0.01), journal)
    await second.channel.start()
    await second.give(sample(2, "end"))
    await second.until_sent(2)
    assert second.sent == [1, 2]
    await second.channel.stop()


async def test_what_was_saved_is_deleted_when_it_has_arrived(journal: Journal) -> None:
    rig = Rig(door(max_hold=0.01), journal)
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.until_unsettled(0)
    await rig.give(sample(2, "end"))
    await rig.until_sent(3)
    await rig.channel.stop()
    assert await journal.restore("plant.door", "held.0") == []


async def test_what_was_saved_stays_until_it_has_arrived(journal: Journal) -> None:
    rig = Rig(door(max_hold=0.01), journal, RefusingSink(name="sink"))
    await rig.channel.start()
    rig.sink.times = 0
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.until_unsettled(0)
    rig.sink.times = None
    await rig.give(sample(2, "end"))
    await until(lambda: rig.sink.refused >= 20)
    assert await journal.restore("plant.door", "held.0") == [sample(1, 1)]
    await rig.channel.stop()


async def test_a_message_that_runs_again_gives_the_same(journal: Journal) -> None:
    rig = Rig(Deadband(1, name="band"), journal, RefusingSink(times=3, name="sink"))
    await rig.channel.start()
    await rig.give(*ramp(0, 0.5, 5, 5.5))
    await rig.give(sample(4, 5.2), sample(5, 9))
    await rig.until_unsettled(0)
    assert rig.sent == [0, 2, 5]
    await rig.channel.stop()


class Failing(RecordingNode):
    """Fails for good for values above 4."""

    def process(self, msg: Message) -> Message:
        if any(s.value > 4 for s in msg.payload):
            raise ValueError("too large")
        return super().process(msg)


async def test_after_a_failure_the_next_value_passes(journal: Journal) -> None:
    rig = Rig(Deadband(1, name="band"), journal, Failing(name="sink"))
    await rig.channel.start()
    for one in ramp(0, 4.5, 3.8):
        await rig.give(one)
    await rig.until_sent(2)
    assert rig.sent == [0, 2]
    await rig.channel.stop()


async def test_what_was_saved_is_sent_again_after_a_failure(journal: Journal) -> None:
    rig = Rig(door(max_hold=0.01), journal, Failing(name="sink"))
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.until_unsettled(0)
    await rig.give(sample(2, 50), sample(3, 0))
    await rig.until_unsettled(0)
    await rig.give(sample(4, 1), sample(5, 4))
    await rig.until_sent(2)
    assert 1 in rig.sent
    await rig.channel.stop()


async def test_what_is_held_for_comp_max_goes_out_with_other_tags(
    journal: Journal,
) -> None:
    rig = Rig(door(max_hold=0.01, comp_max=0.05), journal)
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(0.01, 1))
    await rig.until_unsettled(0)
    others = 0
    async with asyncio.timeout(30):
        while 0.01 not in rig.sent:
            others += 1
            await rig.give(sample(others, "other", "B"))
            await asyncio.sleep(0.005)
    await rig.channel.stop()
    assert rig.sent.count(0.01) == 1


async def test_stopping_does_not_wait_for_what_is_held(journal: Journal) -> None:
    rig = Rig(door(max_hold=0.01), journal)
    await rig.channel.start()
    await rig.give(sample(0, 0), sample(1, 1))
    await rig.channel.stop()
    await journal.flush()
    assert rig.unsettled == 0


async def test_a_sink_that_is_away_costs_no_value(journal: Journal) -> None:
    def away() -> Exception:
        return NotConnected("sink")

    sink = RefusingSink(times=5, error=away, name="sink")
    rig = Rig(door(max_hold=0.02), journal, sink)
    await rig.channel.start()
    for second in range(40):
        await rig.give(sample(second, second % 3))
    await rig.give(sample(40, "end"))
    await rig.until_unsettled(0)
    assert rig.sent == sorted(set(rig.sent))
    assert (rig.sent[0], rig.sent[-1]) == (0, 40)
    await rig.channel.stop()
