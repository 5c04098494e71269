"""The rules of the ledger, one by one."""

from __future__ import annotations

import pytest

from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import Coverage, coverage
from pichannels.errors import UsageError
from pichannels.manifest import ManifestEntry
from pichannels.values import NO_DATA, OPEN_END

MARGINS = Margins(settle=10, overlap=20, ahead=5)
Ranges = list[tuple[int, int]]


def entry(first: int, last: int | None = None, key: str = "A") -> ManifestEntry:
    return ManifestEntry(key, first, first if last is None else last, 1)


def ledger_of(
    *keys: str, margins: Margins = MARGINS, is_future: bool = False
) -> Ledger:
    """Tags to be covered from 0 on, delivered up to 100."""
    ledger = Ledger(margins)
    for key in keys or ("A",):
        ledger.joined([ledger.add_tag(key, 0, is_future=is_future)], 0, 100)
    return ledger


def live(*keys: str, margins: Margins = MARGINS) -> Ledger:
    """The same, subscribed from 200 on and heard last at 300."""
    ledger = ledger_of(*keys, margins=margins)
    ledger.subscribed("x", range(len(ledger.tags)), 195)
    ledger.heartbeat("x", 300)
    return ledger


def seen(ledger: Ledger, now: int = 300, tag: int = 0) -> Coverage:
    return coverage(ledger, tag, now)


def delivered(ledger: Ledger, tag: int = 0) -> Ranges:
    return list(seen(ledger, 1000, tag).delivered)


def holes(ledger: Ledger, now: int = 300) -> list[tuple[int, int, str, int]]:
    return list(seen(ledger, now).holes)


# Subscriptions


def test_a_subscription_gives_from_its_own_time_on() -> None:
    assert delivered(live()) == [(0, 100), (200, 290)]


def test_a_subscription_that_is_too_young_gives_nothing() -> None:
    ledger = ledger_of()
    ledger.subscribed("x", [0], 195)
    ledger.heartbeat("x", 209)
    assert delivered(ledger) == [(0, 100)]


def test_what_is_heard_moves_the_edge_of_all_tags() -> None:
    ledger = live("A", "B")
    ledger.arrived("x", 1, [entry(390, key="B")], 400)
    assert delivered(ledger)[-1] == (200, 390)


def test_a_clock_that_goes_back_moves_no_edge() -> None:
    ledger = live()
    ledger.heartbeat("x", 250)
    assert delivered(ledger)[-1] == (200, 290)


def test_live_data_bridges_no_hole() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(50, 299)], 300)
    ledger.settled(1)
    assert holes(ledger) == [(100, 200, "never covered", 0)]


def test_a_channel_that_is_open_is_not_opened_again() -> None:
    with pytest.raises(UsageError, match="tell of its loss"):
        live().subscribed("x", [0], 300)


def test_a_channel_that_is_not_known_says_nothing() -> None:
    ledger = live()
    ledger.heartbeat("y", 900)
    ledger.lost("y", "network", 900)
    ledger.unsubscribed("y", "stopped", 900)
    assert delivered(ledger) == [(0, 100), (200, 290)]


# Live growth


def test_an_unsettled_event_holds_its_own_tag_back() -> None:
    ledger = live("A", "B")
    ledger.arrived("x", 1, [entry(295, 299)], 300)
    ledger.heartbeat("x", 400)
    assert delivered(ledger, 0)[-1] == (200, 295)
    assert delivered(ledger, 1)[-1] == (200, 390)


def test_messages_may_settle_in_any_order() -> None:
    ledger = live()
    for number, at in enumerate([295, 305, 299]):
        ledger.arrived("x", number, [entry(at)], 310)
    ledger.heartbeat("x", 400)
    edges = []
    for number in (2, 0, 1):
        ledger.settled(number)
        edges.append(delivered(ledger)[-1][1])
    assert edges == [295, 305, 390]


def test_a_message_counts_once() -> None:
    ledger = live()
    for _ in range(2):
        ledger.arrived("x", 1, [entry(295)], 300)
    ledger.settled(1)
    ledger.settled(1)
    ledger.heartbeat("x", 400)
    assert delivered(ledger)[-1] == (200, 390)


def test_timestamps_of_the_future_move_no_edge() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(10_000)], 300)
    ledger.settled(1)
    assert delivered(ledger)[-1] == (200, 290)


def test_late_values_change_nothing() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(50), entry(250)], 300)
    assert delivered(ledger) == [(0, 100), (200, 290)]


def test_a_message_that_begins_late_holds_back_no_more_than_is_new() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(250, 295)], 300)
    ledger.heartbeat("x", 400)
    assert delivered(ledger)[-1] == (200, 290)


def test_beyond_the_limit_messages_hold_back_all_tags_of_the_channel() -> None:
    ledger = live("A", "B", margins=Margins(settle=10, overlap=20, ahead=5, exact=0))
    ledger.arrived("x", 1, [entry(295)], 300)
    ledger.heartbeat("x", 400)
    assert ledger.flight.entries == 0
    assert [delivered(ledger, tag)[-1] for tag in (0, 1)] == [(200, 295)] * 2
    ledger.settled(1)
    assert [delivered(ledger, tag)[-1] for tag in (0, 1)] == [(200, 390)] * 2


def test_what_is_held_back_for_all_takes_no_room_once_it_is_settled() -> None:
    ledger = live(margins=Margins(settle=10, overlap=20, ahead=5, exact=0))
    for number in range(5000):
        at = 300 + number
        ledger.arrived("x", number, [entry(at)], at)
        if number:
            ledger.settled(number)
    assert delivered(ledger)[-1] == (200, 300)
    (segment,) = ledger.open_segments
    assert len(segment._heap) < 100


def test_tags_that_are_not_ours_are_passed_over() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(295, key="foreign")], 300)
    assert delivered(ledger)[-1] == (200, 290)


# Losses


def test_a_loss_cuts_back_and_opens_a_hole() -> None:
    ledger = live()
    ledger.lost("x", "silence", 350)
    assert delivered(ledger) == [(0, 100), (200, 270)]
    assert holes(ledger, 400)[-1] == (270, 400, "silence", 350)


def test_a_loss_that_began_earlier_cuts_back_to_then() -> None:
    ledger = live()
    ledger.lost("x", "marker", 350, since=260)
    assert delivered(ledger)[-1] == (200, 230)
    assert ledger.is_urgent


def test_a_loss_takes_nothing_that_was_delivered_otherwise() -> None:
    ledger = live()
    ledger.joined([0], 100, 200)
    ledger.lost("x", "marker", 350, since=50)
    assert delivered(ledger) == [(0, 200)]


def test_what_is_in_flight_at_a_loss_is_no_hole_and_counts_later() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(295)], 300)
    ledger.heartbeat("x", 400)
    ledger.lost("x", "network", 400)
    assert list(seen(ledger, 400).in_flight) == [(295, 370)]
    assert holes(ledger, 400)[-1] == (370, 400, "network", 400)
    ledger.settled(1)
    assert delivered(ledger)[-1] == (200, 370)


def test_some_tags_can_be_lost_alone() -> None:
    ledger = live("A", "B")
    ledger.lost("x", "signup removed", 300, tags=[0])
    ledger.heartbeat("x", 400)
    assert delivered(ledger, 0)[-1] == (200, 270)
    assert delivered(ledger, 1)[-1] == (200, 390)


def test_tags_of_other_channels_are_not_lost() -> None:
    ledger = live("A", "B")
    ledger.subscribed("y", [0], 300)
    ledger.lost("y", "signup removed", 310, tags=[1])
    assert len(ledger.open_segments) == 2


def test_the_hole_keeps_its_reason_when_the_channel_is_back() -> None:
    ledger = live()
    ledger.lost("x", "network", 350)
    ledger.subscribed("x", [0], 395)
    assert holes(ledger, 500)[-1] == (270, 400, "network", 350)


def test_a_channel_that_is_closed_in_order_loses_nothing() -> None:
    ledger = live()
    ledger.unsubscribed("x", "stopped", 300)
    assert delivered(ledger)[-1] == (200, 290)
    assert holes(ledger, 400)[-1] == (290, 400, "stopped", 300)


def test_two_channels_may_have_the_same_tag_for_a_while() -> None:
    ledger = live()
    ledger.subscribed("y", [0], 245)
    ledger.unsubscribed("x", "moved", 300)
    ledger.heartbeat("y", 400)
    assert delivered(ledger)[-1] == (200, 390)


# Messages that were given up


def dead() -> Ledger:
    ledger = live()
    ledger.arrived("x", 1, [entry(295, 299)], 300)
    ledger.failed(1, [entry(295, 299)], 301)
    ledger.heartbeat("x", 400)
    return ledger


def test_a_dead_letter_is_excluded_and_stops_nothing() -> None:
    ledger = dead()
    assert delivered(ledger)[-2:] == [(200, 295), (300, 390)]
    assert seen(ledger, 400).excluded == ((295, 300, "dead letter", 301),)
    assert ledger.is_urgent


def test_a_redriven_message_is_delivered() -> None:
    ledger = dead()
    ledger.redriven(1)
    assert delivered(ledger)[-1] == (200, 390)


def test_a_discarded_message_stays_excluded() -> None:
    ledger = dead()
    ledger.discarded(1)
    assert len(ledger.dead) == 0
    assert seen(ledger, 400).excluded == ((295, 300, "dead letter", 301),)


def test_only_the_samples_that_failed_are_excluded() -> None:
    ledger = live()
    ledger.arrived("x", 1, [entry(295, 299)], 300)
    ledger.failed(1, [entry(297)], 301)
    assert [label[:2] for label in seen(ledger, 400).excluded] == [(297, 298)]


# The archive


def test_an_end_value_probe_closes_what_is_empty() -> None:
    ledger = live()
    ledger.confirmed(0, 150, 300)
    assert delivered(ledger) == [(0, 100), (151, 290)]


def test_a_probe_says_nothing_of_what_may_still_come() -> None:
    ledger = ledger_of()
    ledger.confirmed(0, 150, 300)
    assert delivered(ledger)[-1] == (151, 290)


@pytest.mark.parametrize("newest", [NO_DATA, 295, 400])
def test_a_probe_that_says_nothing_changes_nothing(newest: int) -> None:
    ledger = ledger_of()
    ledger.confirmed(0, newest, 300)
    assert delivered(ledger) == [(0, 100)]


def test_a_range_that_is_reopened_is_a_hole_until_it_was_read() -> None:
    ledger = live()
    ledger.reopen([0], 250, 260, "reconcile", 300)
    ledger.heartbeat("x", 400)
    assert holes(ledger, 400)[-1] == (250, 260, "reconcile", 300)
    ledger.lost("x", "network", 400)
    assert delivered(ledger)[1:] == [(200, 250), (260, 370)]
    ledger.joined([0], 250, 260)
    assert delivered(ledger)[1:] == [(200, 370)]


def test_a_backfill_is_a_hole_before_the_origin() -> None:
    ledger = ledger_of()
    ledger.backfill([0], -500, 300)
    assert holes(ledger, 100) == [(-500, 0, "backfill", 300)]
    ledger.backfill([0], -100, 400)
    assert holes(ledger, 100) == [(-500, 0, "backfill", 300)]


def test_what_is_excluded_is_shown_and_can_be_included_again() -> None:
    ledger = ledger_of()
    ledger.exclude([0], 100, 150, "lost at source", 200)
    assert seen(ledger, 150).excluded == ((100, 150, "lost at source", 200),)
    assert holes(ledger, 150) == []
    ledger.include([0], 100, 150)
    assert holes(ledger, 150) == [(100, 150, "never covered", 0)]


# States


def test_a_removed_tag_is_excluded_from_then_on() -> None:
    ledger = live()
    ledger.unsubscribed("x", "removed", 300)
    ledger.set_state([0], TagState.REMOVED, 300)
    assert [label[:3] for label in seen(ledger, 900).excluded] == [
        (300, 900, "removed")
    ]


def test_a_tag_that_comes_back_was_excluded_only_meanwhile() -> None:
    ledger = ledger_of()
    ledger.set_state([0], TagState.REMOVED, 100)
    ledger.set_state([0], TagState.LIVE, 200)
    assert seen(ledger, 300).excluded == ((100, 200, "removed", 100),)
    assert holes(ledger, 300) == [(200, 300, "never covered", 0)]


def test_a_static_tag_is_excluded_wholly() -> None:
    ledger = ledger_of()
    ledger.set_state([0], TagState.STATIC, 100)
    assert seen(ledger, 300).excluded == ((0, 300, "static", 100),)
    ledger.set_state([0], TagState.LIVE, 200)
    assert seen(ledger, 300).excluded == ()


@pytest.mark.parametrize("state", [TagState.NO_ACCESS, TagState.UNRESOLVED])
def test_holes_of_tags_that_cannot_be_read_say_so(state: TagState) -> None:
    ledger = ledger_of()
    ledger.set_state([0], state, 150)
    assert holes(ledger, 300)[-1] == (150, 300, state.value, 150)


def test_a_tag_of_the_future_is_covered_by_the_archive_alone() -> None:
    ledger = ledger_of(is_future=True)
    ledger.subscribed("x", [0], 195)
    ledger.heartbeat("x", 900)
    assert holes(ledger, 900) == [(100, OPEN_END, "never covered", 0)]
    ledger.joined([0], 100, OPEN_END, asked=900)
    assert holes(ledger, 900) == []


def test_the_future_is_cut_back_further_than_a_channel_that_died_at_once() -> None:
    ledger = ledger_of(is_future=True)
    ledger.subscribed("x", [0], 195)
    ledger.joined([0], 100, OPEN_END, asked=200)
    ledger.unsubscribed("x", "stopped", 300)
    assert holes(ledger, 300) == [(185, OPEN_END, "stopped", 300)]


# Lanes


def test_the_lane_follows_from_what_is_delivered() -> None:
    ledger = live()
    assert [ledger.lane(0, at) for at in (50, 150, 250, 295)] == [
        "late",
        "live",
        "late",
        "live",
    ]


def test_edits_and_deletions_have_lanes_of_their_own() -> None:
    ledger = live()
    assert ledger.lane(0, 250, is_substituted=True) == "correction"
    assert ledger.lane(0, 295, is_substituted=True) == "live"
    assert ledger.lane(0, 250, is_deleted=True) == "delete"


def test_nothing_of_a_tag_of_the_future_is_late() -> None:
    assert ledger_of(is_future=True).lane(0, 50) == "live"


@pytest.mark.parametrize("is_told_later", [False, True])
def test_a_tag_of_the_future_stays_one(is_told_later: bool) -> None:
    ledger = ledger_of(is_future=not is_told_later)
    ledger.set_state([0], TagState.FUTURE, 140)
    ledger.set_state([0], TagState.NO_ACCESS, 150)
    assert ledger.tags.state(0) is TagState.NO_ACCESS
    ledger.set_state([0], TagState.LIVE, 200)
    assert ledger.tags.state(0) is TagState.FUTURE
