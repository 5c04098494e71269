"""Tables of SQLite and PostgreSQL, looked at from outside."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped,unused-ignore]

from nodes import publish
from nodes._sql import SQLSink
from tests.servers.postgres import PostgresServer

__all__ = ["Database", "PostgresTables", "SQLiteTables"]

Rows = list[tuple[Any, ...]]
_numbers = count(1)


class Database(Protocol):
    """A database with one table for each test."""

    table: str

    @property
    def target(self) -> str:
        """The path of the file, or the URL; behind `#` the table."""

    def sink(self, **options: Any) -> SQLSink:
        """A node that writes to the table."""

    async def run(self, statement: str) -> Rows:
        """Run SQL, in which `TABLE_` stands for the table."""


class SQLiteTables:
    """A SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "values.sqlite"
        self.table = "samples"

    @property
    def target(self) -> str:
        return f"{self.path}#{self.table}"

    def sink(self, **options: Any) -> SQLSink:
        return publish.SQLite(self.path, self.table, **options)

    async def run(self, statement: str) -> Rows:
        return await asyncio.to_thread(self._run, statement)

    def _run(self, statement: str) -> Rows:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(
                statement.replace("TABLE_", self.table)
            ).fetchall()


class PostgresTables:
    """A table of its own on the server of the session."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.table = f"samples{next(_numbers)}"

    @property
    def target(self) -> str:
        return f"{self.server.url()}#{self.table}"

    def sink(self, **options: Any) -> SQLSink:
        url = options.pop("url", self.server.url())
        return publish.PostgreSQL(url, self.table, **options)

    async def run(self, statement: str) -> Rows:
        connection = await asyncpg.connect(self.server.url())
        try:
            found: Sequence[Any] = await connection.fetch(
                statement.replace("TABLE_", self.table)
            )
        finally:
            await connection.close()
        return [tuple(row) for row in found]
