"""The store that keeps messages as long as the process runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pichannels import codecs
from pichannels.errors import MessageNotFound, UsageError
from pichannels.journal import Query, payload_text
from pichannels.message import Message
from pichannels.states import State
from pichannels.store import Entry, MessageStore, MessageStoreFactory

__all__ = ["MemoryMessageStore", "MemoryMessageStoreFactory"]


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

    def __init__(self, store_id: str, limit: int) -> None:
        self.store_id = store_id
        self._limit = limit
        self._numbers = itertools.count(1)
        self._kept: dict[str, _Kept] = {}
        self._settled: dict[str, None] = {}

    async def store(self, msg: Message) -> str | None:
        kept = _Kept(next(self._numbers), msg)
        id = str(kept.number)
        self._kept[id] = kept
        self._shrink()
        return id

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        kept = self._find(id)
        state = _state(new_state)
        if meta is not None:
            kept.meta = codecs.encode(dict(meta))
        kept.state = state
        if state.is_final:
            self._settled.setdefault(id)
            self._shrink()
        else:
            self._settled.pop(id, None)

    def _shrink(self) -> None:
        while len(self._kept) > self._limit and self._settled:
            oldest = next(iter(self._settled))
            del self._settled[oldest], self._kept[oldest]

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
        del self._kept[id]
        self._settled.pop(id, None)

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

    Args:
        limit: how many messages each store keeps.
    """

    def __init__(self, limit: int = 100_000) -> None:
        if limit < 1:
            raise UsageError(f"limit is 1 or more, not {limit}")
        self._limit = limit
        self._stores: dict[str, MemoryMessageStore] = {}

    def get_store(self, store_id: str) -> MemoryMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            self._stores[store_id] = MemoryMessageStore(store_id, self._limit)
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
