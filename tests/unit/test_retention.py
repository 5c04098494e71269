"""Which stored messages are kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import SettingsError
from pichannels.retention import DAY, Outline, Retention
from pichannels.states import State
from pichannels.testing import ManualClock
from pichannels.values import TICKS_PER_SECOND

NOW = 2 * 10**16


def stored(
    id: int, age: float, state: str = "processed", size: int = 1
) -> Outline[int]:
    ticks = NOW - int(age * TICKS_PER_SECOND)
    return Outline(id, ticks, State(state), size)


def expired(retention: Retention, *found: Outline[int]) -> list[int]:
    with ManualClock(NOW):
        return retention.expired(found)


def test_what_is_too_old_goes() -> None:
    found = [stored(1, 100), stored(2, 59), stored(3, 61)]
    assert expired(Retention(age=60), *found) == [1, 3]


def test_what_is_not_settled_stays() -> None:
    found = [stored(n, 100 * DAY, s) for n, s in enumerate(["pending", "wait_retry"])]
    assert expired(Retention(age=60, size=0), *found) == []


def test_a_state_can_have_an_age_of_its_own() -> None:
    retention = Retention(age=60, states={"dropped": 5, "error": None})
    found = [stored(1, 10), stored(2, 10, "dropped"), stored(3, 10**8, "error")]
    assert expired(retention, *found) == [2]


def test_messages_in_error_are_kept_longer_by_default() -> None:
    found = [stored(n, 8 * DAY, s) for n, s in enumerate(["processed", "error"])]
    assert expired(Retention(), *found) == [0]


def test_beyond_the_size_the_oldest_go() -> None:
    found = [stored(1, 10, size=5), stored(2, 30, size=3), stored(3, 20, size=4)]
    assert expired(Retention(size=5), *found) == [2, 3]


def test_a_state_with_an_age_of_its_own_does_not_go_for_the_size() -> None:
    found = [stored(1, 30, "error", size=9), stored(2, 10, size=9)]
    assert expired(Retention(size=9), *found) == [2]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.sampled_from(list(State)), st.integers(0, 50))
    ),
    st.integers(0, 300),
)
def test_what_is_left_fits_unless_nothing_more_may_go(
    found: list[tuple[int, State, int]], size: int
) -> None:
    kept = {n: stored(n, *one) for n, one in enumerate(found)}
    for id in expired(Retention(age=50, size=size), *kept.values()):
        del kept[id]
    final = [o for o in kept.values() if o.state.is_final and o.state != "error"]
    assert sum(one.size for one in kept.values()) <= size or not final


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"age": -1}, "age"),
        ({"size": "10"}, "size"),
        ({"states": {"error": True}}, "error"),
        ({"states": {"pending": 1}}, "pending"),
        ({"states": {"eror": 1}}, "did you mean 'error'"),
    ],
)
def test_what_is_not_usable_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Retention(**wrong)
