"""Windows of every shape against brute force, with values in disorder."""

from __future__ import annotations

from math import sqrt
from statistics import fmean
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import UsageError
from pichannels.values import TICKS_PER_SECOND, DigitalState
from pichannels.windows import (
    Hopping,
    KeyState,
    Result,
    Session,
    Shape,
    Sliding,
    Tumbling,
    Windowing,
)

TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
OPEN = DigitalState("Open", 1)
NAMES = (
    *("count", "sum", "mean", "min", "max", "range", "stddev"),
    *("first", "last", "percent_good"),
)


class Came(NamedTuple):
    """One value, at whole seconds."""

    second: int
    value: Any
    good: bool = True

    @property
    def is_good(self) -> bool:
        return self.good and self.value is not None and self.value is not TIMEOUT

    @property
    def number(self) -> float | None:
        is_number = self.is_good and type(self.value) in (int, float)
        return self.value if is_number else None


values = st.one_of(
    st.integers(-100, 100),
    st.floats(-1e6, 1e6),
    st.sampled_from([TIMEOUT, OPEN, None, "text", True]),
)
# Mostly forwards, now and then back, or far ahead.
steps = st.one_of(st.integers(0, 5), st.integers(-12, 12), st.just(60))


@st.composite
def streams(draw: st.DrawFn) -> list[Came]:
    second, found = 1000, []
    for step, value, bad in draw(
        st.lists(st.tuples(steps, values, st.integers(0, 9)), max_size=40)
    ):
        second += step
        found.append(Came(second, value, bad > 0))
    return found


def restarted(windowing: Windowing, state: KeyState) -> KeyState:
    """The state after it was written and read."""
    data = msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump()))
    again = windowing.state()
    assert again.load(data) == []
    return again


def told(
    windowing: Windowing, stream: list[Came], restart_at: int = -1
) -> tuple[list[list[Result]], list[bool]]:
    """What each value gives, what the end gives, and which values counted."""
    state, found, counted = windowing.state(), [], []
    for number, came in enumerate(stream):
        if number == restart_at:
            state = restarted(windowing, state)
        out: list[Result] = []
        ticks = came.second * TICKS_PER_SECOND
        counted.append(state.add(ticks, came.value, came.good, out))
        state.revise(out)
        found.append(out)
    rest: list[Result] = []
    state.finish(rest)
    return [*found, rest], counted


def summary(start: int, end: int, came: list[Came], revision: int = 0) -> Result:
    """What is to be told of these, which are in the order of arrival."""
    good = sorted((c for c in came if c.is_good), key=lambda c: c.second)
    numbers = [c.number for c in came if c.number is not None]
    mean = fmean(numbers) if numbers else None
    deviation = None
    if mean is not None and len(numbers) > 1:
        squares = sum((n - mean) ** 2 for n in numbers)
        deviation = sqrt(squares / (len(numbers) - 1))
    found: dict[str, Any] = {
        "count": len(good),
        "sum": sum(numbers) if numbers else None,
        "mean": mean,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "range": max(numbers) - min(numbers) if numbers else None,
        "stddev": deviation,
        "first": good[0].value if good else None,
        "last": good[-1].value if good else None,
        "percent_good": 100 * len(good) / len(came),
    }
    return Result(start * TICKS_PER_SECOND, end * TICKS_PER_SECOND, found, revision)


def near(result: Result) -> Result:
    """To be compared with results that were computed in another way."""
    near_values = {
        name: pytest.approx(value, rel=1e-9, abs=1e-5)
        if type(value) in (int, float)
        else value
        for name, value in result.values.items()
    }
    return result._replace(values=near_values)


def grid(shape: Hopping, second: int) -> list[int]:
    """The beginnings of the windows around a second."""
    size, every = shape.size // TICKS_PER_SECOND, shape.every // TICKS_PER_SECOND
    offset = shape.offset // TICKS_PER_SECOND
    near_by = range(second - size, second + 1)
    return [s for s in near_by if (s - offset) % every == 0 and s <= second < s + size]


def fixed(
    shape: Hopping, lateness: int, stream: list[Came]
) -> tuple[list[list[Result]], list[bool]]:
    size = shape.size // TICKS_PER_SECOND
    mark, open_windows, steps_told, counted = -(10**9), dict[int, Any](), [], []
    for came in stream:
        starts = [s for s in grid(shape, came.second) if s + size > mark]
        counted.append(bool(starts))
        for start in starts:
            open_windows.setdefault(start, []).append(came)
        mark = max(mark, came.second - lateness)
        over = [s for s in sorted(open_windows) if s + size <= mark]
        steps_told.append([summary(s, s + size, open_windows.pop(s)) for s in over])
    rest = [summary(s, s + size, open_windows[s]) for s in sorted(open_windows)]
    return [*steps_told, rest], counted


shapes_fixed = st.one_of(
    st.builds(Tumbling, st.integers(1, 20), st.integers(-5, 5)),
    st.builds(
        lambda size, parts, offset: Hopping(size, -(-size // parts), offset),
        st.integers(1, 20),
        st.integers(1, 4),
        st.integers(-5, 5),
    ),
)


@settings(max_examples=80, deadline=None)
@given(shapes_fixed, st.integers(0, 8), streams(), st.integers(0, 40))
def test_fixed_windows_tell_what_is_in_them(
    shape: Hopping, lateness: int, stream: list[Came], restart_at: int
) -> None:
    windowing = Windowing(shape, NAMES, lateness=lateness)
    found, counted = told(windowing, stream, restart_at)
    expected, oracle_counted = fixed(shape, lateness, stream)
    assert counted == oracle_counted
    assert found == [[near(result) for result in each] for each in expected]


@settings(max_examples=60, deadline=None)
@given(shapes_fixed, st.integers(1, 40), streams(), st.integers(0, 40))
def test_the_last_revision_knows_all_late_values_that_were_kept(
    shape: Hopping, keep: int, stream: list[Came], restart_at: int
) -> None:
    windowing = Windowing(shape, NAMES, late="update", keep=keep)
    found, _ = told(windowing, stream, restart_at)
    size, mark = shape.size // TICKS_PER_SECOND, -(10**9)
    expected: dict[int, list[Came]] = {}
    for came in stream:
        for start in grid(shape, came.second):
            if start + size + keep > mark:
                expected.setdefault(start, []).append(came)
        mark = max(mark, came.second)
    last: dict[int, Result] = {}
    for result in (result for each in found for result in each):
        before = last.get(result.start)
        assert result.revision == (0 if before is None else before.revision + 1)
        last[result.start] = result
    assert last == {
        start * TICKS_PER_SECOND: near(
            summary(
                start,
                start + size,
                came,
                last[start * TICKS_PER_SECOND].revision,
            )
        )
        for start, came in expected.items()
    }


def in_order(lateness: int, stream: list[Came]) -> tuple[list[Came], list[bool]]:
    """What counts, in the order in which it does."""
    mark, kept, counted = -(10**9), list[Came](), []
    for came in stream:
        counted.append(came.second >= mark)
        if counted[-1]:
            kept.append(came)
        mark = max(mark, came.second - lateness)
    return sorted(kept, key=lambda came: came.second), counted


def flat(found: list[list[Result]]) -> list[Result]:
    return [result for each in found for result in each]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(0, 8), streams(), st.integers(0, 40))
def test_each_value_has_the_window_up_to_it(
    size: int, lateness: int, stream: list[Came], restart_at: int
) -> None:
    windowing = Windowing(Sliding(size), NAMES, lateness=lateness)
    found, counted = told(windowing, stream, restart_at)
    kept, oracle_counted = in_order(lateness, stream)
    expected = []
    for number, came in enumerate(kept):
        start = came.second - size
        inside = [c for c in kept[: number + 1] if c.second > start]
        expected.append(near(summary(start, came.second, inside)))
    assert (flat(found), counted) == (expected, oracle_counted)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.one_of(st.none(), st.integers(1, 30)),
    st.integers(0, 8),
    streams(),
    st.integers(0, 40),
)
def test_a_session_ends_with_silence(
    gap: int,
    longest: int | None,
    lateness: int,
    stream: list[Came],
    restart_at: int,
) -> None:
    windowing = Windowing(Session(gap, longest), NAMES, lateness=lateness)
    found, counted = told(windowing, stream, restart_at)
    kept, oracle_counted = in_order(lateness, stream)
    sessions: list[list[Came]] = []
    for came in kept:
        last = sessions[-1] if sessions else []
        is_over = not last or came.second - last[-1].second >= gap
        if not is_over and longest is not None:
            is_over = came.second - last[0].second >= longest
        if is_over:
            sessions.append([])
        sessions[-1].append(came)
    expected = [near(summary(s[0].second, s[-1].second, s)) for s in sessions]
    assert (flat(found), counted) == (expected, oracle_counted)


def test_time_that_passes_closes_windows() -> None:
    state = Windowing(Tumbling(60), ["count"]).state()
    out: list[Result] = []
    state.add(10 * TICKS_PER_SECOND, 1.0, True, out)
    state.advance(59 * TICKS_PER_SECOND, out)
    assert (out, state.is_open) == ([], True)
    state.advance(60 * TICKS_PER_SECOND, out)
    assert (out, state.is_open) == ([Result(0, 60 * 10**7, {"count": 1})], False)


@pytest.mark.parametrize(
    ("shape", "options", "told_as"),
    [
        (Tumbling(1), {"aggregates": ["meen"]}, "did you mean 'mean'"),
        (Tumbling(1), {"aggregates": []}, "each once"),
        (Tumbling(1), {"aggregates": ["p101"]}, "no aggregate"),
        (Tumbling(1), {"late": "dorp"}, "did you mean 'drop'"),
        (Tumbling(1), {"late": "update"}, "takes keep"),
        (Tumbling(1), {"keep": 3}, "goes with late"),
        (Session(1), {"late": "update"}, "takes keep"),
        (Tumbling(1), {"lateness": -1}, "0 or more"),
        (Tumbling(1), {"error": 1}, "below 1"),
    ],
    ids=lambda value: (
        str(value) if isinstance(value, str | dict) else type(value).__name__
    ),
)
def test_what_cannot_be_is_told(
    shape: Shape, options: dict[str, Any], told_as: str
) -> None:
    with pytest.raises(UsageError, match=told_as):
        Windowing(shape, **{"aggregates": ["count"], **options})


def test_windows_have_no_gaps() -> None:
    with pytest.raises(UsageError, match="above size"):
        Hopping(10, 11)
