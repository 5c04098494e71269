"""What is deleted, and when: the oldest settled messages, in small steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from math import inf
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.journal.segments import Segment, Segments
from pichannels.journal.statements import FIRST_FINAL, Selection, delete_messages
from pichannels.journal.tags import MINUTE, TagIndex
from pichannels.values import TICKS_PER_SECOND

__all__ = ["CHUNK", "Policy", "Retention"]

CHUNK: Final = 512
_LOOK_AGAIN: Final = 60 * TICKS_PER_SECOND
_LOOK_SOON: Final = TICKS_PER_SECOND // 4


class Policy(NamedTuple):
    """How long settled messages are kept.

    Attributes:
        age: seconds that they are kept.
        bytes: what all messages together may take; the oldest settled ones go.
        ages: code of a state -> seconds that messages in it are kept, whatever the
            bytes; infinite for ever.
    """

    age: float
    bytes: int
    ages: Mapping[int, float]


class Retention:
    """Deletes in the writer's thread, a few hundred messages at a time.

    Unsettled messages are never deleted, and those in a state with an age of its own
    (dead letters) only when they are older than that.

    Attributes:
        settlements: how many were made; counted by the writer.
    """

    def __init__(self, policy: Policy, segments: Segments, tags: TagIndex) -> None:
        self._policy = policy
        self._youngest = min((policy.age, *policy.ages.values()))
        self._segments = segments
        self._tags = tags
        self._current: Segment | None = None
        self._next = 0
        self._tag = 0
        # What could not be deleted yet is looked at again, but not all the time:
        # when it was, and how many settlements had been made then.
        self._looked: dict[int, tuple[int, int]] = {}
        self.settlements = 0

    @property
    def is_over(self) -> bool:
        """Whether messages take more than the policy allows."""
        return self._segments.used > self._policy.bytes

    def is_due(self) -> bool:
        """Whether there may be something to delete."""
        return self._choose() is not None

    def step(self, conn: sqlite3.Connection) -> bool:
        """Delete some messages in one transaction; whether there may be more."""
        segment = self._choose()
        if segment is None:
            return False
        if not segment.closed:
            self._close(conn)
        if segment is not self._current:
            self._current, self._next, self._tag = segment, segment.first, 0
        chunk = self._chunk(conn, segment)
        if chunk is None:
            self._finish(conn, segment)
        else:
            self._delete(conn, chunk)
        return True

    def close_segment(self, conn: sqlite3.Connection) -> None:
        """Close the open segment when it is due."""
        if self._segments.is_due():
            self._close(conn)

    def _close(self, conn: sqlite3.Connection) -> None:
        now = clock.now()
        self._segments.write_closed(conn, now)
        self._segments.close(now)

    def _choose(self) -> Segment | None:
        now = clock.now()
        for segment in self._segments:
            if self._was_just_looked_at(segment, now):
                continue
            if segment.closed:
                is_due = self.is_over or self._is_older(segment, self._youngest)
            else:
                is_due = self.is_over and self._segments.is_large
            return segment if is_due else None
        return None

    def _is_older(self, segment: Segment, seconds: float) -> bool:
        age = clock.now() - segment.closed
        return bool(segment.closed) and age > seconds * TICKS_PER_SECOND

    def _was_just_looked_at(self, segment: Segment, now: int) -> bool:
        looked, settlements = self._looked.get(segment.first, (None, 0))
        if looked is None:
            return False
        is_urgent = self.is_over and self.settlements > settlements
        return now - looked < (_LOOK_SOON if is_urgent else _LOOK_AGAIN)

    def _chunk(self, conn: sqlite3.Connection, segment: Segment) -> Selection | None:
        is_old = self._is_older(segment, self._policy.age)
        which = self._due(segment, is_old or self.is_over)
        rows = conn.execute(
            "SELECT seq, size FROM message"
            f" WHERE {which.sql} ORDER BY seq LIMIT {CHUNK}",
            which.params,
        ).fetchall()
        if not rows:
            return None
        is_enough = self.is_over and not is_old
        last = self._enough(rows) if is_enough else rows[-1][0]
        self._next = last + 1
        return Selection(
            f"seq IN (SELECT seq FROM message WHERE {which.sql})",
            (rows[0][0], last, *which.params[2:]),
        )

    def _due(self, segment: Segment, with_usual: bool) -> Selection:
        """What may go: those of usual states, and those past their own age."""
        ages = self._policy.ages
        rules, limits = ["0"], []
        if with_usual:
            rules.append(f"state NOT IN ({', '.join(map(str, ages))})")
        for code, age in ages.items():
            if age < inf:
                rules.append(f"state = {code} AND ticks < ?")
                limits.append(clock.now() - int(age * TICKS_PER_SECOND))
        return Selection(
            f"seq BETWEEN ? AND ? AND state >= {FIRST_FINAL}"
            f" AND ({' OR '.join(rules)})",
            (self._next, segment.last, *limits),
        )

    def _enough(self, rows: list[tuple[int, int]]) -> int:
        """The number up to which messages have to go to be within the bytes."""
        excess = self._segments.used - self._policy.bytes
        for seq, size in rows:
            excess -= size
            if excess <= 0:
                return seq
        return rows[-1][0]

    def _delete(self, conn: sqlite3.Connection, which: Selection) -> None:
        conn.execute("BEGIN IMMEDIATE")
        parts = self._segments.measure(conn, which)
        self._segments.write_shrunk(conn, parts)
        delete_messages(conn, which)
        conn.execute("COMMIT")
        self._segments.shrink(parts)

    def _finish(self, conn: sqlite3.Connection, segment: Segment) -> None:
        if segment.messages:
            self._current = None
            self._looked[segment.first] = (clock.now(), self.settlements)
            return
        conn.execute("BEGIN IMMEDIATE")
        # A message may have been made a minute before it was stored.
        minute = segment.closed // MINUTE + 1
        self._tag = self._tags.prune(conn, segment.last + 1, minute, self._tag)
        if not self._tag:
            conn.execute("DELETE FROM segment WHERE first = ?", (segment.first,))
        conn.execute("COMMIT")
        if not self._tag:
            self._current = None
            self._looked.pop(segment.first, None)
            self._segments.forget(segment)
