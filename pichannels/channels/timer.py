"""The channel whose source is a timer: a message every so many seconds."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from pichannels.channels.ticking import TickingChannel, seconds
from pichannels.channels.timezones import timezone_of
from pichannels.errors import SettingsError
from pichannels.values import TICKS_PER_SECOND

__all__ = ["IntervalSchedule", "TimerChannel"]


class IntervalSchedule:
    """Instants that are equally far from each other.

    Args:
        interval: seconds.
        aligned: at multiples of the interval since 1970 UTC; otherwise counted from
            the start, or from the last instant before it.
        at_once: the first instant is that of the start.
    """

    def __init__(self, interval: float, *, aligned: bool, at_once: bool) -> None:
        self._interval = int(interval * TICKS_PER_SECOND)
        self._aligned = aligned
        self._at_once = at_once
        self._begin = 0

    def begin(self, last: int | None, now: int) -> int | None:
        if self._aligned:
            self._begin = 0
        else:
            self._begin = now if last is None or last > now else last
        if last is not None and last <= now:
            return self.after(last)
        return now if self._at_once else self.after(now)

    def after(self, instant: int) -> int | None:
        count = (instant - self._begin) // self._interval + 1
        return self._begin + count * self._interval

    def between(self, first: int, until: int, most: int) -> list[int]:
        last = self._begin + (until - self._begin) // self._interval * self._interval
        begin = max(first, last - (most - 1) * self._interval)
        count = (last - begin) // self._interval + 1
        return [last - n * self._interval for n in reversed(range(count))]

    def set_back(self, now: int, due: int) -> int | None:
        if self._aligned:
            return min(due, now + self._interval)
        self._begin = now
        return self.after(now)


class TimerChannel(TickingChannel):
    """Runs a message through its nodes every so many seconds.

    See `TickingChannel` for the message, and for instants that are missed.

    Args:
        name: unique in the project.
        args: as for every channel.
        interval: seconds from one message to the next.
        aligned: at multiples of the interval since 1970 UTC (3600: each full hour)
            instead of counted from the start.
        at_once: run also when the channel starts.
        timezone: of the payload, such as `Europe/Berlin`; UTC by default.
        options: `overlap`, `catch_up`, `grace`, and those of every channel.

    Raises:
        SettingsError: the interval or another option is not usable.
    """

    def __init__(
        self,
        name: str | None = None,
        *args: Any,
        interval: float,
        aligned: bool = False,
        at_once: bool = False,
        timezone: str | tzinfo | None = "UTC",
        **options: Any,
    ) -> None:
        if not seconds("interval", interval) >= 0.001:
            raise SettingsError(
                "not a usable number",
                key="interval",
                found=interval,
                allowed="0.001 or more",
            )
        super().__init__(name, *args, timezone=timezone_of(timezone), **options)
        self.interval = interval
        self._schedule = IntervalSchedule(interval, aligned=aligned, at_once=at_once)

    @property
    def schedule(self) -> IntervalSchedule:
        return self._schedule
