"""Reading the journal, in threads and through connections that cannot write.

No transaction stays open between two steps of a search, so that a long one does
not keep the write-ahead log from being emptied.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from pichannels.errors import JournalError
from pichannels.journal.records import Record
from pichannels.journal.schema import STATES, connect_reader
from pichannels.journal.statements import FIRST_FINAL
from pichannels.retention import Outline

__all__ = [
    "Reader",
    "read_all_saved",
    "read_counts",
    "read_manifests",
    "read_record",
    "read_records",
    "read_saved",
    "read_total",
    "read_unsettled",
]

T = TypeVar("T")

_THREADS: Final = 2
_PAGE: Final = 500
_COLUMNS: Final = (
    "seq, channel.name, lane, state, ticks, uuid, attempts, data, manifest, meta"
)
_RECORDS: Final = (
    f"SELECT {_COLUMNS} FROM message JOIN channel ON channel.id = message.channel"
    " JOIN body USING (seq) LEFT JOIN outcome USING (seq)"
)


class Reader:
    """Runs functions of a read-only connection in its own few threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(_THREADS, "pichannels-journal-reader")
        self._is_closed = False
        self._connections: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, called in a thread with a connection.

        Raises:
            JournalError: the file cannot be read, or the journal is closed.
        """
        if self._is_closed:
            raise JournalError(f"{self._path} is not open")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._use, work)
        except sqlite3.Error as exc:
            raise JournalError(f"{self._path} could not be read: {exc}") from exc

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            conn = self._connections.get_nowait()
        except queue.Empty:
            conn = connect_reader(self._path)
        try:
            return work(conn)
        finally:
            self._connections.put(conn)

    async def close(self) -> None:
        """Wait for what runs and close the connections."""
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown()
        with contextlib.suppress(queue.Empty):
            while True:
                self._connections.get_nowait().close()


def read_unsettled(
    conn: sqlite3.Connection, channel: str, after: int, limit: int, max_bytes: int
) -> list[Record]:
    """Unsettled messages, oldest first, within `max_bytes` but at least one."""
    rows = conn.execute(
        f"{_RECORDS} WHERE message.channel = (SELECT id FROM channel WHERE name = ?)"
        f" AND state < {FIRST_FINAL} AND seq > ? ORDER BY seq LIMIT ?",
        (channel, after, limit),
    )
    found: list[Record] = []
    size = 0
    for row in rows:
        record = _record(row)
        size += len(record.data)
        if found and size > max_bytes:
            break
        found.append(record)
    rows.close()
    return found


def read_counts(conn: sqlite3.Connection) -> dict[int, int]:
    """How many messages of each channel id are unsettled."""
    return dict(
        conn.execute(
            "SELECT channel, count(*) FROM message INDEXED BY message_open"
            f" WHERE state < {FIRST_FINAL} GROUP BY channel"
        ).fetchall()
    )


def read_record(
    conn: sqlite3.Connection, channel: str | None, seq: int
) -> Record | None:
    """The message with this number, if it is there and of that channel."""
    found = read_records(conn, [seq])
    if found and (channel is None or found[0].channel == channel):
        return found[0]
    return None


def read_records(conn: sqlite3.Connection, seqs: Sequence[int]) -> list[Record]:
    """The messages with these numbers that are there, in the order given."""
    found: dict[int, Record] = {}
    for at in range(0, len(seqs), _PAGE):
        part = seqs[at : at + _PAGE]
        marks = ", ".join("?" * len(part))
        for row in conn.execute(f"{_RECORDS} WHERE seq IN ({marks})", part).fetchall():
            found[row[0]] = _record(row)
    return [found[seq] for seq in seqs if seq in found]


def read_total(conn: sqlite3.Connection, channel: str) -> int:
    """How many messages of a channel are stored."""
    (count,) = conn.execute(
        "SELECT count(*) FROM message WHERE channel ="
        " (SELECT id FROM channel WHERE name = ?)",
        (channel,),
    ).fetchone()
    return int(count)


def read_outlines(conn: sqlite3.Connection, channel: str) -> list[Outline[int]]:
    """Number, time, state and size of the messages of a channel."""
    rows = conn.execute(
        "SELECT seq, ticks, state, size FROM message WHERE channel ="
        " (SELECT id FROM channel WHERE name = ?)",
        (channel,),
    )
    return [Outline(seq, ticks, STATES[code], size) for seq, ticks, code, size in rows]


def read_saved(conn: sqlite3.Connection, namespace: str, key: str) -> bytes | None:
    """What was saved under this key."""
    row = conn.execute(
        "SELECT value FROM saved WHERE namespace = ? AND key = ?", (namespace, key)
    ).fetchone()
    return None if row is None else bytes(row[0])


def read_all_saved(conn: sqlite3.Connection, namespace: str) -> dict[str, bytes]:
    """All that was saved in a namespace, by key."""
    rows = conn.execute(
        "SELECT key, value FROM saved WHERE namespace = ?", (namespace,)
    )
    return {key: bytes(value) for key, value in rows.fetchall()}


def read_manifests(
    conn: sqlite3.Connection, channel: str
) -> list[tuple[int, str, bytes | None]]:
    """Number, lane and manifest of the unsettled messages, oldest first."""
    return conn.execute(
        "SELECT seq, lane, manifest FROM message JOIN body USING (seq)"
        " WHERE message.channel = (SELECT id FROM channel WHERE name = ?)"
        f" AND state < {FIRST_FINAL} ORDER BY seq",
        (channel,),
    ).fetchall()


def _record(row: Sequence[Any]) -> Record:
    seq, channel, lane, state, *rest = row
    return Record(seq, channel, lane, STATES[state], *rest)
