"""Which events draw a range: few in each interval, and none that matters left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pichannels.simulator.events import Event, State
from pichannels.simulator.summaries import number

__all__ = ["Plot"]

_Place: TypeAlias = tuple[int, Event]
"""An event, and the how manieth it was."""


class Plot:
    """Takes events in order of time, and chooses at most five of each interval.

    They are the first, the last, the lowest, the highest, and one that is bad.
    `start` and `end` are ticks, of which the last interval has both.
    """

    def __init__(self, start: int, end: int, intervals: int) -> None:
        self._start = start
        self._length = max(end - start, 1)
        self._count = intervals
        self._fed = 0
        self._intervals: dict[int, _Interval] = {}

    def feed(self, event: Event) -> None:
        """Take the next event of the range."""
        at = (event.ticks - self._start) * self._count // self._length
        at = min(at, self._count - 1)
        self._intervals.setdefault(at, _Interval()).take((self._fed, event))
        self._fed += 1

    def chosen(self) -> Iterator[Event]:
        """The events that draw the range, in the order in which they came."""
        for interval in self._intervals.values():
            yield from interval.chosen()


class _Interval:
    def __init__(self) -> None:
        self._first: _Place | None = None
        self._last: _Place | None = None
        self._bad: _Place | None = None
        self._low: tuple[float, _Place] | None = None
        self._high: tuple[float, _Place] | None = None

    def take(self, place: _Place) -> None:
        self._first = self._first or place
        self._last = place
        value = _level(place[1])
        if value is None:
            if not place[1].good:
                self._bad = self._bad or place
            return
        if self._low is None or value < self._low[0]:
            self._low = value, place
        if self._high is None or value > self._high[0]:
            self._high = value, place

    def chosen(self) -> Iterator[Event]:
        extremes = [one[1] for one in (self._low, self._high) if one is not None]
        known = (one for one in (self._first, self._bad, self._last) if one is not None)
        places = dict([*known, *extremes])
        for place in sorted(places):
            yield places[place]


def _level(event: Event) -> float | None:
    """How high an event is drawn; None for those that have no height."""
    if event.good and isinstance(event.value, State):
        return float(event.value.value)
    return number(event)
