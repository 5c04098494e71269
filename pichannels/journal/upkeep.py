"""Backup and verification of a journal file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels.errors import CodecError, JournalError
from pichannels.holding import remove, replace
from pichannels.manifest import decode_manifest

__all__ = ["back_up", "find_problems"]

_SHOWN: Final = 10
_PAGE: Final = 500
_PLAIN: Final = msgspec.msgpack.Decoder()

_CHECKS: Final = (
    (
        "messages without a payload",
        "SELECT seq FROM message WHERE seq NOT IN (SELECT seq FROM body)",
    ),
    (
        "payloads without a message",
        "SELECT seq FROM body WHERE seq NOT IN (SELECT seq FROM message)",
    ),
    (
        "outcomes without a message",
        "SELECT seq FROM outcome WHERE seq NOT IN (SELECT seq FROM message)",
    ),
    (
        "messages of an unknown channel",
        "SELECT seq FROM message WHERE channel NOT IN (SELECT id FROM channel)",
    ),
    (
        "messages in an unknown state",
        "SELECT seq FROM message WHERE state NOT IN (SELECT code FROM state)",
    ),
    (
        "index entries of an unknown tag",
        "SELECT tag FROM tag_minute WHERE tag NOT IN (SELECT id FROM tag)",
    ),
    (
        "segments whose counters are wrong (by first message)",
        "SELECT first FROM segment WHERE (messages, bytes) <> (SELECT count(*),"
        " coalesce(sum(size), 0) FROM message WHERE seq BETWEEN first AND last)",
    ),
)


def back_up(conn: sqlite3.Connection, target: Path) -> None:
    """Write a copy of the database to `target`, replacing what is there.

    Raises:
        JournalError: the copy cannot be written.
    """
    partial = target.with_name(f"{target.name}-partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(partial)
        copy = sqlite3.connect(partial, isolation_level=None)
        try:
            # In one step: smaller ones would begin anew at each commit.
            conn.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        replace(partial, target)
    except (OSError, sqlite3.Error) as exc:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise JournalError(f"{target} could not be written: {exc}") from exc


def find_problems(conn: sqlite3.Connection) -> list[str]:
    """What is wrong with the file, in words."""
    found = [
        f"damaged: {row[0]}"
        for row in conn.execute("PRAGMA integrity_check").fetchall()
        if row[0] != "ok"
    ]
    for what, sql in _CHECKS:
        rows = [row[0] for row in conn.execute(sql).fetchall()]
        if rows:
            found.append(f"{len(rows)} {what}: {_listed(rows)}")
    unreadable = _unreadable(conn)
    if unreadable:
        found.append(f"{len(unreadable)} unreadable messages: {_listed(unreadable)}")
    return found


def _listed(rows: list[Any]) -> str:
    shown = ", ".join(str(row) for row in rows[:_SHOWN])
    return f"{shown}, ..." if len(rows) > _SHOWN else shown


def _unreadable(conn: sqlite3.Connection) -> list[int]:
    found: list[int] = []
    last = -1
    while rows := conn.execute(
        "SELECT body.seq, data, manifest, meta FROM body LEFT JOIN outcome USING (seq)"
        f" WHERE body.seq > ? ORDER BY body.seq LIMIT {_PAGE}",
        (last,),
    ).fetchall():
        found += [row[0] for row in rows if not _is_readable(*row[1:])]
        last = rows[-1][0]
    return found


def _is_readable(data: bytes, manifest: bytes | None, meta: bytes | None) -> bool:
    # Types that this program has not imported are no damage, so they are left
    # as they are.
    try:
        fields = _PLAIN.decode(data)
        if manifest is not None:
            decode_manifest(manifest)
        if meta is not None:
            _PLAIN.decode(meta)
    except (msgspec.DecodeError, UnicodeDecodeError, CodecError):
        return False
    return isinstance(fields, list) and len(fields) == 4
