"""Key, time and value of whatever comes: samples, and values with getters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from pichannels.errors import DecodeError, UsageError
from pichannels.values import (
    TICKS_PER_SECOND,
    Sample,
    parse_ticks,
    ticks_from_datetime,
)

__all__ = ["Get", "Read", "Reader", "instant"]

Get = Callable[[Any], Any] | str | None
"""A function of the value, or the path of a field in it (`device.id`)."""


class Read(NamedTuple):
    """What is known of one value."""

    key: Any
    ticks: int
    value: Any
    good: bool


def instant(found: Any) -> int:
    """Ticks of what is taken for a time.

    Args:
        found: ticks of 100 ns since 1970 UTC (int), seconds since then (float), an
            aware datetime, or ISO 8601 text.

    Raises:
        DecodeError: it is none of these.
    """
    kind = type(found)
    if kind is int:
        return int(found)
    try:
        if kind is float:
            return int(round(found * TICKS_PER_SECOND))
        if kind is str:
            return parse_ticks(found)
        if isinstance(found, datetime):
            return ticks_from_datetime(found)
    except (ValueError, OverflowError) as exc:
        raise DecodeError("a time", str(exc), repr(found)) from exc
    if found is None:
        raise DecodeError("a time", "`time` finds none in the value")
    raise DecodeError("a time", f"it is {kind.__name__}", repr(found))


class Reader:
    """Reads values; of samples it knows all by itself.

    Args:
        key: what values are grouped by; by default the tag of a sample, and all other
            values are one group.
        time: when a value is, see `instant`; needed for what is no sample.
        value: the value in it; by default all of it.

    Attributes:
        is_plain: whether it reads samples as they are.
        needs_samples: whether it reads nothing else.

    Raises:
        UsageError: a getter is none.
    """

    def __init__(self, key: Get = None, time: Get = None, value: Get = None) -> None:
        self.is_plain = key is None and time is None and value is None
        self.needs_samples = time is None
        self._key = _getter("key", key)
        self._time = _getter("time", time)
        self._value = _getter("value", value)

    def read(self, item: Any) -> Read:
        """Key, time, value, and whether it is good.

        Raises:
            UsageError: no sample, and `time` was not given.
            DecodeError: the time is none.
            Exception: what a getter raises.
        """
        is_sample = type(item) is Sample
        if self._time is not None:
            ticks = instant(self._time(item))
        elif is_sample:
            ticks = item.ticks
        else:
            raise UsageError(
                f"windows of {type(item).__name__} take time=..., what tells its time"
            )
        if self._key is not None:
            key = self._key(item)
        else:
            key = item.tag if is_sample else None
        if self._value is not None:
            value = self._value(item)
        else:
            value = item.value if is_sample else item
        return Read(key, ticks, value, item.good if is_sample else True)


_NOTHING: Final = object()


def _getter(name: str, get: Get) -> Callable[[Any], Any] | None:
    if get is None or callable(get):
        return get
    if not isinstance(get, str) or not get:
        raise UsageError(f"{name} is a function or the name of a field, not {get!r}")
    path = get.split(".")

    def look_up(item: Any) -> Any:
        found = item
        for part in path:
            if isinstance(found, Mapping):
                found = found.get(part)
            else:
                found = getattr(found, part, _NOTHING)
            if found is None or found is _NOTHING:
                return None
        return found

    return look_up
