"""Summaries of a tag's events: totals, averages, extremes, and how much was good.

A calculation takes the events in order of time and has a `Tally` for each interval.
Weighted by time, a value counts as long as it holds, or the line to the next one;
weighted by event, each one counts once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isfinite, sqrt
from typing import Protocol, TypeAlias

from pichannels.simulator.events import Event
from pichannels.simulator.simtime import SECOND

__all__ = ["Calculation", "EventWeighted", "Number", "Tally", "TimeWeighted", "number"]

Number: TypeAlias = Callable[[Event], float | None]
"""The number that an event stands for; None where it is bad or has none."""
Extreme: TypeAlias = tuple[float, int]
"""A value and when it was, in ticks."""


def number(event: Event) -> float | None:
    """The value of a good event of a numeric tag."""
    value = event.value
    if not event.good or event.error or isinstance(value, bool):
        return None
    if not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


class Tally:
    """What is known of one interval; `start` and `end` are ticks.

    `weight` is what was good of `whole`: seconds, or events.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.weight = 0.0
        self.whole = 0.0
        self.values = 0
        self.low: Extreme | None = None
        self.high: Extreme | None = None
        # The sums are those of differences to the first value, which are small.
        self._origin: float | None = None
        self._sum = 0.0
        self._squares = 0.0

    def line(self, start: Extreme, end: Extreme) -> None:
        """Take a stretch of good data, from one value to another."""
        seconds = (end[1] - start[1]) / SECOND
        first, last = self._from_origin(start[0]), self._from_origin(end[0])
        self.weight += seconds
        self._sum += seconds * (first + last) / 2
        self._squares += seconds * (first * first + first * last + last * last) / 3
        if seconds:
            self.values += 1 if self.values else 2
        self._meet(start)
        self._meet(end)

    def point(self, value: Extreme) -> None:
        """Take a good event."""
        one = self._from_origin(value[0])
        self.weight += 1
        self._sum += one
        self._squares += one * one
        self.values += 1
        self._meet(value)

    def _from_origin(self, value: float) -> float:
        if self._origin is None:
            self._origin = value
        return value - self._origin

    def _meet(self, value: Extreme) -> None:
        if self.low is None or value[0] < self.low[0]:
            self.low = value
        if self.high is None or value[0] > self.high[0]:
            self.high = value

    @property
    def average(self) -> float | None:
        """The weighted mean; None without good data."""
        if not self.weight or self._origin is None:
            return None
        return self._origin + self._sum / self.weight

    @property
    def variance(self) -> float | None:
        """The weighted mean of squared distances from the average."""
        if not self.weight:
            return None
        mean = self._sum / self.weight
        return max(self._squares / self.weight - mean * mean, 0.0)

    @property
    def deviation(self) -> float | None:
        """The standard deviation; of a sample, so it takes two values."""
        variance = self.variance
        if variance is None or self.values < 2:
            return None
        return sqrt(variance * self.values / (self.values - 1))

    @property
    def percent_good(self) -> float:
        return 100.0 * self.weight / self.whole if self.whole else 0.0

    @property
    def sum(self) -> float | None:
        """The good values, each times its weight."""
        average = self.average
        return None if average is None else average * self.weight

    @property
    def integral(self) -> float | None:
        """The average over the whole interval, as if bad data were like the good."""
        average = self.average
        return None if average is None else average * self.whole


class Calculation(Protocol):
    """Takes events in order of time, from the last one before the first interval."""

    tallies: list[Tally]

    def feed(self, event: Event) -> None:
        """Take the next event."""

    def finish(self) -> list[Tally]:
        """What is known when there are no more events."""


class TimeWeighted:
    """Values count as long as they hold.

    Args:
        bounds: where the intervals begin and the last one ends, ascending ticks.
        value: what an event stands for.
        step: whether a value holds until the next one; otherwise lines are drawn.
        until: how long the last value holds, in ticks.
    """

    def __init__(
        self, bounds: Sequence[int], value: Number, *, step: bool, until: int
    ) -> None:
        self.tallies = [Tally(*pair) for pair in pairwise(bounds)]
        for tally in self.tallies:
            tally.whole = (tally.end - tally.start) / SECOND
        self._value = value
        self._step = step
        self._until = until
        self._at = 0
        self._last: tuple[float | None, int] | None = None

    def feed(self, event: Event) -> None:
        """Take the next event."""
        value = self._value(event)
        if self._last is not None:
            self._stretch(self._last, (value, event.ticks))
        self._last = (value, event.ticks)

    def finish(self) -> list[Tally]:
        """What is known when the last value holds until the end."""
        if self._last is not None:
            self._stretch(self._last, (None, max(self._until, self._last[1])))
        return self.tallies

    def _stretch(
        self, before: tuple[float | None, int], after: tuple[float | None, int]
    ) -> None:
        first, start = before
        last, end = after
        if first is None:
            return
        if self._step or last is None:
            last = first
        rise = (last - first) / (end - start) if end > start else 0.0
        for tally in self._meeting(start, end):
            low, high = max(start, tally.start), min(end, tally.end)
            tally.line(
                (first + rise * (low - start), low),
                (last if high == end else first + rise * (high - start), high),
            )

    def _meeting(self, start: int, end: int) -> Iterator[Tally]:
        """The intervals that share some time with this one, or its only instant."""
        tallies = self.tallies
        while self._at < len(tallies) and tallies[self._at].end < start:
            self._at += 1
        for at in range(self._at, len(tallies)):
            tally = tallies[at]
            if tally.start > end:
                break
            if start == end or min(end, tally.end) > max(start, tally.start):
                yield tally


class EventWeighted:
    """Each event counts once.

    Args:
        bounds: as of `TimeWeighted`.
        value: what an event stands for.
        at_start, at_end: whether an event at the bound of an interval is in it.
    """

    def __init__(
        self, bounds: Sequence[int], value: Number, *, at_start: bool, at_end: bool
    ) -> None:
        self.tallies = [Tally(*pair) for pair in pairwise(bounds)]
        self._bounds = bounds
        self._value = value
        self._at_start = at_start
        self._at_end = at_end

    def feed(self, event: Event) -> None:
        """Take the next event; those outside of all intervals count nowhere."""
        value = self._value(event)
        for tally in self._having(event.ticks):
            tally.whole += 1
            if value is not None:
                tally.point((value, event.ticks))

    def _having(self, ticks: int) -> Iterator[Tally]:
        after = bisect_right(self._bounds, ticks) - 1
        if after < 0 or ticks > self._bounds[-1]:
            return
        bound = self._bounds[after] == ticks
        if bound and self._at_end and after > 0:
            yield self.tallies[after - 1]
        if after < len(self.tallies) and (self._at_start or not bound):
            yield self.tallies[after]

    def finish(self) -> list[Tally]:
        """What is known of all events."""
        return self.tallies
