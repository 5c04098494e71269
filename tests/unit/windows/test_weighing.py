"""Averages weighed by time against a naive integral, and against the simulator."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.simulator.events import Event
from pichannels.simulator.summaries import TimeWeighted, number
from pichannels.values import DigitalState
from pichannels.windows import Hopping, Result, Session, Sliding, Tumbling, Windowing
from pichannels.windows.weighing import MOST_EMPTY

TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
NAMES = ("time_average", "time_percent_good", "count")
UNIT = 1e-7
"""A tick, so that a naive integral can go through all of them."""

Points = list[tuple[int, Any]]
points = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 6), st.just(25)),
        st.one_of(st.integers(-50, 50), st.sampled_from([None, TIMEOUT, "text"])),
    ),
    min_size=1,
    max_size=25,
)


def placed(steps: Points) -> Points:
    found, ticks = [], 1000
    for step, value in steps:
        ticks += step
        found.append((ticks, value))
    return found


def held(found: Points, ticks: int) -> tuple[float | None, int, float | None, int]:
    """The number before an instant (a half tick later) and the one behind it."""
    place = max(n for n, point in enumerate(found) if point[0] <= ticks)
    first = found[place][1]
    behind = found[place + 1] if place + 1 < len(found) else (ticks + 1, None)
    first = first if type(first) is int else None
    last = behind[1] if type(behind[1]) is int else first
    return first, found[place][0], last, behind[0]


def naive(
    found: Points, start: int, end: int, until: int, step: bool
) -> tuple[float | None, float]:
    """Average and per cent of good time, tick by tick."""
    total, good = 0.0, 0
    for ticks in range(max(start, found[0][0]), min(end, until)):
        first, since, last, behind = held(found, ticks)
        if first is None or last is None:
            continue
        good += 1
        rise = 0 if step else (last - first) / (behind - since)
        total += first + rise * (ticks + 0.5 - since)
    return (total / good if good else None), 100 * good / (end - start)


def told(windowing: Windowing, found: Points) -> list[Result]:
    state, out = windowing.state(), list[Result]()
    for ticks, value in found:
        assert state.add(ticks, value, True, out)
    state.finish(out)
    return out


def check(result: Result, average: float | None, percent: float) -> None:
    if average is None:
        assert result.values["time_average"] is None
    else:
        assert result.values["time_average"] == pytest.approx(average, abs=1e-9)
    assert result.values["time_percent_good"] == pytest.approx(percent)


@settings(max_examples=80, deadline=None)
@given(points, st.booleans(), st.integers(1, 12), st.integers(1, 3))
def test_windows_on_a_grid_have_the_naive_integral(
    steps: Points, step: bool, size: int, parts: int
) -> None:
    found = placed(steps)
    shape = Hopping(size * UNIT, -(-size // parts) * UNIT)
    results = told(Windowing(shape, NAMES, step=step), found)
    until = max(result.end for result in results)
    for result in results:
        inside = [t for t, v in found if result.start <= t < result.end]
        check(result, *naive(found, result.start, result.end, until, step))
        good = [t for t, v in found if t in inside and v not in (None, TIMEOUT)]
        assert result.values["count"] == len(good)
    times = {result.start for result in results}
    assert all(ticks // size * size in times or parts > 1 for ticks, _ in found)


@settings(max_examples=50, deadline=None)
@given(points, st.booleans(), st.integers(1, 12))
def test_sliding_windows_have_the_naive_integral(
    steps: Points, step: bool, size: int
) -> None:
    found = placed(steps)
    results = told(Windowing(Sliding(size * UNIT), NAMES, step=step), found)
    assert len(results) == len(found)
    for place, result in enumerate(results):
        known = found[: place + 1]
        check(result, *naive(known, result.start, result.end, result.end, step))


@settings(max_examples=50, deadline=None)
@given(points, st.booleans(), st.integers(1, 12))
def test_sessions_have_the_naive_integral(steps: Points, step: bool, gap: int) -> None:
    found = placed(steps)
    for result in told(Windowing(Session(gap * UNIT), NAMES, step=step), found):
        inside = [p for p in found if result.start <= p[0] <= result.end]
        if result.start == result.end:
            continue
        check(result, *naive(inside, result.start, result.end, result.end, step))


@settings(max_examples=50, deadline=None)
@given(points, st.booleans(), st.integers(0, 20), st.randoms())
def test_disorder_within_the_lateness_changes_nothing(
    steps: Points, step: bool, lateness: int, rng: Any
) -> None:
    found = list({ticks: (ticks, value) for ticks, value in placed(steps)}.values())
    shape = Tumbling(7 * UNIT)
    expected = told(Windowing(shape, NAMES, step=step), found)
    mixed = sorted(found, key=lambda point: point[0] + rng.uniform(0, lateness))
    windowing = Windowing(shape, NAMES, step=step, lateness=lateness * UNIT)
    assert told(windowing, mixed) == expected


@settings(max_examples=60, deadline=None)
@given(points, st.booleans(), st.integers(2, 12))
def test_the_simulator_comes_to_the_same(steps: Points, step: bool, size: int) -> None:
    found = placed(steps)
    results = told(Windowing(Tumbling(size * UNIT), NAMES, step=step), found)
    bounds = [results[0].start, *(result.end for result in results)]
    if any(b - a != size for a, b in zip(bounds, bounds[1:], strict=False)):
        # A stretch without good time and without values has no windows of ours.
        return
    theirs = TimeWeighted(bounds, number, step=step, until=bounds[-1])
    for ticks, value in found:
        is_number = type(value) is int
        theirs.feed(Event(ticks, value if is_number else 0, good=is_number))
    for result, tally in zip(results, theirs.finish(), strict=True):
        if not tally.weight:
            assert not result.values["time_percent_good"]
        else:
            check(result, tally.average, tally.percent_good)


def test_a_silent_tag_keeps_its_value() -> None:
    state, out = Windowing(Tumbling(10 * UNIT), NAMES).state(), list[Result]()
    state.add(5, 3.0, True, out)
    state.advance(34, out)
    found = [(r.start, r.values["time_average"]) for r in out]
    assert found == [(0, 3.0), (10, 3.0), (20, 3.0)]
    # What was told is told; the line to the next value begins where it is told to.
    state.add(45, 11.0, True, out)
    assert [r.start for r in out[3:]] == [30]
    assert out[3].values["time_average"] == pytest.approx(3 + 8 * 30 / 40)


def test_a_long_silence_gives_windows_in_bounds() -> None:
    found = told(Windowing(Tumbling(UNIT), NAMES), [(0, 1), (10**9, 1)])
    assert len(found) == MOST_EMPTY + 2
