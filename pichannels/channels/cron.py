"""The channel whose source is a cron string: a message at the times that it names."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from pichannels.channels.schedules import CronSchedule, wrong_cron
from pichannels.channels.ticking import TickingChannel
from pichannels.channels.timezones import timezone_of

__all__ = ["CronChannel", "CronSchedule"]


class CronChannel(TickingChannel):
    """Runs a message through its nodes at the times of a cron string.

    See `TickingChannel` for the message, and for times that are missed.

    Args:
        args: the name, and what every channel takes.
        cron: as aiocron reads it: minute, hour, day of month, month, day of week; with
            six fields the second comes first.
        timezone: in which the string is read, such as `Europe/Berlin`; by default
            that of the machine.
        kwargs: `overlap`, `catch_up`, `grace`, and the options of every channel.

    Raises:
        SettingsError: the string is wrong (it says what), or another option.
    """

    def __init__(
        self,
        *args: Any,
        cron: str = "",
        timezone: str | tzinfo | None = None,
        **kwargs: Any,
    ) -> None:
        zone = timezone_of(timezone)
        super().__init__(*args, timezone=zone, **kwargs)
        self.cron = cron
        self._schedule = CronSchedule(_text(cron), zone)

    @property
    def schedule(self) -> CronSchedule:
        return self._schedule


def _text(cron: Any) -> str:
    if not isinstance(cron, str) or not cron.strip():
        raise wrong_cron(cron, "there is none")
    return cron
