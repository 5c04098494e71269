"""Interval sets do what sets of instants would."""

from __future__ import annotations

import sys
from array import array

import pytest
from hypothesis import given, strategies as st

from pichannels.coverage.intervals import EMPTY, Interval, IntervalSet
from pichannels.errors import CodecError

LAST = 30
bound = st.integers(0, LAST)
interval = st.tuples(bound, bound)
intervals = st.lists(interval, max_size=6)


def instants(given: list[Interval]) -> set[int]:
    """The naive set."""
    return {at for start, end in given for at in range(start, end)}


def members(made: IntervalSet) -> set[int]:
    return instants(list(made))


def is_normal(made: IntervalSet) -> bool:
    bounds = [bound for pair in made for bound in pair]
    return all(a < b for a, b in zip(bounds, bounds[1:], strict=False))


@given(intervals)
def test_a_set_holds_what_it_was_made_of(given: list[Interval]) -> None:
    made = IntervalSet(given)
    assert members(made) == instants(given)
    assert is_normal(made)


@given(intervals, interval)
def test_adding_adds_the_range(given: list[Interval], new: Interval) -> None:
    made = IntervalSet(given).add(*new)
    assert members(made) == instants(given) | instants([new])
    assert is_normal(made)


@given(intervals, interval)
def test_removing_removes_the_range(given: list[Interval], old: Interval) -> None:
    made = IntervalSet(given).remove(*old)
    assert members(made) == instants(given) - instants([old])
    assert is_normal(made)


@given(intervals, intervals)
def test_sets_combine_as_sets_do(one: list[Interval], two: list[Interval]) -> None:
    a, b = IntervalSet(one), IntervalSet(two)
    made = [a.union(b), a.intersection(b), a.difference(b)]
    x, y = instants(one), instants(two)
    assert [members(each) for each in made] == [x | y, x & y, x - y]
    assert all(is_normal(each) for each in made)


@given(intervals, interval)
def test_a_range_divides_into_what_is_in_it_and_gaps(
    given: list[Interval], window: Interval
) -> None:
    made = IntervalSet(given)
    inside, gaps = made.within(*window), made.gaps(*window)
    assert members(inside) == instants(given) & instants([window])
    assert members(gaps) == instants([window]) - instants(given)
    assert is_normal(inside) and is_normal(gaps)


@given(intervals, interval)
def test_it_tells_what_it_covers(given: list[Interval], window: Interval) -> None:
    made = IntervalSet(given)
    assert made.covers(*window) == (instants([window]) <= instants(given))
    assert made.contains(window[0]) == (window[0] in instants(given))


@given(intervals)
def test_it_tells_its_size_and_ends(given: list[Interval]) -> None:
    made, naive = IntervalSet(given), instants(given)
    assert made.total == len(naive)
    assert made.first == min(naive, default=None)
    assert made.last == (max(naive) + 1 if naive else None)


@given(st.lists(st.tuples(*[st.integers(-(2**62), 2**62)] * 2), max_size=8))
def test_a_set_comes_back_from_its_bytes(given: list[Interval]) -> None:
    made = IntervalSet(given)
    assert IntervalSet.decode(made.encode()) == made


@given(intervals, intervals)
def test_equal_sets_have_equal_hashes(one: list[Interval], two: list[Interval]) -> None:
    a, b = IntervalSet(one), IntervalSet(two)
    assert (a == b) == (instants(one) == instants(two))
    assert a != b or hash(a) == hash(b)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x91\x05",  # a start without an end
        b"\x92\x05\x00",  # an empty interval
        b"\x92\x05\xff",  # one that goes back
        b"\x92\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # beyond 64 bits
        b"\x91\xa1x",
    ],
)
def test_bytes_that_are_no_set_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        IntervalSet.decode(data)


def test_what_changes_nothing_makes_no_new_set() -> None:
    made = IntervalSet([(10, 20)])
    same = [made.add(12, 15), made.remove(0, 5), made.union(EMPTY), made.within(0, 30)]
    assert all(each is made for each in same)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_set_is_small(count: int) -> None:
    made = IntervalSet([(10 * n, 10 * n + 5) for n in range(count)])
    size = sys.getsizeof(made) + sys.getsizeof(array("q", [0] * 2 * count))
    assert size <= 120 + 16 * count
