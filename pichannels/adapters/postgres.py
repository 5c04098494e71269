"""PostgreSQL by asyncpg, which the extra `postgres` brings.

The only module that imports asyncpg: connections that open when they are used, bulk
writes in one transaction, and the errors of the library as ours.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pichannels.errors import (
    MessageError,
    NotConnected,
    RetryLater,
    SettingsError,
    TryAgain,
)
from pichannels.secrets import Secret, reveal_in_thread

try:
    import asyncpg  # type: ignore[import-untyped,unused-ignore]
except ImportError:
    asyncpg = None

__all__ = ["Link", "Login", "Refused", "checked_url"]

_ALLOWED: Final = "postgresql://user@host:port/database"
_LONGEST_CONNECT: Final = 10.0
_LONGEST_GRACE: Final = 5.0
"""Seconds that the server gets to end what takes too long, before we hang up."""
_MANY: Final = 100
"""From so many rows on, COPY is faster than a statement for each row."""
# By the first characters of SQLSTATE: what concerns values and rows (or a statement
# that would write one row twice, which fewer rows do not), what time does not heal,
# and what ends connections. All else is worth another try.
_ROW: Final = frozenset({"21", "22", "23", "2F", "38", "39", "44", "54", "P0"})
_SETTINGS: Final = frozenset({"0A", "28", "3D", "3F", "42"})
_LOST: Final = frozenset({"080", "57P"})


class Refused(MessageError):
    """The database does not take a value or a row."""


class Login(NamedTuple):
    """Where the database is, and how to get in.

    Attributes:
        url: `postgresql://user@host:port/database`, perhaps with `?sslmode=...`.
        password: counts before one in the URL.
        ssl: an `ssl.SSLContext`, a word such as `require` or `verify-full`, True
            for a checked certificate, False for none; None for what the URL says.
        timeout: seconds for a connection, and for a statement.
    """

    url: str | Secret
    password: str | Secret | None = None
    ssl: ssl.SSLContext | str | bool | None = None
    timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Login({_target(self.url)})"


def checked_url(url: Any) -> None:
    """Look whether it is a URL of a database, as far as that can be seen.

    Raises:
        SettingsError: it is none.
    """
    if isinstance(url, Secret):
        return
    if not isinstance(url, str):
        raise SettingsError("not a URL", key="url", found=url, allowed=_ALLOWED)
    if not _is_postgres(url):
        shown = _target(url)
        raise SettingsError("not a URL", key="url", found=shown, allowed=_ALLOWED)


def _is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


class Link:
    """One connection, opened when it is used, and again after it was lost.

    Args:
        login: where the database is.

    Raises:
        SettingsError: asyncpg is not installed.
    """

    def __init__(self, login: Login) -> None:
        if asyncpg is None:
            raise SettingsError(
                "PostgreSQL needs the extra `postgres`:"
                " pip install 'pichannels[postgres]'"
            )
        self._login = login
        self._connection: Any = None
        self.target = _target(login.url)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and not self._connection.is_closed()

    async def open(self) -> None:
        """Connect, if there is no connection.

        Raises:
            NotConnected: the server does not answer.
            SettingsError: the server refuses the login, or a secret is missing.
        """
        if self.is_open:
            return
        login = self._login
        url: Any = await reveal_in_thread(login.url)
        password: Any = await reveal_in_thread(login.password)
        if not _is_postgres(url):
            raise SettingsError("this secret is no URL", key="url", allowed=_ALLOWED)
        self.target = _target(url)
        tls = login.ssl
        if tls is True:
            # Reads the certificates of the system, which takes a while.
            tls = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with self._translated():
                self._connection = await asyncpg.connect(
                    url,
                    password=password,
                    ssl=tls,
                    timeout=min(login.timeout, _LONGEST_CONNECT),
                    command_timeout=login.timeout + min(login.timeout, _LONGEST_GRACE),
                    server_settings={"application_name": "pichannels"},
                )
                # Not as one of these settings, which poolers do not let through.
                await self._connection.execute(
                    f"SET statement_timeout = {max(1, int(login.timeout * 1000))}"
                )
        except Refused as exc:
            raise SettingsError(f"{self.target}: {exc}", key="url") from exc

    async def close(self) -> None:
        """Disconnect in good order, or at once where the server does not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=2)

    async def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a query gives.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        async with self._translated():
            return [tuple(row) for row in await self._connection.fetch(query, *values)]

    async def execute(self, statements: Iterable[str]) -> None:
        """Run statements in one transaction.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        async with self._translated(), self._connection.transaction():
            for statement in statements:
                await self._connection.execute(statement)

    async def run(self, steps: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Run statements, each with its values, in one transaction.

        Raises:
            TryAgain, SettingsError, Refused: as the server says; nothing is written.
        """
        async with self._translated(), self._connection.transaction():
            for statement, values in steps:
                await self._connection.execute(statement, *values)

    async def run_for_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, all in one transaction.

        Raises:
            TryAgain, SettingsError, Refused: as the server says; nothing is written.
        """
        async with self._translated():
            await self._connection.executemany(statement, rows)

    async def copy_and_run(
        self, table: str, rows: Sequence[Sequence[Any]], statement: str
    ) -> None:
        """Copy rows to a temporary table and run a statement, in one transaction.

        Raises:
            TryAgain, SettingsError, Refused: as the server says; nothing is written.
        """
        async with self._translated(), self._connection.transaction():
            await self._connection.copy_records_to_table(table, records=rows)
            await self._connection.execute(statement)

    @staticmethod
    def is_worth_copying(rows: Sequence[Any]) -> bool:
        """Whether there are so many rows that copying them is faster."""
        return len(rows) >= _MANY

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            ValueError,
            TypeError,
            OverflowError,
        ) as exc:
            error = self._error(exc)
            if not isinstance(error, Refused):
                self._hang_up()
            raise error from exc
        except BaseException:
            # Cancelled in the midst: nobody knows what the connection waits for.
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _error(self, exc: BaseException) -> Refused | TryAgain | SettingsError:
        code = getattr(exc, "sqlstate", None) or ""
        reason = _reason(exc)
        if code[:2] in _ROW:
            return Refused(reason)
        if code[:2] in _SETTINGS:
            return SettingsError(f"{self.target}: {reason}")
        if isinstance(exc, asyncpg.ClientConfigurationError):
            return SettingsError(f"{self.target}: {reason}", key="url")
        if isinstance(exc, ssl.SSLCertVerificationError):
            return SettingsError(f"{self.target}: {reason}", key="ssl")
        if isinstance(exc, asyncpg.PostgresError) and code[:3] not in _LOST:
            return RetryLater(f"{self.target}: {reason}")
        if isinstance(exc, TypeError | ValueError | OverflowError):
            # Found by the library before the server got it.
            return Refused(reason)
        return NotConnected(self.target, reason)


def _reason(exc: BaseException) -> str:
    detail = getattr(exc, "detail", None)
    text = str(exc) or type(exc).__name__
    return f"{text} ({detail})" if detail else text


def _target(url: str | Secret) -> str:
    """The URL without what may be secret."""
    if isinstance(url, Secret):
        return "PostgreSQL"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
