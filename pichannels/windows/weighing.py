"""Tumbling and hopping windows in which values are weighed by time, as PI does.

A value counts from its time on: as it is until the next one (*step*), or on the line to
the next one (*interpolated*). A bad value, a system state or a text ends the one before
and counts for nothing, until the next number. The line to it is not drawn: the number
before holds up to there. So a window has good time and other, and may have good time
without a value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pichannels.windows.bucket import Bucket, packed, unpacked
from pichannels.windows.keyed import BEFORE, FAR, Event, Ordered, Result, Rules
from pichannels.windows.shapes import Hopping

__all__ = ["MOST_EMPTY", "WeighedState"]

MOST_EMPTY: Final = 1000
"""Of the windows between a value and the next one, so many are told, the newest."""


class WeighedState(Ordered):
    """Windows on a grid, weighed by time.

    An interpolated window is closed when the first value behind it is known; or when
    time is told to have passed, and then the last value holds.
    """

    __slots__ = (
        "_before",
        "_covered",
        "_current",
        "_every",
        "_most_empty",
        "_next_end",
        "_offset",
        "_open",
        "_size",
    )

    def __init__(self, rules: Rules, shape: Hopping) -> None:
        super().__init__(rules)
        self._size, self._every = shape.size, shape.every
        self._offset = shape.offset
        self._open: dict[int, Bucket] = {}
        self._before: tuple[int, float | None] | None = None
        self._next_end = FAR
        # The window of the value before, where that is in one only.
        self._current: Bucket | None = None
        # Up to when time has been weighed.
        self._covered = BEFORE
        self._most_empty = MOST_EMPTY

    @property
    def is_open(self) -> bool:
        holds = self._before is not None and self._before[1] is not None
        return holds or bool(self._open) or super().is_open

    def _feed(self, event: Event, out: list[Result]) -> None:
        ticks, value, good, number = event
        bucket, before = self._current, self._before
        self._before = ticks, number
        if bucket is not None and before is not None and ticks < bucket.end:
            start, first = before
            if start == self._covered >= bucket.start:
                # All of it is within the window of the value before.
                if first is not None and ticks > start:
                    last = first if self.step or number is None else number
                    bucket.weighed.line(first, start, last, ticks)  # type: ignore[union-attr]
                self._covered = ticks
                bucket.add(ticks, value, good, number)
                return
        self._stretch(before, ticks, number, ticks)
        self._covered = max(self._covered, ticks)
        for start in self._starts(ticks, ticks + 1):
            bucket = self._bucket(start)
            bucket.add(ticks, value, good, number)
        self._current = bucket if self._size == self._every else None

    def _starts(self, low: int, high: int) -> range:
        """Of the windows that share some time with that from `low` to `high`."""
        every = self._every
        first = (low - self._size - self._offset) // every * every + self._offset
        return range(first + every, high, every)

    def _bucket(self, start: int) -> Bucket:
        bucket = self._open.get(start)
        if bucket is None:
            bucket = self._rules.aggregates.bucket(start, start + self._size)
            self._open[start] = bucket
            self._next_end = min(self._next_end, bucket.end)
        return bucket

    def _stretch(
        self,
        before: tuple[int, float | None] | None,
        end: int,
        last: float | None,
        until: int,
    ) -> None:
        """Weigh the time from a value up to `until`, on the way to that at `end`."""
        if before is None:
            return
        start, first = before
        if first is None:
            return
        goal = first if self.step or last is None else last
        low, high = max(start, self._covered), min(end, until)
        if low >= high:
            return
        rise = (goal - first) / (end - start)
        for window in self._met(low, high):
            bucket = self._bucket(window)
            begin, stop = max(low, window), min(high, bucket.end)
            assert bucket.weighed is not None
            bucket.weighed.line(
                first + rise * (begin - start),
                begin,
                goal if stop == end else first + rise * (stop - start),
                stop,
            )

    def _met(self, low: int, high: int) -> list[int]:
        starts = self._starts(low, high)
        if len(starts) <= self._most_empty:
            return list(starts)
        newest = starts[-self._most_empty :]
        have = (s for s in self._open if s in starts and s < newest[0])
        return [*sorted(have), *newest]

    def _close(self, out: list[Result], is_forced: bool) -> None:
        if self.step:
            self._hold(self.mark)
        elif is_forced:
            ends = self._offset + self._size
            self._hold((self.mark - ends) // self._every * self._every + ends)
        until = min(self.mark, self._covered)
        if until < self._next_end:
            return
        self._current = None
        for start in sorted(self._open):
            bucket = self._open[start]
            if bucket.end > until:
                break
            del self._open[start]
            self._tell(bucket, out)
        self._next_end = min((b.end for b in self._open.values()), default=FAR)

    def _hold(self, until: int) -> None:
        """Weigh the time up to `until`, where no value is to come any more."""
        if self._before is None or until <= self._covered:
            return
        if self._waiting:
            end, _, _, number = self._waiting[0]
            self._stretch(self._before, end, number, until)
        else:
            self._stretch(self._before, until, None, until)
        self._covered = until

    @property
    def has_guessed(self) -> bool:
        before = self._before
        if self.step or before is None or before[1] is None:
            return False
        return self._covered > before[0]

    def has_open(self, start: int) -> bool:
        return start in self._open

    def take_all(
        self,
        events: Iterable[Event],
        forced: int,
        mark: int,
        told: int,
        out: list[Result],
    ) -> None:
        self._most_empty = MOST_EMPTY + told
        super().take_all(events, forced, mark, told, out)
        self._most_empty = MOST_EMPTY

    def finish(self, out: list[Result]) -> None:
        super().finish(out)
        if self._open:
            self.advance(max(bucket.end for bucket in self._open.values()), out)

    def dump(self) -> list[Any]:
        before = self._before and [self._before[0], packed(self._before[1])]
        buckets = [bucket.dump() for bucket in self._open.values()]
        return [*super().dump(), before, self._covered, buckets]

    def load(self, data: list[Any]) -> list[Any]:
        before, self._covered, buckets, *rest = super().load(data)
        self._before = None if before is None else (before[0], unpacked(before[1]))
        self._open = {bucket[0]: Bucket.load(bucket) for bucket in buckets}
        self._next_end = min((b.end for b in self._open.values()), default=FAR)
        return rest
