"""Totals of a channel, and how little work they are."""

from __future__ import annotations

import random

import pytest

from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import Reason, coverage, held_back, totals
from pichannels.manifest import ManifestEntry

TAGS, EACH = 3000, 1000


@pytest.fixture
def ledger() -> Ledger:
    """Tags of three PI channels, of which one was lost."""
    made = Ledger(Margins(settle=10, overlap=20, ahead=5))
    tags = [made.add_tag(f"T{n}", 0) for n in range(TAGS)]
    for sub in range(TAGS // EACH):
        made.subscribed(f"x{sub}", tags[sub * EACH : (sub + 1) * EACH], 95)
        made.heartbeat(f"x{sub}", 300)
    made.lost("x2", "network", 310)
    return made


def test_totals_are_the_sum_over_all_tags(ledger: Ledger) -> None:
    found = totals(ledger, 400)
    each = [coverage(ledger, tag, 400) for tag in range(TAGS)]
    assert found.delivered == sum(one.delivered.total for one in each)
    assert found.in_flight == sum(one.in_flight.total for one in each)
    assert found.holes == {
        "never covered": Reason(TAGS, 100 * TAGS, 0),
        "network": Reason(EACH, 130 * EACH, 310),
    }


def test_totals_are_worked_out_once_for_tags_that_are_the_same(ledger: Ledger) -> None:
    assert totals(ledger, 400).worked_out == 3


def test_tags_that_are_held_back_are_worked_out_together_all_the_same(
    ledger: Ledger,
) -> None:
    for number in range(5):
        entries = [ManifestEntry(f"T{n}", 250, 295 - number, 1) for n in range(number)]
        ledger.arrived("x0", number, entries, 310)
    ledger.exclude([3], 280, 295, "policy", 310)
    ledger.reopen([2], 285, 305, "asked", 310)
    ledger.failed(4, [ManifestEntry("T1", 260, 292, 1)], 320)
    found = totals(ledger, 400)
    each = [coverage(ledger, tag, 400) for tag in range(TAGS)]
    assert found.worked_out < 10
    assert found.delivered == sum(one.delivered.total for one in each)
    assert found.in_flight == sum(one.in_flight.total for one in each)


def test_what_is_held_back_of_a_range_is_what_full_coverage_says(
    ledger: Ledger,
) -> None:
    seed = random.randrange(2**32)
    print("seed:", seed)  # noqa: T201
    rng = random.Random(seed)
    tags = range(TAGS - 50, TAGS)
    ledger.subscribed("x3", range(2 * EACH, TAGS), 315)
    for number in range(1, 60):
        at = 320 + rng.randrange(60)
        entry = ManifestEntry(f"T{rng.choice(tags)}", at, at + 5, 1)
        ledger.arrived("x3", number, [entry], 320)
    ledger.heartbeat("x3", 420)
    ledger.joined(rng.sample(tags, 20), 280, rng.randrange(300, 400))
    ledger.exclude([TAGS - 1], 320, 340, "policy", 430)
    start, end = rng.randrange(350), rng.randrange(350, 430)
    assert sum(held_back(ledger, tag, 0, 430) for tag in tags) > 0
    for tag in tags:
        free, now = (
            coverage(ledger, tag, 430, end, is_held=held).delivered.within(start, end)
            for held in (False, True)
        )
        assert held_back(ledger, tag, start, end) == free.total - now.total


def test_tags_are_the_same_again_after_different_repairs(ledger: Ledger) -> None:
    for tag in range(100):
        ledger.reopen([tag], 150 + tag % 7, 200, "asked", 400)
    assert totals(ledger, 400).worked_out > 3
    for tag in range(100):
        ledger.joined([tag], 150, 200)
    assert totals(ledger, 400).worked_out <= 4


def test_totals_tell_states_and_exclusions(ledger: Ledger) -> None:
    ledger.set_state([0, 1], TagState.STATIC, 400)
    found = totals(ledger, 400)
    assert found.states == {TagState.LIVE: TAGS - 2, TagState.STATIC: 2}
    assert found.excluded == {"static": Reason(2, 800, 400)}


def test_tags_of_the_future_count_up_to_now(ledger: Ledger) -> None:
    ledger.add_tag("forecast", 0, is_future=True)
    assert totals(ledger, 400).holes["never covered"].ticks == 100 * TAGS + 400
    assert totals(ledger, 400).states[TagState.FUTURE] == 1


def test_parts_of_all_tags_make_up_the_whole_time(ledger: Ledger) -> None:
    found = totals(ledger, 400)
    holes = sum(reason.ticks for reason in found.holes.values())
    assert found.delivered + found.in_flight + holes == 400 * TAGS
