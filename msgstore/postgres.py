"""The store that keeps messages in PostgreSQL; needs the extra `postgres`.

Stores of many channels, also of several instances, share a schema. One process at a
time writes the store of a channel; any number search it and read from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, Final

import msgspec

from msgstore._postgres_batch import Key, Row
from msgstore._postgres_pruning import Pruner
from msgstore._postgres_reader import Reader, storable
from msgstore._postgres_schema import Schema
from msgstore._postgres_writer import Writer
from msgstore._tags import tags_of
from pichannels import clock
from pichannels.adapters.postgres import Link, Login, checked_url
from pichannels.errors import (
    CodecError,
    MessageNotFound,
    NotConnected,
    PichannelsError,
    SettingsError,
    TryAgain,
    UsageError,
)
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.query import Query, payload_text
from pichannels.retention import Retention
from pichannels.secrets import Secret
from pichannels.states import State
from pichannels.store import Entry, MessageStore, MessageStoreFactory

__all__ = ["PostgreSQLMessageStore", "PostgreSQLMessageStoreFactory"]

logger: Final = logging.getLogger("msgstore.postgres")

_ID: Final = re.compile(r"(-?\d{1,19})-(\d{1,19})", re.ASCII)
_LEAST, _MOST = -(2**63), 2**63 - 1
_RUN_BITS: Final = 40
_REMEMBERED: Final = 100_000
_LARGEST: Final = 2**29
_LONGEST_TAG: Final = 600
_FIRST_PRUNING: Final = 60.0
_AWAY: Final = 0.5
"""Seconds for which a server that did not answer is taken to be away."""


class PostgreSQLMessageStore(MessageStore):
    """The history of one channel in PostgreSQL.

    The first write takes the lease of the store, and `stop` gives it back. While
    another process has it, writes raise `StoreHeld`; all else works.
    """

    indexes_tags = True
    indexes_texts = True
    indexes_facts = True

    def __init__(self, store_id: str, database: _Database) -> None:
        self.store_id = store_id
        self._database = database
        self._is_started = False
        # Why not, where it was tried.
        self._refused: PichannelsError | None = None
        self._number: int | None = None
        self._held: int | None = None
        self._run = 0
        self._counter = itertools.count()
        self._holding = asyncio.Lock()
        # Those that are known to be there, so that settling need not look.
        self._open: set[Key] = set()

    async def probe(self) -> list[Finding]:
        """Look whether the database is there and takes us; nothing is changed."""
        return await self._database.probe()

    async def start(self) -> None:
        """Connect, and make the tables where they are not there.

        Raises:
            NotConnected: the server does not answer.
            SettingsError: it refuses the login, or may not be used like this.
        """
        if not self._is_started:
            self._holding = asyncio.Lock()
            try:
                await self._database.take()
            except PichannelsError as exc:
                self._refused = exc
                raise
            self._is_started, self._refused = True, None

    async def stop(self) -> None:
        """Write what waits and give the lease back; the last store disconnects."""
        self._refused = None
        if not self._is_started:
            return
        self._is_started = False
        held, self._held = self._held, None
        self._open.clear()
        try:
            if held is not None:
                self._database.held.discard(held)
                await self._database.writer.release(self.store_id)
        finally:
            await self._database.give_back()

    def _opened(self) -> _Database:
        if self._is_started:
            return self._database
        if self._refused is not None:
            why = self._refused
            reason = why.reason if isinstance(why, NotConnected) else str(why)
            raise NotConnected(self._database.target, reason) from why
        raise UsageError(f"{self!r} is not started; call start()")

    async def store(self, msg: Message) -> str | None:
        row = self._row(msg, Key(await self._leased(), msg.ticks, 0))
        # What wants a number gets one when all that may fail before is done.
        seq = (self._run << _RUN_BITS) + next(self._counter)
        row = row._replace(key=row.key._replace(seq=seq))
        await self._opened().writer.add(row)
        if len(self._open) < _REMEMBERED:
            self._open.add(row.key)
        return f"{row.key.ticks}-{row.key.seq}"

    @staticmethod
    def _row(msg: Message, key: Key) -> Row:
        data = msg.encode()
        if len(data) > _LARGEST:
            raise CodecError(f"{len(data)} bytes are too many to be stored at once")
        if type(key.ticks) is not int or not _LEAST <= key.ticks <= _MOST:
            raise CodecError(f"timestamp {key.ticks!r} is out of range")
        uuid = str(msg.uuid).encode("utf-8", "surrogatepass")
        content = storable(payload_text(msg.payload))
        # No index takes longer keys, and none should cost the message.
        tags = tuple(storable(tag) for tag in tags_of(msg) if len(tag) <= _LONGEST_TAG)
        return Row(key, uuid, data, content, tags)

    async def _leased(self) -> int:
        """The number of this store, which this process may write.

        Raises:
            StoreHeld: another one does.
            TryAgain, SettingsError: as the server says.
        """
        database = self._opened()
        async with self._holding:
            if self._held is None or database.writer.is_lost(self._held):
                self._held, self._run = await database.writer.hold(self.store_id)
                self._counter = itertools.count()
                self._number = self._held
                database.held.add(self._held)
            return self._held

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        key = await self._known(id)
        try:
            state = State(new_state)
        except ValueError as exc:
            raise UsageError(f"{new_state!r} is no state") from exc
        await self._opened().writer.change(key, state, meta)
        if state.is_final:
            self._open.discard(key)

    async def update_message_meta_infos(
        self, id: str, infos: Mapping[str, Any]
    ) -> None:
        key = await self._known(id)
        await self._opened().writer.change(key, None, infos)

    async def _known(self, id: str) -> Key:
        """The key of a message that is there, and that this process may write."""
        key = self._key(id)
        if self._held is not None and key._replace(store=self._held) in self._open:
            return key._replace(store=self._held)
        key = key._replace(store=await self._numbered() or 0)
        if await (await self._reader()).state(key) is None:
            raise MessageNotFound(self.store_id, id)
        return key._replace(store=await self._leased())

    def _key(self, id: str) -> Key:
        found = _ID.fullmatch(id)
        if found is not None:
            ticks, seq = int(found[1]), int(found[2])
            if _LEAST <= ticks <= _MOST and seq <= _MOST:
                return Key(0, ticks, seq)
        raise MessageNotFound(self.store_id, id)

    async def _numbered(self) -> int | None:
        """The number of this store, whoever writes it."""
        if self._number is None:
            self._number = await self._opened().reader.store(self.store_id)
        return self._number

    async def _reader(self) -> Reader:
        """What reads, after all that was handed over is written, if it can be."""
        database = self._opened()
        if not database.writer.is_idle:
            with contextlib.suppress(PichannelsError):
                await database.writer.flush()
        return database.reader

    async def get(self, id: str) -> Entry:
        key = self._key(id)._replace(store=await self._numbered() or 0)
        found = await (await self._reader()).read([key])
        if not found:
            raise MessageNotFound(self.store_id, id)
        return found[0].entry(self.store_id)

    async def find(self, query: Query) -> list[Entry]:
        reader, store = await self._reader(), await self._numbered()
        if query.after_id is not None:
            last = self._key(query.after_id)
            if await reader.state(last._replace(store=store or 0)) is None:
                raise MessageNotFound(self.store_id, query.after_id)
            query = msgspec.structs.replace(query, after=(last.ticks, last.seq))
        if store is None:
            return []
        return await reader.search(store, self.store_id, query)

    async def total(self) -> int:
        reader, store = await self._reader(), await self._numbered()
        return 0 if store is None else await reader.total(store)

    async def delete(self, id: str) -> None:
        key = await self._known(id)
        self._open.discard(key)
        await self._opened().writer.delete([key])

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> int:
        """Delete what is not to be kept; how many messages that are.

        Raises:
            StoreHeld: another process writes this store.
            TryAgain, SettingsError: as the server says.
        """
        await self._reader()
        store = await self._numbered()
        if store is None:
            return 0
        if not dry_run:
            await self._leased()
        return await self._opened().pruner.prune([store], retention, dry_run)

    def __repr__(self) -> str:
        return f"PostgreSQLMessageStore({self.store_id!r})"


class PostgreSQLMessageStoreFactory(MessageStoreFactory):
    """Makes stores in PostgreSQL.

    Args:
        url: `postgresql://user@host:port/database`, perhaps with `?sslmode=...`; or a
            `Secret`.
        schema: holds the tables; made where it is not there.
        password: counts before one in the URL; a text or a `Secret`.
        ssl: an `ssl.SSLContext`, a word such as `require` or `verify-full`, True for
            a checked certificate, False for none; None for what the URL says.
        timeout: seconds for a connection, and for a statement.
        patience: seconds that a message waits for a server that is away; then its
            channel is told, and tries again by its own rules.
        retention: what is kept; None keeps everything.
        prune_every: seconds between looks at the retention.
        text_index: index all texts, so that a search for a part of one is quick; it
            needs the extension pg_trgm, and takes about as much room as the texts.

    Raises:
        SettingsError: an argument is not of its kind, or asyncpg is not installed.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        schema: str = "pichannels",
        password: str | Secret | None = None,
        ssl: SSLContext | str | bool | None = None,
        timeout: float = 30.0,
        patience: float = 10.0,
        retention: Retention | None = Retention(),  # noqa: B008 - it is frozen
        prune_every: float = 3600.0,
        text_index: bool = True,
    ) -> None:
        checked_url(url)
        numbers = (("timeout", timeout), ("patience", patience))
        for key, number in (*numbers, ("prune_every", prune_every)):
            if not number > 0:
                raise SettingsError(
                    "not a usable number", key=key, found=number, allowed="above 0"
                )
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise SettingsError("not the name of a schema", key="schema", found=schema)
        self.schema = schema
        login = Login(url, password, ssl, timeout)
        self._database = _Database(
            login, schema, text_index, patience, retention, prune_every
        )
        self._stores: dict[str, PostgreSQLMessageStore] = {}

    def get_store(self, store_id: str) -> PostgreSQLMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            store = PostgreSQLMessageStore(store_id, self._database)
            self._stores[store_id] = store
        return self._stores[store_id]

    def __repr__(self) -> str:
        return f"PostgreSQLMessageStoreFactory({self._database.target!r})"


class _Database:
    """The connections of a factory: opened by the first store, closed by the last.

    Attributes:
        held: the numbers of the stores that this process writes.
        target: where it is, without what may be secret.
    """

    writer: Writer
    reader: Reader
    pruner: Pruner

    def __init__(
        self,
        login: Login,
        schema: str,
        text_index: bool,
        patience: float,
        retention: Retention | None,
        prune_every: float,
    ) -> None:
        self.held: set[int] = set()
        self.target = Link(login).target
        self._login = login
        self._schema = schema
        self._text_index = text_index
        self._patience = patience
        self._retention = retention
        self._prune_every = prune_every
        self._users = 0
        self._is_open = False
        self._away: NotConnected | None = None
        self._ask_again = 0.0
        self._lock = asyncio.Lock()
        self._pruning: asyncio.Task[None] | None = None

    async def probe(self) -> list[Finding]:
        """Look whether it is there and takes us."""
        link = Link(self._login)
        try:
            await link.open()
        except (TryAgain, SettingsError) as exc:
            return [Finding(False, "database", str(exc))]
        finally:
            await link.close()
        return [Finding(True, "database", f"{self.target} answers")]

    async def take(self) -> None:
        """Open, for one more store."""
        if not self._users:
            # The one before may belong to an event loop that is gone.
            self._lock = asyncio.Lock()
        self._users += 1
        try:
            async with self._lock:
                if not self._is_open:
                    await self._open_unless_away()
                    self._is_open = True
        except BaseException:
            self._users -= 1
            raise

    async def _open_unless_away(self) -> None:
        """Connect; many stores that start together wait only once for the server."""
        if self._away is not None and clock.monotonic() < self._ask_again:
            raise NotConnected(self.target, self._away.reason) from self._away
        self._away = None
        try:
            await self._open()
        except NotConnected as exc:
            self._away, self._ask_again = exc, clock.monotonic() + _AWAY
            raise

    async def _open(self) -> None:
        schema = Schema(self._schema)
        self.writer = Writer(
            Link(self._login), schema, self._text_index, self._patience
        )
        self.reader = Reader(self._login, schema)
        self.pruner = Pruner(Link(self._login), schema)
        try:
            await self.writer.open()
        except BaseException:
            await self.writer.close()
            raise
        if self._retention is not None:
            self._pruning = asyncio.create_task(
                self._keep_pruning(self._retention), name="PostgreSQL store retention"
            )

    async def give_back(self) -> None:
        """One store needs it no longer."""
        self._users -= 1
        async with self._lock:
            if self._users or not self._is_open:
                return
            self._is_open = False
            if self._pruning is not None:
                self._pruning.cancel()
                await asyncio.wait([self._pruning])
                self._pruning = None
            await self.writer.close()
            await self.pruner.close()
            await self.reader.close()

    async def _keep_pruning(self, retention: Retention) -> None:
        wait = min(_FIRST_PRUNING, self._prune_every)
        while True:
            await asyncio.sleep(wait)
            wait = self._prune_every
            try:
                count = await self.pruner.prune(sorted(self.held), retention)
            except PichannelsError as exc:
                logger.error("%s: could not prune: %s", self._schema, exc)
            else:
                logger.debug("%s: %d messages pruned", self._schema, count)
