"""Time in the simulator: its own clock, ISO text and PI's time strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from pichannels import clock
from pichannels.errors import UsageError

__all__ = ["SECOND", "SimClock", "TimeError", "parse_time", "ticks_of", "time_text"]

SECOND: Final = 10_000_000
"""Ticks of 100 ns in a second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_OFFSET = re.compile(r"([+-])\s*(\d+(?:\.\d+)?)\s*(mo|[smhdwy])[a-z]*", re.I)
_FRACTION = re.compile(r"\.(\d+)")
_LENGTHS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class TimeError(UsageError):
    """The text is neither an instant nor a PI time."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"The specified time '{text}' could not be parsed.")


class SimClock:
    """Simulated time: `speed` seconds pass here for each real one.

    `start` are the ticks at which it begins, the present by default. `anchor`
    is the real instant (ticks) at which `start` was; a simulator that comes back
    goes on from the same anchor, so time has passed meanwhile.
    """

    def __init__(
        self, speed: float = 1.0, start: int | None = None, anchor: int | None = None
    ) -> None:
        present = clock.now()
        self.speed = speed
        self.anchor = present if anchor is None else anchor
        self.start = self.anchor if start is None else start
        self._base = self.start + round((present - self.anchor) * speed)
        self._since = clock.monotonic()

    def now(self) -> int:
        """The simulated present in ticks."""
        return self._base + round((clock.monotonic() - self._since) * self._rate)

    @property
    def _rate(self) -> float:
        return self.speed * SECOND

    def advance(self, seconds: float) -> int:
        """Jump ahead by simulated `seconds`; returns the new present."""
        self._base += round(seconds * SECOND)
        return self.now()

    def set_speed(self, speed: float) -> None:
        """Go on from the present at another speed."""
        self._base, self._since = self.now(), clock.monotonic()
        self.speed = speed


def ticks_of(moment: datetime) -> int:
    """Ticks of an aware datetime."""
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * SECOND + since.microseconds * 10


@lru_cache(maxsize=8192)
def _second_text(second: int) -> str:
    moment = _EPOCH + timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def time_text(ticks: int) -> str:
    """ISO 8601 as PI writes it: `Z`, up to seven digits, no trailing zeros."""
    second, rest = divmod(ticks, SECOND)
    if not rest:
        return _second_text(second) + "Z"
    return f"{_second_text(second)}.{rest:07d}".rstrip("0") + "Z"


def parse_time(text: str, now: int, zone: tzinfo = UTC) -> int:
    """Ticks of an ISO instant or a PI time such as `*-1d`, `y+8h`, `1-jan-2023`.

    A text without an offset is local to `zone`.

    Raises:
        TimeError: the text is neither.
    """
    try:
        return _absolute(text.strip(), zone)
    except (ValueError, OverflowError):
        return _relative(text, now, zone)


def _absolute(text: str, zone: tzinfo) -> int:
    whole = _FRACTION.sub("", text, count=1)
    moment = datetime.fromisoformat(whole)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    found = _FRACTION.search(text)
    rest = int(f"{found[1]:0<7.7}") if found else 0
    return ticks_of(moment.astimezone(UTC)) + rest


def _relative(text: str, now: int, zone: tzinfo) -> int:
    """A PI time: a reference and any number of offsets."""
    first = _OFFSET.search(text)
    cut = first.start() if first else len(text)
    head, tail = text[:cut].strip().lower(), text[cut:]
    if not text.strip() or _OFFSET.sub("", tail).strip():
        raise TimeError(text)
    present = min(_EPOCH + timedelta(microseconds=now // 10), _LAST).astimezone(zone)
    if head in ("", "*"):
        base, rest = present, now % 10
    else:
        base, rest = _reference(head, present, text), 0
    for sign, amount, unit in _OFFSET.findall(tail):
        base = _moved(base, float(sign + amount), unit.lower())
    return ticks_of(base.astimezone(UTC)) + rest


def _reference(word: str, present: datetime, text: str) -> datetime:
    midnight = present.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("t", "today"):
        return midnight
    if word in ("y", "yesterday"):
        return midnight - timedelta(days=1)
    for number, day in enumerate((*_DAYS, "sunday")):
        if word in (day, day[:3]):
            return midnight - timedelta(days=(midnight.weekday() - number) % 7)
    for form in ("%d-%b-%Y", "%d-%b-%Y %H:%M", "%d-%b-%Y %H:%M:%S", "%d-%b-%y"):
        parsed = _try(datetime.strptime, word, form)
        if parsed is not None:
            return parsed.replace(tzinfo=present.tzinfo)
    raise TimeError(text)


def _try(
    parse: Callable[[str, str], datetime], text: str, form: str
) -> datetime | None:
    try:
        return parse(text, form)
    except ValueError:
        return None


def _moved(base: datetime, amount: float, unit: str) -> datetime:
    if unit in _LENGTHS:
        return base + timedelta(seconds=amount * _LENGTHS[unit])
    months = round(amount * (12 if unit == "y" else 1))
    year, month = divmod(base.year * 12 + base.month - 1 + months, 12)
    day = min(base.day, _days_in(year, month + 1))
    return base.replace(year=year, month=month + 1, day=day)


def _days_in(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day
