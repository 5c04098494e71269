"""publish.SQLite where the file is locked, odd, or cannot be written."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import publish
from nodes._sql_columns import padded
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.retry import RetryPolicy
from pichannels.values import Sample, Tag, parse_ticks

NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


def batch(count: int) -> Message:
    return Message(payload=[Sample(Tag("TI1"), NOON + n, n) for n in range(count)])


async def put(sink: publish.SQLite, msg: Message) -> asyncio.Future[Any]:
    pending = sink.process(msg)
    assert isinstance(pending, Pending)
    return asyncio.ensure_future(pending.ack)


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes to the file, and does not end."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        (0, "1970-01-01T00:00:00.0000000Z"),
        (1, "1970-01-01T00:00:00.0000001Z"),
        (-1, "1969-12-31T23:59:59.9999999Z"),
        (NOON, "2024-05-01T12:00:00.1234567Z"),
    ],
)
def test_times_have_all_seven_digits(ticks: int, text: str) -> None:
    assert padded(ticks) == text


async def test_sqlite_understands_the_times(tmp_path: Path) -> None:
    sink = publish.SQLite(tmp_path / "v.db")
    await sink.start()
    await (await put(sink, batch(1)))
    await sink.stop()
    (found,) = rows(tmp_path / "v.db", "SELECT datetime(time) FROM samples")
    assert found == ("2024-05-01 12:00:00",)


async def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    sink = publish.SQLite(path, timeout=0.01, retry=SOON)
    await sink.start()
    with locked(path):
        ack = await put(sink, batch(200))
        while not sink.errors:  # noqa: ASYNC110 - it is a counter
            await asyncio.sleep(0.005)
        assert not ack.done()
    await ack
    await sink.stop()
    assert rows(path, "SELECT count(*) FROM samples") == [(200,)]


async def test_others_read_while_it_writes(tmp_path: Path) -> None:
    sink = publish.SQLite(tmp_path / "v.db")
    await sink.start()
    assert rows(tmp_path / "v.db", "PRAGMA journal_mode") == [("wal",)]
    await sink.stop()


async def test_a_folder_that_goes_is_not_made_again(tmp_path: Path) -> None:
    sink = publish.SQLite(tmp_path / "disk" / "v.db", retry=SOON)
    await sink.start()
    await sink.disconnect()
    (tmp_path / "disk").rename(tmp_path / "away")
    ack = await put(sink, batch(1))
    while not sink.errors:  # noqa: ASYNC110 - it is a counter
        await asyncio.sleep(0.005)
    assert not (tmp_path / "disk").exists()
    (tmp_path / "away").rename(tmp_path / "disk")
    await ack
    await sink.stop()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    path.write_text("no database " * 100)
    with pytest.raises(SettingsError, match="not a database"):
        await publish.SQLite(path).start()
    (found,) = await publish.SQLite(path).probe()
    assert (found.ok, "not a database" in found.text) == (False, True)


async def test_upper_and_lower_case_of_columns_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    rows(path, "CREATE TABLE samples (Event_ID text PRIMARY KEY, TICKS integer)")
    *_, found = await publish.SQLite(path, columns=["event_id", "ticks"]).probe()
    assert found.ok


async def test_a_probe_makes_no_file(tmp_path: Path) -> None:
    (found,) = await publish.SQLite(tmp_path / "a" / "v.db").probe()
    made = await asyncio.to_thread(os.listdir, tmp_path)
    assert (found.ok, made) == (True, [])


async def test_a_probe_tells_that_a_file_is_where_a_folder_should_be(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_text("")
    (found,) = await publish.SQLite(tmp_path / "a" / "v.db").probe()
    assert (found.ok, "is not writable" in found.text) == (False, True)


async def test_more_columns_than_a_statement_takes_at_once(tmp_path: Path) -> None:
    extra = {f"c{n}": "meta.x" for n in range(600)}
    sink = publish.SQLite(tmp_path / "v.db", extra=extra)
    await sink.start()
    await (await put(sink, batch(3)))
    await sink.stop()
    assert rows(tmp_path / "v.db", "SELECT count(*) FROM samples") == [(3,)]


@pytest.mark.parametrize("path", ["", 5, None])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(UsageError, match="takes a path"):
        publish.SQLite(path)
