"""Something that is done again and again, by seconds or by a cron string."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pichannels import clock
from pichannels.channels.schedules import CronSchedule, sleep_until
from pichannels.channels.timezones import timezone_of
from pichannels.errors import SettingsError

__all__ = ["Refreshing"]

logger: Final = logging.getLogger("pichannels.channels")


class Refreshing:
    """Does something on a schedule, in a task of its own.

    Args:
        when: seconds between two times, or a cron string in the machine's time zone;
            None or 0 for never.
        work: is awaited each time; what it raises is logged.

    Raises:
        SettingsError: `when` is neither.
    """

    def __init__(self, when: Any, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._every = 0.0
        self._schedule: CronSchedule | None = None
        self._task: asyncio.Task[None] | None = None
        if isinstance(when, str):
            self._schedule = CronSchedule(when, timezone_of(None), "refresh")
        elif when is not None:
            self._every = _seconds(when)

    def start(self, name: str) -> None:
        """Begin, in a task of this name."""
        if self._task is None and (self._every or self._schedule):
            self._task = asyncio.create_task(self._run(), name=name)

    async def stop(self) -> None:
        """End, also in the middle of it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while await self._until_next():
            try:
                await self._work()
            except Exception:
                # The next time comes all the same.
                logger.exception("what is done on a schedule has failed")

    async def _until_next(self) -> bool:
        """Wait for the next time; False when there is none."""
        if self._schedule is None:
            await asyncio.sleep(self._every)
            return True
        due = self._schedule.after(clock.now())
        if due is None:
            return False
        await sleep_until(due)
        return True


def _seconds(when: Any) -> float:
    is_number = isinstance(when, int | float) and not isinstance(when, bool)
    if is_number and (when == 0 or 0.01 <= when < 1e10):
        return float(when)
    raise SettingsError(
        "this is no schedule",
        key="refresh",
        found=when,
        allowed="seconds, a cron string, or 0 or None for never",
    )
