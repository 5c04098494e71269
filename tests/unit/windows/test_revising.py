"""Windows that are told again are, in the end, those of values that came in order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

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
OF_TIME = ("time_average", "time_percent_good")
NAMES = (*OF_TIME, "count", "mean", "first", "last", "p50")

values = st.one_of(
    st.integers(-100, 100), st.floats(-1e3, 1e3), st.sampled_from([TIMEOUT, "text"])
)
steps = st.one_of(st.integers(0, 5), st.integers(-15, 15), st.just(60))
# A step in time with a value, or with None, which is time that passes without one.
moves = st.lists(
    st.tuples(steps, st.one_of(values, values, values, st.none())), max_size=40
)
shapes = st.one_of(
    st.builds(Tumbling, st.integers(1, 20), st.integers(-5, 5)),
    st.builds(lambda n, parts: Hopping(n * parts, n), *[st.integers(1, 4)] * 2),
    st.builds(Sliding, st.integers(1, 20)),
    st.builds(Session, st.integers(1, 20), st.one_of(st.none(), st.integers(1, 30))),
)


def restarted(windowing: Windowing, state: KeyState) -> KeyState:
    again = windowing.state()
    data = msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump()))
    assert again.load(data) == []
    return again


def told(
    windowing: Windowing, came: list[tuple[int, Any]], restart_at: int
) -> tuple[dict[int, Result], list[tuple[int, Any]], int]:
    """The last result of each window; the values that counted, and how far time was."""
    state, out = windowing.state(), list[Result]()
    counted, forced = [], 0
    for number, (second, value) in enumerate(came):
        if number == restart_at:
            state = restarted(windowing, state)
        if value is None:
            forced = max(forced, second)
            state.advance(second * TICKS_PER_SECOND, out)
        elif state.add(second * TICKS_PER_SECOND, value, True, out):
            counted.append((second, value))
        state.revise(out)
    state.finish(out)
    last: dict[int, Result] = {}
    for result in out:
        before = last.get(result.start)
        assert result.revision == (0 if before is None else before.revision + 1)
        last[result.start] = result
    return last, counted, forced


def in_order(
    windowing: Windowing, counted: list[tuple[int, Any]], forced: int
) -> dict[int, Result]:
    """What is told where nothing is late, which is proved elsewhere."""
    state, out = windowing.state(), list[Result]()
    for second, value in sorted(counted, key=lambda each: each[0]):
        assert state.add(second * TICKS_PER_SECOND, value, True, out)
    state.advance(forced * TICKS_PER_SECOND, out)
    state.finish(out)
    return {result.start: result for result in out}


def near(result: Result) -> tuple[int, dict[str, Any]]:
    found = {
        name: pytest.approx(value, rel=1e-9, abs=1e-6)
        if type(value) in (int, float)
        else value
        for name, value in result.values.items()
    }
    return result.end, found


@settings(max_examples=150, deadline=None)
@given(
    *(shapes, st.sampled_from([NAMES, NAMES[2:]]), st.booleans()),
    *(st.integers(0, 8), st.integers(1, 60), moves, st.integers(0, 40)),
)
def test_what_is_told_last_is_what_values_in_order_give(
    shape: Shape,
    names: tuple[str, ...],
    step: bool,
    lateness: int,
    keep: int,
    moved: list[tuple[int, Any]],
    restart_at: int,
) -> None:
    second, came = 1000, []
    for move, value in moved:
        second += move
        came.append((second, value))
    windowing = Windowing(
        shape, names, late="update", keep=keep, lateness=lateness, step=step
    )
    if isinstance(shape, Hopping) and names is not NAMES:
        # They take values in any order, which is proved with all windows.
        return
    last, counted, forced = told(windowing, came, restart_at)
    expected = in_order(Windowing(shape, names, step=step), counted, forced)
    for start in last.keys() - expected.keys():
        # It was there, until a late value came.
        assert last.pop(start).values["count"] == 0
    assert last.keys() == expected.keys()
    for start, result in expected.items():
        assert last[start][1:3] == near(result)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(1, 60), moves)
def test_values_that_come_within_keep_all_count(
    shape: Shape, keep: int, moved: list[tuple[int, Any]]
) -> None:
    state = Windowing(shape, OF_TIME, late="update", keep=keep).state()
    second, newest = 1000, 0
    for move, value in moved:
        second += move
        counts = state.add(second * TICKS_PER_SECOND, value, True, [])
        assert counts == (second > newest - keep)
        newest = max(newest, second)


def last_of(state: KeyState, *came: tuple[int, Any]) -> list[Result]:
    out: list[Result] = []
    for second, value in came:
        state.add(second * TICKS_PER_SECOND, value, True, out)
    out.clear()
    return out


def seconds(results: list[Result]) -> list[tuple[int, int, dict[str, Any], int]]:
    return [
        (r.start // TICKS_PER_SECOND, r.end // TICKS_PER_SECOND, r.values, r.revision)
        for r in results
    ]


def test_a_late_value_joins_sessions_and_the_second_is_told_to_be_empty() -> None:
    state = Windowing(Session(10), ["count"], late="update", keep=100).state()
    out = last_of(state, (0, 1), (12, 1), (40, 1), (8, 1))
    state.revise(out)
    assert seconds(out) == [(0, 12, {"count": 3}, 1), (12, 12, {"count": 0}, 1)]


def test_what_is_older_than_keep_is_let_go() -> None:
    state = Windowing(Sliding(5), ["count"], late="update", keep=20).state()
    sizes = []
    for second in range(1000):
        state.add(second * TICKS_PER_SECOND, 1.0, True, [])
        state.revise([])
        sizes.append(len(msgspec.msgpack.encode(state.dump())))
    assert max(sizes) < 2 * sizes[40]
