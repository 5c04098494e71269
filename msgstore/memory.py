"""The store that keeps messages as long as the process runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pichannels import clock, codecs
from pichannels.errors import MessageNotFound, UsageError
from pichannels.message import Message
from pichannels.query import Query
from pichannels.retention import Outline, Retention
from pichannels.states import State
from pichannels.store import (
    Entry,
    MessageStore,
    MessageStoreFactory,
    PageReader,
)

__all__ = ["MemoryMessageStore", "MemoryMessageStoreFactory"]

_WITHOUT_END: Final = 2**62
_PRUNE_EVERY: Final = 60.0


class _Kept:
    """A message, encoded: so it shares nothing and takes little room."""

    __slots__ = ("data", "meta", "number", "state", "ticks", "uuid")

    def __init__(self, number: int, msg: Message) -> None:
        self.number = number
        self.data = msg.encode()
        self.uuid = msg.uuid
        self.ticks = msg.ticks
        self.state = State.PENDING
        self.meta: bytes | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Where it stands in the order of time."""
        return self.ticks, self.number

    @property
    def size(self) -> int:
        """Bytes that the contents take."""
        return len(self.data) + (0 if self.meta is None else len(self.meta))

    def message(self) -> Message:
        return Message.decode(self.data, self.uuid, self.ticks)

    def facts(self) -> dict[str, Any]:
        return {} if self.meta is None else dict(codecs.decode(self.meta))

    def entry(self, store_id: str) -> Entry:
        msg, id = self.message(), str(self.number)
        msg.store_id, msg.store_chan_name = id, store_id
        return {
            "id": id,
            "state": str(self.state),
            "message": msg,
            "meta": self.facts(),
        }

    def fits(self, query: Query) -> bool:
        if not query.first <= self.ticks < query.end:
            return False
        if query.state is not None and query.state is not self.state:
            return False
        return not query.needs_reading or query.fits(self.entry(""))


class MemoryMessageStore(MessageStore):
    """Keeps up to `limit` messages; those that were settled first go first.

    Messages that are not settled are never forgotten; the channel bounds them.
    """

    is_in_memory = True

    def __init__(
        self, store_id: str, limit: int, retention: Retention | None = None
    ) -> None:
        self.store_id = store_id
        self._limit = limit
        self._retention = retention
        self._most = _WITHOUT_END
        if retention is not None and retention.size is not None:
            self._most = retention.size
        self._bytes = 0
        self._prune_at = clock.monotonic() + _PRUNE_EVERY
        self._numbers = itertools.count(1)
        self._kept: dict[str, _Kept] = {}
        self._settled: dict[str, None] = {}

    async def store(self, msg: Message) -> str | None:
        kept = _Kept(next(self._numbers), msg)
        id = str(kept.number)
        self._kept[id] = kept
        self._bytes += kept.size
        self._shrink()
        return id

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        kept = self._find(id)
        state = _state(new_state)
        if meta is not None:
            self._note(kept, meta)
        kept.state = state
        if state.is_final:
            self._settled.setdefault(id)
            self._shrink()
        else:
            self._settled.pop(id, None)

    async def update_message_meta_infos(
        self, id: str, infos: Mapping[str, Any]
    ) -> None:
        self._note(self._find(id), infos)

    def _note(self, kept: _Kept, facts: Mapping[str, Any]) -> None:
        data = codecs.encode({**kept.facts(), **facts})
        self._bytes -= kept.size
        kept.meta = data
        self._bytes += kept.size

    def _shrink(self) -> None:
        while self._settled and (
            len(self._kept) > self._limit or self._bytes > self._most
        ):
            self._forget(next(iter(self._settled)))
        if self._retention is not None and clock.monotonic() >= self._prune_at:
            self._prune_at = clock.monotonic() + _PRUNE_EVERY
            for id in self._retention.expired(self._outlines()):
                self._forget(id)

    def _forget(self, id: str) -> None:
        self._bytes -= self._kept.pop(id).size
        self._settled.pop(id, None)

    def _outlines(self) -> Iterator[Outline[str]]:
        for id, kept in self._kept.items():
            yield Outline(id, kept.ticks, kept.state, kept.size)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> int:
        """Delete what is not to be kept; how many messages that are."""
        gone = retention.expired(self._outlines())
        for id in () if dry_run else gone:
            self._forget(id)
        return len(gone)

    async def get(self, id: str) -> Entry:
        return self._find(id).entry(self.store_id)

    async def find(self, query: Query) -> list[Entry]:
        found = await self.snapshot(query)
        return await asyncio.to_thread(
            self.entries, found, query.start, query.start + query.count
        )

    def entries(self, found: Iterator[_Kept], start: int, end: int) -> list[Entry]:
        """Some of those that were found."""
        return [
            each.entry(self.store_id) for each in itertools.islice(found, start, end)
        ]

    def reader(self, query: Query) -> PageReader:
        return _Snapshot(self, query)

    async def snapshot(self, query: Query) -> Iterator[_Kept]:
        """What a query is after, as it is now; each is looked at when it is asked for.

        Raises:
            MessageNotFound: there is no message `query.after_id`.
        """
        after = None if query.after_id is None else self._find(query.after_id)
        return await asyncio.to_thread(
            _matching, list(self._kept.values()), query, after
        )

    async def total(self) -> int:
        return len(self._kept)

    async def delete(self, id: str) -> None:
        self._find(id)
        self._forget(id)

    def _find(self, id: str) -> _Kept:
        kept = self._kept.get(id)
        if kept is None:
            raise MessageNotFound(self.store_id, id)
        return kept

    def __repr__(self) -> str:
        return f"MemoryMessageStore({self.store_id!r})"


class _Snapshot:
    """Reads in pages what was kept when the first one was read."""

    def __init__(self, store: MemoryMessageStore, query: Query) -> None:
        self._store = store
        self._query = msgspec.structs.replace(query, by_state=False)
        self._found: Iterator[_Kept] | None = None

    async def read(self, count: int) -> list[Entry]:
        if self._found is None:
            self._found = await self._store.snapshot(self._query)
        return await asyncio.to_thread(self._store.entries, self._found, 0, count)


class MemoryMessageStoreFactory(MessageStoreFactory):
    """Makes stores that keep messages in memory.

    Memory is bounded: beyond `limit` messages, or the size of the retention, those
    that were settled first go, also those in error.

    Args:
        limit: how many messages each store keeps.
        retention: what is kept; looked at once a minute, while messages come.
    """

    def __init__(
        self, limit: int = 100_000, *, retention: Retention | None = None
    ) -> None:
        if limit < 1:
            raise UsageError(f"limit is 1 or more, not {limit}")
        self._limit = limit
        self._retention = retention
        self._stores: dict[str, MemoryMessageStore] = {}

    def get_store(self, store_id: str) -> MemoryMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            self._stores[store_id] = MemoryMessageStore(
                store_id, self._limit, self._retention
            )
        return self._stores[store_id]

    def __repr__(self) -> str:
        return f"MemoryMessageStoreFactory(limit={self._limit})"


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as exc:
        raise UsageError(f"{name!r} is no state") from exc


def _matching(kept: list[_Kept], query: Query, after: _Kept | None) -> Iterator[_Kept]:
    def order(item: _Kept) -> tuple[str, int, int]:
        return (str(item.state) if query.by_state else "", item.ticks, item.number)

    if after is not None:
        place = after.position
        if query.is_reversed:
            kept = [item for item in kept if item.position < place]
        else:
            kept = [item for item in kept if item.position > place]
    found = sorted(kept, key=order, reverse=query.is_reversed)
    return (item for item in found if item.fits(query))
