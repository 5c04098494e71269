"""What was archived and not delivered is found; more is no fault."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from pichannels.coverage.reconcile import (
    Comparison,
    Fact,
    Verdict,
    compare,
    hour_of,
    hours,
)

HOUR = 36_000_000_000
facts = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.just(0)))


@pytest.mark.parametrize(
    ("archived", "delivered", "verdict"),
    [
        ([], [], "equal"),
        ([(1, 5, 0)], [(1, 5, 0)], "equal"),
        ([(1, 5, 0)], [], "missing"),
        ([], [(1, 5, 0)], "more"),
        ([(1, 5, 0)], [(1, 6, 0)], "missing"),  # edited while nobody listened
        ([(1, 5, 0)], [(1, 5, 1)], "missing"),  # substituted
        ([(1, 5, 0)] * 2, [(1, 5, 0)], "missing"),  # one of two identical ones
        ([(1, 5, 0)], [(1, 5, 0)] * 2, "more"),  # delivered twice
    ],
)
def test_the_verdict(
    archived: list[Fact], delivered: list[Fact], verdict: Verdict
) -> None:
    assert compare(archived, delivered).verdict == verdict


@given(facts, facts)
def test_both_are_the_same_but_for_what_differs(
    archived: list[Fact], delivered: list[Fact]
) -> None:
    found = compare(archived, delivered)
    assert Counter(delivered) + Counter(found.missing) == (
        Counter(archived) + Counter(found.extra)
    )
    assert not set(found.missing) & set(found.extra)


def test_equal_ranges_have_no_difference() -> None:
    assert compare(iter([(1, 2, 3)]), iter([(1, 2, 3)])) == Comparison()


def test_a_time_is_in_the_hour_that_began_last() -> None:
    assert [hour_of(at) for at in (HOUR - 1, HOUR, HOUR + 1)] == [0, HOUR, HOUR]


def test_only_whole_hours_are_compared() -> None:
    assert hours(HOUR - 1, 3 * HOUR + 1) == [(HOUR, 2 * HOUR), (2 * HOUR, 3 * HOUR)]
    assert hours(HOUR + 1, 2 * HOUR - 1) == []
