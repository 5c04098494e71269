"""Writing message stores to PostgreSQL: all that waits in one transaction.

One connection writes for all stores of a factory, and holds a lock of the database for
each of them. The lock is gone with the connection, and so is the right to write: what
was not committed is written by the next connection after it has the lock again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from msgstore._postgres_batch import KNOWN, Batch, Change, Key, Row, columns, fail
from msgstore._postgres_schema import Schema
from pichannels import clock, codecs
from pichannels.adapters.postgres import Link, Refused
from pichannels.errors import (
    NotConnected,
    PichannelsError,
    StoreHeld,
    TryAgain,
)
from pichannels.journal.lock import this_process
from pichannels.journal.schema import CODES
from pichannels.retry import RetryPolicy
from pichannels.states import State

__all__ = ["Writer"]

logger: Final = logging.getLogger("msgstore.postgres")

_ROWS: Final = 10_000
_BYTES: Final = 64 * 2**20
_FACTS: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_BACKOFF: Final = RetryPolicy(attempts=0, initial=0.1, maximum=2.0)
_LOCK_TRIES: Final = 20
_LOCK_WAIT: Final = 0.05

_STORE: Final = "INSERT INTO {s}.store (name) VALUES ($1) ON CONFLICT DO NOTHING"
_STORE_ID: Final = "SELECT id, owner FROM {s}.store WHERE name = $1"
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext($1), $2)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext($1), $2)"
_OWNED: Final = "UPDATE {s}.store SET owner = $2, since = now() WHERE id = $1"
_FREED: Final = "UPDATE {s}.store SET owner = NULL, since = NULL WHERE id = $1"
# The server keeps the locks of a host that vanished until it looks for it.
_NOTICE_WHEN_GONE: Final = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
_BACKEND: Final = """\
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
_END_BACKEND: Final = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND backend_start = $2"""


class Writer:
    """The connection that writes, and what waits for it.

    Args:
        link: belongs to this.
        schema: whose tables are made when it opens.
        text_index: whether texts are indexed.
        patience: seconds that a message waits for the server before its sender is
            told that it was not kept.
    """

    def __init__(
        self, link: Link, schema: Schema, text_index: bool, patience: float
    ) -> None:
        self._link = link
        self._schema = schema
        self._text_index = text_index
        self._patience = patience
        self._batch = Batch()
        self._held: dict[str, int] = {}
        self._lost: dict[int, StoreHeld] = {}
        self._backend: tuple[Any, ...] | None = None
        self._using = asyncio.Lock()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, make the tables, and write from now on what is handed over.

        Raises:
            SettingsError: the server refuses the login, or the tables.
            TryAgain: it does not answer.
        """
        async with self._using:
            await self._opened()
        self._task = asyncio.create_task(self._run(), name="PostgreSQL store writer")

    async def close(self) -> None:
        """Write what waits, as far as the server answers, and disconnect."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await asyncio.shield(self._task)
            self._task.cancel()
            await asyncio.wait([self._task])
        left = self._batch.count
        if left:
            logger.error("%s: %d changes are not written", self._link.target, left)
        self._batch.refuse(NotConnected(self._link.target, "it was closed"))
        await self._link.close()

    # What is handed over

    async def hold(self, store: str) -> tuple[int, int]:
        """Take the lease of a store: its number, and that of this run.

        Raises:
            StoreHeld: another process has it.
            TryAgain, SettingsError, Refused: as the server says.
        """
        async with self._using:
            await self._opened()
            id = await self._locked(store)
            run = await self._fetch("SELECT nextval('{s}.run'::regclass)")
            self._held[store] = id
            self._lost.pop(id, None)
        return id, int(run[0][0])

    async def release(self, store: str) -> None:
        """Write what waits, and give the lease back."""
        with contextlib.suppress(TimeoutError, PichannelsError):
            async with asyncio.timeout(self._patience):
                await self.flush()
        async with self._using:
            id = self._held.pop(store, None)
            if id is None or not self._link.is_open:
                return
            with contextlib.suppress(PichannelsError):
                await self._fetch(_FREED, id)
                await self._fetch(_UNLOCK, f"pichannels:{self._schema.name}", id)

    def is_lost(self, store: int) -> bool:
        """Whether another process has taken the lease meanwhile."""
        return store in self._lost

    async def add(self, row: Row) -> None:
        """Write a message; returns when it is committed.

        Raises:
            NotConnected: the server was away for too long; it was not kept.
            Refused: the server does not take it.
            StoreHeld: another process writes this store by now.
        """
        await self._make_room()
        done = self._batch.add(row)
        self._wake.set()
        await done

    async def change(
        self, key: Key, state: State | None, facts: Mapping[str, Any] | None
    ) -> None:
        """Say what became of a message, in the next commit.

        Raises:
            CodecError: a fact has no codec.
            StoreHeld: another process writes this store by now.
        """
        encoded = {k: msgspec.Raw(codecs.encode(v)) for k, v in (facts or {}).items()}
        await self._make_room()
        if key.store in self._lost:
            raise self._lost[key.store]
        code = None if state is None else CODES[state]
        self._batch.change(key, Change(code, encoded))
        self._wake.set()

    async def delete(self, keys: Iterable[Key]) -> None:
        """Forget messages; returns when that is committed, or cannot be.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        self._batch.deleted += keys
        await self.flush()

    async def flush(self) -> None:
        """Until all that was handed over before is committed.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        if self._task is None or self._task.done():
            raise NotConnected(self._link.target, "it was closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._batch.barriers.append(done)
        self._wake.set()
        await done

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be written, and nothing is being written."""
        return not self._batch and not self._using.locked()

    async def _make_room(self) -> None:
        while self._batch.count >= _ROWS or self._batch.bytes >= _BYTES:
            self._room.clear()
            await self._room.wait()

    # Writing

    async def _run(self) -> None:
        attempt, since = 0, 0.0
        while not (self._is_closing and not self._batch):
            await self._wake.wait()
            self._wake.clear()
            batch, self._batch = self._batch, Batch()
            started = clock.monotonic()
            error = await self._tried(batch) if batch else None
            self._room.set()
            if error is None:
                attempt = 0
                continue
            attempt += 1
            since = since if attempt > 1 else started
            self._put_back(batch, error, clock.monotonic() - since >= self._patience)
            await asyncio.sleep(_BACKOFF.delay(attempt, error) or 0.0)
            self._wake.set()

    async def _tried(self, batch: Batch) -> PichannelsError | None:
        """Write a batch; None, or why what it still holds was not written."""
        try:
            await self._write(batch)
        except Refused:
            return await self._write_apart(batch)
        except PichannelsError as exc:
            return exc
        except Exception as exc:
            # A fault of ours must not leave senders waiting for ever.
            logger.exception("%s", self._link.target)
            return NotConnected(self._link.target, repr(exc))
        batch.conclude()
        return None

    async def _write_apart(self, batch: Batch) -> PichannelsError | None:
        """Write one by one what the server does not take together."""
        # Another process may have dropped days that were there.
        self._schema.days.clear()
        for key in list(dict.fromkeys((*batch.rows, *batch.changes))):
            alone = batch.part(key)
            try:
                await self._write(alone)
            except Refused as exc:
                logger.error("%s: a message is refused: %s", self._link.target, exc)
                batch.forget(alone)
                alone.refuse(exc)
            except PichannelsError as exc:
                return exc
            else:
                batch.forget(alone)
                alone.conclude()
        try:
            await self._write(batch)
        except Refused as exc:
            for barrier in batch.barriers:
                fail(barrier, exc)
        except PichannelsError as exc:
            return exc
        batch.conclude()
        return None

    def _put_back(self, batch: Batch, error: PichannelsError, too_long: bool) -> None:
        """What was not written waits for the next try; senders are told in time."""
        logger.warning("%s: not written yet: %s", self._link.target, error)
        for barrier in batch.barriers:
            fail(barrier, error)
        batch.barriers = []
        if too_long or not isinstance(error, TryAgain):
            batch.refuse(error)
        newer, self._batch = self._batch, batch
        batch.append(newer)

    async def _write(self, batch: Batch) -> None:
        async with self._using:
            await self._opened()
            self._drop_lost(batch)
            if not batch.count:
                return
            await self._schema.add_days(self._link, batch.days())
            facts = await self._merged(batch.changes)
            steps = batch.steps(facts)
            await self._link.run((self._schema.sql(sql), v) for sql, v in steps)

    async def _merged(self, changes: Mapping[Key, Change]) -> list[bytes | None]:
        """The facts after these changes, or None for those without new ones."""
        wanted = [key for key, change in changes.items() if change.facts]
        known: dict[Key, bytes] = {}
        if wanted:
            for *key, data in await self._fetch(KNOWN, *columns(wanted)):
                known[Key(*key)] = data
        return [
            msgspec.msgpack.encode({**_decoded(known.get(key)), **change.facts})
            if change.facts
            else None
            for key, change in changes.items()
        ]

    async def _fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._link.fetch(self._schema.sql(sql), *values)

    # The lease

    async def _opened(self) -> None:
        """Have a connection that may write: one with the locks of all stores."""
        if self._link.is_open:
            return
        await self._link.open()
        await self._schema.prepare(self._link, self._text_index)
        # The server may not know yet that the connection before is gone.
        if self._backend is not None:
            with contextlib.suppress(Refused):
                await self._fetch(_END_BACKEND, *self._backend)
        self._backend = (await self._fetch(_BACKEND))[0]
        await self._link.execute(_NOTICE_WHEN_GONE)
        for store, id in list(self._held.items()):
            try:
                await self._locked(store)
            except StoreHeld as exc:
                logger.error("%s", exc)
                del self._held[store]
                self._lost[id] = exc

    async def _locked(self, store: str) -> int:
        """The number of a store whose lock this connection has now.

        Raises:
            StoreHeld: another one has it.
        """
        await self._fetch(_STORE, store)
        id, owner = (await self._fetch(_STORE_ID, store))[0]
        tries = _LOCK_TRIES if store in self._held else 1
        for _ in range(tries):
            lock = f"pichannels:{self._schema.name}", id
            if (await self._fetch(_LOCK, *lock))[0][0]:
                await self._fetch(_OWNED, id, this_process())
                return int(id)
            await asyncio.sleep(_LOCK_WAIT)
        raise StoreHeld(store, owner or "another process")

    def _drop_lost(self, batch: Batch) -> None:
        for id, error in self._lost.items():
            for key in batch.of(id):
                alone = batch.part(key)
                batch.forget(alone)
                alone.refuse(error)
            batch.deleted = [key for key in batch.deleted if key.store != id]


def _decoded(data: bytes | None) -> dict[str, msgspec.Raw]:
    try:
        return {} if data is None else _FACTS.decode(data)
    except msgspec.DecodeError:
        # What cannot be read costs itself, not what comes.
        return {}
