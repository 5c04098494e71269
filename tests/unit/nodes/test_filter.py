"""Filters shrink batches; what leaves nothing is a drop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from nodes.filter import Quality, Samples, SystemStates, Tags, Where
from pichannels.errors import (
    Dropped,
    Rejected,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import DigitalState, Sample, Tag

TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
OPEN = DigitalState("OPEN", 1)


def sample(value: Any, name: str = "A", path: str = "", **flags: Any) -> Sample:
    return Sample(Tag(name, path), 17_000_000_000_000_000, value, **flags)


def values(node: BaseNode, *samples: Sample) -> list[Any]:
    result = node.process(Message(payload=list(samples)))
    return [s.value for s in result.payload]


def test_where_passes_the_message_itself() -> None:
    msg = Message(payload=3)
    assert Where(lambda m: m.payload > 2).process(msg) is msg


def test_where_drops_the_others() -> None:
    def is_large(msg: Message) -> bool:
        return bool(msg.payload > 2)

    with pytest.raises(Dropped, match="is_large"):
        Where(is_large).process(Message(payload=1))


async def _is_async(_: Any) -> bool:
    return True


class _AsyncCall:
    async def __call__(self, _: Any) -> bool:
        return True


@pytest.mark.parametrize("kind", [Where, Samples])
@pytest.mark.parametrize(
    "predicate", [_is_async, functools.partial(_is_async, 1), _AsyncCall(), "text"]
)
def test_predicates_that_would_always_be_true_are_refused(
    kind: Callable[[Any], BaseNode], predicate: Any
) -> None:
    with pytest.raises(UsageError):
        kind(predicate)


def test_samples_keeps_those_that_meet_the_condition() -> None:
    node = Samples(lambda s: s.value > 2)
    assert values(node, sample(1), sample(3), sample(5)) == [3, 5]


def test_samples_that_leaves_nothing_drops() -> None:
    with pytest.raises(Dropped):
        values(Samples(lambda s: s.value > 9), sample(1))


def test_a_sample_for_which_the_condition_fails_is_set_aside_alone() -> None:
    with pytest.raises(SampleErrors) as caught:
        values(Samples(lambda s: s.value > 2), sample(1), sample(OPEN), sample(3))
    assert [s.value for s in caught.value.message.payload] == [3]
    assert len(caught.value.causes) == 1


def test_when_only_failed_samples_are_left_the_message_fails_with_them() -> None:
    msg = Message(payload=[sample(1), sample(OPEN)])
    with pytest.raises(SampleErrors) as caught:
        Samples(lambda s: s.value > 2).process(msg)
    assert caught.value.message is None
    assert [s.value for s in msg.payload] == [OPEN]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 3, 4]),
        ({"good": None}, [1, 2, 3, 4]),
        ({"good": False}, [2]),
        ({"questionable": False}, [1, 4]),
        ({"good": None, "substituted": True}, [4]),
        ({"annotated": True, "questionable": True}, [3]),
    ],
)
def test_quality_keeps_samples_with_these_flags(
    options: dict[str, Any], expected: list[int]
) -> None:
    samples = [
        sample(1),
        sample(2, good=False),
        sample(3, questionable=True, annotated=True),
        sample(4, substituted=True),
    ]
    assert values(Quality(**options), *samples) == expected


def test_quality_refuses_what_is_no_flag() -> None:
    with pytest.raises(SettingsError, match="questionable"):
        Quality(questionable="yes")  # type: ignore[arg-type]


def test_system_states_are_dropped() -> None:
    assert values(SystemStates(), sample(TIMEOUT), sample(OPEN), sample(1)) == [OPEN, 1]


def test_system_states_can_stay() -> None:
    assert values(SystemStates("keep"), sample(TIMEOUT)) == [TIMEOUT]


def test_null_is_no_number_and_not_good_and_the_same_event() -> None:
    before = sample(TIMEOUT)
    (after,) = SystemStates("null").process(Message(payload=[before])).payload
    assert (after.value, after.good) == (None, False)
    assert after.event_id == before.event_id


def test_reject_refuses_the_message() -> None:
    with pytest.raises(Rejected, match="A is 'I/O Timeout'"):
        values(SystemStates("reject"), sample(1), sample(TIMEOUT))


def test_reject_lets_user_states_pass() -> None:
    assert values(SystemStates("reject"), sample(OPEN)) == [OPEN]


@pytest.mark.parametrize("states", [["I/O Timeout"], [246]])
def test_only_the_states_named_are_concerned(states: list[str | int]) -> None:
    bad_input = DigitalState("Bad Input", 255, is_system=True)
    node = SystemStates(states=states)
    assert values(node, sample(TIMEOUT), sample(bad_input)) == [bad_input]


def test_a_policy_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'drop'"):
        SystemStates("dorp")


def test_tags_match_names_whatever_their_case() -> None:
    node = Tags("unit1.*", "X?")
    named = [sample(n, n) for n in ("UNIT1.TI", "UNIT2.TI", "x1", "x11")]
    assert values(node, *named) == ["UNIT1.TI", "x1"]


def test_tags_with_a_backslash_match_paths() -> None:
    node = Tags(r"\\AF\Plant\*|Temp*")
    hit = sample(1, "Temperature", r"\\AF\Plant\Unit1|Temperature")
    miss = sample(2, "Temperature", r"\\AF\Other\Unit1|Temperature")
    assert values(node, hit, miss) == [1]


def test_excluded_tags_are_left_out() -> None:
    node = Tags(exclude=["*.TEST"])
    assert values(node, sample(1, "A.TEST"), sample(2, "A")) == [2]


def test_tags_decides_again_for_tags_that_come_later() -> None:
    node = Tags("A*")
    values(node, sample(1, "A1"))
    assert values(node, sample(1, "B1"), sample(2, "A2")) == [2]


@pytest.mark.parametrize("patterns", [(), (7,)])
def test_tags_without_patterns_are_refused(patterns: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError):
        Tags(*patterns)


@pytest.mark.parametrize(
    "node", [Quality(), SystemStates(), Tags("*"), Samples(lambda s: s.value > 1)]
)
@pytest.mark.parametrize("payload", [b"bytes", {"a": 1}, [{"a": 1}], None, 7])
def test_other_payloads_are_told_in_words(node: BaseNode, payload: Any) -> None:
    with pytest.raises(UsageError, match="works on a list of samples"):
        node.process(Message(payload=payload))
