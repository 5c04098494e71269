"""Time zones of schedules."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from aiocron import get_localzone  # type: ignore[import-untyped]

from pichannels.errors import SettingsError, nearest

__all__ = ["timezone_of"]


def timezone_of(found: Any) -> tzinfo:
    """The time zone of a name; None means that of the machine.

    Raises:
        SettingsError: there is no such time zone.
    """
    if isinstance(found, tzinfo):
        return found
    if found is None:
        local: tzinfo = get_localzone()
        return local
    if found == "UTC":
        return UTC
    try:
        return ZoneInfo(found)
    except (KeyError, ValueError, TypeError, OSError) as exc:
        hint = nearest(str(found), available_timezones())
        raise SettingsError(
            f"no such time zone{hint}",
            key="timezone",
            found=found,
            allowed="names such as Europe/Berlin, UTC, or None for the machine's own",
        ) from exc
