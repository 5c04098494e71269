"""Tumbling and hopping windows whose values may come in any order."""

from __future__ import annotations

from typing import Any

from pichannels.windows.bucket import MOST, Bucket, is_good
from pichannels.windows.keyed import FAR, KeyState, Result, Rules
from pichannels.windows.shapes import Hopping

__all__ = ["FixedState"]


class FixedState(KeyState):
    """Windows on a grid. A value counts as long as one around it is open."""

    __slots__ = (
        "_changed",
        "_current",
        "_every",
        "_is_tumbling",
        "_kept",
        "_lateness",
        "_next_end",
        "_offset",
        "_open",
        "_size",
    )

    def __init__(self, rules: Rules, shape: Hopping) -> None:
        super().__init__(rules)
        self._size, self._every = shape.size, shape.every
        self._offset = shape.offset
        self._is_tumbling = self._size == self._every
        self._lateness = rules.lateness
        self._open: dict[int, Bucket] = {}
        self._kept: dict[int, Bucket] = {}
        self._changed: set[int] = set()
        self._next_end = FAR
        # The window of the value before, which is that of most values.
        self._current: Bucket | None = None

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def add(self, ticks: int, value: Any, good: bool, out: list[Result]) -> bool:
        kind, bucket = type(value), self._current
        if good and (kind is float or kind is int) and -MOST < value < MOST:
            if bucket is not None and bucket.start <= ticks < bucket.end:
                bucket.add_number(ticks, value)
            elif not self._add_to_others(ticks, value, True, value):
                return False
        elif not self._add_to_others(ticks, value, good and is_good(value), None):
            return False
        mark = ticks - self._lateness
        if mark > self.mark:
            self.mark = mark
            if mark >= self._next_end:
                self._close(out)
        return True

    def _add_to_others(
        self, ticks: int, value: Any, good: bool, number: float | None
    ) -> bool:
        every, is_late = self._every, True
        last = (ticks - self._offset) // every * every + self._offset
        first = last - (self._size - 1 - (ticks - last)) // every * every
        for start in range(first, last + 1, every):
            bucket = self._bucket(start)
            if bucket is not None:
                is_late = False
                bucket.add(ticks, value, good, number)
        return not is_late

    def _bucket(self, start: int) -> Bucket | None:
        """The window that begins there; None where it is closed for good."""
        end = start + self._size
        if end > self.mark:
            bucket = self._open.get(start)
            if bucket is None:
                bucket = self._rules.aggregates.bucket(start, end)
                self._open[start] = bucket
                self._next_end = min(self._next_end, end)
            if self._is_tumbling:
                self._current = bucket
            return bucket
        if end + self._rules.keep <= self.mark:
            return None
        bucket = self._kept.get(start)
        if bucket is None:
            bucket = self._rules.aggregates.bucket(start, end)
            self._kept[start] = bucket
        self._changed.add(start)
        return bucket

    def revise(self, out: list[Result]) -> None:
        for start in sorted(self._changed):
            if start in self._kept:
                self._tell(self._kept[start], out)
        self._changed.clear()

    def advance(self, mark: int, out: list[Result]) -> None:
        if mark > self.mark:
            self.mark = mark
            if mark >= self._next_end:
                self._close(out)

    def finish(self, out: list[Result]) -> None:
        self.revise(out)
        if self._open:
            self.advance(max(bucket.end for bucket in self._open.values()), out)

    def _close(self, out: list[Result]) -> None:
        mark, keep = self.mark, self._rules.keep
        # What is kept no longer has to be told before.
        self.revise(out)
        for start in sorted(self._open):
            bucket = self._open[start]
            if bucket.end > mark:
                break
            del self._open[start]
            self._tell(bucket, out)
            if bucket.end + keep > mark:
                self._kept[start] = bucket
        if self._kept:
            self._kept = {s: b for s, b in self._kept.items() if b.end + keep > mark}
        self._next_end = min((b.end for b in self._open.values()), default=FAR)
        self._current = None

    def dump(self) -> list[Any]:
        buckets = [bucket.dump() for bucket in self._open.values()]
        kept = [bucket.dump() for bucket in self._kept.values()]
        return [*super().dump(), buckets, kept, sorted(self._changed)]

    def load(self, data: list[Any]) -> list[Any]:
        buckets, kept, changed, *rest = super().load(data)
        self._open = {bucket[0]: Bucket.load(bucket) for bucket in buckets}
        self._kept = {bucket[0]: Bucket.load(bucket) for bucket in kept}
        self._changed = set(changed)
        self._next_end = min((b.end for b in self._open.values()), default=FAR)
        return rest
