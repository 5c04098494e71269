"""Instants, PI times and the simulated clock."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from pichannels import clock
from pichannels.simulator.simtime import (
    SECOND,
    SimClock,
    TimeError,
    parse_time,
    time_text,
)

NOW = parse_time("2024-05-15T10:20:30.1234567Z", 0)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("*", "2024-05-15T10:20:30.1234567Z"),
        ("*-1d", "2024-05-14T10:20:30.1234567Z"),
        ("* - 90s", "2024-05-15T10:19:00.1234567Z"),
        ("-8h", "2024-05-15T02:20:30.1234567Z"),
        ("*-1d+2h", "2024-05-14T12:20:30.1234567Z"),
        ("*-1mo", "2024-04-15T10:20:30.1234567Z"),
        ("*-1y", "2023-05-15T10:20:30.1234567Z"),
        ("*-2w", "2024-05-01T10:20:30.1234567Z"),
        ("t", "2024-05-15T00:00:00Z"),
        ("Today", "2024-05-15T00:00:00Z"),
        ("y+8h", "2024-05-14T08:00:00Z"),
        ("mon", "2024-05-13T00:00:00Z"),
        ("wednesday", "2024-05-15T00:00:00Z"),
        ("1-jan-2023", "2023-01-01T00:00:00Z"),
        ("01-Jan-2023 06:30", "2023-01-01T06:30:00Z"),
        ("1-jan-2023 06:30:15+1h", "2023-01-01T07:30:15Z"),
        ("2023-02-11T09:00:00", "2023-02-11T09:00:00Z"),
        ("2023-02-11T10:00:00.5+01:00", "2023-02-11T09:00:00.5Z"),
    ],
)
def test_times_are_read(text: str, same: str) -> None:
    assert time_text(parse_time(text, NOW)) == same


@pytest.mark.parametrize("text", ["", " ", "soon", "*-", "*-1x", "t-1d-", "2023-13-01"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TimeError, match="could not be parsed"):
        parse_time(text, NOW)


def test_a_time_without_offset_is_local_to_the_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert time_text(parse_time("t", NOW, zone)) == "2024-05-14T22:00:00Z"


def test_a_month_before_the_thirty_first_is_the_last_day() -> None:
    now = parse_time("2024-03-31T00:00:00Z", 0)
    assert time_text(parse_time("*-1mo", now)) == "2024-02-29T00:00:00Z"


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (SECOND + 1, "1970-01-01T00:00:01.0000001Z"),
        (15_000_000, "1970-01-01T00:00:01.5Z"),
        (2_534_023_007_999_999_999, "9999-12-31T23:59:59.9999999Z"),
    ],
)
def test_instants_are_written_without_trailing_zeros(ticks: int, text: str) -> None:
    assert time_text(ticks) == text
    assert parse_time(text, 0) == ticks


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> int:
        return round(self.seconds * SECOND)

    def monotonic(self) -> float:
        return self.seconds


def test_the_clock_runs_at_its_speed() -> None:
    with clock.use(Watch()) as watch:
        assert isinstance(watch, Watch)
        time = SimClock(speed=60.0, start=5 * SECOND)
        watch.seconds += 2
        assert time.now() == 125 * SECOND


def test_the_speed_can_change_without_a_jump() -> None:
    with clock.use(Watch()) as watch:
        assert isinstance(watch, Watch)
        time = SimClock(speed=10.0, start=0)
        watch.seconds += 1
        time.set_speed(1.0)
        watch.seconds += 1
        assert time.now() == 11 * SECOND


def test_the_clock_can_be_moved_on() -> None:
    with clock.use(Watch()):
        assert SimClock(start=0).advance(3600) == 3600 * SECOND


def test_a_clock_that_comes_back_has_gone_on() -> None:
    with clock.use(Watch()) as watch:
        assert isinstance(watch, Watch)
        first = SimClock(speed=2.0, start=0)
        watch.seconds += 10
        again = SimClock(first.speed, first.start, first.anchor)
        assert again.now() == 20 * SECOND
