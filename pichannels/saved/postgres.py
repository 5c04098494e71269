"""Saved data in PostgreSQL; needs the extra `postgres`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, Final

from pichannels.adapters.postgres import Link, Login, Refused, checked_url
from pichannels.errors import NotConnected, SettingsError
from pichannels.saved.buffer import BufferedPersistence, Place
from pichannels.secrets import Secret

__all__ = ["PostgreSQLPersistence"]

_MIGRATIONS: Final = (
    """
    CREATE TABLE {s}.saved (
        namespace text NOT NULL,
        key text NOT NULL,
        value bytea NOT NULL,
        changed timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (namespace, key)
    )
    """,
)
_KEEP: Final = """\
INSERT INTO {s}.saved (namespace, key, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, changed = now()"""
_FORGET: Final = """\
DELETE FROM {s}.saved s USING unnest($1::text[], $2::text[]) g (namespace, key)
WHERE (s.namespace, s.key) = (g.namespace, g.key)"""
_READ: Final = """\
SELECT key, value FROM {s}.saved
WHERE namespace = $1 AND ($2::text IS NULL OR key = $2)"""
_THERE: Final = "SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NOT NULL"


class PostgreSQLPersistence(BufferedPersistence):
    """Keeps what nodes save in a table of a database.

    Args:
        url: `postgresql://user@host:port/database`, perhaps with `?sslmode=...`; or a
            `Secret`.
        schema: holds the table `saved`; made where it is not there. Projects that
            share a database have one each.
        password: counts before one in the URL; a text or a `Secret`.
        ssl: as for `PostgreSQLMessageStoreFactory`.
        timeout: seconds for a connection, and for a statement.

    Raises:
        SettingsError: an argument is not of its kind, or asyncpg is not installed.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        schema: str = "pichannels_saved",
        password: str | Secret | None = None,
        ssl: SSLContext | str | bool | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__()
        checked_url(url)
        if not timeout > 0:
            raise SettingsError(
                "not a usable number", key="timeout", found=timeout, allowed="above 0"
            )
        self._schema = '"' + schema.replace('"', '""') + '"'
        self._link = Link(Login(url, password, ssl, timeout))
        self._target = self._link.target
        self._using = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and bring the table up to date.

        Raises:
            SettingsError: the server refuses the login, or the table is newer.
            TryAgain: it does not answer.
        """
        self._using = asyncio.Lock()
        async with self._using:
            await self._opened()

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()

    async def write(self, values: Mapping[Place, bytes | None]) -> None:
        """Write all of these in one transaction; None forgets.

        Raises:
            Refused: the server does not take one; nothing was written.
            TryAgain, SettingsError: as the server says; nothing was written.
        """
        kept = [(*place, data) for place, data in values.items() if data is not None]
        gone = [place for place, data in values.items() if data is None]
        steps: list[tuple[str, tuple[Any, ...]]] = []
        if kept:
            steps.append((self._sql(_KEEP), tuple(map(list, zip(*kept, strict=True)))))
        if gone:
            steps.append(
                (self._sql(_FORGET), tuple(map(list, zip(*gone, strict=True))))
            )
        async with self._using:
            await self._opened()
            await self._link.run(steps)

    async def read(self, namespace: str, key: str | None = None) -> dict[str, bytes]:
        """What is kept in a namespace, or under one key of it.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        async with self._using:
            was_open = self._link.is_open
            try:
                await self._opened()
                rows = await self._link.fetch(self._sql(_READ), namespace, key)
            except NotConnected:
                # The connection may have been lost long ago, while nobody asked.
                if not was_open:
                    raise
                await self._opened()
                rows = await self._link.fetch(self._sql(_READ), namespace, key)
        return {name: bytes(value) for name, value in rows}

    def _sql(self, text: str) -> str:
        return text.replace("{s}", self._schema)

    async def _opened(self) -> None:
        if self._link.is_open:
            return
        await self._link.open()
        version = await self._version()
        for number in range(version, len(_MIGRATIONS)):
            try:
                await self._link.execute(
                    [
                        # The number first: where another process was quicker,
                        # nothing is made.
                        self._sql(
                            f"INSERT INTO {{s}}.saved_migration VALUES ({number + 1})"
                        ),
                        self._sql(_MIGRATIONS[number]),
                    ]
                )
            except Refused as exc:
                if await self._version() <= number:
                    raise SettingsError(f"{self._target}: {exc}") from exc

    async def _version(self) -> int:
        """The number of the last migration."""
        names = (f"{self._schema}.saved_migration", self._schema)
        has_table, has_schema = (await self._link.fetch(_THERE, *names))[0]
        if not has_table:
            lock = "SELECT pg_advisory_xact_lock(hashtext('pichannels saved'))"
            # Whoever may not make schemas may use one that is there.
            make = [] if has_schema else ["CREATE SCHEMA IF NOT EXISTS {s}"]
            make.append(
                "CREATE TABLE IF NOT EXISTS {s}.saved_migration (number int4 UNIQUE)"
            )
            await self._link.execute([lock, *map(self._sql, make)])
        rows = await self._link.fetch(
            self._sql("SELECT coalesce(max(number), 0) FROM {s}.saved_migration")
        )
        version = int(rows[0][0])
        if version > len(_MIGRATIONS):
            raise SettingsError(
                f"{self._target}: saved data in schema {self._schema} has version"
                f" {version}, but this program knows only {len(_MIGRATIONS)}; upgrade"
                " pichannels, or name another schema"
            )
        return version

    def __repr__(self) -> str:
        return f"PostgreSQLPersistence({self._target!r})"
