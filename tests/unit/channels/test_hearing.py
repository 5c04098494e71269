"""What is noted of what comes, and which marks it takes away."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.channels.covering import CoverageOptions
from pichannels.channels.hearing import Expected, Hearing, Mark
from pichannels.coverage.expected import Patience, Verdict
from pichannels.errors import UsageError
from pichannels.manifest import ManifestEntry
from pichannels.piwebasync.resolve import Point
from pichannels.values import TICKS_PER_SECOND as SECOND

START = 1_000_000 * SECOND
POINTS = {
    n: Point(web_id=f"W{n}", name=f"UNIT{n}.FLOW", path=rf"\\S\UNIT{n}.FLOW")
    for n in range(3)
}


def hearing(expect: Expected = None) -> Hearing:
    found = Hearing(Patience(), expect)
    found.grow(POINTS, len(POINTS), START)
    return found


def entry(web_id: str, seconds: float) -> ManifestEntry:
    at = START + int(seconds * SECOND)
    return ManifestEntry(web_id, at, at, 1)


def test_the_newest_of_each_tag_is_kept_whatever_comes_later() -> None:
    found = hearing()
    found.came([entry("W0", 5), entry("W1", 1)], is_live=True)
    found.came([entry("W0", 3)], is_live=True)
    live, read = found.take()
    assert live == {"W0": entry("W0", 5), "W1": entry("W1", 1)}
    assert read == {}


def test_what_was_taken_does_not_come_again() -> None:
    found = hearing()
    found.came([entry("W0", 5)], is_live=False)
    found.take()
    assert found.take() == ({}, {})


@pytest.mark.parametrize(
    ("verdict", "is_live", "is_gone"),
    [
        (Verdict.STALE, True, True),
        (Verdict.STALE, False, True),
        (Verdict.BLIND, True, True),
        (Verdict.BLIND, False, False),
        (Verdict.FLAT, True, False),
    ],
)
def test_values_take_marks_away(verdict: Verdict, is_live: bool, is_gone: bool) -> None:
    found = hearing()
    mark = found.marks[0] = Mark(verdict, START)
    gone = found.note(0, entry("W0", 5), START + 5 * SECOND, is_live=is_live)
    assert gone == (mark if is_gone else None)
    assert (0 in found.marks) is not is_gone


def test_an_old_value_takes_no_mark_away() -> None:
    found = hearing()
    found.marks[0] = Mark(Verdict.BLIND, START + 9 * SECOND)
    assert found.note(0, entry("W0", 5), START, is_live=True) is None


def test_the_first_pattern_that_fits_says_what_is_expected() -> None:
    found = hearing({"unit1.*": 5.0, r"\\S\UNIT*": 20.0})
    intervals = [found.expectations.interval(n) for n in range(3)]
    assert intervals == [20.0, 5.0, 20.0]


def test_one_number_is_for_all_tags() -> None:
    found = hearing(30.0)
    assert {found.expectations.interval(n) for n in range(3)} == {30.0}


@pytest.mark.parametrize(
    "option",
    [{"expect": 0}, {"expect": {"*": "1h"}}, {"probe": -1}, {"stale": 0.5}],
)
def test_options_that_cannot_be_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        CoverageOptions(**option)
