"""Labels tell the reason of each instant: the newest that was given."""

from __future__ import annotations

from hypothesis import given, strategies as st

from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.labels import (
    NEVER,
    Label,
    Labels,
    cleared,
    explained,
    marked,
    ranges,
)

bound = st.integers(0, 20)
labels = st.lists(st.builds(Label, bound, bound, st.sampled_from("abc"), st.just(0)))


def naive(given: list[Label]) -> dict[int, str]:
    return {at: x.reason for x in given for at in range(x.start, x.end)}


def made(given: list[Label]) -> Labels:
    result: Labels = ()
    for label in given:
        result = marked(result, label)
    return result


@given(labels)
def test_the_newest_label_counts(given: list[Label]) -> None:
    result = made(given)
    assert naive(list(result)) == naive(given)
    assert ranges(result).total == sum(x.end - x.start for x in result)


@given(labels, bound, bound)
def test_clearing_leaves_the_rest(given: list[Label], start: int, end: int) -> None:
    left = {at: x for at, x in naive(given).items() if not start <= at < end}
    assert naive(list(cleared(made(given), start, end))) == left


@given(labels, st.lists(st.tuples(bound, bound)))
def test_all_that_is_missing_has_a_reason(
    given: list[Label], missing: list[tuple[int, int]]
) -> None:
    pieces = explained(IntervalSet(missing), made(given), 7)
    instants = {at for start, end in missing for at in range(start, end)}
    assert naive(pieces) == {at: naive(given).get(at, NEVER) for at in instants}


def test_what_was_never_labelled_is_missing_since_the_beginning() -> None:
    assert explained(IntervalSet([(1, 3)]), (), 7) == [Label(1, 3, NEVER, 7)]
