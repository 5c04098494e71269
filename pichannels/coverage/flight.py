"""What is in flight: messages that were accepted and are not settled.

For each tag that has any, its *holds*: instants at which what is delivered has to stop
until a message is settled. One is a number, several are a sorted array: 24 bytes each.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator

import msgspec

from pichannels.coverage.segments import Segment

__all__ = ["Flight", "Held"]


class Held(msgspec.Struct):
    """What one message holds back.

    Attributes:
        holds: tag and instant in turn.
        segments: those that it belongs to.
    """

    holds: array[int]
    segments: tuple[Segment, ...]


class Flight:
    """The messages of one ledger that are in flight.

    Attributes:
        messages: by their numbers.
        entries: how many holds there are.
    """

    def __init__(self) -> None:
        self.messages: dict[int, Held] = {}
        self.entries = 0
        self._holds: dict[int, int | array[int]] = {}

    def add(
        self, message: int, holds: array[int], segments: Collection[Segment]
    ) -> None:
        """A message is in flight now."""
        self.messages[message] = Held(holds, tuple(segments))
        self.entries += len(holds) // 2
        known = self._holds
        for tag, at in _pairs(holds):
            of = known.get(tag)
            if of is None:
                known[tag] = at
            elif isinstance(of, int):
                known[tag] = array("q", (of, at) if of <= at else (at, of))
            elif of[-1] <= at:
                of.append(at)
            else:
                insort(of, at)
        for segment in segments:
            segment.unsettled += 1

    def remove(self, message: int) -> tuple[Segment, ...]:
        """It is not in flight any more; the segments that it belonged to."""
        held = self.messages.pop(message, None)
        if held is None:
            return ()
        self.entries -= len(held.holds) // 2
        known = self._holds
        for tag, at in _pairs(held.holds):
            of = known[tag]
            if isinstance(of, int) or len(of) == 1:
                del known[tag]
            else:
                del of[bisect_left(of, at)]
        for segment in held.segments:
            segment.release(message)
        return held.segments

    @property
    def tags(self) -> Iterable[int]:
        """The tags that are held back, each by itself."""
        return self._holds.keys()

    def earliest(self, tag: int, start: int, end: int) -> int:
        """The first hold of the tag in the range, or the end of the range."""
        holds = self._holds.get(tag)
        if holds is None:
            return end
        if isinstance(holds, int):
            return min(end, holds) if start <= holds else end
        index = bisect_left(holds, start)
        return min(end, holds[index]) if index < len(holds) else end

    def adopt(self, parent: Segment, child: Segment) -> None:
        """The messages of one segment belong to another one, too."""
        for held in self.messages.values():
            if parent in held.segments:
                held.segments = (*held.segments, child)


def _pairs(flat: array[int]) -> Iterator[tuple[int, int]]:
    values = iter(flat)
    return zip(values, values, strict=True)
