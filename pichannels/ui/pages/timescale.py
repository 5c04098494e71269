"""Round times along a range, as drawings have them below."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from pichannels.ui.pages.formats import time_text
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks

__all__ = ["times"]

_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600),
    *(43_200, 86_400, 172_800, 604_800, 2_592_000),
)


def times(
    start: int, end: int, zone: tzinfo, most: int = 8
) -> Iterator[tuple[int, str]]:
    """Times that are round in a zone, with their texts.

    Args:
        start, end: the range, ticks.
        zone: where.
        most: how many.
    """
    seconds = (end - start) / TICKS_PER_SECOND
    step = next((s for s in _STEPS if seconds / s <= most), _STEPS[-1])
    ticks = step * TICKS_PER_SECOND
    at = start - (start + _away(start, zone)) % ticks + ticks
    # The text of a time at the very beginning or end would be cut off.
    margin = (end - start) // 33
    while at < start + margin:
        at = _round(at + ticks, zone, ticks)
    while at < end - margin:
        text = time_text(at, zone)
        if step >= 86_400:
            yield at, text[5:10]
        elif seconds > 86_400:
            yield at, text[5:16]
        else:
            yield at, text[11 : 16 if step >= 60 else 19]
        at = _round(at + ticks, zone, ticks)


def _away(at: int, zone: tzinfo) -> int:
    """How far a zone is from UTC then, ticks."""
    away = datetime_from_ticks(at).astimezone(zone).utcoffset()
    return round(away.total_seconds()) * TICKS_PER_SECOND if away else 0


def _round(at: int, zone: tzinfo, ticks: int) -> int:
    """The nearest round time, where clocks were set between it and the one before."""
    over = (at + _away(at, zone)) % ticks
    return at - over if over <= ticks // 2 else at - over + ticks
