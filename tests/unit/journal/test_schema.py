"""Files of other versions: older ones are brought up, newer ones refused."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from pichannels.errors import JournalError
from pichannels.journal import Journal, ManifestEntry, encode_manifest
from pichannels.journal.schema import connect_writer, load_migrations, migrate
from pichannels.message import Message

VERSION = len(load_migrations())


def make_old(path: Path, version: int) -> None:
    """A file of an older version with two messages in it."""
    conn = connect_writer(path, "full")
    migrate(conn, path, load_migrations()[:version])
    conn.execute("INSERT INTO channel VALUES (1, 'a')")
    manifest = encode_manifest([ManifestEntry("tag", 1, 2, 3)])
    for seq in (1, 2):
        msg = Message(payload=seq)
        row = (seq, 1, "live", 3 * (seq - 1), msg.ticks, msg.uuid, 0, 1, 10)
        conn.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        conn.execute("INSERT INTO body VALUES (?, ?, ?)", (seq, msg.encode(), manifest))
    conn.close()


def version_of(path: Path) -> int:
    conn = sqlite3.connect(path)
    try:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])
    finally:
        conn.close()


@pytest.mark.parametrize("version", range(1, VERSION + 1))
async def test_a_file_of_any_older_version_is_brought_up(
    path: Path, version: int
) -> None:
    await asyncio.to_thread(make_old, path, version)
    journal = Journal(path)
    await journal.open()
    assert [r.message().payload for r in await journal.search("a")] == [1, 2]
    assert journal.count_unsettled("a") == 1
    assert await journal.verify() == []
    await journal.close()
    assert await asyncio.to_thread(version_of, path) == VERSION


async def test_tags_of_messages_older_than_the_index_are_found(path: Path) -> None:
    await asyncio.to_thread(make_old, path, 1)
    journal = Journal(path)
    await journal.open()
    assert [record.seq for record in await journal.search(tag="tag")] == [1, 2]
    await journal.close()


def test_a_new_file_has_the_last_version(path: Path) -> None:
    conn = connect_writer(path, "full")
    assert migrate(conn, path) == 0
    assert migrate(conn, path) == VERSION
    conn.close()


async def test_a_newer_file_is_refused_in_words(journal: Journal) -> None:
    await journal.close()
    conn = sqlite3.connect(journal.path)
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(JournalError, match="version 99.*upgrade pichannels"):
        await Journal(journal.path).open()


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE theirs (x)")
    conn.close()
    with pytest.raises(JournalError, match="another program"):
        await Journal(path).open()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    conn = connect_writer(path, "full")
    steps = ["CREATE TABLE one (x);", "CREATE TABLE two (x); INSERT INTO three VALUES"]
    with pytest.raises(JournalError, match="migration 2 failed"):
        migrate(conn, path, steps)
    tables = conn.execute("SELECT name FROM sqlite_master").fetchall()
    assert (tables, version_of(path)) == ([("one",)], 1)
    conn.close()


async def test_a_damaged_file_is_refused_in_words(journal: Journal) -> None:
    tickets = [journal.append("a", Message(payload="x" * 3000)) for _ in range(50)]
    await tickets[-1].durable
    await journal.close()
    await asyncio.to_thread(damage, journal.path)
    with pytest.raises(JournalError, match=r"damaged|cannot be opened"):
        await Journal(journal.path).open()


def damage(path: Path) -> None:
    data = path.read_bytes()
    half = len(data) // 2 // 4096 * 4096
    path.write_bytes(data[:8192] + b"\x00" * (half - 8192) + data[half:])
