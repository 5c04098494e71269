"""Saved data in a SQLite file of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from pichannels.errors import JournalError
from pichannels.saved.buffer import BufferedPersistence, Place

__all__ = ["SQLitePersistence"]

T = TypeVar("T")

# "PIsv" as a number: tells such a file from any other of SQLite.
_APPLICATION_ID: Final = 0x50497376
_MIGRATIONS: Final = (
    """
    CREATE TABLE saved (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (namespace, key)
    ) WITHOUT ROWID;
    """,
)


class SQLitePersistence(BufferedPersistence):
    """Keeps what nodes save in a file; each commit is on the disk.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, and bring it up to date.

        Raises:
            JournalError: it cannot be opened, or is of another program.
        """
        self._thread = ThreadPoolExecutor(1, "pichannels-saved")
        await self._do(self._open)

    async def close(self) -> None:
        """Close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    async def write(self, values: Mapping[Place, bytes | None]) -> None:
        """Write all of these in one transaction; None forgets.

        Raises:
            JournalError: it cannot be written; nothing was.
        """
        kept = [(*place, data) for place, data in values.items() if data is not None]
        gone = [place for place, data in values.items() if data is None]

        def work() -> None:
            with self._connected() as conn:
                conn.executemany("INSERT OR REPLACE INTO saved VALUES (?, ?, ?)", kept)
                conn.executemany(
                    "DELETE FROM saved WHERE namespace = ? AND key = ?", gone
                )

        await self._do(work)

    async def read(self, namespace: str, key: str | None = None) -> dict[str, bytes]:
        """What is kept in a namespace, or under one key of it.

        Raises:
            JournalError: it cannot be read.
        """
        sql = "SELECT key, value FROM saved WHERE namespace = ?"
        values = (namespace,) if key is None else (namespace, key)
        sql += "" if key is None else " AND key = ?"
        rows = await self._do(lambda: self._connected().execute(sql, values).fetchall())
        return {key: bytes(value) for key, value in rows}

    async def _do(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise JournalError(f"{self.path} is not open")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as exc:
            raise JournalError(f"{self.path}: {exc}") from exc

    def _connected(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = conn = sqlite3.connect(self.path, check_same_thread=False)
        conn.execute("PRAGMA busy_timeout = 10000")
        (application,) = conn.execute("PRAGMA application_id").fetchone()
        (version,) = conn.execute("PRAGMA user_version").fetchone()
        (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _APPLICATION_ID and tables:
            raise JournalError(f"{self.path} is a database of another program")
        if version > len(_MIGRATIONS):
            raise JournalError(
                f"{self.path} has schema version {version}, but this program knows"
                f" only {len(_MIGRATIONS)}; upgrade pichannels"
            )
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        for number, sql in enumerate(_MIGRATIONS[version:], version + 1):
            conn.executescript(
                f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {_APPLICATION_ID};"
                f"\nPRAGMA user_version = {number};\nCOMMIT;"
            )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __repr__(self) -> str:
        return f"SQLitePersistence({str(self.path)!r})"
