"""The planner: what is read, in which order, how much, and when it counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.repair import Failure, Plan, Planner, Ranked, Read
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage, holes
from pichannels.retry import RetryPolicy
from pichannels.values import OPEN_END, TICKS_PER_SECOND as SECOND

NOW = 10_000
MARGINS = Margins(settle=10, overlap=20, ahead=5)
PLAN = Plan(
    tags=4,
    reads=3,
    items=100,
    span=1000,
    longest=4000,
    overlap=7,
    patience=50,
    rescan=0,
    retry=RetryPolicy(attempts=0, initial=1.0, factor=2.0, jitter=0.0),
)


def ledger_of(
    count: int, *delivered: tuple[int, int], is_future: bool = False
) -> Ledger:
    """Tags of which all but the ranges is missing."""
    ledger = Ledger(MARGINS)
    tags = [ledger.add_tag(f"T{n}", 0, is_future=is_future) for n in range(count)]
    for start, end in delivered:
        ledger.joined(tags, start, end)
    return ledger


def live(ledger: Ledger) -> Ledger:
    """The same, subscribed to all of its tags."""
    ledger.subscribed("x", range(len(ledger.tags)), NOW - MARGINS.ahead)
    return ledger


def planner_of(ledger: Ledger, plan: Plan = PLAN) -> Planner:
    return Planner(ledger, plan, rng=lambda: 0.0)


def read_all(planner: Planner, now: int, count: int = 0) -> Iterator[Read]:
    """Each read, answered with so many values that settle at once."""
    while (read := planner.next(now)) is not None:
        planner.answered(read.id, count, now)
        yield read


def ranges(ledger: Ledger, tag: int = 0, now: int = NOW) -> list[tuple[int, int]]:
    return [(hole.start, hole.end) for hole in holes(ledger, tag, now)]


def test_the_newest_hole_comes_first_and_inside_it_time_goes_forward() -> None:
    ledger = ledger_of(1, (0, 1000), (1500, 5000), (7500, NOW))
    found = [(x.start, x.end) for x in read_all(planner_of(ledger), NOW)]
    assert found == [(5000, 6000), (6000, 7500), (1000, 1500)]
    assert ranges(ledger) == []


def test_ranks_go_before_and_after_the_newest_hole() -> None:
    ledger = ledger_of(2, (600, 3000), (3500, 5000), (5500, 9000))
    planner = planner_of(ledger)
    first, last = IntervalSet([(0, 600)]), IntervalSet([(5000, 20_000)])
    planner.rank([Ranked(-1, frozenset([0]), last), Ranked(1, frozenset([0]), first)])
    found = [(x.tags, x.start) for x in read_all(planner, NOW)]
    mine = [start for tags, start in found if 0 in tags]
    assert mine == [0, 3000, 9000, 5000]
    assert [start for tags, start in found if tags == (1,)][:2] == [9000, 5000]
    assert ranges(ledger) == ranges(ledger, 1) == [(NOW - MARGINS.settle, NOW)]


def test_a_read_overlaps_what_is_missing() -> None:
    read = planner_of(ledger_of(1, (0, 500), (600, NOW))).next(NOW)
    assert read is not None
    assert (read.start, read.end, read.first, read.last) == (500, 600, 493, 606)


def test_tags_are_read_together_whatever_dead_letters_they_have_in_a_hole() -> None:
    ledger = ledger_of(3, (0, 500), (600, NOW))
    for tag in (0, 1):
        ledger.dead.add(tag, [(tag, 540 + tag, 541 + tag)], 0)
    read = planner_of(ledger).next(NOW)
    assert read is not None
    assert (read.tags, read.start, read.end) == ((0, 1, 2), 500, 600)


def test_tags_with_the_same_hole_are_read_together() -> None:
    ledger = ledger_of(6, (0, 500), (600, NOW))
    ledger.joined([5], 500, 550)
    found = [(x.tags, x.start) for x in read_all(planner_of(ledger), NOW)]
    assert found == [((0, 1, 2, 3), 500), ((4,), 500), ((5,), 550)]


def test_what_is_read_counts_when_all_of_its_messages_are_settled() -> None:
    ledger = ledger_of(1, (0, 500), (600, NOW))
    planner = planner_of(ledger)
    read = planner.next(NOW)
    assert read is not None
    planner.took(read.id, 1)
    planner.took(read.id, 2)
    planner.settled(1)
    planner.answered(read.id, 10, NOW)
    assert ranges(ledger) == [(500, 600)]
    assert planner.settled(2)
    assert ranges(ledger) == []


def test_what_is_not_answered_does_not_count() -> None:
    ledger = ledger_of(1, (0, 500), (600, NOW))
    planner = planner_of(ledger)
    read = planner.next(NOW)
    assert read is not None
    planner.took(read.id, 1)
    planner.settled(1)
    assert ranges(ledger) == [(500, 600)]


def test_the_next_part_of_a_hole_is_read_while_messages_of_the_last_settle() -> None:
    planner = planner_of(ledger_of(1, (5000, NOW)))
    first = planner.next(NOW)
    assert first is not None and planner.next(NOW) is None
    planner.took(first.id, 1)
    planner.answered(first.id, 60, NOW)
    second = planner.next(NOW)
    assert second is not None and second.start == first.end


def test_only_so_many_reads_are_under_way() -> None:
    planner = planner_of(ledger_of(20, (0, 500), (600, NOW)))
    assert [planner.next(NOW) is None for _ in range(4)] == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("count", "spans"),
    [(0, [1000, 2000, 4000, 2000]), (60, [1000] * 9), (200, [1000, 500, 250, 125])],
)
def test_a_read_is_as_long_as_the_number_of_values_lets_it(
    count: int, spans: list[int]
) -> None:
    planner = planner_of(ledger_of(1, (9000, NOW)))
    found = [x.end - x.start for x in islice(read_all(planner, NOW, count), len(spans))]
    assert found == spans


def test_a_hole_that_reaches_the_present_waits_until_it_is_settled() -> None:
    ledger = ledger_of(1, (0, NOW - 30))
    planner = planner_of(ledger)
    ledger.subscribed("x", [0], NOW)
    assert planner.next(NOW + 14) is None
    read = planner.next(NOW + 15)
    assert read is not None and (read.start, read.end) == (NOW - 30, NOW + 5)


def test_a_hole_that_grows_is_read_now_and_then() -> None:
    ledger = ledger_of(1, (0, NOW))
    planner = planner_of(ledger)
    found = [
        (now, read.end)
        for now in range(NOW, NOW + 130, 10)
        for read in read_all(planner, now)
    ]
    assert found == [(NOW + 60, NOW + 50), (NOW + 110, NOW + 100)]


def failed_once(kind: Failure, count: int = 4) -> tuple[Ledger, Planner, Read]:
    ledger = live(ledger_of(count, (0, 500), (600, NOW)))
    planner = planner_of(ledger)
    read = planner.next(NOW)
    assert read is not None
    planner.failed(read.id, kind, NOW)
    return ledger, planner, read


def test_a_failed_read_is_tried_again_later_and_later() -> None:
    _, planner, read = failed_once("again")
    assert planner.next(NOW + SECOND - 1) is None
    again = planner.next(NOW + SECOND)
    assert again is not None and again.tags == read.tags
    planner.failed(again.id, "again", NOW + SECOND)
    assert planner.next(NOW + 3 * SECOND - 1) is None
    assert planner.next(NOW + 3 * SECOND) is not None


def test_refused_tags_are_divided_until_the_cause_is_alone() -> None:
    ledger = live(ledger_of(4, (0, 500), (600, NOW)))
    planner = planner_of(ledger)
    now = NOW
    for _ in range(50):
        now += SECOND
        while (read := planner.next(now)) is not None:
            if 2 in read.tags:
                planner.failed(read.id, "refused", now)
            else:
                planner.answered(read.id, 0, NOW)
    assert [(500, 600) in ranges(ledger, n) for n in range(4)] == [
        False,
        False,
        True,
        False,
    ]


def test_an_answer_that_is_too_large_is_asked_for_in_parts_at_once() -> None:
    _, planner, _ = failed_once("too many")
    read = planner.next(NOW)
    assert read is not None and (read.start, read.end) == (500, 550)


@pytest.mark.parametrize(
    ("kind", "state"),
    [("no access", TagState.NO_ACCESS), ("unresolved", TagState.UNRESOLVED)],
)
def test_tags_that_are_not_for_us_are_not_tried_for_ever(
    kind: Failure, state: TagState
) -> None:
    ledger, planner, _ = failed_once(kind)
    assert ledger.tags.state(0) is state
    assert planner.next(NOW + 10**9) is None


def test_what_pi_has_lost_is_excluded_and_shown() -> None:
    ledger, _, _ = failed_once("gone")
    (label,) = coverage(ledger, 0, NOW).excluded
    assert label == (500, 600, "lost at source", NOW)
    assert ranges(ledger) == []


def test_a_read_can_fail_for_some_of_its_tags() -> None:
    ledger = ledger_of(4, (0, 500), (600, NOW))
    planner = planner_of(ledger)
    read = planner.next(NOW)
    assert read is not None
    planner.failed(read.id, "no access", NOW, tags=[1, 2])
    planner.answered(read.id, 0, NOW)
    assert [bool(ranges(ledger, n)) for n in range(4)] == [False, True, True, False]


def test_removed_tags_are_not_read() -> None:
    ledger = ledger_of(2, (0, 500), (600, NOW))
    ledger.set_state([0], TagState.REMOVED, NOW)
    assert [x.tags for x in read_all(planner_of(ledger), NOW)] == [(1,)]


def test_the_future_of_a_tag_is_read_only_while_it_is_subscribed() -> None:
    ledger = ledger_of(1, is_future=True)
    planner = planner_of(ledger)
    assert [x.end for x in read_all(planner, NOW)][-1] == NOW - 10
    ledger.subscribed("x", [0], NOW)
    found = list(read_all(planner, NOW + 100))
    assert found[-1].end == OPEN_END
    assert ranges(ledger, now=NOW + 100) == []


def test_the_future_is_read_to_its_end_though_time_goes_on() -> None:
    ledger = live(ledger_of(1, (0, NOW - 100), is_future=True))
    planner, now, reads = planner_of(ledger), NOW, 0
    while (read := planner.next(now)) is not None and reads < 20:
        now += 5
        ledger.heartbeat("x", now)
        planner.answered(read.id, 1, now)
        reads += 1
    assert reads < 5
    assert not [h for h in holes(ledger, 0, now) if h.start < now]


def test_the_future_is_unknown_again_after_a_loss() -> None:
    ledger = ledger_of(1, is_future=True)
    ledger.subscribed("x", [0], NOW)
    list(read_all(planner_of(ledger), NOW + 100))
    ledger.heartbeat("x", NOW + 200)
    ledger.lost("x", "network", NOW + 300)
    assert ranges(ledger, now=NOW + 300) == [(NOW + 170, OPEN_END)]


def test_a_read_of_the_future_that_a_loss_overtook_does_not_count() -> None:
    ledger = ledger_of(1, (0, NOW), is_future=True)
    ledger.subscribed("x", [0], NOW)
    planner = planner_of(ledger)
    reads = [read for read in (planner.next(NOW + 100),) if read]
    planner.answered(reads[0].id, 0, NOW)
    last = planner.next(NOW + 100)
    assert last is not None and last.end == OPEN_END
    ledger.lost("x", "network", NOW + 110)
    planner.answered(last.id, 0, NOW)
    assert ranges(ledger, now=NOW + 120)[-1][1] == OPEN_END


def test_a_read_that_is_given_back_is_planned_again_at_once() -> None:
    planner = planner_of(ledger_of(1))
    first = planner.next(NOW)
    assert first is not None
    planner.took(first.id, 7)
    planner.given_back(first.id)
    again = planner.next(NOW)
    assert again is not None
    assert (again.start, again.end, len(planner)) == (first.start, first.end, 1)
    assert not planner.settled(7)


def test_tags_are_looked_at_once_for_many_reads() -> None:
    ledger = ledger_of(400, (9000, NOW))
    planner = planner_of(ledger, Plan(tags=10, span=1000, longest=1000))
    assert len(list(read_all(planner, NOW))) == 40 * 9
    assert planner.scans == 1


def test_where_there_are_no_holes_tags_are_hardly_ever_looked_at() -> None:
    ledger = live(ledger_of(10, (0, NOW)))
    planner = planner_of(ledger)
    for now in range(NOW + 100, NOW + 200):
        assert planner.next(now) is None
    assert planner.scans == 2


def test_a_new_hole_is_seen_at_once() -> None:
    ledger = live(ledger_of(1, (0, NOW)))
    planner = planner_of(ledger)
    assert planner.next(NOW + 100) is None
    ledger.reopen([0], 100, 200, "asked", NOW)
    assert planner.next(NOW + 101) is not None


bound = st.integers(0, 200)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(bound, bound), max_size=4), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_all_holes_close_and_nothing_is_read_twice(
    delivered: list[list[tuple[int, int]]], seed: int
) -> None:
    ledger = Ledger(MARGINS)
    for number, of in enumerate(delivered):
        ledger.add_tag(f"T{number}", 0)
        for start, end in of:
            ledger.joined([number], start, end)
    plan = Plan(tags=2, span=30, longest=60, patience=1, overlap=0)
    planner = planner_of(ledger, plan)
    read: dict[int, list[tuple[int, int]]] = {}
    for one in read_all(planner, 300, seed % 9):
        for tag in one.tags:
            read.setdefault(tag, []).append((one.start, one.end))
    for tag, of in enumerate(delivered):
        done = read.get(tag, [])
        assert IntervalSet(done).total == sum(end - start for start, end in done)
        assert IntervalSet(done) == IntervalSet(of).gaps(0, 200 + 90)
