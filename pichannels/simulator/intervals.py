"""Spans of time as PI writes them (`15m`, `1d`, `1mo`), and the instants they give.

Days, weeks, months and years follow the calendar of a time zone, so a day is 23 or 25
hours long when the clocks change; hours and less are of one length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from pichannels.errors import UsageError
from pichannels.simulator.simtime import SECOND, ticks_of

__all__ = ["Interval", "IntervalError", "parse_interval", "steps", "synchronised"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_CLOCK: Final = re.compile(r"(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?")
_UNITS: Final = {
    name: unit
    for unit, names in {
        "ms": "ms millisecond milliseconds",
        "s": "s sec second seconds",
        "m": "m min minute minutes",
        "h": "h hour hours",
        "d": "d day days",
        "w": "w week weeks",
        "mo": "mo month months",
        "y": "y year years",
    }.items()
    for name in names.split()
}
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_DAYS: Final = {"d": 1, "w": 7}
_MONTHS: Final = {"mo": 1, "y": 12}


class IntervalError(UsageError):
    """The text is no span of time, or one of no length."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"The specified interval '{text}' could not be parsed.")


class Interval(msgspec.Struct, frozen=True):
    """A span of time: calendar months and days, and ticks."""

    months: int = 0
    days: float = 0.0
    ticks: int = 0

    def after(self, anchor: int, times: int, zone: tzinfo) -> int:
        """The instant so many times this span after `anchor`, all in ticks."""
        moved = anchor
        if self.months or self.days:
            moved = self._by_calendar(anchor, times, zone)
        return moved + self.ticks * times

    def _by_calendar(self, anchor: int, times: int, zone: tzinfo) -> int:
        second, rest = divmod(anchor, SECOND)
        moment = (_EPOCH + timedelta(seconds=second)).astimezone(zone)
        year, month = divmod(
            moment.year * 12 + moment.month - 1 + self.months * times, 12
        )
        first = moment.replace(year=year, month=month + 1, day=1)
        day = min(moment.day, _days_in(year, month + 1))
        moved = first + timedelta(days=day - 1 + self.days * times)
        return ticks_of(moved.astimezone(UTC)) + rest


def parse_interval(text: str) -> Interval:
    """The span that `1h`, `1d12h`, `90 min` or `01:30:00` means.

    Raises:
        IntervalError: it means none.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        found = Interval(ticks=round((hours * 3600 + minutes * 60 + seconds) * SECOND))
    else:
        found = _of_parts(text)
    if not (found.months or found.days or found.ticks):
        raise IntervalError(text)
    return found


def _of_parts(text: str) -> Interval:
    months, days, seconds = 0.0, 0.0, 0.0
    if _PART.sub("", text.strip()):
        raise IntervalError(text)
    for amount, name in _PART.findall(text):
        unit = _UNITS.get(name.lower(), "")
        months += float(amount) * _MONTHS.get(unit, 0)
        days += float(amount) * _DAYS.get(unit, 0)
        seconds += float(amount) * _SECONDS.get(unit, 0)
        if not unit:
            raise IntervalError(text)
    if months % 1:
        raise IntervalError(text)
    return Interval(int(months), days, round(seconds * SECOND))


def steps(start: int, end: int, interval: Interval, zone: tzinfo) -> Iterator[int]:
    """`start` and what follows it up to `end`, forward or back in time."""
    way = 1 if start <= end else -1
    times = 0
    instant = start
    while (end - instant) * way >= 0:
        yield instant
        times += way
        instant = _bounded(interval, start, times, zone)


def synchronised(
    start: int, end: int, interval: Interval, zone: tzinfo, sync: int, *, outside: bool
) -> Iterator[int]:
    """The instants between `start` and `end` that are whole intervals from `sync`.

    `outside` adds those next to the range, where its ends are none.
    """
    first, last = min(start, end), max(start, end)
    length = interval.after(sync, 1, zone) - sync
    low = (first - sync) // length - 1
    while _bounded(interval, sync, low, zone) < first:
        low += 1
    high = (last - sync) // length + 1
    while _bounded(interval, sync, high, zone) > last:
        high -= 1
    if outside:
        low -= _bounded(interval, sync, low, zone) > first
        high += _bounded(interval, sync, high, zone) < last
    numbers = range(low, high + 1)
    for number in numbers if start <= end else reversed(numbers):
        yield _bounded(interval, sync, number, zone)


def _bounded(interval: Interval, anchor: int, times: int, zone: tzinfo) -> int:
    """As `after`; beyond the years that there are it is before or after them all."""
    try:
        return interval.after(anchor, times, zone)
    except (OverflowError, ValueError):
        return (1 << 62) * (1 if times > 0 else -1)


def _days_in(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day
