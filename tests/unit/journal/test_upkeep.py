"""Copies of a journal, and what is found when it is looked over."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from pichannels.errors import JournalError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State


async def fill(journal: Journal, count: int) -> list[int]:
    tickets = [journal.append("a", Message(payload=n)) for n in range(count)]
    await journal.flush()
    return [ticket.seq for ticket in tickets]


async def stored(path: Path) -> list[int]:
    journal = Journal(path)
    await journal.open()
    try:
        return [record.seq for record in await journal.search("a", count=10_000)]
    finally:
        await journal.close()


async def change(journal: Journal, sql: str) -> None:
    """Do something to the file behind the journal's back."""

    def work() -> None:
        conn = sqlite3.connect(journal.path, timeout=10)
        conn.execute(sql)
        conn.commit()
        conn.close()

    await asyncio.to_thread(work)


async def test_a_backup_is_a_journal_with_the_same_contents(
    journal: Journal, tmp_path: Path
) -> None:
    seqs = await fill(journal, 50)
    await journal.backup(tmp_path / "new" / "copy.db")
    assert await stored(tmp_path / "new" / "copy.db") == seqs


async def test_a_backup_while_messages_come_in_is_sound(
    journal: Journal, tmp_path: Path
) -> None:
    before = await fill(journal, 2000)
    copying = asyncio.create_task(journal.backup(tmp_path / "copy.db"))
    while not copying.done():
        await fill(journal, 100)
    await copying
    assert (await stored(tmp_path / "copy.db"))[:2000] == before
    again = Journal(tmp_path / "copy.db")
    await again.open()
    assert await again.verify() == []
    await again.close()


async def test_a_backup_replaces_the_one_before(
    journal: Journal, tmp_path: Path
) -> None:
    await fill(journal, 1)
    await journal.backup(tmp_path / "copy.db")
    await fill(journal, 1)
    await journal.backup(tmp_path / "copy.db")
    assert await stored(tmp_path / "copy.db") == [1, 2]


async def test_a_backup_that_cannot_be_written_is_told(
    journal: Journal, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    await asyncio.to_thread(file.touch)
    with pytest.raises(JournalError, match="could not be written"):
        await journal.backup(file / "copy.db")


async def test_a_sound_journal_has_no_problems(journal: Journal) -> None:
    for seq in await fill(journal, 20):
        journal.settle(seq, State.ERROR, {"err_msg": "no"})
    assert await journal.verify() == []


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DELETE FROM body WHERE seq = 3", "1 messages without a payload: 3"),
        ("DELETE FROM message WHERE seq = 3", "1 payloads without a message: 3"),
        ("INSERT INTO outcome VALUES (77, x'80')", "1 outcomes without a message: 77"),
        ("UPDATE message SET channel = 9 WHERE seq = 3", "of an unknown channel: 3"),
        ("UPDATE message SET state = 9 WHERE seq = 3", "in an unknown state: 3"),
        ("UPDATE message SET state = 3 WHERE seq = 3", "'a' has 4 unsettled messages"),
        ("UPDATE body SET data = x'c1' WHERE seq = 3", "1 unreadable messages: 3"),
        ("UPDATE body SET data = x'93c0c0c0' WHERE seq = 3", "unreadable messages: 3"),
        ("UPDATE body SET manifest = x'c1' WHERE seq = 3", "unreadable messages: 3"),
        ("INSERT INTO tag_minute VALUES (9, 1, 1, 1)", "entries of an unknown tag: 9"),
        ("INSERT INTO segment VALUES (1, 5, 4, 9, 1, 1)", "counters are wrong"),
    ],
)
async def test_each_kind_of_problem_is_told(
    journal: Journal, sql: str, problem: str
) -> None:
    await fill(journal, 5)
    await change(journal, sql)
    assert any(problem in found for found in await journal.verify())


async def test_values_of_types_unknown_here_are_no_problem(journal: Journal) -> None:
    await journal.append("a", Message(payload={1, 2})).durable
    assert await journal.verify() == []


async def test_statistics_tell_what_was_done(journal: Journal) -> None:
    seqs = await fill(journal, 5)
    journal.settle(seqs[0], State.PROCESSED)
    await journal.flush()
    found = journal.statistics()
    assert (found.rows, found.commits, found.unsettled) == (5, 2, {"a": 4})
    assert 0 < found.last_commit <= found.worst_commit
    assert (found.is_full, found.last_error, found.buffered_rows) == (False, "", 0)
