"""Runs of sequence numbers with their size, so that retention needs no scan."""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.journal.statements import Selection
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Mark", "Segment", "Segments"]

_HOUR: Final = 3600 * TICKS_PER_SECOND


class Segment:
    """A run of numbers, `first` to `last`; `closed` is 0 for the newest one."""

    __slots__ = ("bytes", "closed", "first", "last", "messages", "opened")

    def __init__(
        self,
        first: int,
        last: int,
        messages: int,
        bytes: int,
        opened: int,
        closed: int = 0,
    ) -> None:
        self.first = first
        self.last = last
        self.messages = messages
        self.bytes = bytes
        self.opened = opened
        self.closed = closed


class Mark(NamedTuple):
    """Where the segments stood before a transaction."""

    segments: int
    last: int
    messages: int
    bytes: int
    used: int


class Segments:
    """All segments of a journal, oldest first, as the writer knows them.

    Closed ones are rows of the file. The open one is counted anew after a crash,
    which reads no more than one segment.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._all: list[Segment] = []
        self._given = 0
        self.used = 0

    def load(self, conn: sqlite3.Connection) -> int:
        """Read what the file has; the highest number it ever gave out."""
        rows = conn.execute(
            "SELECT first, last, messages, bytes, opened, closed FROM segment"
            " ORDER BY first"
        )
        self._all = [Segment(*row) for row in rows.fetchall()]
        after = self._all[-1].last if self._all else 0
        first, last, messages, size, opened = conn.execute(
            "SELECT min(seq), max(seq), count(*), coalesce(sum(size), 0), min(ticks)"
            " FROM message WHERE seq > ?",
            (after,),
        ).fetchone()
        if messages:
            opened = min(opened, clock.now())
            self._all.append(Segment(first, last, messages, size, opened))
        self.used = sum(segment.bytes for segment in self._all)
        given = conn.execute(
            "SELECT coalesce(max(value), 0) FROM setting WHERE name = 'last_seq'"
        ).fetchone()
        self._given = max(after, last or 0, given[0])
        return self._given

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._all)

    @property
    def open(self) -> Segment | None:
        """The one that grows, if there is any."""
        if self._all and not self._all[-1].closed:
            return self._all[-1]
        return None

    def extend(self, first: int, last: int, messages: int, size: int) -> None:
        """Take up messages that were committed."""
        segment = self.open
        if segment is None:
            segment = Segment(first, last, 0, 0, clock.now())
            self._all.append(segment)
        segment.last = self._given = last
        segment.messages += messages
        segment.bytes += size
        self.used += size

    def is_due(self) -> bool:
        """Whether the open segment is big or old enough to be closed."""
        segment = self.open
        return segment is not None and (
            segment.bytes >= self._limit or clock.now() - segment.opened >= _HOUR
        )

    @property
    def is_large(self) -> bool:
        """Whether the open segment is worth closing before it is due."""
        return self.open is not None and self.open.bytes * 4 >= self._limit

    def write_closed(self, conn: sqlite3.Connection, now: int) -> None:
        """Put the open segment into the file as closed at `now`."""
        segment = self.open
        assert segment is not None
        conn.execute(
            "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)",
            (
                segment.first,
                segment.last,
                segment.messages,
                segment.bytes,
                segment.opened,
                now,
            ),
        )

    def close(self, now: int) -> None:
        """Take up that the open segment was closed."""
        segment = self.open
        assert segment is not None
        segment.closed = now

    def mark(self) -> Mark:
        """What `restore` needs to take back what happens from here on."""
        last = self._all[-1] if self._all else None
        kept = (last.last, last.messages, last.bytes) if last else (0, 0, 0)
        return Mark(len(self._all), *kept, self.used)

    def restore(self, mark: Mark) -> None:
        """Take back all that was taken up since the mark."""
        del self._all[mark.segments :]
        if self._all:
            last = self._all[-1]
            last.last, last.messages, last.bytes = mark[1:4]
        self.used = mark.used

    def measure(
        self, conn: sqlite3.Connection, which: Selection
    ) -> list[tuple[Segment, int, int]]:
        """How many messages and bytes of each segment a selection has."""
        first, last = conn.execute(
            f"SELECT min(seq), max(seq) FROM message WHERE {which.sql}", which.params
        ).fetchone()
        if first is None:
            return []
        found = []
        for segment in self._between(first, last):
            count, size = conn.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM message"
                f" WHERE {which.sql} AND seq BETWEEN ? AND ?",
                (*which.params, segment.first, segment.last),
            ).fetchone()
            if count:
                found.append((segment, count, size))
        return found

    def write_shrunk(
        self, conn: sqlite3.Connection, parts: list[tuple[Segment, int, int]]
    ) -> None:
        """Put into the file that messages are deleted in this transaction."""
        for segment, count, size in parts:
            conn.execute(
                "UPDATE segment SET messages = messages - ?, bytes = bytes - ?"
                " WHERE first = ?",
                (count, size, segment.first),
            )
        # The highest numbers may be among them, and none is given out twice.
        self.write_last(conn)

    def write_last(self, conn: sqlite3.Connection) -> None:
        """Put the highest number that was given out into the file."""
        conn.execute(
            "INSERT OR REPLACE INTO setting VALUES ('last_seq', ?)",
            (self._given,),
        )

    def shrink(self, parts: list[tuple[Segment, int, int]]) -> None:
        """Take up deletions that were committed."""
        for segment, count, size in parts:
            segment.messages -= count
            segment.bytes -= size
            self.used -= size

    def forget(self, segment: Segment) -> None:
        """Take up that the row of an empty segment is gone."""
        self._all.remove(segment)

    def _between(self, first: int, last: int) -> list[Segment]:
        at = bisect.bisect_right(self._all, first, key=lambda s: s.first) - 1
        return [s for s in self._all[max(at, 0) :] if s.first <= last]
