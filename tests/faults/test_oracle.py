"""The oracle finds what is wrong: without this its silence would say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.ledgers import Claim
from tests.faults.oracle import Evidence, Kept, Oracle, Span
from tests.faults.simulated import Archived
from tests.faults.sink import Delivered

ACCEPTED = [
    Kept(1, "live", [("a", "a1"), ("b", "b1")]),
    Kept(2, "live", [("a", "a2")]),
    Kept(3, "live", [("a", "a3"), ("b", "b3")]),
]


def delivered(*runs: str) -> list[Delivered]:
    """`a1 b1 a2`: what came, run by run; the number is the timestamp."""
    return [
        Delivered(number, event_id[0], event_id, int(event_id[1:]), 7)
        for number, run in enumerate(runs)
        for event_id in run.split()
    ]


def verdict(*runs: str, **changes: Any) -> list[str]:
    facts: dict[str, Any] = {
        "accepted": ACCEPTED,
        "lost": [],
        "aside": {},
        "delivered": delivered(*runs),
        "covered": [],
        "claimed": [],
        "uncovered": [],
        "outages": [],
        "outage": 0.0,
        "whole_after": 0.0,
        "problems": [],
        "restarts": len(runs) - 1,
        "unanswered": 0,
        "window": 2,
        "peak": 2**20,
        "disk": 2**20,
        "memory": 400 * 2**20,
        "budget": 2**30,
    }
    return Oracle(Evidence(**facts | changes)).verdict()


ALL = "a1 b1 a2 a3 b3"


@pytest.mark.parametrize("runs", [(ALL,), ("a1 b1 a2", ALL), ("a1 b1 a2", "a2 a3 b3")])
def test_what_came_whole_and_in_order_is_right(runs: tuple[str, ...]) -> None:
    assert verdict(*runs) == []


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        (("a1 b1 a2 a3",), "accepted events did not reach the sink: b3"),
        (("a1 b1 a3 a2 b3",), "tags came out of order: a at a3"),
        (("a1 b1 a2 a1 a2 a3 b3",), "tags came out of order: a at a1"),
        (("a1 b1 a2", "a1 a3 b3"), "tags came out of order: a at a3"),
        ((f"{ALL} a9",), "delivered events were never accepted: a9"),
    ],
)
def test_what_is_missing_odd_or_out_of_order_is_found(
    runs: tuple[str, ...], problem: str
) -> None:
    assert any(problem in found for found in verdict(*runs))


def test_too_many_duplicates_are_found() -> None:
    assert verdict(ALL, ALL, restarts=0) == ["5 duplicates where at most 0 may be"]


def test_what_is_a_dead_letter_is_not_missing() -> None:
    assert verdict("a1 b1 a3 b3", aside={"a2": ("a", 2)}) == []


SPAN = Span("a", [Archived(2, 7.0), Archived(4, 7)])


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("covered", "archived events of the covered time are missing"),
        ("claimed", "archived events are claimed and have not come"),
    ],
)
def test_an_archived_event_that_has_not_come_is_found(where: str, problem: str) -> None:
    assert verdict(ALL, **{where: [SPAN]}) == [f"1 {problem}: a at 4 (7.0)"]


def test_a_dead_letter_need_not_come_and_may_not_be_claimed() -> None:
    aside = {"a4": ("a", 4)}
    assert verdict(ALL, covered=[SPAN], aside=aside) == []
    assert verdict(ALL, claimed=[SPAN], aside=aside) != []


@pytest.mark.parametrize(("start", "end", "count"), [(3, 4, 0), (0, 3, 1), (4, 9, 1)])
def test_what_is_read_again_is_near_an_outage(start: int, end: int, count: int) -> None:
    again = [*ACCEPTED, Kept(4, "repair", [("a", "a3")])]
    found = verdict(f"{ALL} a3", accepted=again, outages=[(start, end)])
    told = "1 events were read again far from any outage: a3"
    assert found == [told] * count


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lost": [2]}, "1 messages called durable are not in the journal: 2"),
        ({"problems": ["damaged"]}, "journal: damaged"),
        ({"uncovered": ["a"]}, "1 tags have holes: a"),
        (
            {"whole_after": 65.0, "outage": 40.0},
            "holes were there for 65 s, where they may be for 64 s after outages of"
            " 40 s",
        ),
        ({"peak": 500 * 2**20}, "500 MiB of memory"),
        ({"disk": 2**30, "budget": 2**20}, "1024 MiB on disk with a budget of 1 MiB"),
    ],
)
def test_a_broken_bound_is_found(changes: dict[str, Any], problem: str) -> None:
    assert verdict(ALL, **changes) == [problem]


def test_an_event_that_is_accepted_twice_may_come_twice() -> None:
    again = [*ACCEPTED, Kept(4, "live", [("a", "a3")])]
    assert verdict(f"{ALL} a3", accepted=again) == []


@pytest.mark.parametrize(
    ("end", "missing"), [(5, []), (8, [(6, 7)]), (12, [(6, 7), (9, 12)])]
)
def test_what_is_neither_delivered_nor_excluded_is_missing(
    end: int, missing: list[tuple[int, int]]
) -> None:
    claim = Claim("a", 0, ((0, 5), (7, 9)), ((5, 6),), ())
    assert claim.missing(end) == missing
