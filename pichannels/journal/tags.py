"""The tag index: in which run of messages of a minute a tag is named.

It has one row for each tag and minute, never one for each value. What belongs to
the present minute is gathered in memory; after a crash it is made again from
the manifests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from pichannels import clock
from pichannels.errors import CodecError
from pichannels.journal.statements import insert_rows
from pichannels.manifest import decode_manifest
from pichannels.values import TICKS_PER_SECOND

__all__ = ["MINUTE", "TagIndex"]

MINUTE: Final = 60 * TICKS_PER_SECOND
_GATHERED: Final = 20_000
_REBUILT: Final = 1_000
_PRUNED: Final = 200


class TagIndex:
    """Gathers manifests in the writer's thread and writes them now and then."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], list[int]] = {}
        # Read when they are needed: who only looks into the journal needs none.
        self._known: dict[str, int] | None = None
        self._since = 0
        self._through = 0

    def load(self, conn: sqlite3.Connection) -> None:
        """Gather what a crash left unwritten."""
        self._known = None
        (self._through,) = conn.execute(
            "SELECT coalesce(max(value), 0) FROM setting WHERE name = 'tags_through'"
        ).fetchone()
        while rows := self._unindexed(conn):
            self.gather(rows, rows[-1][0])
            if self.is_due():
                self.write(conn)

    def _unindexed(self, conn: sqlite3.Connection) -> list[tuple[int, int, bytes]]:
        return conn.execute(
            "SELECT seq, ticks, manifest FROM message JOIN body USING (seq)"
            " WHERE seq > ? AND manifest IS NOT NULL ORDER BY seq LIMIT ?",
            (self._through, _REBUILT),
        ).fetchall()

    def gather(self, manifests: Iterable[tuple[int, int, bytes]], through: int) -> None:
        """Take up (seq, ticks, manifest) of messages committed through a number."""
        self._since = self._since or clock.now()
        for seq, ticks, data in manifests:
            minute = ticks // MINUTE
            for tag in _tags(data):
                run = self._runs.setdefault((tag, minute), [seq, seq])
                run[1] = seq
        self._through = through

    def is_due(self) -> bool:
        """Whether a minute is over, or there is much to write."""
        if not self._since:
            return False
        is_over = clock.now() // MINUTE > self._since // MINUTE
        return is_over or len(self._runs) >= _GATHERED

    def write(self, conn: sqlite3.Connection) -> None:
        """Put what was gathered into the file, in one transaction."""
        if not self._since:
            return
        runs, self._runs = self._runs, {}
        try:
            if self._known is None:
                self._known = dict(conn.execute("SELECT key, id FROM tag").fetchall())
            known = self._known
            conn.execute("BEGIN IMMEDIATE")
            new = self._write_tags(conn, {tag for tag, _ in runs}, known)
            self._write_runs(conn, runs, {**known, **new} if new else known)
            conn.execute(
                "INSERT OR REPLACE INTO setting VALUES ('tags_through', ?)",
                (self._through,),
            )
            conn.execute("COMMIT")
        except sqlite3.Error:
            self._runs = runs
            raise
        known.update(new)
        self._since = 0

    def _write_tags(
        self, conn: sqlite3.Connection, tags: set[str], known: dict[str, int]
    ) -> dict[str, int]:
        new = sorted(tag for tag in tags if tag not in known)
        ids = {tag: len(known) + n for n, tag in enumerate(new, 1)}
        values: list[Any] = []
        for tag, id_ in ids.items():
            values += (id_, tag)
        insert_rows(conn, "INSERT INTO tag VALUES ", "(?, ?)", values)
        return ids

    def _write_runs(
        self,
        conn: sqlite3.Connection,
        runs: dict[tuple[str, int], list[int]],
        ids: dict[str, int],
    ) -> None:
        values: list[Any] = []
        for (tag, minute), (first, last) in runs.items():
            values += (ids[tag], minute, first, last)
        insert_rows(
            conn,
            "INSERT INTO tag_minute VALUES ",
            "(?, ?, ?, ?)",
            values,
            " ON CONFLICT (tag, minute) DO UPDATE"
            " SET first = min(first, excluded.first),"
            " last = max(last, excluded.last)",
        )

    def prune(
        self, conn: sqlite3.Connection, before: int, minute: int, after: int
    ) -> int:
        """Delete runs that ended before number `before` and before `minute`.

        Does this for a few tags after the tag id `after`; the id of the last of
        them, or 0 when it was through.
        """
        (upto,) = conn.execute(
            "SELECT max(id) FROM (SELECT id FROM tag WHERE id > ? LIMIT ?)",
            (after, _PRUNED),
        ).fetchone()
        if upto is None:
            return 0
        conn.execute(
            "DELETE FROM tag_minute WHERE minute < ? AND last < ?"
            " AND tag IN (SELECT id FROM tag WHERE id > ? AND id <= ?)",
            (minute, before, after, upto),
        )
        return int(upto)


def _tags(data: bytes) -> list[str]:
    try:
        return [entry.key for entry in decode_manifest(data)]
    except CodecError:
        # A manifest that cannot be read costs its own entry in the index.
        return []
