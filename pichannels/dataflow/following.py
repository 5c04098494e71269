"""What a client of an endpoint gets: the updates of a source, from a place on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final, Literal, Self

import msgspec

from pichannels.adapters.rocks import CacheError
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.history import History, Update
from pichannels.dataflow.interfaces import ICache
from pichannels.dataflow.publishing import Published
from pichannels.formats.records import line_of
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample

__all__ = [
    "AT_ONCE",
    "ChannelOutlet",
    "Event",
    "Follower",
    "HistoryOutlet",
    "Outlet",
    "OutletNode",
    "PublishedOutlet",
    "Slow",
    "as_json",
    "gap",
    "last_of_each_key",
    "part_of",
]

AT_ONCE: Final = 100
"""How many updates are taken for a client at once."""

Slow = Literal["disconnect", "conflate", "skip"]
"""What becomes of a client that does not read as fast as updates come."""


class Event(msgspec.Struct, frozen=True):
    """One event for a client.

    Attributes:
        kind: `open` (only the place where it begins), `update`, `gap` (some updates
            are not there any more) or `slow` (the same, and the connection ends).
        data: JSON.
        id: where to go on after it; None where it is no place.
        key: the key as text.
    """

    kind: Literal["open", "update", "gap", "slow"]
    data: str
    id: str | None = None
    key: str = ""


def gap(lost: int | None, kind: Literal["gap", "slow"] = "gap") -> Event:
    """So many updates are not there any more; None where nobody knows."""
    return Event(kind, as_json({"lost": lost}))


def _plain(value: Any) -> Any:
    return str(value)


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)


def as_json(value: Any, lane: str = "live") -> str:
    """JSON of a value, of samples as in files; text of what JSON has nothing for."""
    if type(value) is list and value and type(value[0]) is Sample:
        value = [line_of(sample, lane) for sample in value]
    elif type(value) is Sample:
        value = line_of(value, lane)
    elif type(value) is bytes:
        value = _readable(value)
    return _encoder.encode(value).decode()


def _readable(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def last_of_each_key(events: Iterable[Event]) -> list[Event]:
    """The last event of each key, in order."""
    found: dict[str, Event] = {}
    for event in events:
        found.pop(event.key, None)
        found[event.key] = event
    return list(found.values())


class Follower(ABC):
    """The updates of a source for one client.

    Attributes:
        is_over: there are no more.
    """

    is_over = False

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is."""

    @abstractmethod
    async def take(self, seconds: float) -> list[Event]:
        """What comes next, in order; nothing where that takes longer."""

    async def close(self) -> None:
        """Nothing is taken any more."""
        return


class Outlet(ABC):
    """A source that clients can follow, each from a place of its own."""

    @abstractmethod
    async def open(self, place: str | None, slow: Slow) -> Follower:
        """Follow it from a place, or from now on.

        A place that is not known any more is told by a first event.
        """

    def close(self) -> None:
        """Let all followers end."""
        return


class HistoryOutlet(Outlet):
    """A source whose last updates are kept here."""

    def __init__(self, history: History) -> None:
        self.history = history

    async def open(self, place: str | None, slow: Slow) -> Follower:
        return _HistoryFollower(self.history, place, slow)

    def reopened(self) -> Self:
        """The same, which may have been closed with an application.

        Raises:
            UsageError: another endpoint keeps its updates where this one did.
        """
        self.history.reopen()
        return self

    def close(self) -> None:
        self.history.close()


class _HistoryFollower(Follower):
    def __init__(self, history: History, place: str | None, slow: Slow) -> None:
        self._history = history
        self._slow = slow
        self._first: list[Event] = []
        if place is None:
            self._place = history.last
            return
        known = history.place(place)
        self._place = history.first - 1 if known is None else known
        lost = None if known is None else history.lost_after(known)
        if lost != 0:
            self._first.append(gap(lost))
            self._place = history.first - 1

    @property
    def place(self) -> str:
        return self._history.text(self._place)

    async def take(self, seconds: float) -> list[Event]:
        if self._first:
            return [self._first.pop()]
        if not await self._history.changed(self._place, seconds):
            self.is_over = self._history.is_closed
            return []
        events = []
        if lost := self._history.lost_after(self._place):
            # More came than is kept, since the client took the last.
            if self._slow == "disconnect":
                self.is_over = True
                return [gap(lost, "slow")]
            events.append(gap(lost))
        conflates = self._slow == "conflate"
        most = self._history.keep if conflates else AT_ONCE
        updates = list(self._history.after(self._place, most))
        self._place = updates[-1].number
        found = [self._event(update) for update in updates]
        return events + (last_of_each_key(found) if conflates else found)

    def _event(self, update: Update) -> Event:
        text = self._history.text(update.number)
        return Event("update", update.data, text, update.key)


class PublishedOutlet(HistoryOutlet):
    """What a cache or a proxy publishes."""

    def __init__(self, source: Published, history: History) -> None:
        super().__init__(history)
        self._has_keys = isinstance(source, ICache)
        source.outlets.append(self)

    async def put(self, update: Any) -> None:
        """Keep an update for the clients."""
        if self._has_keys:
            key, value = update
            text = as_json(key)
            await self.history.put(text, f'{{"key":{text},"value":{as_json(value)}}}')
        else:
            await self.history.put("", f'{{"value":{as_json(update)}}}')


class ChannelOutlet(HistoryOutlet):
    """What comes out of a channel; a message is settled when it is kept here."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.node = OutletNode(self)


class OutletNode(BaseNode):
    """The last node of a channel that clients follow."""

    def __init__(self, outlet: ChannelOutlet) -> None:
        super().__init__()
        self.outlet = outlet

    async def process(self, msg: Message) -> Message:
        lane = str(msg.meta.get("lane", "live"))
        data = f'{{"value":{as_json(msg.payload, lane)}}}'
        await self.outlet.history.put("", data)
        return msg


def part_of(cache: Cache, name: str) -> Cache:
    """The part of a cache that keeps updates, made where it is not there.

    Args:
        cache: a cache, or a part of one.
        name: whose updates they are.
    """
    name = ".".join(filter(None, (name, cache.name)))
    try:
        return cache.get_column_family(name)
    except CacheError:
        return cache.create_column_family(name)
