"""The store that keeps each message in a file of its own.

`base/store_id/YYYY/MM/DD/` holds the messages of a day (UTC), as JSON that people can
read. The time and the state of a message are in the name of its file, so that a search
by them reads no file.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from msgstore._folders import Folder, Stored, folder_name
from pichannels import codecs
from pichannels.errors import CodecError, MessageNotFound, SettingsError, UsageError
from pichannels.message import Message
from pichannels.probes import Finding, folder_finding
from pichannels.query import Query
from pichannels.retention import Retention
from pichannels.states import State
from pichannels.store import (
    Entry,
    MessageStore,
    MessageStoreFactory,
    PageReader,
)

__all__ = ["FileMessageStore", "FileMessageStoreFactory"]

logger: Final = logging.getLogger("msgstore.file")

_FIRST_PRUNING: Final = 60.0


class FileMessageStore(MessageStore):
    """The messages of one channel as files.

    One process at a time may write to it. A message is kept, or changed, as a whole
    or not at all, also in a crash.
    """

    def __init__(
        self,
        store_id: str,
        folder: Path,
        *,
        fsync: bool,
        retention: Retention | None,
        prune_every: float,
    ) -> None:
        self.store_id = store_id
        self._folder = Folder(folder, store_id, fsync)
        self._retention = retention
        self._prune_every = prune_every
        self._pruning: asyncio.Task[None] | None = None
        self._changing = threading.Lock()

    async def probe(self) -> list[Finding]:
        """Look whether the folder can be written to."""
        return [await asyncio.to_thread(folder_finding, self._folder.path)]

    async def start(self) -> None:
        """Make the folder, and see to the retention from now on.

        Raises:
            OSError: the folder cannot be made.
        """
        await asyncio.to_thread(self._folder.open)
        if self._retention is not None and self._pruning is None:
            self._pruning = asyncio.create_task(
                self._keep_pruning(self._retention),
                name=f"{self.store_id}: file store retention",
            )

    async def stop(self) -> None:
        pruning, self._pruning = self._pruning, None
        if pruning is not None:
            pruning.cancel()
            await asyncio.gather(pruning, return_exceptions=True)

    async def store(self, msg: Message) -> str | None:
        data = {**msg.to_dict(), "store_id": None, "store_chan_name": None}
        encoded = codecs.encode_json(data).encode()
        id = self._folder.new_id(msg.ticks)
        await asyncio.to_thread(self._folder.write, id, encoded)
        return id

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        await asyncio.to_thread(self._change, id, new_state, meta)

    async def update_message_meta_infos(
        self, id: str, infos: Mapping[str, Any]
    ) -> None:
        await asyncio.to_thread(self._change, id, None, infos)

    def _change(
        self, id: str, new_state: str | None, meta: Mapping[str, Any] | None
    ) -> None:
        # One change at a time: facts are read and written.
        with self._changing:
            before = self._folder.state_of(id)
            try:
                state = before if new_state is None else State(new_state)
            except ValueError as exc:
                raise UsageError(f"{new_state!r} is no state") from exc
            facts = None if meta is None else self._merged(id, meta)
            self._folder.change(id, state, facts)

    def _merged(self, id: str, meta: Mapping[str, Any]) -> bytes:
        known = self._folder.facts(id)
        before = {} if known is None else codecs.decode_json(known.decode())
        return codecs.encode_json({**before, **meta}).encode()

    async def get(self, id: str) -> Entry:
        return await asyncio.to_thread(self._read, id)

    def _read(self, id: str) -> Entry:
        state, data, facts = self._folder.read(id)
        try:
            msg = Message.from_json(data.decode())
            meta = {} if facts is None else codecs.decode_json(facts.decode())
        except UnicodeDecodeError as exc:
            raise CodecError(f"message {id} of {self.store_id}: {exc}") from exc
        msg.store_id, msg.store_chan_name = id, self.store_id
        return {"id": id, "state": str(state), "message": msg, "meta": meta}

    async def find(self, query: Query) -> list[Entry]:
        return await asyncio.to_thread(self._search, query)

    def _search(self, query: Query) -> list[Entry]:
        end = query.start + query.count
        if query.needs_reading:
            return list(itertools.islice(self.matching(query), query.start, end))
        # Those that come before the page need not be read.
        chosen = itertools.islice(self._stored(query), query.start, end)
        return [e for s in chosen if (e := self._entry(s)) is not None]

    def reader(self, query: Query) -> PageReader:
        return _Reader(self, query)

    def matching(self, query: Query) -> Iterator[Entry]:
        """What a query is after, each read when it is asked for.

        Raises:
            MessageNotFound: there is no message `query.after_id`.
        """
        entries = (self._entry(stored) for stored in self._stored(query))
        return (e for e in entries if e is not None and query.fits(e))

    def _stored(self, query: Query) -> Iterator[Stored]:
        if query.after_id is not None:
            self._folder.state_of(query.after_id)
        found: Iterator[Stored] = self._folder.messages(
            query.first,
            query.end,
            newest=query.is_reversed,
            after=query.after_id,
        )
        if query.state is not None:
            found = (stored for stored in found if stored.state is query.state)
        if query.by_state:
            # Sorting keeps the order of time within a state.
            found = iter(sorted(found, key=_state, reverse=query.is_reversed))
        return found

    def _entry(self, stored: Stored) -> Entry | None:
        try:
            return self._read(stored.id)
        except MessageNotFound:
            return None
        except CodecError as exc:
            # One that cannot be read costs itself, not the search.
            msg = Message("application/octet-stream")
            msg.ticks, msg.store_id = stored.ticks, stored.id
            meta = {"err_msg": str(exc)}
            state = str(stored.state)
            return {"id": stored.id, "state": state, "message": msg, "meta": meta}

    async def total(self) -> int:
        return await asyncio.to_thread(self._count)

    def _count(self) -> int:
        return sum(1 for _ in self._folder.messages())

    async def delete(self, id: str) -> None:
        await asyncio.to_thread(self._folder.delete, id)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> int:
        """Delete what is not to be kept; how many messages that are.

        Raises:
            OSError: something cannot be deleted.
        """
        return await asyncio.to_thread(self._folder.prune, retention, dry_run)

    async def _keep_pruning(self, retention: Retention) -> None:
        wait = min(_FIRST_PRUNING, self._prune_every)
        while True:
            await asyncio.sleep(wait)
            wait = self._prune_every
            try:
                count = await self.prune(retention)
            except OSError as exc:
                logger.error("%s: could not prune: %s", self.store_id, exc)
            else:
                logger.debug("%s: %d messages pruned", self.store_id, count)

    def __repr__(self) -> str:
        return f"FileMessageStore({self.store_id!r}, {str(self._folder.path)!r})"


class _Reader:
    """Reads in pages, and looks into each folder only once."""

    def __init__(self, store: FileMessageStore, query: Query) -> None:
        self._store = store
        self._query = msgspec.structs.replace(query, by_state=False)
        self._found: Iterator[Entry] | None = None

    async def read(self, count: int) -> list[Entry]:
        return await asyncio.to_thread(self._read, count)

    def _read(self, count: int) -> list[Entry]:
        if self._found is None:
            self._found = self._store.matching(self._query)
        return list(itertools.islice(self._found, count))


class FileMessageStoreFactory(MessageStoreFactory):
    """Makes stores that keep messages as files.

    Args:
        path: the folder that holds a folder for each store.
        retention: what is kept; None keeps everything.
        fsync: each message is on the disk before the first node sees it, so that it
            survives a power cut; False is faster, and it survives only the end of
            the process.
        prune_every: seconds between looks at the retention.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        retention: Retention | None = Retention(),  # noqa: B008 - it is frozen
        fsync: bool = True,
        prune_every: float = 3600.0,
    ) -> None:
        if not prune_every > 0:
            raise SettingsError(
                "not a usable number",
                key="prune_every",
                found=prune_every,
                allowed="above 0",
            )
        self.path = Path(path)
        self._options: dict[str, Any] = {
            "retention": retention,
            "fsync": fsync,
            "prune_every": prune_every,
        }
        self._stores: dict[str, FileMessageStore] = {}

    def get_store(self, store_id: str) -> FileMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            folder = self.path / folder_name(store_id)
            self._stores[store_id] = FileMessageStore(store_id, folder, **self._options)
        return self._stores[store_id]

    def __repr__(self) -> str:
        return f"FileMessageStoreFactory({str(self.path)!r})"


def _state(stored: Stored) -> str:
    return str(stored.state)
