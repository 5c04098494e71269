"""Spans of time, and the instants that they give."""

from __future__ import annotations

from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from pichannels.simulator.intervals import (
    Interval,
    IntervalError,
    parse_interval,
    steps,
    synchronised,
)
from pichannels.simulator.simtime import SECOND, parse_time, time_text

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")

LAST = parse_time("9999-12-31T23:59:59Z", 0)


def at(text: str) -> int:
    return parse_time(text, 0)


def seconds(amount: float) -> Interval:
    return Interval(ticks=round(amount * SECOND))


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1h", seconds(3600)),
        ("15m", seconds(900)),
        ("1.5 hours", seconds(5400)),
        ("90 min", seconds(5400)),
        ("250ms", seconds(0.25)),
        ("1h30m", seconds(5400)),
        ("01:30:00", seconds(5400)),
        ("0:00:00.5", seconds(0.5)),
        ("1d", Interval(days=1)),
        ("2w 1d", Interval(days=15)),
        ("1mo", Interval(months=1)),
        ("1Y", Interval(months=12)),
    ],
)
def test_a_text_means_a_span(text: str, interval: Interval) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize("text", ["", "0s", "h", "1", "1x", "-1h", "1.5mo", "1h,2m"])
def test_other_texts_mean_none(text: str) -> None:
    with pytest.raises(IntervalError, match="could not be parsed"):
        parse_interval(text)


def test_steps_begin_at_the_start_and_stay_within_the_end() -> None:
    assert list(steps(0, 10, Interval(ticks=4), UTC)) == [0, 4, 8]


def test_steps_go_back_in_time() -> None:
    assert list(steps(10, 2, Interval(ticks=4), UTC)) == [10, 6, 2]


def test_days_keep_the_hour_when_the_clocks_change() -> None:
    found = steps(
        at("2024-03-30T00:30:00Z"), at("2024-04-01T00:00:00Z"), Interval(days=1), BERLIN
    )
    assert [time_text(one)[:16] for one in found] == [
        "2024-03-30T00:30",
        "2024-03-31T00:30",
        "2024-03-31T23:30",
    ]


def test_hours_are_hours_when_the_clocks_change() -> None:
    start = at("2024-03-30T23:30:00Z")
    found = list(islice(steps(start, LAST, seconds(3600), BERLIN), 4))
    assert [one - start for one in found] == [n * 3600 * SECOND for n in range(4)]


def test_months_end_where_the_shorter_one_does() -> None:
    found = steps(
        at("2024-01-31T06:00:00Z"), at("2024-05-01T00:00:00Z"), Interval(months=1), UTC
    )
    assert [time_text(one)[5:10] for one in found] == [
        "01-31",
        "02-29",
        "03-31",
        "04-30",
    ]


@pytest.mark.parametrize(
    ("start", "end", "outside", "expected"),
    [
        (3, 17, False, [5, 10, 15]),
        (17, 3, False, [15, 10, 5]),
        (3, 17, True, [0, 5, 10, 15, 20]),
        (5, 15, True, [5, 10, 15]),
        (6, 9, False, []),
        (6, 9, True, [5, 10]),
    ],
)
@pytest.mark.parametrize("sync", [-1000, 0, 5, 25])
def test_instants_are_in_step_with_another(
    start: int, end: int, outside: bool, expected: list[int], sync: int
) -> None:
    every = Interval(ticks=5)
    found = synchronised(start, end, every, UTC, sync, outside=outside)
    assert list(found) == expected


def test_months_are_in_step_with_another() -> None:
    found = synchronised(
        at("2024-03-15T00:00:00Z"),
        at("2024-05-15T00:00:00Z"),
        Interval(months=1),
        UTC,
        at("2020-01-31T12:00:00Z"),
        outside=False,
    )
    assert [time_text(one)[5:10] for one in found] == ["03-31", "04-30"]


def test_steps_end_with_the_last_year() -> None:
    start = at("9998-06-01T00:00:00Z")
    assert len(list(steps(start, LAST, Interval(months=12), UTC))) == 2
