"""Saved data when its place is away, refuses it, or is shared."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped,unused-ignore]
import pytest

from pichannels.adapters.postgres import Refused
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.engine import Engine, StartError
from pichannels.errors import JournalError, NotConnected, SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.saved import PostgreSQLPersistence, SQLitePersistence
from pichannels.saved.buffer import BufferedPersistence
from tests.servers.postgres import PostgresServer


async def run(server: PostgresServer, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(server.url())
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_nothing_is_lost_when_the_server_restarts(
    postgres: PostgresServer,
) -> None:
    kept = PostgreSQLPersistence(postgres.url(), schema="restarted_saved")
    await kept.start()
    await kept.save("a", "before", 1)
    await asyncio.to_thread(postgres.kill)
    saved = [kept.save("a", "during", number) for number in range(3)]
    assert await kept.restore("a", "during") == 2
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(*saved)
    assert await kept.saved("a") == {"before": 1, "during": 2}
    await kept.stop()
    rows = await run(postgres, "SELECT key FROM restarted_saved.saved ORDER BY key")
    assert rows == [("before",), ("during",)]


async def test_a_value_that_is_refused_costs_only_itself(
    postgres: PostgresServer,
) -> None:
    kept = PostgreSQLPersistence(postgres.url(), schema="strict_saved")
    await kept.start()
    check = "ALTER TABLE strict_saved.saved ADD CHECK (key <> 'poison')"
    await run(postgres, check)
    saved = [kept.save("a", key, 1) for key in ("x", "poison", "y")]
    found = await asyncio.gather(*saved, return_exceptions=True)
    assert [type(one) for one in found] == [type(None), Refused, type(None)]
    assert await kept.saved("a") == {"x": 1, "y": 1}
    await kept.stop()


async def test_a_server_that_stays_away_is_told_at_the_end(
    postgres: PostgresServer,
) -> None:
    kept = PostgreSQLPersistence(postgres.url(), schema="away")
    kept.patience = 0.05
    await kept.start()
    await asyncio.to_thread(postgres.kill)
    saved = kept.save("a", "n", 1)
    await kept.stop()
    with pytest.raises(NotConnected):
        await saved


async def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    kept = SQLitePersistence(tmp_path / "saved.sqlite")
    await kept.start()
    await kept.save("a", "n", 1)
    forgotten = kept.forget("a", "n")
    assert await kept.saved("a") == {}
    await forgotten
    assert await kept.restore("a", "n", None) is None
    await kept.stop()


async def test_saving_needs_a_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not started"):
        SQLitePersistence(tmp_path / "saved.sqlite").save("a", "n", 1)


async def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"

    def make(sql: str) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(sql)
        connection.close()

    await asyncio.to_thread(make, "CREATE TABLE t (x)")
    with pytest.raises(JournalError, match="another program"):
        await SQLitePersistence(path).start()
    path.unlink()
    newer = SQLitePersistence(path)
    await newer.start()
    await newer.stop()
    await asyncio.to_thread(make, "PRAGMA user_version = 9")
    with pytest.raises(JournalError, match="version 9"):
        await newer.start()


async def test_a_newer_table_is_left_alone(postgres: PostgresServer) -> None:
    kept = PostgreSQLPersistence(postgres.url(), schema="newer_saved")
    await kept.start()
    await kept.stop()
    await run(postgres, "INSERT INTO newer_saved.saved_migration VALUES (9)")
    with pytest.raises(SettingsError, match="version 9"):
        await kept.start()


# In an instance


class Count(BaseNode):
    """Counts the messages of all runs, and settles each with the count."""

    async def process(self, msg: Message) -> Message:
        seen = await self.restore_data("seen", 0) + 1
        self.saved: Awaitable[None] = self.save_data(
            "seen", seen, settle=[self.hold(msg)]
        )
        return msg.derive(seen)


def project(kept: Any) -> tuple[Project, BaseChannel]:
    channel = BaseChannel("a")
    channel.add(Count(name="count"))
    made = Project([channel], Config(control=ControlConfig(enabled=False)))
    made.persistence = kept
    return made, channel


async def test_nodes_save_where_the_settings_say(tmp_path: Path) -> None:
    for expected in (1, 2):
        made, channel = project(SQLitePersistence(tmp_path / "saved.sqlite"))
        async with Engine(made, data_dir=tmp_path):
            assert (await channel.handle(Message())).payload == expected
    kept = SQLitePersistence(tmp_path / "saved.sqlite")
    await kept.start()
    assert await kept.saved("a.count") == {"seen": 2}
    await kept.stop()


class Slow(BufferedPersistence):
    """Writes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, values: Any) -> None:
        self.begun.set()
        await self.go.wait()

    async def read(self, namespace: str, key: str | None = None) -> dict[str, bytes]:
        return {}


async def test_a_message_is_settled_when_what_it_rests_on_is_durable(
    tmp_path: Path,
) -> None:
    kept, journal = Slow(), Journal(tmp_path / "journal.sqlite")
    _, channel = project(kept)
    await journal.open()
    await kept.start()
    channel.attach(journal=journal, persistence=kept)
    await channel.start()
    handling = asyncio.create_task(channel.handle(Message()))
    await kept.begun.wait()
    assert not handling.done()
    kept.go.set()
    assert (await handling).payload == 1
    await channel.stop()
    await kept.stop()
    await journal.close()


async def test_what_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    made, _ = project(SQLitePersistence(tmp_path))
    with pytest.raises(StartError, match="what keeps saved data did not start"):
        async with Engine(made, data_dir=tmp_path / "data"):
            pass
