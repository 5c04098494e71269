"""When something happens again and again: the instants of a cron string."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final

from aiocron import CronSim  # type: ignore[import-untyped]

from pichannels import clock
from pichannels.errors import SettingsError
from pichannels.values import (
    TICKS_PER_SECOND,
    datetime_from_ticks,
    ticks_from_datetime,
)

__all__ = ["CronSchedule", "sleep_until", "wrong_cron"]

_FIELDS: Final = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_ALLOWED: Final = (
    "5 fields (minute hour day-of-month month day-of-week), or 6 with the second first;"
    " such as '*/5 * * * *' or '30 0 7 * * MON-FRI'"
)
# A clock that is set back by less repeats no instants, as for other crons.
_REPEATED: Final = 3 * 3600 * TICKS_PER_SECOND
_LONGEST_SLEEP: Final = 60.0


class CronSchedule:
    """The instants of a cron string in a time zone.

    Args:
        cron: as aiocron reads it.
        timezone: in which it is read.
        key: the option that it is from, for the error.

    Raises:
        SettingsError: the string is wrong, or its time never comes.
    """

    def __init__(self, cron: str, timezone: tzinfo, key: str = "cron") -> None:
        self._cron = cron
        self._timezone = timezone
        try:
            # Whatever the parser stumbles over, the string is what is wrong.
            CronSim(cron, datetime_from_ticks(0))
        except Exception as exc:
            raise wrong_cron(cron, _reason(cron, str(exc)), key) from exc
        if self.after(0) is None:
            raise wrong_cron(cron, "its time never comes", key)

    def begin(self, last: int | None, now: int) -> int | None:
        return self.after(now if last is None or last > now else last)

    def after(self, instant: int) -> int | None:
        return next(self._from(instant), None)

    def between(self, first: int, until: int, most: int) -> list[int]:
        # A moment later than a full second: going back begins before it.
        begin = until // TICKS_PER_SECOND * TICKS_PER_SECOND + 10
        back = itertools.islice(self._from(begin, reverse=True), most)
        found = list(itertools.takewhile(lambda instant: instant >= first, back))
        return found[::-1]

    def set_back(self, now: int, due: int) -> int | None:
        after = self.after(now)
        if after is not None and due - after > _REPEATED:
            return after
        return due

    def _from(self, instant: int, reverse: bool = False) -> Iterator[int]:
        """The instants after this one, or before it, the nearest first."""
        moment = datetime_from_ticks(instant).astimezone(self._timezone)
        sim = CronSim(self._cron, moment, reverse=reverse)
        return map(ticks_from_datetime, sim)


def _reason(cron: str, told: str) -> str:
    """What is wrong, with the text of the field that is."""
    texts = cron.split()
    if len(texts) not in (5, 6):
        return f"it has {len(texts)} fields"
    names = _FIELDS[-len(texts) :]
    name = told.removeprefix("Bad ")
    if name in names:
        return f"the {name} cannot be {texts[names.index(name)]!r}"
    return told or "it cannot be read"


def wrong_cron(cron: Any, reason: str, key: str = "cron") -> SettingsError:
    """The error for a cron string that cannot be used."""
    return SettingsError(
        f"the cron string is wrong: {reason}", key=key, found=cron, allowed=_ALLOWED
    )


async def sleep_until(instant: int) -> None:
    """Sleep until our own clock says that it is so late (ticks)."""
    # Not too long at once: the clock may be set.
    while True:
        left = (instant - clock.now()) / TICKS_PER_SECOND
        if left <= 0:
            return
        await asyncio.sleep(min(left, _LONGEST_SLEEP))
