"""publish.PostgreSQL: rows in a table of PostgreSQL, or of TimescaleDB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final

from nodes._options import at_least
from nodes._sql import RowRefused, SQLSink
from nodes._sql_columns import Row
from nodes._sql_table import Dialect, Found, quoted
from pichannels.adapters.postgres import Link, Login, Refused, checked_url
from pichannels.errors import NotConnected, SettingsError, TryAgain, UsageError
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import datetime_from_ticks

__all__ = ["PostgreSQL"]

_DIALECT: Final = Dialect(
    types={
        "text": "text",
        "double": "double precision",
        "bigint": "bigint",
        "integer": "integer",
        "boolean": "boolean",
        "time": "timestamptz",
    },
    # As `pg_type` names them.
    fitting={
        "text": frozenset({"text", "varchar", "bpchar", "citext"}),
        "double": frozenset({"float8", "float4", "numeric"}),
        "bigint": frozenset({"int8", "numeric"}),
        "integer": frozenset({"int4", "int8", "numeric"}),
        "boolean": frozenset({"bool"}),
        "time": frozenset({"timestamptz"}),
    },
    has_schemas=True,
    has_cases=True,
)
_INCOMING: Final = "pichannels_incoming"
_COLUMNS: Final = """
SELECT a.attname::text, t.typname::text,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE: Final = """
SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = i.indrelid
                AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]))
  FROM pg_index i
 WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid
   AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
"""
_MAY_CREATE: Final = """
SELECT coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE'), false)
"""
_TIMESCALE: Final = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"


class PostgreSQL(SQLSink):
    """Write samples to a table of PostgreSQL, one row for each, once.

    A row that is there already is updated, or left as it is; so what comes twice is
    there once, also when the connection is lost just as it commits. Batches that wait
    are written in one transaction, in order, and settled when it is committed. While
    the server is away it is tried again, and the messages stay unsettled. A row that
    the table does not take is set aside alone. It needs the extra `postgres`.

    Args:
        url: `postgresql://user@host:port/database`, or a `Secret` that holds it.
        table: its name, perhaps with a schema (`plant.samples`).
        columns: what the columns hold, name -> field or function of the sample; or
            names of fields.
        extra: more columns than those.
        types: SQL types of columns that hold no plain field.
        row: a function that makes the row (a mapping), or rows, of a message that
            need not be a batch; `types` names the columns then.
        key: the columns that make a row the same row.
        on_conflict: `update` or `ignore`, for a row that is there already.
        create: make the table where it is not there.
        hypertable: make it a hypertable of TimescaleDB, with the time in its key.
        password: best a `Secret`; it is looked up for each connection.
        ssl: `require`, `verify-full` and the like, or an `ssl.SSLContext`; by
            default what the URL says, else TLS where the server offers it.
        timeout: seconds for a connection, and for a statement at the server.
        connections: with several, rows are shared out by tag and written beside
            each other.
        batch: how many rows of several messages go into one transaction.
        linger: seconds to wait for more rows than there are.
        retry: how often and how soon a write is tried again; by default without end.
        queue_rows: how many rows may wait.
        options: those of every node.

    Raises:
        CodecError: SQL has nothing for the payload; fails this message only.
        RowRefused: through the acknowledgement: the table does not take the row.
        SampleErrors: the same for some samples; the others are written.
        SettingsError: the URL is none, or asyncpg is not installed.
    """

    dialect: ClassVar[Dialect] = _DIALECT
    time = staticmethod(datetime_from_ticks)

    def __init__(
        self,
        url: str | Secret,
        table: str = "samples",
        *,
        columns: Mapping[str, Any] | Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        types: Mapping[str, str] | None = None,
        row: Callable[[Message], Any] | None = None,
        key: Sequence[str] = ("event_id",),
        on_conflict: str = "update",
        create: bool = True,
        hypertable: bool = False,
        password: str | Secret | None = None,
        ssl: SSLContext | str | bool | None = None,
        timeout: float = 30.0,
        connections: int = 1,
        batch: int = 5000,
        linger: float = 0.0,
        retry: RetryPolicy | None = None,
        queue_rows: int = 50_000,
        **options: Any,
    ) -> None:
        checked_url(url)
        at_least("timeout", timeout, 0.001)
        at_least("connections", connections, 1)
        if password is not None and not isinstance(password, str | Secret):
            raise UsageError("password is a text or a Secret")
        self._hypertable = hypertable
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
        self._login = Login(url, password, ssl, timeout)
        self._links = [Link(self._login) for _ in range(connections)]
        self._ready: set[Link] = set()
        self._preparing = asyncio.Lock()
        width = len(self.table.names)
        self._values = f"VALUES ({', '.join(f'${n + 1}' for n in range(width))})"
        self._incoming = f"SELECT * FROM pg_temp.{_INCOMING}"

    def key_of(self, key: Sequence[str], columns: Any) -> Sequence[str]:
        """The key, with the time where TimescaleDB wants it."""
        if not self._hypertable:
            return key
        time = columns.holding("time")
        if not time:
            raise SettingsError(
                "a hypertable needs a column with the field `time`", key="columns"
            )
        names = [key] if isinstance(key, str) else list(key)
        return names if time in names else [*names, time]

    async def start(self) -> None:
        self._preparing = asyncio.Lock()
        await super().start()

    async def connect(self) -> None:
        await self._opened(self._links[0])

    async def disconnect(self) -> None:
        for link in self._links:
            await link.close()
        self._ready.clear()

    async def write(self, rows: Sequence[Row], mode: str, part: int) -> None:
        link = await self._opened(self._links[part])
        try:
            await self._write(link, rows, mode)
        except Refused as exc:
            raise RowRefused(self.table.name, str(exc)) from exc

    async def _write(self, link: Link, rows: Sequence[Row], mode: str) -> None:
        table = self.table
        if mode == "remove":
            keys = [[row[place] for place in table.places] for row in rows]
            marks = [f"${n + 1}" for n in range(len(table.key))]
            await link.run_for_each(table.delete(marks), keys)
        elif link.is_worth_copying(rows):
            statement = table.insert(self._incoming, mode)
            await link.copy_and_run(_INCOMING, self._once(rows, mode), statement)
        else:
            await link.run_for_each(table.insert(self._values, mode), rows)

    def _once(self, rows: Sequence[Row], mode: str) -> Sequence[Row]:
        """The rows with each key once, for a statement writes no row twice."""
        places = self.table.places
        inward = rows if mode == "update" else rows[::-1]
        found = {tuple([row[place] for place in places]): row for row in inward}
        return rows if len(found) == len(rows) else list(found.values())

    def parts(self, rows: Sequence[Row]) -> list[list[int]]:
        """Places of the rows that each connection writes, by tag, or else by key."""
        count = len(self._links)
        if count == 1:
            return super().parts(rows)
        tag = self.table.tag_place
        places = self.table.places if tag is None else [tag]
        parts: list[list[int]] = [[] for _ in range(count)]
        for index, row in enumerate(rows):
            number = hash(tuple([row[place] for place in places])) % count
            parts[number].append(index)
        return parts

    # Connections

    async def _opened(self, link: Link) -> Link:
        """The link with a connection, whose table is made and checked."""
        if link.is_open and link in self._ready:
            return link
        self._ready.discard(link)
        async with self._preparing:
            try:
                await link.open()
                await self._prepare(link)
            except Refused as exc:
                await link.close()
                raise NotConnected(link.target, str(exc)) from exc
        self._ready.add(link)
        return link

    async def _prepare(self, link: Link) -> None:
        if self._hypertable:
            await self._look_for_timescale(link)
        found = await self._found(link)
        if found is None and self._creates:
            await self._create(link)
            found = await self._found(link)
        if found is None:
            problem = "it is not there; create it, or say create=True"
        else:
            problem = "; ".join(self.table.problems(found))
        if problem:
            await link.close()
            raise SettingsError(f"{link.target}: table {self.table.name!r}: {problem}")
        names = ", ".join(map(quoted, self.table.names))
        await link.execute(
            [
                f"CREATE TEMPORARY TABLE {_INCOMING} ON COMMIT DELETE ROWS AS"
                f" SELECT {names} FROM {self.table.quoted} WITH NO DATA"
            ]
        )

    async def _create(self, link: Link) -> None:
        statements = self.table.create()
        if self._hypertable:
            time = self._columns.holding("time").replace("'", "''")
            name = self.table.quoted.replace("'", "''")
            make = (
                f"SELECT create_hypertable('{name}', '{time}', if_not_exists => true)"
            )
            statements.insert(1, make)
        await link.execute(statements)

    async def _look_for_timescale(self, link: Link) -> None:
        if not await link.fetch(_TIMESCALE):
            await link.close()
            raise SettingsError(
                f"{link.target} has no extension timescaledb; say hypertable=False, or"
                " have CREATE EXTENSION timescaledb run there",
                key="hypertable",
            )

    async def _found(self, link: Link) -> Found | None:
        """What the server says about the table; None where there is none."""
        columns = await link.fetch(_COLUMNS, self.table.quoted)
        if not columns:
            return None
        unique = await link.fetch(_UNIQUE, self.table.quoted)
        required = frozenset(name for name, _, is_needed in columns if is_needed)
        return Found(
            {name: kind for name, kind, _ in columns},
            required,
            [frozenset(names) for (names,) in unique],
        )

    async def probe(self) -> list[Finding]:
        """Look whether the table is there, or may be made; nothing is changed."""
        link = Link(self._login)
        try:
            await link.open()
            if self._hypertable:
                await self._look_for_timescale(link)
            found = await self._found(link)
            findings = self.findings(link.target, found)
            if found is None and self._creates and not await self._may_create(link):
                where = f"{link.target}: table {self.table.name!r}"
                text = f"{where} is not there, and this user may not make it"
                findings = [Finding(False, "table", text)]
            return [Finding(True, "database", f"{link.target} answers"), *findings]
        except (TryAgain, SettingsError, Refused) as exc:
            return [Finding(False, "database", str(exc))]
        finally:
            await link.close()

    async def _may_create(self, link: Link) -> bool:
        schema = self.table.schema
        if not schema:
            ((schema,),) = await link.fetch("SELECT quote_ident(current_schema())")
        ((may,),) = await link.fetch(_MAY_CREATE, schema)
        return bool(may)
