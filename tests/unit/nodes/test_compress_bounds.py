"""The bounds that docs/filters.md states, on streams of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings, strategies as st

from nodes._per_tag import Limited
from nodes.compress import Deadband, ExceptionReport, SwingingDoor
from pichannels.errors import Dropped
from pichannels.message import Message
from pichannels.values import TICKS_PER_SECOND, DigitalState, Sample, Tag
from tests.strength import either

MANY = settings(deadline=None, max_examples=either(150, 40))
DEVIATION = 1.0
LONGEST = 40.0
TAG = Tag("TI1")
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
Maker = Callable[..., Limited]

steps = st.one_of(
    st.floats(-0.3, 0.3),
    st.floats(-3, 3),
    st.integers(-2, 2),
    st.sampled_from([0, 0.0, DEVIATION, -DEVIATION, 1e9, -1e9]),
)
# Mostly forwards, now and then at the same instant, backwards, or far ahead.
gaps = st.one_of(
    st.integers(1, 30),
    st.sampled_from([0, 0, 1, 1, -1, -7, 600]),
)
others = st.sampled_from(
    ["text", True, None, TIMEOUT, DigitalState("OPEN", 1), float("nan"), float("inf")]
)
kinds = st.sampled_from(["number"] * 12 + ["other", "bad", "substituted", "annotated"])
events = st.lists(st.tuples(gaps, steps, kinds, others), max_size=30)


@st.composite
def streams(draw: st.DrawFn) -> list[Sample]:
    """A random walk, with what happens to it on its way."""
    ticks, value = 10**16, draw(st.floats(-100, 100))
    found = []
    for gap, step, kind, other in draw(events):
        ticks += gap * TICKS_PER_SECOND
        value += step
        found.append(
            Sample(
                TAG,
                ticks,
                other if kind == "other" else value,
                good=kind != "bad",
                substituted=kind == "substituted",
                annotated=kind == "annotated",
            )
        )
    return found


def passed(node: Limited, samples: Iterable[Sample], size: int = 1) -> list[Sample]:
    """What passes of samples that come in messages of this size."""
    stream, found = list(samples), []
    for at in range(0, len(stream), size):
        try:
            msg = node.process(Message(payload=stream[at : at + size]))
        except Dropped:
            continue
        found += msg.payload
    return found


def with_end(stream: list[Sample]) -> list[Sample]:
    """The stream and something that has all that is held back sent."""
    last = max((sample.ticks for sample in stream), default=10**16)
    return [*stream, Sample(TAG, last + TICKS_PER_SECOND, "end")]


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Without those that are older than one before."""
    found: list[Sample] = []
    for sample in samples:
        if not found or sample.ticks >= found[-1].ticks:
            found.append(sample)
    return found


def is_number(sample: Sample) -> bool:
    value = sample.value
    flags = sample.substituted or sample.annotated or not sample.good
    return type(value) in (int, float) and abs(value) < 1e300 and not flags


def step_error(sample: Sample, sent: list[Sample]) -> float:
    """How far the value that a reader holds at this time is from this one."""
    held = [one for one in sent if one.ticks <= sample.ticks][-1]
    return float(abs(sample.value - held.value)) if is_number(held) else 1e9


def line_error(sample: Sample, sent: list[Sample]) -> float:
    """How far the line that a reader draws is from this value."""
    if at := [one for one in sent if one.ticks == sample.ticks]:
        return float(abs(at[-1].value - sample.value)) if is_number(at[-1]) else 1e9
    for a, b in pairwise(sent):
        if a.ticks < sample.ticks < b.ticks and is_number(a) and is_number(b):
            part = (sample.ticks - a.ticks) / (b.ticks - a.ticks)
            return float(abs(a.value + part * (b.value - a.value) - sample.value))
    return 1e9


def numbers(stream: list[Sample]) -> list[Sample]:
    """The numbers that came in order, of each instant the last."""
    last = {sample.ticks: sample for sample in in_order(stream)}
    return [sample for sample in last.values() if is_number(sample)]


def tolerated(bound: float, stream: list[Sample]) -> float:
    """The bound, and what floating-point numbers of this size cannot tell."""
    size = max((abs(s.value) for s in stream if is_number(s)), default=0.0)
    return bound + 1e-13 * size + 1e-12


@MANY
@given(streams(), st.integers(1, 7))
def test_a_deadband_errs_by_no_more_than_its_deviation(
    stream: list[Sample], size: int
) -> None:
    sent = in_order(passed(Deadband(DEVIATION), stream, size))
    errors = [step_error(sample, sent) for sample in numbers(stream)]
    assert max(errors, default=0) <= tolerated(DEVIATION, stream)


@MANY
@given(streams(), st.integers(1, 7))
def test_exceptions_err_by_no_more_than_exc_dev(
    stream: list[Sample], size: int
) -> None:
    node = ExceptionReport(DEVIATION)
    sent = in_order(passed(node, with_end(stream), size))
    errors = [step_error(sample, sent) for sample in numbers(stream)]
    assert max(errors, default=0) <= tolerated(DEVIATION, stream)


@MANY
@given(streams(), st.integers(1, 7))
def test_lines_between_exceptions_err_by_no_more_than_twice_exc_dev(
    stream: list[Sample], size: int
) -> None:
    node = ExceptionReport(DEVIATION, exc_max=LONGEST)
    sent = in_order(passed(node, with_end(stream), size))
    errors = [line_error(sample, sent) for sample in numbers(stream)]
    assert max(errors, default=0) <= tolerated(2 * DEVIATION, stream)


@MANY
@given(streams(), st.integers(1, 7), st.sampled_from([None, LONGEST]))
def test_a_swinging_door_errs_by_no_more_than_comp_dev(
    stream: list[Sample], size: int, longest: float | None
) -> None:
    node = SwingingDoor(DEVIATION, comp_max=longest)
    sent = in_order(passed(node, with_end(stream), size))
    errors = [line_error(sample, sent) for sample in numbers(stream)]
    assert max(errors, default=0) <= tolerated(DEVIATION, stream)


@MANY
@given(streams(), st.floats(0, 60))
def test_beyond_comp_min_the_bound_of_the_door_holds(
    stream: list[Sample], least: float
) -> None:
    # A late value cannot be told from others where newer ones were left out.
    stream = in_order(stream)
    node = SwingingDoor(DEVIATION, comp_min=least)
    sent = in_order(passed(node, with_end(stream)))
    spared = [
        sample
        for sample in numbers(stream)
        if all(
            not 0 <= sample.ticks - one.ticks < least * TICKS_PER_SECOND
            for one in sent
            if one is not sample
        )
    ]
    errors = [line_error(sample, sent) for sample in spared]
    assert max(errors, default=0) <= tolerated(DEVIATION, stream)


MAKERS: list[Maker] = [
    lambda: Deadband(DEVIATION, max_time=LONGEST),
    lambda: ExceptionReport(DEVIATION, exc_max=LONGEST),
    lambda: SwingingDoor(DEVIATION, comp_max=LONGEST),
]
makers = st.sampled_from(MAKERS)


@MANY
@given(makers, streams())
def test_with_input_something_passes_every_so_often(
    make: Maker, stream: list[Sample]
) -> None:
    node, sent, newest = make(), list[Sample](), 0
    for sample in stream:
        sent += passed(node, [sample])
        newest = max(newest, sample.ticks)
        last = in_order(sent)[-1]
        assert newest - last.ticks < LONGEST * TICKS_PER_SECOND


@MANY
@given(makers, streams())
def test_all_but_plain_numbers_pass(make: Maker, stream: list[Sample]) -> None:
    sent = [id(sample) for sample in passed(make(), stream)]
    assert all(id(sample) in sent for sample in stream if not is_number(sample))


@MANY
@given(makers, streams())
def test_what_is_late_passes(make: Maker, stream: list[Sample]) -> None:
    sent = [id(sample) for sample in passed(make(), stream)]
    newest = 0
    for sample in stream:
        assert sample.ticks >= newest or id(sample) in sent
        newest = max(newest, sample.ticks)


@MANY
@given(makers, streams())
def test_nothing_passes_twice_and_order_is_kept(
    make: Maker, stream: list[Sample]
) -> None:
    places = {id(sample): at for at, sample in enumerate(stream)}
    sent = [places[id(sample)] for sample in passed(make(), stream)]
    assert sent == sorted(set(sent))


@MANY
@given(makers, streams(), st.integers(2, 9))
def test_it_does_not_matter_how_samples_are_batched(
    make: Maker, stream: list[Sample], size: int
) -> None:
    one_by_one = passed(make(), stream)
    together = passed(make(), stream, size)
    assert [id(sample) for sample in together] == [id(sample) for sample in one_by_one]


@MANY
@given(makers, streams(), streams())
def test_tags_do_not_know_of_each_other(
    make: Maker, first: list[Sample], second: list[Sample]
) -> None:
    other = [sample.with_(tag=Tag("TI2")) for sample in second]
    mixed: list[Any] = [s for pair in zip(first, other, strict=False) for s in pair]
    sent = [s for s in passed(make(), mixed, 3) if s.tag == TAG]
    alone = passed(make(), first[: len(mixed) // 2])
    assert [id(sample) for sample in sent] == [id(sample) for sample in alone]


@MANY
@given(makers, streams(), streams(), st.sampled_from(["late", "repair", "replay"]))
def test_other_lanes_do_not_disturb_live_values(
    make: Maker, live: list[Sample], other: list[Sample], lane: str
) -> None:
    node, sent = make(), []
    for sample in live:
        sent += passed(node, [sample])
        if other:
            node.process(Message(payload=other, meta={"lane": lane}))
    assert [id(s) for s in sent] == [id(s) for s in passed(make(), live)]


@MANY
@given(streams(), st.sampled_from(["late", "repair", "replay"]))
def test_a_message_of_another_lane_holds_nothing_back(
    stream: list[Sample], lane: str
) -> None:
    if stream:
        msg = Message(payload=stream, meta={"lane": lane})
        sent = in_order(SwingingDoor(DEVIATION).process(msg).payload)
        errors = [line_error(sample, sent) for sample in numbers(stream)]
        assert max(errors, default=0) <= tolerated(DEVIATION, stream)
