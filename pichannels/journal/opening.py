"""Opening a journal file: check, migrate, count."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from pichannels.errors import JournalError
from pichannels.journal.reader import read_counts
from pichannels.journal.schema import Durability, connect_writer, migrate
from pichannels.journal.writer import Writer

__all__ = ["Known", "open_file"]

_CHECKED_WHOLE: Final = 512 * 2**20
_SMALL_TABLES: Final = ("setting", "channel", "state", "segment", "saved", "tag")


class Known(NamedTuple):
    """What the file held when it was opened.

    Attributes:
        last_seq: the highest number that was given out.
        channels: their names by id.
        unsettled: how many messages of each channel id are unsettled.
    """

    last_seq: int
    channels: dict[int, str]
    unsettled: dict[int, int]


def open_file(path: Path, durability: Durability, writer: Writer) -> Known:
    """Open the file for `writer`; blocks, so call it in a thread.

    Raises:
        JournalError: the file is damaged, newer than this program, not a
            journal, or cannot be opened.
    """
    try:
        conn = connect_writer(path, durability)
    except sqlite3.Error as exc:
        raise JournalError(f"{path} cannot be opened: {exc}") from exc
    try:
        migrate(conn, path)
        _check(conn, path)
        last_seq = writer.load(conn)
        channels = dict(conn.execute("SELECT id, name FROM channel").fetchall())
        return Known(last_seq, channels, read_counts(conn))
    except (sqlite3.Error, JournalError) as exc:
        conn.close()
        if isinstance(exc, JournalError):
            raise
        raise JournalError(f"{path} cannot be opened: {exc}") from exc


def _check(conn: sqlite3.Connection, path: Path) -> None:
    # All of a large file would take minutes: there `verify` looks at the rest.
    is_small = path.stat().st_size <= _CHECKED_WHOLE
    found = set()
    for what in ["3"] if is_small else _SMALL_TABLES:
        found |= {row[0] for row in conn.execute(f"PRAGMA quick_check({what})")}
    if found != {"ok"}:
        problems = "; ".join(sorted(found - {"ok"}))
        raise JournalError(
            f"{path} is damaged: {problems}; restore a backup, or move it away to"
            " start empty"
        )
