"""Fewer samples: changes, rates, one in so many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nodes.reduce import Change, RateLimit, Sampling
from pichannels.errors import Dropped, SettingsError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.testing import ManualClock
from pichannels.values import TICKS_PER_SECOND, DigitalState, Sample, Tag

OPEN = DigitalState("OPEN", 1)


def sample(value: Any, second: int = 0, name: str = "A", **flags: Any) -> Sample:
    return Sample(Tag(name), 10**16 + second * TICKS_PER_SECOND, value, **flags)


def passed(node: BaseNode, *samples: Sample, lane: str = "live") -> list[Any]:
    try:
        msg = node.process(Message(payload=list(samples), meta={"lane": lane}))
    except Dropped:
        return []
    return [(s.value, s.ticks // TICKS_PER_SECOND - 10**9) for s in msg.payload]


def test_only_changes_pass() -> None:
    stream = [sample(v, n) for n, v in enumerate([1, 1, 2, 2, 1])]
    assert passed(Change(), *stream) == [(1, 0), (2, 2), (1, 4)]


@pytest.mark.parametrize("value", ["text", OPEN, None, [1, 2], True])
def test_changes_are_seen_in_values_of_every_kind(value: Any) -> None:
    assert len(passed(Change(), sample(value, 0), sample(value, 1))) == 1


def test_a_bool_is_not_the_number_that_equals_it() -> None:
    assert len(passed(Change(), sample(1, 0), sample(True, 1))) == 2


def test_a_change_of_quality_is_a_change() -> None:
    assert len(passed(Change(), sample(1, 0), sample(1, 1, good=False))) == 2


def test_after_max_time_a_repetition_passes() -> None:
    stream = [sample(1, second) for second in range(0, 30, 5)]
    assert passed(Change(max_time=10), *stream) == [(1, 0), (1, 10), (1, 20)]


def test_a_late_sample_passes_behind_the_newest() -> None:
    stream = [sample(1, 0), sample(1, 5), sample(1, 2)]
    assert passed(Change(), *stream) == [(1, 0), (1, 5), (1, 2)]


def test_changes_of_other_lanes_are_counted_apart() -> None:
    node = Change()
    passed(node, sample(1, 0))
    assert passed(node, sample(1, 0), sample(1, 1), lane="replay") == [(1, 0)]
    assert passed(node, sample(1, 2)) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 2, 2.0, "x", OPEN, None]), max_size=30))
def test_a_reader_who_holds_values_sees_exactly_what_came(stream: list[Any]) -> None:
    sent = {at: value for value, at in passed(Change(), *_timed(stream))}
    held: Any = None
    for at, value in enumerate(stream):
        held = sent.get(at, held)
        assert (type(held), held) == (type(value), value)


def _timed(stream: list[Any]) -> list[Sample]:
    return [sample(value, at) for at, value in enumerate(stream)]


def test_a_rate_lets_a_burst_pass_and_then_so_many_a_second() -> None:
    with ManualClock() as clock:
        node, counts = RateLimit(2, burst=5), []
        for _ in range(3):
            counts.append(len(passed(node, *_timed(list(range(10))))))
            clock.advance(1)
    assert counts == [5, 2, 2]


def test_a_rate_of_less_than_one_a_second_lets_some_pass() -> None:
    with ManualClock() as clock:
        node, count = RateLimit(0.1), 0
        for _ in range(100):
            count += len(passed(node, sample(1)))
            clock.advance(1)
    assert count == 10


@pytest.mark.parametrize(("per", "count"), [("tag", 2), ("all", 1)])
def test_a_rate_is_for_each_tag_or_for_all(per: str, count: int) -> None:
    node = RateLimit(1, per)
    stream = [sample(1, 0, "A"), sample(1, 0, "B"), sample(2, 0, "A")]
    assert len(passed(node, *stream)) == count


def test_a_replay_takes_nothing_from_the_rate_of_live_values() -> None:
    with ManualClock():
        node = RateLimit(1)
        passed(node, sample(1), sample(2), lane="replay")
        assert passed(node, sample(3)) == [(3, 0)]


def test_every_third_sample_of_each_tag_passes() -> None:
    stream = [sample(n, n, name) for n in range(7) for name in "AB"]
    found = passed(Sampling(3), *stream)
    assert [value for value, _ in found] == [0, 0, 3, 3, 6, 6]


def test_the_first_sample_of_each_interval_passes() -> None:
    stream = _timed(list(range(25)))
    assert [at for _, at in passed(Sampling(interval=10), *stream)] == [0, 10, 20]


def test_an_interval_that_is_over_stays_over() -> None:
    stream = [sample(1, 15), sample(2, 5), sample(3, 16)]
    assert passed(Sampling(interval=10), *stream) == [(1, 15)]


@pytest.mark.parametrize(
    "options", [{}, {"every": 2, "interval": 1}, {"every": 0}, {"interval": 0}]
)
def test_sampling_takes_one_of_two_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Sampling(**options)


@pytest.mark.parametrize(
    ("rate", "options"), [(0, {}), (-1, {}), (1, {"per": "msg"}), (1, {"burst": 0})]
)
def test_a_rate_has_to_be_usable(rate: float, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        RateLimit(rate, **options)
