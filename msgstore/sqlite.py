"""The store that keeps messages in SQLite; the default.

Without a path it shares the journal of the instance, so that each payload is
written once. With a path it has a file of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec

from msgstore._tags import tag_entries
from pichannels.errors import (
    CodecError,
    MessageNotFound,
    SettingsError,
    UsageError,
)
from pichannels.journal import Durability, Journal, Record, encode_manifest
from pichannels.message import Message
from pichannels.probes import Finding, folder_finding
from pichannels.query import Query
from pichannels.retention import Retention
from pichannels.states import State
from pichannels.store import Entry, MessageStore, MessageStoreFactory

__all__ = ["SQLiteMessageStore", "SQLiteMessageStoreFactory"]

_LARGEST: Final = 2**63 - 1
_REMEMBERED: Final = 100_000
_AT_ONCE: Final = 1000


class SQLiteMessageStore(MessageStore):
    """The history of one channel in a journal file.

    Attributes:
        shares_journal: it uses the journal of the instance, given by `attach`.
    """

    indexes_tags = True

    def __init__(self, store_id: str, file: _SharedFile | None) -> None:
        self.store_id = store_id
        self.shares_journal = file is None
        self._file = file
        self._journal: Journal | None = None
        # Numbers that are known to be there, so that settling need not look.
        self._open: set[int] = set()

    def attach(self, journal: Journal) -> None:
        """Use the opened journal of the instance; before `start`.

        Raises:
            UsageError: this store has a file of its own.
        """
        if not self.shares_journal:
            raise UsageError(f"{self!r} has a file of its own; it takes no journal")
        self._journal = journal

    async def probe(self) -> list[Finding]:
        """Look whether the folder of the file, if it is its own, can be written to."""
        if self._file is None:
            return []
        return [await asyncio.to_thread(folder_finding, self._file.folder)]

    async def start(self) -> None:
        """Open the file, if it is its own.

        Raises:
            UsageError: it shares a journal and none was attached.
            JournalError: the file cannot be opened.
        """
        if self._file is not None and self._journal is None:
            self._journal = await self._file.take()
        self._opened()

    async def stop(self) -> None:
        """Release the file; the last store closes it."""
        if self._file is not None and self._journal is not None:
            self._journal = None
            await self._file.give_back()

    def _opened(self) -> Journal:
        if self._journal is None:
            raise UsageError(
                f"{self!r} is not started; a channel in an engine starts its store,"
                " or call start() (and attach() when it shares a journal)"
            )
        return self._journal

    async def store(self, msg: Message) -> str | None:
        journal = self._opened()
        if journal.is_full:
            await journal.room()
        tags = tag_entries(msg)
        manifest = encode_manifest(tags) if tags else None
        ticket = journal.append(self.store_id, msg, manifest=manifest)
        await ticket.durable
        if len(self._open) < _REMEMBERED:
            self._open.add(ticket.seq)
        return str(ticket.seq)

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        seq = await self._find(id)
        state = _state(new_state)
        if meta is None:
            self._opened().settle(seq, state)
        else:
            await self._note(id, meta, state)
        if state.is_final:
            self._open.discard(seq)

    async def update_message_meta_infos(
        self, id: str, infos: Mapping[str, Any]
    ) -> None:
        await self._note(id, infos)

    async def _note(
        self, id: str, facts: Mapping[str, Any], state: State | None = None
    ) -> None:
        seq = self._number(id)
        if not await self._opened().add_facts(self.store_id, seq, facts, state):
            raise MessageNotFound(self.store_id, id)

    async def get(self, id: str) -> Entry:
        return (await self._record(id)).entry()

    async def _record(self, id: str) -> Record:
        record = await self._opened().get(self.store_id, self._number(id))
        if record is None:
            raise MessageNotFound(self.store_id, id)
        return record

    async def find(self, query: Query) -> list[Entry]:
        if query.after_id is not None:
            last = await self._record(query.after_id)
            query = msgspec.structs.replace(query, after=last.position)
        records = await self._opened().find(self.store_id, query)
        return [_entry(record) for record in records]

    async def total(self) -> int:
        return await self._opened().total(self.store_id)

    async def delete(self, id: str) -> None:
        seq = await self._find(id)
        self._open.discard(seq)
        journal = self._opened()
        journal.delete(seq)
        await journal.flush()

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> int:
        """Delete what is not to be kept; how many messages that are.

        Raises:
            JournalError: the file cannot be read or written.
        """
        journal = self._opened()
        gone = retention.expired(await journal.outlines(self.store_id))
        for at in range(0, 0 if dry_run else len(gone), _AT_ONCE):
            for seq in gone[at : at + _AT_ONCE]:
                journal.delete(seq)
            await journal.flush()
        return len(gone)

    async def _find(self, id: str) -> int:
        seq = self._number(id)
        if seq in self._open:
            return seq
        if await self._opened().get(self.store_id, seq) is None:
            raise MessageNotFound(self.store_id, id)
        return seq

    def _number(self, id: str) -> int:
        if id.isascii() and id.isdecimal() and int(id) <= _LARGEST:
            return int(id)
        raise MessageNotFound(self.store_id, id)

    def __repr__(self) -> str:
        return f"SQLiteMessageStore({self.store_id!r})"


class SQLiteMessageStoreFactory(MessageStoreFactory):
    """Makes stores in SQLite.

    Args:
        path: a file for all stores of this factory; None shares the journal of
            the instance, whose durability and retention then count.
        durability: `full` (survives a power cut) or `normal` (survives the end
            of the process).
        retention_age: seconds that settled messages are kept.
        retention_bytes: beyond this the oldest settled messages go.
        retention: by age, size and state, in place of those two; for a file of its
            own only.

    Raises:
        SettingsError: a retention for the journal of the instance, which has its own.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        durability: Durability = "full",
        retention_age: float = 7 * 86_400,
        retention_bytes: int = 10 * 2**30,
        retention: Retention | None = None,
    ) -> None:
        if path is None and retention is not None:
            raise SettingsError(
                "this store shares the journal, whose retention counts; give it a"
                " path of its own",
                key="retention",
            )
        retention = retention or Retention(age=retention_age, size=retention_bytes)
        size = _LARGEST // 2 if retention.size is None else retention.size
        self._path = path
        self._stores: dict[str, SQLiteMessageStore] = {}
        self._file = None
        if path is not None:
            journal = Journal(
                path,
                durability=durability,
                budget=2 * size,
                retention_age=inf if retention.age is None else retention.age,
                retention_bytes=size,
                state_ages=retention.states,
            )
            self._file = _SharedFile(journal, Path(path).absolute().parent)

    def get_store(self, store_id: str) -> SQLiteMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            self._stores[store_id] = SQLiteMessageStore(store_id, self._file)
        return self._stores[store_id]

    def __repr__(self) -> str:
        path = "" if self._path is None else repr(str(self._path))
        return f"SQLiteMessageStoreFactory({path})"


class _SharedFile:
    """The file of a factory: opened by the first store, closed by the last."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self.folder = folder
        self._users = 0
        self._lock = asyncio.Lock()

    async def take(self) -> Journal:
        if not self._users:
            # The one before may belong to an event loop that is gone.
            self._lock = asyncio.Lock()
        self._users += 1
        try:
            async with self._lock:
                await self._journal.open()
        except BaseException:
            self._users -= 1
            raise
        return self._journal

    async def give_back(self) -> None:
        self._users -= 1
        if not self._users:
            await self._journal.close()


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as exc:
        raise UsageError(f"{name!r} is no state") from exc


def _entry(record: Record) -> Entry:
    try:
        return record.entry()
    except CodecError as exc:
        # One that cannot be read costs itself, not the search.
        msg, id = Message("application/octet-stream", record.data), str(record.seq)
        msg.ticks, msg.store_id = record.ticks, id
        meta = {"err_msg": str(exc)}
        return {"id": id, "state": str(record.state), "message": msg, "meta": meta}
