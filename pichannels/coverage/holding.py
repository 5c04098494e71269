"""What one message holds back, found out from its manifest.

Most messages are of one PI channel that is open, and newer than what is delivered:
their events are held as they are, and the rest is looked at one by one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf

from pichannels.coverage.flight import Flight
from pichannels.coverage.segments import Segment
from pichannels.manifest import ManifestEntry

__all__ = ["Holding", "edge"]

Row = tuple[Segment, ...]


class Holding:
    """What a message holds back.

    Args:
        flight: the messages before it.
        rows: the segments of each tag.
        is_exact: whether each tag is held by itself, not all of a PI channel.

    Attributes:
        holds: tag and instant in turn.
        reaches: the segments that it belongs to, and how far they reach.
        coarse: those that it holds as a whole, and where.
    """

    def __init__(self, flight: Flight, rows: Sequence[Row], is_exact: bool) -> None:
        self._flight = flight
        self._rows = rows
        self._is_exact = is_exact
        self.holds = array("q")
        self.reaches: dict[Segment, int] = {}
        self.coarse: dict[Segment, int] = {}

    def take(
        self,
        entries: Iterable[ManifestEntry],
        number: Callable[[str], int | None],
        left_out: Collection[int],
    ) -> None:
        """Take its manifest, by the numbers of the tags, without some of them."""
        append, rows = self.holds.append, self._rows
        last: Row = ()
        open_from = inf
        for entry in entries:
            tag = number(entry.key)
            if tag is None or tag in left_out:
                continue
            row = rows[tag]
            # Most tags of a message share one row.
            if row is not last:
                last, open_from = row, self._open_from(row)
            if entry.first >= open_from:
                append(tag)
                append(entry.first)
            else:
                for segment in row:
                    self._hold(segment, tag, entry)

    def _open_from(self, row: Row) -> float:
        """From when on events of tags with these segments are held as they are."""
        for segment in row:
            if segment not in self.reaches:
                self.reaches[segment] = segment.reach
        if self._is_exact and len(row) == 1 and row[0].cut is None:
            return max(row[0].start, self.reaches[row[0]])
        return inf

    def _hold(self, segment: Segment, tag: int, entry: ManifestEntry) -> None:
        reach, at = self.reaches[segment], entry.first
        if at < reach or at < segment.start:
            at = max(at, edge(self._flight, segment, tag, reach))
        if at > entry.last or (segment.cut is not None and at >= segment.cut):
            return
        if self._is_exact or segment.cut is not None or at < reach:
            self.holds.append(tag)
            self.holds.append(at)
        else:
            self.coarse[segment] = min(at, self.coarse.get(segment, at))


def edge(flight: Flight, segment: Segment, tag: int, reach: int) -> int:
    """Up to when a segment that reaches so far is delivered for a tag."""
    if reach <= segment.start:
        return segment.start
    return flight.earliest(tag, segment.start, reach)
