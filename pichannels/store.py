"""The message store contract: the history of a channel, for search and replay.

A channel asks the factory for one store under its own name, starts it, and then
for each message calls `store`, and `change_message_state` when it is settled.
All methods are called in the event loop; a store that reads or writes files does
so in threads of its own. Backends live in `msgstore/`.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol, overload

import msgspec

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.fingerprint import Defined
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.query import Query, fact_text, grouping, payload_text
from pichannels.states import Entry, State
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Entry", "MessageStore", "MessageStoreFactory", "PageReader", "State"]

SUB_STATES: Final = "submessages_state_history"
"""The fact that holds the states of the messages that a message became."""

_WORST_LAST: Final = (
    State.WAIT_RETRY,
    State.PENDING,
    State.PROCESSING,
    State.DROPPED,
    State.PROCESSED,
    State.REJECTED,
    State.ERROR,
)
_PAGE: Final = 200
_PREVIEW: Final = 1000


class PageReader(Protocol):
    """Messages one after the other, so many as are asked for."""

    async def read(self, count: int) -> list[Entry]:
        """The next ones; fewer where there are no more.

        Raises:
            MessageNotFound: the one behind which to go on is not there any more.
        """


class MessageStore(ABC):
    """The history of the messages of one channel.

    Attributes:
        store_id: which one of its factory's stores this is.
        keeps_nothing: True lets the channel leave the store out of its way.
        shares_journal: True means that `attach` is called with the journal of the
            instance before `start`, and that messages which the journal holds for
            the channel of this name are those of the store.
        is_in_memory: True for one that touches nothing outside the process.
        indexes_tags: it can be searched by tag.
        indexes_texts: it finds texts without reading all messages.
        indexes_facts: it finds facts without reading the messages that have none.
    """

    store_id: str
    keeps_nothing: bool = False
    shares_journal: bool = False
    is_in_memory: bool = False
    indexes_tags: bool = False
    indexes_texts: bool = False
    indexes_facts: bool = False

    def attach(self, journal: Any) -> None:
        """Take the journal of the instance; see `shares_journal`.

        Raises:
            UsageError: this store does not share a journal.
        """
        raise UsageError(f"{type(self).__name__} does not share a journal")

    async def start(self) -> None:
        """Called once before anything else."""
        return

    async def stop(self) -> None:
        """Called when the channel's instance ends; releases what start took."""
        return

    async def probe(self) -> list[Finding]:
        """Look whether what keeps the messages is there; nothing is changed."""
        return []

    @abstractmethod
    async def store(self, msg: Message) -> str | None:
        """Keep a message in the state pending.

        Returns:
            The id of this message in this store, or None when it keeps nothing.

        Raises:
            CodecError: the message cannot be encoded; nothing was kept.
        """

    @abstractmethod
    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Say what became of a message, with facts about it (such as `err_msg`).

        Facts take the place of those of the same name; others stay.

        Raises:
            MessageNotFound: there is no such message.
        """

    @abstractmethod
    async def get(self, id: str) -> Entry:
        """The message with this id.

        Raises:
            MessageNotFound: there is no such message.
        """

    @abstractmethod
    async def find(self, query: Query) -> list[Entry]:
        """The messages that a checked search is after; `search` calls this.

        Raises:
            MessageNotFound: there is no message `query.after_id`.
        """

    def reader(self, query: Query) -> PageReader:
        """What reads the messages that a checked search is after, in pages.

        They come in the order of time, and a page after the other costs no more than
        all at once. `start` and `count` do not matter.
        """
        return _Pages(self, query)

    # Overloads tell type checkers that only `group_by` gives a dictionary.
    @overload
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
        start_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        tag: str | None = None,
        group_by: None = None,
    ) -> list[Entry]: ...

    @overload
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
        start_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        tag: str | None = None,
        *,
        group_by: str,
    ) -> dict[str, list[Entry]]: ...

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
        start_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        tag: str | None = None,
        group_by: str | None = None,
    ) -> list[Entry] | dict[str, list[Entry]]:
        """Stored messages, oldest first.

        Args:
            start: how many to skip.
            count: how many at most.
            order_by: `timestamp`, `state` (or `status`, the same) or `meta_<name>`,
                a fact about the outcome; a leading `-` reverses.
            start_dt, end_dt: made at or after, and before (ISO text is UTC
                unless it has an offset).
            text: the payload as text contains it.
            rtext: a regular expression that is found in it.
            state: only messages in this state.
            start_id: go on behind this message; with `order_by` timestamp.
            meta: what facts about the outcome are, all of it: `exact_<name>` (or
                `<name>`), `text_<name>` and `rtext_<name>` as above, `start_<name>`
                and `end_<name>` as numbers, both inclusive. Where a fact is a list,
                any of its values will do.
            tag: messages of PI, or of samples, with an event of this tag: its WebID,
                or else its key, path or name. Only where the store `indexes_tags`.
            group_by: `state` or `meta_<name>`: gives a dictionary of lists instead,
                of the same messages.

        Raises:
            MessageNotFound: there is no message `start_id`.
            UsageError: an argument is not of these.
        """
        group = None if group_by is None else grouping(group_by)
        query = Query.of(
            start=start,
            count=count,
            order_by=order_by,
            start_dt=start_dt,
            end_dt=end_dt,
            text=text,
            rtext=rtext,
            state=state,
            start_id=start_id,
            meta=meta,
            tag=tag,
        )
        found = await self._found(query)
        return found if group is None else _grouped(found, group)

    async def _found(self, query: Query) -> list[Entry]:
        if query.tag is not None and not self.indexes_tags:
            raise UsageError(f"{type(self).__name__} has no index of tags")
        return await (self.find if query.by_meta is None else self._ordered)(query)

    async def _ordered(self, query: Query) -> list[Entry]:
        """A page in the order of a fact, which no store has an index of."""
        assert query.by_meta is not None
        end, keys = query.start + query.count, list[tuple[str, int, str]]()
        async for entry in self._all(query):
            key = fact_text(entry["meta"], query.by_meta)
            keys.append((key, len(keys), entry["id"]))
        if query.is_reversed:
            keys = heapq.nlargest(end, keys)
        else:
            keys = heapq.nsmallest(end, keys)
        return await self.get_many(id for _, _, id in keys[query.start :])

    async def _all(self, query: Query) -> AsyncIterator[Entry]:
        """All that a query finds, oldest first, a page in memory at a time."""
        plain = msgspec.structs.replace(query, by_meta=None, is_reversed=False)
        reader = self.reader(plain)
        while found := await reader.read(_PAGE):
            for entry in found:
                yield entry

    @abstractmethod
    async def total(self) -> int:
        """How many messages are stored."""

    async def delete(self, id: str) -> None:
        """Forget a message.

        Raises:
            MessageNotFound: there is no such message.
            UsageError: this kind of store cannot delete.
        """
        raise UsageError(f"{type(self).__name__} cannot delete messages")

    # What pypeman's stores have beside that

    async def get_many(self, ids: Iterable[str]) -> list[Entry]:
        """The messages with these ids, in this order.

        Raises:
            MessageNotFound: one of them is not there.
        """
        return [await self.get(id) for id in ids]

    async def get_msg_content(self, id: str) -> Message:
        """The message with this id, without its entry.

        Raises:
            MessageNotFound: there is no such message.
        """
        return (await self.get(id))["message"]

    async def get_payload_str(self, id: str) -> str:
        """The payload as text, as a search looks at it.

        Raises:
            MessageNotFound: there is no such message.
        """
        return payload_text((await self.get_msg_content(id)).payload)

    async def get_preview_str(self, id: str) -> Message:
        """The message with the first 1000 characters of its payload as text.

        Raises:
            MessageNotFound: there is no such message.
        """
        msg = await self.get_msg_content(id)
        msg.payload = payload_text(msg.payload)[:_PREVIEW]
        return msg

    async def is_txt_in_msg(self, id: str, text: str) -> bool:
        """Whether the payload as text contains this.

        Raises:
            MessageNotFound: there is no such message.
        """
        return text in await self.get_payload_str(id)

    async def is_regex_in_msg(self, id: str, rtext: str | re.Pattern[str]) -> bool:
        """Whether this is found in the payload as text.

        Raises:
            MessageNotFound: there is no such message.
            UsageError: it is no regular expression.
        """
        try:
            return re.search(rtext, await self.get_payload_str(id)) is not None
        except re.error as exc:
            raise UsageError(f"rtext is no regular expression: {exc}") from exc

    async def get_message_state(self, id: str) -> str:
        """The state of a message.

        Raises:
            MessageNotFound: there is no such message.
        """
        return (await self.get(id))["state"]

    @overload
    async def get_message_meta_infos(
        self, id: str, meta_info_name: None = None
    ) -> dict[str, Any]: ...

    @overload
    async def get_message_meta_infos(self, id: str, meta_info_name: str) -> Any: ...

    async def get_message_meta_infos(
        self, id: str, meta_info_name: str | None = None
    ) -> Any:
        """All facts about a message, or one of them (None where it has none such).

        Raises:
            MessageNotFound: there is no such message.
        """
        meta = (await self.get(id))["meta"]
        return meta if meta_info_name is None else meta.get(meta_info_name)

    async def add_message_meta_infos(
        self, id: str, meta_info_name: str, info: Any
    ) -> None:
        """Add a fact about a message, or put it in the place of the one before.

        Raises:
            CodecError: it has a type without codec.
            MessageNotFound: there is no such message.
        """
        await self.update_message_meta_infos(id, {meta_info_name: info})

    async def update_message_meta_infos(
        self, id: str, infos: Mapping[str, Any]
    ) -> None:
        """Add facts about a message, or put them in the place of those before.

        Its state stays. Facts of other names do, too.

        Raises:
            CodecError: one of them has a type without codec.
            MessageNotFound: there is no such message.
        """
        # Stores for which reading and writing are two steps have one of their own.
        entry = await self.get(id)
        facts = {**entry["meta"], **infos}
        await self.change_message_state(id, entry["state"], facts)

    async def add_sub_message_state(self, id: str, sub_id: str, state: str) -> None:
        """Note the state of a message that this one became, or of itself.

        The fact `submessages_state_history` has all of them: dictionaries with
        `sub_id`, `state` and `timestamp` (seconds since 1970).

        Raises:
            MessageNotFound: there is no such message.
            UsageError: there is no such state.
        """
        one = {
            "sub_id": sub_id,
            "state": _checked(state),
            "timestamp": clock.now() / TICKS_PER_SECOND,
        }
        lock: asyncio.Lock = self.__dict__.setdefault("_sub_states", asyncio.Lock())
        async with lock:
            known = await self.get_message_meta_infos(id, SUB_STATES) or []
            await self.add_message_meta_infos(id, SUB_STATES, [*known, one])

    async def set_state_to_worst_sub_state(self, id: str) -> None:
        """Give a message the worst of the states that were noted.

        From best to worst: `wait_retry pending processing dropped processed rejected
        error`.

        Raises:
            MessageNotFound: there is no such message.
            UsageError: none was noted.
        """
        known = await self.get_message_meta_infos(id, SUB_STATES)
        if not known:
            raise UsageError(f"no states of parts were noted for message {id!r}")
        states = (State(one["state"]) for one in known)
        await self.change_message_state(id, max(states, key=_WORST_LAST.index))


class _Pages:
    """Each page begins behind the last message of the one before."""

    def __init__(self, store: MessageStore, query: Query) -> None:
        self._store = store
        self._query = msgspec.structs.replace(query, start=0, by_state=False)

    async def read(self, count: int) -> list[Entry]:
        found = await self._store.find(
            msgspec.structs.replace(self._query, count=count)
        )
        if found:
            last = found[-1]["id"]
            self._query = msgspec.structs.replace(self._query, after_id=last)
        return found


class MessageStoreFactory(Defined, ABC):
    """Makes the stores of channels that share one configuration."""

    @abstractmethod
    def get_store(self, store_id: str) -> MessageStore:
        """The store for this id; the same one for the same id."""


def _checked(name: str) -> str:
    try:
        return str(State(name))
    except ValueError as exc:
        raise UsageError(f"{name!r} is no state") from exc


def _grouped(
    entries: Iterable[Entry], group: Callable[[Entry], str]
) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(group(entry), []).append(entry)
    return found
