"""The store that keeps messages as long as the process runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pichannels import clock, codecs
from pichannels.errors import MessageNotFound, UsageError
from pichannels.journal import Query, payload_text
from pichannels.message import Message
from pichannels.retention import Outline, Retention
from pichannels.states import State
from pichannels.store import Entry, MessageStore, MessageStoreFactory

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
    def size(self) -> int:
        """Bytes that the contents take."""
        return len(self.data) + (0 if self.meta is None else len(self.meta))

    def message(self) -> Message:
        return Message.decode(self.data, self.uuid, self.ticks)

    def fits(self, query: Query) -> bool:
        if not query.first <= self.ticks < query.end:
            return False
        if query.state is not None and query.state is not self.state:
            return False
        return query.matches is None or query.matches(
            payload_text(self.message().payload)
        )


class MemoryMessageStore(MessageStore):
    """Keeps up to `limit` messages; those that were settled first go first.

    Messages that are not settled are never forgotten; the channel bounds them.
    """

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
            self._bytes -= kept.size
            kept.meta = codecs.encode(dict(meta))
            self._bytes += kept.size
        kept.state = state
        if state.is_final:
            self._settled.setdefault(id)
            self._shrink()
        else:
            self._settled.pop(id, None)

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
        return self._entry(self._find(id))

    async def search(
        self,
        start: int = 0,
        count: int = 10,
        order_by: str = "timestamp",
        start_dt: datetime | str | None = None,
        end_dt: datetime | str | None = None,
        text: str | None = None,
        rtext: str | None = None,
        state: str | None = None,
    ) -> list[Entry]:
        query = Query.of(
            start=start,
            count=count,
            order_by=order_by,
            start_dt=start_dt,
            end_dt=end_dt,
            text=text,
            rtext=rtext,
            state=state,
        )
        found = await asyncio.to_thread(_select, list(self._kept.values()), query)
        return [self._entry(kept) for kept in found]

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

    def _entry(self, kept: _Kept) -> Entry:
        msg = kept.message()
        msg.store_id = str(kept.number)
        msg.store_chan_name = self.store_id
        return {
            "id": str(kept.number),
            "state": str(kept.state),
            "message": msg,
            "meta": {} if kept.meta is None else codecs.decode(kept.meta),
        }

    def __repr__(self) -> str:
        return f"MemoryMessageStore({self.store_id!r})"


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


def _select(kept: list[_Kept], query: Query) -> list[_Kept]:
    def order(item: _Kept) -> tuple[str, int, int]:
        return (str(item.state) if query.by_state else "", item.ticks, item.number)

    found = sorted(kept, key=order, reverse=query.is_reversed)
    fitting = (item for item in found if item.fits(query))
    return list(itertools.islice(fitting, query.start, query.start + query.count))
