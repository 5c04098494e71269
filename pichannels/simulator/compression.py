"""What the archive keeps of the events that reach it in order."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec.structs import replace

from pichannels.simulator.events import Event
from pichannels.simulator.tags import Tag

__all__ = ["compress"]


def compress(tag: Tag, events: Sequence[Event]) -> tuple[Event, ...]:
    """The events, those marked that are not kept; the first and last always are.

    Analog tags go through a swinging door of `tag.compdev`; others keep what
    differs from the event before. Of several events with one timestamp the first
    and the last are kept. Where a value turns bad or good again both sides are.
    """
    if not tag.compressing:
        return tuple(events)
    kept = _changes(events) if tag.step else _door(events, tag.compdev)
    if events:
        kept[0] = kept[-1] = True
    pairs = zip(events, kept, strict=True)
    return tuple(event if keep else replace(event, kept=False) for event, keep in pairs)


def _changes(events: Sequence[Event]) -> list[bool]:
    kept = [True] * len(events)
    for i in range(1, len(events)):
        kept[i] = events[i].value != events[i - 1].value
    return kept


def _door(events: Sequence[Event], deviation: float) -> list[bool]:
    """The swinging door: linear between kept events within `deviation`."""
    kept = [False] * len(events)
    start = 0
    low, high = -inf, inf
    for i in range(1, len(events)):
        before, event = events[i - 1], events[i]
        if event.ticks == before.ticks or not (event.good and before.good):
            _restart(kept, events, i)
            start, low, high = i, -inf, inf
            continue
        slope = _slope(events[start], event, 0.0)
        if not low <= slope <= high:
            kept[i - 1] = True
            start, low, high = i - 1, -inf, inf
        low = max(low, _slope(events[start], event, -deviation))
        high = min(high, _slope(events[start], event, deviation))
    return kept


def _restart(kept: list[bool], events: Sequence[Event], i: int) -> None:
    """Keep both sides, but of three with one timestamp not the middle one."""
    kept[i] = True
    crowded = i > 1 and events[i].ticks == events[i - 1].ticks == events[i - 2].ticks
    kept[i - 1] = not crowded


def _slope(origin: Event, event: Event, deviation: float) -> float:
    rise = float(event.value) - float(origin.value)  # type: ignore[arg-type]
    return (rise + deviation) / (event.ticks - origin.ticks)
