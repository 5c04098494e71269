"""Windows that the values themselves make: sliding ones, and sessions."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

from pichannels.windows.bucket import Bucket, packed
from pichannels.windows.keyed import (
    Event,
    Ordered,
    Result,
    Rules,
    events_of,
    packed_events,
)
from pichannels.windows.shapes import Session, Sliding

__all__ = ["SessionState", "SlidingState"]


class SlidingState(Ordered):
    """For each value the window up to it; all of its values are kept and added up."""

    __slots__ = ("_events", "_size")

    def __init__(self, rules: Rules, shape: Sliding) -> None:
        super().__init__(rules)
        self._size = shape.size
        # Those of the window, and the last one before it.
        self._events: deque[Event] = deque()

    def _feed(self, event: Event, out: list[Result]) -> None:
        events, end = self._events, event[0]
        start = end - self._size
        events.append(event)
        while len(events) > 1 and events[1][0] <= start:
            events.popleft()
        bucket = self._rules.aggregates.bucket(start, end)
        for ticks, value, good, number in events:
            if ticks > start:
                bucket.add(ticks, value, good, number)
        if bucket.weighed is not None:
            self._weigh(bucket)
        self._tell(bucket, out)

    def _weigh(self, bucket: Bucket) -> None:
        for (start, _, _, first), (end, _, _, last) in pairwise(self._events):
            if first is not None:
                _line(bucket, first, start, first if self.step else last, end)

    def dump(self) -> list[Any]:
        return [*super().dump(), packed_events(self._events)]

    def load(self, data: list[Any]) -> list[Any]:
        events, *rest = super().load(data)
        self._events = deque(events_of(events))
        return rest


def _line(
    bucket: Bucket, first: float, start: int, last: float | None, end: int
) -> None:
    """Weigh what of a stretch is in the window."""
    assert bucket.weighed is not None
    if last is None:
        last = first
    low = max(start, bucket.start)
    if low < end:
        begin = first + (last - first) / (end - start) * (low - start)
        bucket.weighed.line(begin if low > start else first, low, last, end)


class SessionState(Ordered):
    """Values that follow each other closely."""

    __slots__ = ("_before", "_bucket", "_gap", "_longest")

    def __init__(self, rules: Rules, shape: Session) -> None:
        super().__init__(rules)
        self._gap, self._longest = shape.gap, shape.longest
        self._bucket: Bucket | None = None
        self._before: float | None = None

    @property
    def is_open(self) -> bool:
        return self._bucket is not None or super().is_open

    def _feed(self, event: Event, out: list[Result]) -> None:
        ticks, value, good, number = event
        bucket = self._bucket
        if bucket is not None and self._is_over(bucket, ticks):
            self._tell(bucket, out)
            bucket = None
        if bucket is None:
            bucket = self._bucket = self._rules.aggregates.bucket(ticks, ticks)
        elif bucket.weighed is not None and self._before is not None:
            last = self._before if self.step else number
            _line(bucket, self._before, bucket.end, last, ticks)
        bucket.end = ticks
        bucket.add(ticks, value, good, number)
        self._before = number

    def _is_over(self, bucket: Bucket, ticks: int) -> bool:
        """Whether a value of this time is not in the session any more."""
        if ticks - bucket.end >= self._gap:
            return True
        return self._longest is not None and ticks - bucket.start >= self._longest

    def has_open(self, start: int) -> bool:
        return self._bucket is not None and self._bucket.start == start

    def finish(self, out: list[Result]) -> None:
        super().finish(out)
        if self._bucket is not None:
            self.advance(self._bucket.end + self._gap, out)

    def _close(self, out: list[Result], is_forced: bool) -> None:
        bucket = self._bucket
        if bucket is not None and self._is_over(bucket, self.mark):
            self._bucket = None
            self._tell(bucket, out)

    def dump(self) -> list[Any]:
        bucket = self._bucket and self._bucket.dump()
        return [*super().dump(), bucket, packed(self._before)]

    def load(self, data: list[Any]) -> list[Any]:
        bucket, before, *rest = super().load(data)
        self._bucket = None if bucket is None else Bucket.load(bucket)
        self._before = before
        return rest
