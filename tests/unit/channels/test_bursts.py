"""A PI channel is suspected where very much comes without a pause, and only there."""

from __future__ import annotations

from pichannels.channels.bursts import Burst, Change

POLL, PAUSE = 1000, 250


def polls(burst: Burst, *counts: int, busy: int = 100) -> list[Change | None]:
    """What follows from polls with so many events, each handed over in `busy`."""
    return [
        burst.came(number * POLL, count, number * POLL + busy)
        for number, count in enumerate(counts)
    ]


def test_fast_channels_that_pause_are_never_suspected() -> None:
    assert polls(Burst(50, PAUSE), *[49] * 100) == [None] * 100


def test_as_much_as_pi_may_keep_at_once_is_suspected_until_less_comes() -> None:
    burst = Burst(50, PAUSE)
    assert polls(burst, 5, 50, 5) == [None, "begun", "over"]
    assert not burst.is_suspect


def test_what_comes_without_a_pause_counts_together() -> None:
    burst = Burst(50, PAUSE)
    assert polls(burst, 20, 20, 20, busy=POLL - PAUSE + 1) == [None, None, "begun"]


def test_a_flood_is_suspected_once_and_as_long_as_it_lasts() -> None:
    burst = Burst(50, PAUSE)
    found = polls(burst, *[20] * 50, busy=POLL)
    assert [change for change in found if change] == ["begun"]
    assert burst.is_suspect


def test_a_channel_that_always_gets_too_much_is_suspected_all_the_time() -> None:
    found = polls(Burst(50, PAUSE), *[60] * 50)
    assert [change for change in found if change] == ["begun"]


def test_what_may_be_missing_begins_before_the_pause() -> None:
    burst = Burst(50, PAUSE)
    polls(burst, 1, 1, 60)
    assert burst.before == POLL
    burst.begin()
    assert burst.came(0, 60, 1) == "begun" and burst.before is None


def test_nothing_is_suspected_where_that_is_not_wanted() -> None:
    assert polls(Burst(0, PAUSE), 10**6, 10**6, busy=POLL) == [None, None]
