"""Numbers, spans of time, sizes and times as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from pichannels.errors import PichannelsError
from pichannels.values import datetime_from_ticks, parse_ticks

__all__ = [
    "bytes_text",
    "count_text",
    "number_text",
    "rate_text",
    "seconds_text",
    "short_uuid",
    "site_zone",
    "span_text",
    "time_text",
    "took_text",
]

_MINUS: Final = "\u2212"
_THIN: Final = "\u202f"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class _SiteZone(tzinfo):
    """The zone of this machine, as it is in summer and in winter."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return _local(dt).utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return _local(dt).tzname()

    def fromutc(self, dt: datetime) -> datetime:
        local = dt.replace(tzinfo=UTC).astimezone()
        found = local.replace(tzinfo=self)
        # Of an hour that comes twice this is the second one.
        is_second = found.utcoffset() != local.utcoffset()
        return found.replace(fold=1) if is_second else found


def _local(dt: datetime | None) -> datetime:
    naive = datetime.now() if dt is None else dt.replace(tzinfo=None)
    return naive.astimezone()


def site_zone() -> tzinfo:
    """The time zone of the machine that serves the pages, also of other seasons."""
    return _SiteZone()


def count_text(value: float) -> str:
    """A whole number, with a thin space between thousands."""
    return f"{round(value):,}".replace(",", _THIN).replace("-", _MINUS)


def number_text(value: float, digits: int = 3) -> str:
    """A number with as many digits as matter; no exponent for what people know."""
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return count_text(value)
    text = f"{value:.{digits}g}"
    return text.replace("-", _MINUS)


def rate_text(value: float | None) -> str:
    """A rate; "–" where none is known yet."""
    if value is None:
        return "–"
    return count_text(value) if value >= 100 else f"{value:.1f}"


def seconds_text(value: float) -> str:
    """How long, in one unit: `12 ms`, `3.4 s`, `5.0 min`, `7.1 h`, `2.0 d`."""
    for limit, factor, unit in (
        (1.0, 1000.0, "ms"),
        (120.0, 1.0, "s"),
        (7200.0, 1 / 60, "min"),
        (172_800.0, 1 / 3600, "h"),
    ):
        if abs(value) < limit:
            shown = value * factor
            digits = 0 if unit == "ms" or abs(shown) >= 100 else 1
            return f"{shown:.{digits}f}{_THIN}{unit}"
    return f"{value / 86_400:.1f}{_THIN}d"


def took_text(value: float | None) -> str:
    """How long something short took, such as `12 µs`; "–" where that is not known."""
    if value is None:
        return "–"
    if value >= 0.01:
        return seconds_text(value)
    if value >= 0.001:
        return f"{value * 1000:.1f}{_THIN}ms"
    return f"{value * 1e6:.0f}{_THIN}µs"


def span_text(value: float) -> str:
    """How long, as people say it: `2 d 3 h`, `4 h 5 min`, `6 min 7 s`, `8 s`."""
    left, parts = round(value), list[str]()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def bytes_text(value: float) -> str:
    """How many bytes, in one unit."""
    unit = 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f}{_THIN}{_UNITS[unit]}"


def time_text(time: int | str, zone: tzinfo = UTC, *, is_long: bool = True) -> str:
    """A time in a zone, to the millisecond; what is no time stays as it is.

    Args:
        time: ticks, or ISO 8601.
        zone: where.
        is_long: with the date.
    """
    try:
        ticks = parse_ticks(time) if isinstance(time, str) else time
        local = datetime_from_ticks(ticks).astimezone(zone)
    except (ValueError, OverflowError, PichannelsError):
        return str(time)
    day = f"{local:%Y-%m-%d} " if is_long else ""
    return f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def short_uuid(uuid: str) -> str:
    """The part of the UUID of a message that tells it from those around it.

    It begins with the time: the first digits of all that came within a minute are the
    same.
    """
    return uuid[8:16] or uuid
