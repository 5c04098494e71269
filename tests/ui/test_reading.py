"""Reading a journal from beside it takes a bounded time, and holds up no writer."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pichannels.control.masking import Mask
from pichannels.errors import JournalError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State
from pichannels.testing import ManualClock
from pichannels.ui.reading import Timed, TimedReader
from pichannels.ui.searching import MessagesWanted, Page, search_journal

COUNT = 3000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with some thousand messages of two channels."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    asyncio.run(fill(path))
    return path


async def fill(path: Path) -> None:
    journal = Journal(path, durability="normal")
    await journal.open()
    for number in range(COUNT):
        msg = Message(payload=f"message {number}")
        ticket = journal.append("ab"[number % 2], msg)
        journal.settle(ticket.seq, State.PROCESSED)
    await journal.flush()
    await journal.close()


def search(file: Path, seconds: float = 60.0, **wanted: Any) -> Page:
    timed = Timed(file, seconds)
    try:
        return search_journal(timed, MessagesWanted(**wanted))
    finally:
        timed.close()


def test_a_search_that_is_cut_off_gives_what_it_has_found(file: Path) -> None:
    with ManualClock() as now:
        timed = Timed(file, 60.0)
        calls = itertools.count()

        def is_slow() -> bool:
            """The tenth look at a query finds that it takes too long."""
            if next(calls) != 10:
                return False
            now.advance(100)
            return True

        timed.conn.set_progress_handler(is_slow, 1000)
        page = search_journal(timed, MessagesWanted(regex="00$", count=50))
        timed.close()
    assert 0 < page.scanned < COUNT and not page.is_complete
    assert page.next is not None


def test_a_search_whose_time_is_over_goes_on_where_it_was(file: Path) -> None:
    found: list[int] = []
    page = search(file, 0.0, regex="00$", count=7)
    pages = 1
    while page.next is not None:
        found += [record.seq for record in page.records]
        page = search(file, 0.0, regex="00$", count=7, cursor=page.next)
        pages += 1
    found += [record.seq for record in page.records]
    whole = search(file, regex="00$", count=500)
    assert found == [record.seq for record in whole.records]
    # "message 0" does not end so.
    assert (len(found), whole.is_complete) == (COUNT // 100 - 1, True)
    assert pages >= COUNT // 500


def test_a_search_without_time_says_that_it_is_not_complete(file: Path) -> None:
    page = search(file, 0.0, text="nowhere")
    assert (page.is_complete, page.records) == (False, [])
    assert page.scanned > 0


@pytest.mark.parametrize("oldest_first", [True, False])
def test_channels_are_searched_together_in_the_order_of_time(
    file: Path, oldest_first: bool
) -> None:
    page = search(file, count=500, oldest_first=oldest_first)
    seqs = [record.seq for record in page.records]
    assert seqs == sorted(seqs, reverse=not oldest_first)
    assert {record.channel for record in page.records} == {"a", "b"}


def test_a_search_holds_up_no_checkpoint(file: Path) -> None:
    timed = Timed(file, 60.0)
    writer = sqlite3.connect(file, isolation_level=None)
    busy: list[int] = []

    class Watching(Mask):
        """Looks whether the log can be emptied, in the middle of a search."""

        def __bool__(self) -> bool:
            return True

        def applied(self, value: Any, path: str = "") -> Any:
            if not busy:
                writer.execute("INSERT INTO setting VALUES ('of a test', 1)")
                row = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                busy.append(row[0])
            return value

    search_journal(timed, MessagesWanted(text="nowhere"), Watching())
    writer.close()
    timed.close()
    assert busy == [0]


async def test_a_query_that_takes_too_long_is_interrupted(file: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    reader = TimedReader(file, 1)
    with pytest.raises(JournalError, match="took too long"):
        await reader.run(
            lambda timed: timed.conn.execute(f"{endless} SELECT max(i) FROM n"), -1.5
        )
    await asyncio.to_thread(reader.close)


async def test_a_reader_cannot_write(file: Path) -> None:
    reader = TimedReader(file, 1)
    with pytest.raises(JournalError, match="readonly"):
        await reader.run(lambda timed: timed.conn.execute("DELETE FROM message"), 1.0)
    await asyncio.to_thread(reader.close)


@pytest.mark.parametrize(
    "wanted",
    [
        {"cursor": "x"},
        {"cursor": "1.99999999999999999999999"},
        {"state": "odd"},
        {"regex": "["},
        {"start": "yesterday"},
        {"json_value": "1"},
    ],
    ids=["cursor", "large-cursor", "state", "regex", "start", "json-value"],
)
def test_what_cannot_be_searched_for_is_told(
    file: Path, wanted: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        search(file, **wanted)


def test_a_regular_expression_holds_up_nothing(file: Path) -> None:
    with pytest.raises(UsageError, match="takes too long"):
        search(file, regex="(.?){40}!")
