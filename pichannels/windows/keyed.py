"""The windows of one key: what all shapes have in common."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, NamedTuple

from pichannels.windows.aggregates import Aggregates
from pichannels.windows.bucket import Bucket, is_good, number_of, packed, unpacked

__all__ = [
    "BEFORE",
    "FAR",
    "Event",
    "KeyState",
    "Ordered",
    "Result",
    "Rules",
    "at",
    "event_of",
    "events_of",
    "packed_events",
]

BEFORE: Final = -(2**62)
FAR: Final = 2**62

Event = tuple[int, Any, bool, float | None]
"""Ticks, value, whether it is good, and the number that it is."""
at: Final[Callable[[Event], int]] = itemgetter(0)
"""The time of an event."""


class Result(NamedTuple):
    """What is told of one window.

    Attributes:
        start, end: of the window, ticks.
        values: name of the aggregate -> what it is; None where there is nothing.
        revision: 0, and more for a window that a late value has changed.
    """

    start: int
    end: int
    values: dict[str, Any]
    revision: int = 0


class Rules(NamedTuple):
    """What holds for all keys.

    Attributes:
        aggregates: what is told.
        lateness: ticks that a value may come behind the newest of its key.
        keep: ticks for which closed windows are kept, and changed by late values.
        step: whether a value holds until the next one, by default.
    """

    aggregates: Aggregates
    lateness: int
    keep: int
    step: bool


class KeyState:
    """The windows of one key.

    The *watermark* is the time up to which all values are believed to be there: that
    of the newest value, less the lateness.

    Attributes:
        mark: the watermark, ticks.
        step: whether values hold until the next one.
    """

    __slots__ = ("_rules", "mark", "step")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.mark = BEFORE
        self.step = rules.step

    @property
    def is_open(self) -> bool:
        """Whether there is something that time alone would close."""
        raise NotImplementedError

    def add(self, ticks: int, value: Any, good: bool, out: list[Result]) -> bool:
        """Take a value, and give the results of the windows that it closes.

        Args:
            ticks: its time.
            value: anything.
            good: whether its source says that it is good.
            out: gets the results, in the order of time.

        Returns:
            Whether it counts; False where it is late.
        """
        raise NotImplementedError

    def revise(self, out: list[Result]) -> None:
        """Give the results of windows that late values have changed."""
        return

    def advance(self, mark: int, out: list[Result]) -> None:
        """Close what ends up to this time, as no earlier values will come."""
        raise NotImplementedError

    def finish(self, out: list[Result]) -> None:
        """Give what is open, as it is, because no more values will come at all."""
        raise NotImplementedError

    def _tell(self, bucket: Bucket, out: list[Result]) -> None:
        values = self._rules.aggregates.values(bucket)
        out.append(Result(bucket.start, bucket.end, values, bucket.revision))
        bucket.revision += 1

    def dump(self) -> list[Any]:
        """Plain data; see `load`.

        Raises:
            CodecError: a value has a type without codec.
        """
        return [self.mark, self.step]

    def load(self, data: list[Any]) -> list[Any]:
        """Become what `dump` described; gives what is left for a child."""
        self.mark, self.step, *rest = data
        return rest


class Ordered(KeyState):
    """Windows whose values have to come in the order of time.

    They wait until the watermark has passed them. A child implements `_feed`.
    """

    __slots__ = ("_waiting",)

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._waiting: list[Event] = []

    def _feed(self, event: Event, out: list[Result]) -> None:
        """Take the next value in the order of time."""
        raise NotImplementedError

    def _close(self, out: list[Result], is_forced: bool) -> None:
        """Give the results of windows that the watermark has passed."""
        return

    @property
    def is_open(self) -> bool:
        return bool(self._waiting)

    def add(self, ticks: int, value: Any, good: bool, out: list[Result]) -> bool:
        if ticks < self.mark:
            return False
        event = event_of(ticks, value, good)
        lateness = self._rules.lateness
        if not lateness:
            self.mark = ticks
            self._feed(event, out)
            self._close(out, False)
            return True
        insort(self._waiting, event, key=at)
        self.mark = max(self.mark, ticks - lateness)
        if self._waiting[0][0] <= self.mark:
            self._release(out)
            self._close(out, False)
        return True

    def advance(self, mark: int, out: list[Result]) -> None:
        if mark > self.mark:
            self.mark = mark
            self._release(out)
            self._close(out, True)

    def finish(self, out: list[Result]) -> None:
        if self._waiting:
            self.mark = max(self.mark, self._waiting[-1][0])
            self._release(out)
            self._close(out, False)

    def _release(self, out: list[Result]) -> None:
        waiting, mark = self._waiting, self.mark
        count = 0
        while count < len(waiting) and waiting[count][0] <= mark:
            self._feed(waiting[count], out)
            count += 1
        del waiting[:count]

    @property
    def has_guessed(self) -> bool:
        """Whether what was told would differ, had the next value been known."""
        return False

    def has_open(self, start: int) -> bool:
        """Whether a window is open that begins there."""
        return False

    def take_all(
        self,
        events: Iterable[Event],
        forced: int,
        mark: int,
        told: int,
        out: list[Result],
    ) -> None:
        """Take values that are all known by now.

        Args:
            events: in the order of time.
            forced: the time that was told to have passed.
            mark: the watermark behind all of it.
            told: how many windows have been told, which are to be told again.
            out: gets the results, in the order of time.
        """
        self._waiting = list(events)
        for until, is_forced in ((forced, True), (mark, False)):
            if until > self.mark:
                self.mark = until
                self._release(out)
                self._close(out, is_forced)

    def dump(self) -> list[Any]:
        return [*super().dump(), packed_events(self._waiting)]

    def load(self, data: list[Any]) -> list[Any]:
        events, *rest = super().load(data)
        self._waiting = events_of(events)
        return rest


def event_of(ticks: int, value: Any, good: bool) -> Event:
    """A value as it is counted."""
    good = good and is_good(value)
    return ticks, value, good, number_of(value) if good else None


def packed_events(events: Iterable[Event]) -> list[Any]:
    """Plain data for events; see `events_of`."""
    return [[ticks, packed(value), good] for ticks, value, good, _ in events]


def events_of(data: list[Any]) -> list[Event]:
    """The events that were dumped."""
    found: list[Event] = []
    for ticks, stored, good in data:
        value = unpacked(stored)
        found.append((ticks, value, good, number_of(value) if good else None))
    return found
