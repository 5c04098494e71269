"""Segments: what one subscription gives, from its begin to its loss.

A segment says in a few numbers what was received for all of its tags. What was
received is delivered up to the earliest event of the tag that is not settled.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final

__all__ = ["Segment"]

_SPARE: Final = 64
"""Settled messages that may be left in the heap, beside as many as are not."""


class Segment:
    """One subscription of one PI channel.

    Attributes:
        id: never given out twice in a ledger.
        start: from when on it gives everything, ticks.
        tags: their numbers.
        settle: how far the watermark is ahead of what has come for certain, ticks.
        watermark: the server's time of the last thing heard, ticks.
        cut: where it ended, once it has.
        unsettled: how many of its messages are not settled.
    """

    __slots__ = (
        "_coarse",
        "_heap",
        "cut",
        "id",
        "settle",
        "start",
        "tags",
        "unsettled",
        "watermark",
    )

    def __init__(self, id: int, start: int, tags: Iterable[int], settle: int) -> None:
        self.id = id
        self.start = start
        self.tags = array("q", tags)
        self.settle = settle
        self.watermark = start
        self.cut: int | None = None
        self.unsettled = 0
        self._coarse: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    @property
    def received(self) -> int:
        """Up to when everything was received, ticks; may be before `start`."""
        return self.watermark - self.settle if self.cut is None else self.cut

    @property
    def reach(self) -> int:
        """The same, less what messages hold back that are not known tag by tag."""
        heap = self._heap
        while heap and self._coarse.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return min(self.received, heap[0][0]) if heap else self.received

    def heard(self, server_time: int) -> None:
        """The watermark never goes back."""
        if server_time > self.watermark:
            self.watermark = server_time

    def hold_all(self, message: int, at: int) -> None:
        """Hold all tags back at `at` until the message is settled."""
        self._coarse[message] = at
        heappush(self._heap, (at, message))

    def release(self, message: int) -> None:
        """One of its messages is settled."""
        self.unsettled -= 1
        self._coarse.pop(message, None)
        if len(self._heap) > 2 * len(self._coarse) + _SPARE:
            self._heap = [(at, message) for message, at in self._coarse.items()]
            heapify(self._heap)

    def split(self, id: int, leaving: frozenset[int]) -> Segment:
        """Give some tags to a segment of their own, with the same history."""
        other = Segment(id, self.start, filter(leaving.__contains__, self.tags), 0)
        other.settle, other.watermark = self.settle, self.watermark
        other.unsettled = self.unsettled
        other._coarse, other._heap = dict(self._coarse), list(self._heap)
        self.tags = array("q", [tag for tag in self.tags if tag not in leaving])
        return other
