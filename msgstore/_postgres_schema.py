"""The tables of message stores in PostgreSQL, and how older ones are brought up.

Messages, their bodies and the tag index are in tables with a partition for each day
(UTC), so that what is old goes by dropping a table. Narrow rows of `message` are apart
from the bodies: a change of state rewrites neither payload nor text index.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from pichannels.adapters.postgres import Link, Refused
from pichannels.errors import NotConnected, SettingsError, TryAgain
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks, parse_ticks

__all__ = ["DAY", "FIRST", "LAST", "MINUTE", "Schema"]

logger: Final = logging.getLogger("msgstore.postgres")

MINUTE: Final = 60 * TICKS_PER_SECOND
DAY: Final = 86_400 * TICKS_PER_SECOND
"""Ticks of a partition."""

# What was made outside of these years has two partitions of its own, so that no
# stray timestamp makes thousands of tables.
FIRST: Final = parse_ticks("2000-01-01T00:00:00Z")
LAST: Final = parse_ticks("2100-01-01T00:00:00Z")
"""What was made before the one, or from the other on, has no day of its own."""

_MIGRATIONS: Final = (
    # 1: message stores
    """
    CREATE SEQUENCE {s}.run;
    CREATE TABLE {s}.store (
        id serial PRIMARY KEY,
        name text NOT NULL UNIQUE,
        owner text,
        since timestamptz
    );
    -- What the numbers in message.state mean.
    CREATE TABLE {s}.state (code int2 PRIMARY KEY, name text NOT NULL UNIQUE);
    INSERT INTO {s}.state VALUES
        (0, 'pending'), (1, 'processing'), (2, 'wait_retry'),
        (3, 'processed'), (4, 'dropped'), (5, 'error'), (6, 'rejected');
    CREATE TABLE {s}.message (
        store int4 NOT NULL,
        ticks int8 NOT NULL,
        seq int8 NOT NULL,
        state int2 NOT NULL,
        size int8 NOT NULL,
        facts bytea,
        PRIMARY KEY (store, ticks, seq)
    ) PARTITION BY RANGE (ticks);
    CREATE INDEX message_aside ON {s}.message (store, state, ticks, seq)
        WHERE state <> 3;
    CREATE TABLE {s}.body (
        store int4 NOT NULL,
        ticks int8 NOT NULL,
        seq int8 NOT NULL,
        uuid bytea NOT NULL,
        data bytea NOT NULL,
        content text NOT NULL,
        PRIMARY KEY (store, ticks, seq)
    ) PARTITION BY RANGE (ticks);
    CREATE TABLE {s}.message_before PARTITION OF {s}.message
        FOR VALUES FROM (MINVALUE) TO ({first});
    CREATE TABLE {s}.body_before PARTITION OF {s}.body
        FOR VALUES FROM (MINVALUE) TO ({first});
    CREATE TABLE {s}.message_after PARTITION OF {s}.message
        FOR VALUES FROM ({end}) TO (MAXVALUE);
    CREATE TABLE {s}.body_after PARTITION OF {s}.body
        FOR VALUES FROM ({end}) TO (MAXVALUE);
    -- For people who look into the database with a tool of theirs.
    CREATE VIEW {s}.history AS
    SELECT
        store.name AS store,
        state.name AS state,
        to_timestamp(message.ticks / 10000000.0) AS made,
        encode(body.uuid, 'escape') AS uuid,
        message.size,
        body.content
    FROM {s}.message
    JOIN {s}.body USING (store, ticks, seq)
    JOIN {s}.store ON store.id = message.store
    JOIN {s}.state ON state.code = message.state;
    """,
    # 2: the tag index, a row for each tag and minute
    """
    CREATE TABLE {s}.tag (id serial PRIMARY KEY, key text NOT NULL UNIQUE);
    CREATE TABLE {s}.tag_minute (
        store int4 NOT NULL,
        tag int4 NOT NULL,
        ticks int8 NOT NULL,
        first int8 NOT NULL,
        last int8 NOT NULL,
        PRIMARY KEY (store, tag, ticks)
    ) PARTITION BY RANGE (ticks);
    CREATE TABLE {s}.tag_minute_before PARTITION OF {s}.tag_minute
        FOR VALUES FROM (MINVALUE) TO ({first});
    CREATE TABLE {s}.tag_minute_after PARTITION OF {s}.tag_minute
        FOR VALUES FROM ({end}) TO (MAXVALUE);
    """,
)
_PARTED: Final = ("message", "body", "tag_minute")
_TEXT_INDEX: Final = "body_content"
_DAYS: Final = """\
SELECT substr(c.relname, 9)::int8 FROM pg_inherits i
 JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = to_regclass($1) AND c.relname ~ '^message_[0-9]+$'"""


class Schema:
    """The tables in one schema of a database.

    Args:
        name: of the schema, made where it is not there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.quoted = '"' + name.replace('"', '""') + '"'
        self.days: set[int] = set()
        """Those that are known to have partitions, as the ticks of their beginning."""

    def sql(self, text: str) -> str:
        """A statement with the name of the schema for `{s}`."""
        return text.replace("{s}", self.quoted)

    async def prepare(self, link: Link, text_index: bool) -> None:
        """Bring the tables up to what this program knows.

        Raises:
            SettingsError: they are newer than this program, or may not be made.
            TryAgain: the server does not answer.
        """
        if not await self._version(link):
            await self._make(link)
        version = await self._version(link)
        if version > len(_MIGRATIONS) + 1:
            raise SettingsError(
                f"{link.target}: the message stores in schema {self.name!r} have"
                f" version {version - 1}, but this program knows only"
                f" {len(_MIGRATIONS)}; upgrade pichannels, or name another schema"
            )
        for number in range(version, len(_MIGRATIONS) + 1):
            await self._apply(link, number)
        if text_index:
            await self._index_text(link)

    async def _version(self, link: Link) -> int:
        """The number of the next migration; 0 where nothing was ever made."""
        table = f"{self.quoted}.migration"
        if not (await link.fetch("SELECT to_regclass($1) IS NOT NULL", table))[0][0]:
            return 0
        rows = await link.fetch(f"SELECT coalesce(max(number), 0) + 1 FROM {table}")
        return int(rows[0][0])

    async def _make(self, link: Link) -> None:
        # Whoever may not make schemas may use one that is there.
        there = "SELECT to_regnamespace($1) IS NOT NULL"
        made = (await link.fetch(there, self.quoted))[0][0]
        await self._alone(
            link,
            *(() if made else (f"CREATE SCHEMA IF NOT EXISTS {self.quoted}",)),
            f"CREATE TABLE IF NOT EXISTS {self.quoted}.migration"
            " (number int4 PRIMARY KEY, applied timestamptz DEFAULT now())",
        )

    async def _apply(self, link: Link, number: int) -> None:
        sql = self.sql(_MIGRATIONS[number - 1])
        sql = sql.replace("{first}", str(FIRST)).replace("{end}", str(LAST))
        note = f"INSERT INTO {self.quoted}.migration (number) VALUES ({number})"
        try:
            # The note first: where another process was quicker, nothing is made.
            await self._alone(link, note, sql)
        except Refused as exc:
            if await self._version(link) <= number:
                raise SettingsError(
                    f"{link.target}: migration {number}: {exc}"
                ) from exc

    async def _alone(self, link: Link, *statements: str) -> None:
        """Run what changes tables in a transaction, one process at a time."""
        lock = f"SELECT pg_advisory_xact_lock(hashtext('pichannels:{self._literal}'))"
        await link.execute([lock, *statements])

    @property
    def _literal(self) -> str:
        return self.name.replace("'", "''")

    async def _index_text(self, link: Link) -> None:
        """Index all texts for a search of any part of them, where that can be."""
        index = f"{self.quoted}.{_TEXT_INDEX}"
        if (await link.fetch("SELECT to_regclass($1) IS NOT NULL", index))[0][0]:
            return
        try:
            await self._alone(link, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
            rows = await link.fetch(
                "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n"
                " ON n.oid = extnamespace WHERE extname = 'pg_trgm'"
            )
            await self._alone(
                link,
                f"CREATE INDEX IF NOT EXISTS {_TEXT_INDEX} ON {self.quoted}.body"
                f" USING gin (content {rows[0][0]}.gin_trgm_ops)",
            )
        except NotConnected:
            raise
        except (SettingsError, Refused, TryAgain) as exc:
            logger.warning("texts are searched without an index: %s", exc)
            await link.open()

    async def add_days(self, link: Link, days: set[int]) -> None:
        """Make the partitions of these days, where they are not there.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        missing = sorted(day for day in days - self.days if FIRST <= day < LAST)
        if missing:
            await self._alone(
                link, *(s for day in missing for s in self._partition(day))
            )
        self.days |= days

    def _partition(self, day: int) -> Iterator[str]:
        for table in _PARTED:
            yield (
                f"CREATE TABLE IF NOT EXISTS {self.quoted}.{table}_{_name(day)}"
                f" PARTITION OF {self.quoted}.{table}"
                f" FOR VALUES FROM ({day}) TO ({day + DAY})"
            )

    def partition(self, table: str, day: int) -> str:
        """The name of one partition, quoted."""
        return f"{self.quoted}.{table}_{_name(day)}"

    def partitions(self, day: int) -> list[str]:
        """The names of all partitions of a day, quoted."""
        return [self.partition(table, day) for table in _PARTED]

    async def stored_days(self, link: Link) -> list[int]:
        """The days that have partitions, oldest first.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        rows: list[tuple[Any, ...]] = await link.fetch(_DAYS, f"{self.quoted}.message")
        dates = sorted(str(row[0]) for row in rows)
        return [parse_ticks(f"{d[:4]}-{d[4:6]}-{d[6:]}T00:00:00Z") for d in dates]


def _name(day: int) -> str:
    return datetime_from_ticks(day).strftime("%Y%m%d")
