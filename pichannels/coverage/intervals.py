"""Sets of instants as disjoint intervals, compact enough for each of many tags.

A set is one flat array of bounds, start and end in turn: 8 bytes a bound and no
object for an interval. Sets do not change, so tags with the same set can share it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from pichannels.errors import CodecError

__all__ = ["EMPTY", "Interval", "IntervalSet"]

Interval = tuple[int, int]
"""Start and end, in ticks; the end is not in it."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[int])


class IntervalSet:
    """Disjoint intervals in order; ones that touch are one.

    Args:
        intervals: in any order, overlapping or not; empty ones count for nothing.
    """

    __slots__ = ("_bounds",)

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        bounds = array("q")
        for start, end in sorted(intervals):
            if start >= end:
                continue
            if bounds and start <= bounds[-1]:
                bounds[-1] = max(bounds[-1], end)
            else:
                bounds.extend((start, end))
        self._bounds = bounds

    @classmethod
    def _of(cls, bounds: array[int]) -> IntervalSet:
        made = cls.__new__(cls)
        made._bounds = bounds
        return made

    def __iter__(self) -> Iterator[Interval]:
        bounds = iter(self._bounds)
        return zip(bounds, bounds, strict=True)

    def __len__(self) -> int:
        """How many intervals."""
        return len(self._bounds) // 2

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self._bounds == other._bounds

    def __hash__(self) -> int:
        return hash(self._bounds.tobytes())

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)!r})"

    # Asking

    @property
    def first(self) -> int | None:
        """The earliest instant; None of the empty set."""
        return self._bounds[0] if self._bounds else None

    @property
    def last(self) -> int | None:
        """The end of the last interval; None of the empty set."""
        return self._bounds[-1] if self._bounds else None

    @property
    def total(self) -> int:
        """How many ticks are in it."""
        return sum(self._bounds[1::2]) - sum(self._bounds[::2])

    def contains(self, instant: int) -> bool:
        """Whether the instant is in it."""
        return bisect_right(self._bounds, instant) % 2 == 1

    def covers(self, start: int, end: int) -> bool:
        """Whether all of the range is in it; an empty range is in any set."""
        if start >= end:
            return True
        index = bisect_right(self._bounds, start)
        return index % 2 == 1 and self._bounds[index] >= end

    def gaps(self, start: int, end: int) -> IntervalSet:
        """What of the range is not in it."""
        bounds = self._bounds
        if start >= end:
            return EMPTY
        low, high = bisect_right(bounds, start), bisect_left(bounds, end)
        cut = bounds[low:high]
        if low % 2 == 0:
            cut.insert(0, start)
        if high % 2 == 0:
            cut.append(end)
        return IntervalSet._of(cut)

    def within(self, start: int, end: int) -> IntervalSet:
        """What of it is in the range."""
        bounds = self._bounds
        if start >= end or not bounds:
            return EMPTY
        if start <= bounds[0] and bounds[-1] <= end:
            return self
        low, high = bisect_right(bounds, start), bisect_left(bounds, end)
        cut = bounds[low:high]
        if low % 2:
            cut.insert(0, start)
        if high % 2:
            cut.append(end)
        return IntervalSet._of(cut)

    # Making others

    def add(self, start: int, end: int) -> IntervalSet:
        """The set with all of the range."""
        if self.covers(start, end):
            return self
        bounds = self._bounds
        low, high = bisect_left(bounds, start), bisect_right(bounds, end)
        return self._with(low, high, start, end, 0)

    def remove(self, start: int, end: int) -> IntervalSet:
        """The set with nothing of the range."""
        if start >= end or not self._bounds:
            return self
        low, high = bisect_left(self._bounds, start), bisect_right(self._bounds, end)
        if low == high and low % 2 == 0:
            return self
        return self._with(low, high, start, end, 1)

    def _with(
        self, low: int, high: int, start: int, end: int, parity: int
    ) -> IntervalSet:
        """The bounds between `low` and `high` give way to those that still count."""
        bounds = self._bounds[:low]
        if low % 2 == parity:
            bounds.append(start)
        if high % 2 == parity:
            bounds.append(end)
        bounds.extend(self._bounds[high:])
        return IntervalSet._of(bounds)

    def union(self, other: IntervalSet) -> IntervalSet:
        """What is in one of them."""
        ours, theirs = self._bounds, other._bounds
        # With one interval bisection does, which is far faster than to walk along.
        if len(theirs) <= 2:
            return self.add(*theirs) if theirs else self
        if len(ours) <= 2:
            return other.add(*ours) if ours else other
        return self._combined(other, lambda ours, theirs: ours or theirs)

    def intersection(self, other: IntervalSet) -> IntervalSet:
        """What is in both."""
        return self._combined(other, lambda ours, theirs: ours and theirs)

    def difference(self, other: IntervalSet) -> IntervalSet:
        """What is in this one only."""
        ours, theirs = self._bounds, other._bounds
        if len(theirs) <= 2:
            return self.remove(*theirs) if theirs else self
        if len(ours) <= 2:
            return other.gaps(*ours) if ours else self
        return self._combined(other, lambda ours, theirs: ours and not theirs)

    def _combined(
        self, other: IntervalSet, wanted: Callable[[bool, bool], bool]
    ) -> IntervalSet:
        """Walk along both and keep what is wanted of where one is in them."""
        ours, theirs = self._bounds, other._bounds
        made = array("q")
        i = j = 0
        is_in = False
        while i < len(ours) or j < len(theirs):
            if j == len(theirs) or (i < len(ours) and ours[i] < theirs[j]):
                at = ours[i]
                i += 1
            else:
                at = theirs[j]
                j += 1
                i += i < len(ours) and ours[i] == at
            if wanted(i % 2 == 1, j % 2 == 1) != is_in:
                is_in = not is_in
                made.append(at)
        return IntervalSet._of(made)

    # As bytes

    def steps(self) -> list[int]:
        """The first bound, and how far each one is from the one before."""
        bounds = self._bounds.tolist()
        return bounds[:1] + [b - a for a, b in zip(bounds, bounds[1:], strict=False)]

    @classmethod
    def from_steps(cls, steps: Iterable[Any]) -> IntervalSet:
        """The set that `steps` told of.

        Raises:
            CodecError: these are no such steps.
        """
        bounds: array[int] = array("q")
        try:
            at = 0
            for number, step in enumerate(steps):
                if number and step <= 0:
                    raise ValueError(f"a step of {step}")
                at += step
                bounds.append(at)
            if len(bounds) % 2:
                raise ValueError("a start without an end")
        except (TypeError, ValueError, OverflowError) as exc:
            raise CodecError(f"this is no set of intervals: {exc}") from exc
        return cls._of(bounds)

    def encode(self) -> bytes:
        """MessagePack of `steps`."""
        return _ENCODER.encode(self.steps())

    @classmethod
    def decode(cls, data: bytes) -> IntervalSet:
        """The set that `encode` wrote.

        Raises:
            CodecError: the bytes are no set.
        """
        try:
            return cls.from_steps(_DECODER.decode(data))
        except msgspec.DecodeError as exc:
            raise CodecError(f"this is no set of intervals: {exc}") from exc


EMPTY: Final = IntervalSet()
