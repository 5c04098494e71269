"""publish.SQLite: rows in a table of a SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from nodes._options import at_least
from nodes._sql import RowRefused, SQLSink
from nodes._sql_columns import Row, padded
from nodes._sql_table import Dialect, Found, Table, quoted
from pichannels.errors import NotConnected, SettingsError, UsageError
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy

__all__ = ["SQLite"]

_DIALECT: Final = Dialect(
    types={
        "text": "TEXT",
        "double": "REAL",
        "bigint": "INTEGER",
        "integer": "INTEGER",
        "boolean": "INTEGER",
        "time": "TEXT",
    },
    # A column takes values of any type.
    fitting={},
    has_schemas=False,
    has_cases=False,
)
_VARIABLES: Final = 999
"""How many values a statement may have in every build of SQLite."""
_REFUSALS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)


class SQLite(SQLSink):
    """Write samples to a table of a SQLite file, one row for each, once.

    A row that is there already is updated, or left as it is; so what comes twice is
    there once. Batches that wait are written in one transaction, in order, and
    settled when it is committed. While the file cannot be written (locked, disk full,
    folder gone) it is tried again, and the messages stay unsettled. A row that the
    table does not take is set aside alone. It is not for the journal's own file.

    Args:
        path: the file; it and its folder are made at the start.
        table: its name.
        columns: what the columns hold, name -> field or function of the sample; or
            names of fields.
        extra: more columns than those.
        types: SQL types of columns that hold no plain field.
        row: a function that makes the row (a mapping), or rows, of a message that
            need not be a batch; `types` names the columns then.
        key: the columns that make a row the same row.
        on_conflict: `update` or `ignore`, for a row that is there already.
        create: make the table where it is not there.
        batch: how many rows of several messages go into one transaction.
        linger: seconds to wait for more rows than there are.
        timeout: seconds to wait for others that write to the file.
        fsync: wait for the disk; without it a power failure can lose rows that
            count as settled.
        retry: how often and how soon a write is tried again; by default without end.
        queue_rows: how many rows may wait.
        options: those of every node.

    Raises:
        CodecError: SQL has nothing for the payload; fails this message only.
        RowRefused: through the acknowledgement: the table does not take the row.
        SampleErrors: the same for some samples; the others are written.
    """

    dialect: ClassVar[Dialect] = _DIALECT
    time = staticmethod(padded)

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str = "samples",
        *,
        columns: Mapping[str, Any] | Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        types: Mapping[str, str] | None = None,
        row: Callable[[Message], Any] | None = None,
        key: Sequence[str] = ("event_id",),
        on_conflict: str = "update",
        create: bool = True,
        batch: int = 5000,
        linger: float = 0.0,
        timeout: float = 5.0,
        fsync: bool = True,
        retry: RetryPolicy | None = None,
        queue_rows: int = 50_000,
        **options: Any,
    ) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"publish.SQLite takes a path, not {path!r}")
        at_least("timeout", timeout, 0)
        super().__init__(
            table=table,
            columns=columns,
            extra=extra,
            types=types,
            row=row,
            key=key,
            on_conflict=on_conflict,
            create=create,
            batch=batch,
            linger=linger,
            retry=retry,
            queue_rows=queue_rows,
            **options,
        )
        self.path = Path(path)
        self._timeout = timeout
        self._fsync = fsync
        self._connection: sqlite3.Connection | None = None
        self._has_folder = False
        width = len(self.table.names)
        self._at_once = max(1, _VARIABLES // width)
        self._marks = f"({', '.join('?' * width)})"

    async def connect(self) -> None:
        await asyncio.to_thread(self._opened)

    async def disconnect(self) -> None:
        await asyncio.to_thread(self._close)

    async def write(self, rows: Sequence[Row], mode: str, part: int) -> None:
        await asyncio.to_thread(self._write, rows, mode)

    async def probe(self) -> list[Finding]:
        """Look whether the table is there, or may be made; nothing is changed."""
        return await asyncio.to_thread(self._looked_at)

    # In a thread

    def _write(self, rows: Sequence[Row], mode: str) -> None:
        with self._translated():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._execute(connection, rows, mode)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _execute(
        self, connection: sqlite3.Connection, rows: Sequence[Row], mode: str
    ) -> None:
        table, size = self.table, self._at_once
        if mode == "remove":
            keys = [[row[place] for place in table.places] for row in rows]
            connection.executemany(table.delete("?" * len(table.key)), keys)
            return
        # Few long statements: each one takes the interpreter's lock again.
        whole = len(rows) - len(rows) % size
        if whole:
            statement = table.insert(f"VALUES {', '.join([self._marks] * size)}", mode)
            for start in range(0, whole, size):
                chunk = rows[start : start + size]
                connection.execute(statement, [v for row in chunk for v in row])
        if whole < len(rows):
            statement = table.insert(f"VALUES {self._marks}", mode)
            connection.executemany(statement, rows[whole:])

    def _opened(self) -> sqlite3.Connection:
        """The connection, with the table made and checked."""
        if self._connection is not None:
            return self._connection
        with self._translated():
            if not self._has_folder:
                # Only once: where a disk has gone, it would be made on the disk below.
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._has_folder = True
            connection = self._connected(str(self.path))
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        return connection

    def _connected(self, path: str, *, uri: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(
            path,
            timeout=self._timeout,
            isolation_level=None,
            # One write at a time, but not always by the same thread.
            check_same_thread=False,
            uri=uri,
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        synchronous = "FULL" if self._fsync else "NORMAL"
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if self._creates:
            for statement in self.table.create():
                connection.execute(statement)
        found = _found(connection, self.table)
        if found is None:
            problem = "it is not there; create it, or say create=True"
        else:
            problem = "; ".join(self.table.problems(found))
        if problem:
            raise SettingsError(
                f"table {self.table.name!r}: {problem}", file=str(self.path)
            )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of SQLite as ours.

        Raises:
            RowRefused: a row does not fit.
            SettingsError: the file is no database.
            NotConnected: not now.
        """
        try:
            yield
        except _REFUSALS as exc:
            raise RowRefused(self.table.name, str(exc)) from exc
        except (sqlite3.OperationalError, OSError) as exc:
            self._close()
            raise NotConnected(str(self.path), str(exc)) from exc
        except sqlite3.DatabaseError as exc:
            self._close()
            raise SettingsError(str(exc), file=str(self.path)) from exc

    def _looked_at(self) -> list[Finding]:
        target = str(self.path)
        if not self.path.exists():
            return [self._may_be_made(target)]
        try:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            with closing(self._connected(uri, uri=True)) as connection:
                found = _found(connection, self.table)
        except (sqlite3.Error, OSError) as exc:
            return [Finding(False, "database", f"{target}: {exc}")]
        if not os.access(self.path, os.W_OK):
            return [Finding(False, "database", f"{target} is not writable")]
        return self.findings(target, found)

    def _may_be_made(self, target: str) -> Finding:
        place = self.path.parent
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK):
            return Finding(False, "database", f"{target}: {place} is not writable")
        (finding,) = self.findings(target, None)
        return finding


def _found(connection: sqlite3.Connection, table: Table) -> Found | None:
    """What SQLite says about the table; None where there is none."""
    name = quoted(table.name)
    columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
    if not columns:
        return None
    unique = [frozenset(c[1] for c in columns if c[5])]
    for index in connection.execute(f"PRAGMA index_list({name})").fetchall():
        if index[2] and not index[4]:
            parts = connection.execute(f"PRAGMA index_info({quoted(index[1])})")
            unique.append(frozenset(part[2] for part in parts))
    # Column, type, NOT NULL, default, place in the primary key.
    required = frozenset(c[1] for c in columns if c[3] and c[4] is None and not c[5])
    return Found({c[1]: c[2] for c in columns}, required, unique)
