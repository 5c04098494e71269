"""What is expected of tags, and what probes of quiet ones tell."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.coverage.expected import (
    Expectations,
    Patience,
    Verdict,
    expected_interval,
)
from pichannels.errors import UsageError
from pichannels.values import NO_DATA, TICKS_PER_SECOND as SECOND

START = 1_000_000 * SECOND


def expecting(
    seconds: float | None = None, patience: Patience | None = None
) -> Expectations:
    found = Expectations(patience)
    found.grow(1, START)
    found.give(0, seconds)
    return found


def fed(expectations: Expectations, gaps: list[float]) -> int:
    """Values with these gaps between them; when the last one came."""
    at = START
    for gap in gaps:
        at += int(gap * SECOND)
        expectations.arrived(0, at, at, 1, at)
    return at


@pytest.mark.parametrize(
    ("scan", "excmax", "excdev", "expected"),
    [
        (1.0, 600.0, 0.1, 600.0),
        (None, 600.0, None, 600.0),
        (1.0, 0.0, 0.1, None),
        (1.0, 600.0, -1.0, None),
        (None, None, None, None),
        (0.0, 600.0, 0.1, math.inf),
    ],
)
def test_the_interval_follows_from_the_attributes_of_a_point(
    scan: float | None,
    excmax: float | None,
    excdev: float | None,
    expected: float | None,
) -> None:
    assert expected_interval(scan, excmax, excdev) == expected


def test_an_idle_tag_is_looked_at_seldom_and_never_stale() -> None:
    expectations = expecting(math.inf)
    at = START + 4 * 3600 * SECOND
    assert not list(expectations.overdue(START + 3600 * SECOND))
    assert list(expectations.overdue(at)) == [0] and expectations.is_overdue(0, at)
    assert expectations.probed(0, START, 7, at, None) is Verdict.QUIET


def test_of_an_idle_tag_that_sends_all_the_same_is_learned() -> None:
    expectations = expecting(math.inf)
    fed(expectations, [20.0] * 100)
    assert 10 <= expectations.interval(0) < 40


@settings(deadline=None, max_examples=30)
@given(st.floats(1.0, 1000.0), st.integers(0, 2**32))
def test_the_quantile_of_random_intervals_is_learned(mean: float, seed: int) -> None:
    rng = random.Random(seed)
    expectations = expecting(patience=Patience(shortest=0.1))
    fed(expectations, [rng.expovariate(1 / mean) for _ in range(3000)])
    # 95 % of such intervals are shorter than three times their mean.
    assert 1.5 * mean < expectations.interval(0) < 6 * mean


def test_one_long_silence_changes_little() -> None:
    expectations = expecting()
    fed(expectations, [20.0] * 200)
    before = expectations.interval(0)
    fed(expectations, [100_000.0])
    assert expectations.interval(0) < 1.5 * before


def test_a_tag_of_which_little_is_known_may_be_quiet_for_long() -> None:
    expectations = expecting()
    fed(expectations, [20.0] * 5)
    assert expectations.interval(0) == Patience().longest


def test_what_is_given_counts_whatever_comes() -> None:
    expectations = expecting(5.0)
    fed(expectations, [100.0] * 50)
    assert expectations.interval(0) == 5.0


def test_late_values_teach_nothing() -> None:
    expectations = expecting()
    at = fed(expectations, [20.0] * 100)
    before = expectations.interval(0)
    expectations.arrived(0, START, START + 5, 2, at)
    assert expectations.interval(0) == before
    assert expectations.newest(0) == at


def test_only_tags_that_are_too_quiet_are_overdue() -> None:
    expectations = Expectations()
    expectations.grow(3, START)
    for tag, seconds in enumerate([10.0, 10.0, 100.0]):
        expectations.give(tag, seconds)
    expectations.arrived(1, START, START, 1, START + 20 * SECOND)
    assert list(expectations.overdue(START + 30 * SECOND)) == []
    assert list(expectations.overdue(START + 31 * SECOND)) == [0]
    assert list(expectations.overdue(START + 301 * SECOND)) == [0, 1, 2]


def test_a_probed_tag_is_not_overdue_at_once() -> None:
    expectations = expecting(10.0)
    expectations.probed(0, NO_DATA, 1, START + 50 * SECOND, None)
    assert list(expectations.overdue(START + 60 * SECOND)) == []


def probed(newest: int, listening: int | None, now: int = 100) -> Verdict:
    """A tag of which a value came at 0 s, expected each 10 s; seconds from START."""
    expectations = expecting(10.0)
    fed(expectations, [0.0])
    since = None if listening is None else START + listening * SECOND
    return expectations.probed(
        0, START + newest * SECOND, 7, START + now * SECOND, since
    )


def test_a_source_with_nothing_newer_is_quiet() -> None:
    assert probed(0, -50) is Verdict.QUIET


def test_newer_values_that_did_not_come_mean_that_we_are_blind() -> None:
    assert probed(60, -50) is Verdict.BLIND


def test_a_value_may_still_be_on_its_way() -> None:
    assert probed(75, -50) is Verdict.QUIET


def test_a_tag_whose_values_in_pi_are_always_new_is_blind_as_well() -> None:
    expectations = expecting(10.0)
    fed(expectations, [0.0])
    verdicts = []
    for second in (60, 80, 100):
        at = START + second * SECOND
        assert expectations.is_overdue(0, at)
        verdicts.append(expectations.probed(0, at - SECOND, second, at, START))
    assert verdicts == [Verdict.QUIET, Verdict.QUIET, Verdict.BLIND]


def test_a_value_that_has_come_since_the_probe_is_no_sign() -> None:
    expectations = expecting(10.0)
    fed(expectations, [0.0])
    verdicts = []
    for second in (60, 100, 140):
        at = START + second * SECOND
        verdicts.append(expectations.probed(0, at - SECOND, second, at, START))
        expectations.arrived(0, at - SECOND, at - SECOND, 1, at)
    assert verdicts == [Verdict.QUIET] * 3


def test_a_tag_that_no_channel_gives_is_not_looked_at_again_soon() -> None:
    expectations = expecting(10.0)
    fed(expectations, [0.0])
    at = START + 60 * SECOND
    expectations.probed(0, at - SECOND, 7, at, None)
    assert not expectations.is_overdue(0, at + SECOND)


@pytest.mark.parametrize("listening", [61, None])
def test_values_from_before_we_listened_are_no_sign(listening: int | None) -> None:
    assert probed(60, listening) is Verdict.QUIET


def test_a_source_that_is_silent_for_very_long_is_stale() -> None:
    assert probed(0, -50, now=101) is Verdict.STALE


def test_a_value_that_stays_the_same_while_new_ones_come_is_flat() -> None:
    expectations = expecting(10.0, Patience(flat=60.0))
    verdicts = []
    for second in range(0, 100, 20):
        at = START + second * SECOND
        expectations.arrived(0, at, at, 1, at)
        verdicts.append(expectations.probed(0, at, 7, at, START))
    assert verdicts == [Verdict.QUIET] * 4 + [Verdict.FLAT]


def test_a_value_that_changes_is_not_flat() -> None:
    expectations = expecting(10.0, Patience(flat=60.0))
    for second in range(0, 200, 20):
        at = START + second * SECOND
        expectations.arrived(0, at, at, 1, at)
        assert expectations.probed(0, at, second, at, START) is Verdict.QUIET


def test_an_impossible_quantile_is_refused() -> None:
    with pytest.raises(UsageError, match="quantile"):
        Patience(quantile=1.0)


def test_only_a_range_of_tags_is_looked_at() -> None:
    expectations = Expectations()
    expectations.grow(10, START)
    later = START + 100 * 3600 * SECOND
    assert list(expectations.overdue(later, 3, 6)) == [3, 4, 5]
    expectations.put_off(4, later)
    assert list(expectations.overdue(later, 3, 6)) == [3, 5]


def test_values_between_equal_probes_begin_the_time_anew() -> None:
    expectations = expecting(1000.0, Patience(flat=60))
    verdicts = []
    for minute in range(4):
        at = START + minute * 60 * SECOND
        verdicts.append(expectations.probed(0, at, 7, at, None))
        if verdicts[-1] is Verdict.FLAT:
            expectations.varied(0, at)
    assert verdicts == [Verdict.QUIET, Verdict.QUIET, Verdict.FLAT, Verdict.QUIET]
