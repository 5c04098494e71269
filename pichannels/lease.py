"""A lease in PostgreSQL: of instances on several hosts only one takes values.

It is a row with an end, which its holder moves on as long as it lives. A lock that
the database holds for a connection would not do: it is gone with the connection, or
with a restart of the database, while the holder knows nothing of it and takes values.
A row stays, and another may take it over only after its end, by the clock of the
database. The holder begins to stop a third earlier, counted from when it has asked
for the last time that was granted, so that differences of clocks do not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.adapters.postgres import Link, Login, Refused
from pichannels.config import LeaseConfig
from pichannels.control.reports import LeaseReport
from pichannels.errors import LeaseHeld, NotConnected, SettingsError, TryAgain
from pichannels.journal import Journal
from pichannels.journal.lock import this_process

__all__ = ["Lease"]

logger: Final = logging.getLogger("pichannels.lease")

_TABLE: Final = "pichannels_lease"
_MAKE: Final = f"""\
CREATE TABLE IF NOT EXISTS {_TABLE} (name text PRIMARY KEY, place text NOT NULL,
 token text NOT NULL, owner text NOT NULL, ends timestamptz NOT NULL)"""
_THERE: Final = "SELECT to_regclass($1) IS NOT NULL"
_END: Final = "clock_timestamp() + $1 * interval '1 second'"
_TAKE: Final = f"""\
INSERT INTO {_TABLE} AS held (name, place, token, owner, ends)
VALUES ($2, $3, $4, $5, {_END})
ON CONFLICT (name) DO UPDATE SET place = excluded.place, token = excluded.token,
 owner = excluded.owner, ends = excluded.ends
WHERE held.ends < clock_timestamp() OR held.place = excluded.place
RETURNING token"""
_OWNER: Final = f"SELECT owner FROM {_TABLE} WHERE name = $1"
_RENEW: Final = f"""\
UPDATE {_TABLE} SET ends = {_END} WHERE name = $2 AND token = $3 RETURNING token"""
_RELEASE: Final = f"DELETE FROM {_TABLE} WHERE name = $1 AND token = $2"

_TRIES: Final = 6
"""How often the end is moved on before it comes; as long an answer may take."""
_MARGIN: Final = 1 / 3
"""The part of the time that is left for stopping."""
_LOOK: Final = 1.0
"""Seconds between two looks while standing by, at most."""
_LAST_ANSWER: Final = 2.0

Lost = Callable[[float], Awaitable[None]]


class _Term(NamedTuple):
    """What a grant allows; times of our monotonic clock."""

    granted: float
    stop: float
    end: float


class Lease:
    """Held by the one instance that takes values; takes it, and moves its end on.

    Args:
        config: as the settings have it.
        name: when the settings give none.
        wait: stand by while another has it, or the database is away.
        on_lost: called once with the seconds that are left: until then nothing may
            be taken any more.

    Raises:
        SettingsError: asyncpg is not installed.
    """

    def __init__(
        self, config: LeaseConfig, name: str, wait: bool, on_lost: Lost
    ) -> None:
        self.name = config.name or name
        self.is_lost = False
        self._takeover = config.takeover
        self._every = config.takeover / _TRIES
        self._waits = wait
        self._on_lost = on_lost
        login = Login(config.url, config.password or None, timeout=self._every)
        self._link = Link(login)
        self._token = secrets.token_hex(16)
        self._place = ""
        self._term: _Term | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def take(self, journal: Journal) -> None:
        """Take it, and keep it until `close`.

        Args:
            journal: the open one of this instance. Who has it knows that an earlier
                run with it is over, and takes its lease at once.

        Raises:
            LeaseHeld: another has it (unless `wait`).
            NotConnected: the database does not answer (unless `wait`).
            SettingsError: the database refuses us.
        """
        self._place = await _place_of(journal)
        told = ""
        while True:
            try:
                self._term = await self._granted()
                break
            except (LeaseHeld, TryAgain, TimeoutError) as exc:
                error = self._unanswered() if isinstance(exc, TimeoutError) else exc
                if not self._waits:
                    raise error from exc
            if str(error) != told:
                told = str(error)
                logger.info("standing by: %s", told)
            await asyncio.sleep(min(self._every, _LOOK))
        logger.info("the lease %r is ours", self.name)
        self._keeping = asyncio.create_task(self._keep(), name="lease")

    async def close(self) -> None:
        """Give it back, as far as the database answers."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
            self._keeping = None
        with contextlib.suppress(TryAgain, SettingsError, Refused, TimeoutError):
            async with asyncio.timeout(_LAST_ANSWER):
                if self._term is not None:
                    await self._link.open()
                    await self._link.fetch(_RELEASE, self.name, self._token)
        self._term = None
        await self._link.close()

    def report(self) -> LeaseReport | None:
        """How it stands; None when it was not taken."""
        if self._term is None:
            return None
        return LeaseReport(
            name=self.name,
            database=self._link.target,
            is_held=not self.is_lost,
            age=clock.monotonic() - self._term.granted,
            takeover=self._takeover,
        )

    async def _granted(self) -> _Term:
        async with asyncio.timeout(self._every):
            await self._link.open()
            await self._make_table()
        asked = clock.monotonic()
        mine = (self.name, self._place, self._token, this_process())
        async with asyncio.timeout(self._every):
            if not await self._link.fetch(_TAKE, self._takeover, *mine):
                rows = await self._link.fetch(_OWNER, self.name)
                raise LeaseHeld(self.name, rows[0][0] if rows else "another instance")
        return self._term_from(asked)

    async def _make_table(self) -> None:
        # Looked for first: whoever may not make tables can use one that is there.
        if (await self._link.fetch(_THERE, _TABLE))[0][0]:
            return
        try:
            await self._link.execute([_MAKE])
        except Refused as exc:
            # Another one has made it at the same moment.
            raise self._unanswered(str(exc)) from exc

    def _term_from(self, asked: float) -> _Term:
        stop = asked + self._takeover * (1 - _MARGIN)
        return _Term(asked, stop, asked + self._takeover)

    def _unanswered(self, reason: str = "no answer in time") -> NotConnected:
        return NotConnected(self._link.target, f"lease: {reason}")

    # Keeping it

    async def _keep(self) -> None:
        assert self._term is not None
        while (now := clock.monotonic()) < self._term.stop:
            left = self._term.stop - now
            await asyncio.sleep(min(self._every, left))
            try:
                async with asyncio.timeout(min(self._every, left)):
                    if not await self._renewed():
                        await self._lose("another instance has taken it", 0.0)
                        return
            except (TryAgain, SettingsError, Refused, TimeoutError) as exc:
                reason = str(exc) or "no answer in time"
                logger.warning("the lease is not renewed: %s", reason)
        left = self._term.end - clock.monotonic()
        await self._lose(f"not renewed for {self._takeover - left:.0f} s", left)

    async def _renewed(self) -> bool:
        """Move the end on; False when it is not ours any more."""
        await self._link.open()
        asked = clock.monotonic()
        mine = (self.name, self._token)
        if not await self._link.fetch(_RENEW, self._takeover, *mine):
            return False
        self._term = self._term_from(asked)
        return True

    async def _lose(self, why: str, left: float) -> None:
        self.is_lost = True
        logger.error("the lease %r is lost, nothing more is taken: %s", self.name, why)
        await self._on_lost(max(left, 0.0))


async def _place_of(journal: Journal) -> str:
    """What tells this journal, on this host, from all others."""
    found = await journal.restore("lease", "place", None)
    if found is None:
        found = secrets.token_hex(16)
        await journal.save("lease", "place", found)
    # A copy of the journal on another host is another one.
    return f"{found}@{socket.gethostname()}"
