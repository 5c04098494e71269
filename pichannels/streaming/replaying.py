"""A message store as a stream: what it keeps, oldest first."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from pichannels.errors import MessageNotFound, UsageError
from pichannels.remote.entities import Batch, pack
from pichannels.remote.errors import PositionLost, StreamPositionError
from pichannels.remote.modes import About, Ends, Kind, Mode, Place, Whence
from pichannels.remote.sources import EntityCursor
from pichannels.states import Entry, replayed
from pichannels.store import MessageStore
from pichannels.values import datetime_from_ticks

__all__ = ["StoreReplay", "replay"]

_PAGE: Final = 200
# Other channels may share a journal and its numbers.
_NEAR: Final = 16
_NOT_HERE: Final = ("start", "count", "order_by", "start_id", "group_by")


def replay(
    store: MessageStore,
    *,
    originals: bool = False,
    poll: float = 0.5,
    **criteria: Any,
) -> StoreReplay:
    """What a message store keeps, as a source to publish.

    Positions are the numbers of the messages, where the store has numbers (in memory,
    SQLite); else they count from the oldest one that there is. Bookmarks, and readers
    that resume, find their place by the message in any case.

    Args:
        store: one that is started, such as that of a channel which runs.
        originals: give the messages as they are stored. By default they are marked as
            replays (`meta["replay_of"]`), with a uuid of their own; their time is that
            of the stored message in any case.
        poll: seconds between looks for new messages, while a reader follows. One that
            is stored with an older time than what was read already is then not seen;
            to follow a channel there is `tail`.
        criteria: which messages, as `MessageStore.search` takes them: `start_dt`,
            `end_dt`, `state`, `text`, `meta`, ...

    Raises:
        UsageError: a criterion would change the order or the place.
    """
    for name in _NOT_HERE:
        if name in criteria:
            raise UsageError(f"the stream itself sees to {name!r}")
    return StoreReplay(store, originals, poll, criteria)


class StoreReplay:
    """See `replay`."""

    kind = Kind.ENTITIES
    mode = Mode.READ | Mode.SEEK | Mode.SEEK_TIME | Mode.START_UP | Mode.END_UP

    def __init__(
        self,
        store: MessageStore,
        originals: bool,
        poll: float,
        criteria: dict[str, Any],
    ) -> None:
        self.store = store
        self.poll = poll
        self._originals = originals
        self._criteria = criteria
        # Numbers of a store in memory begin anew with each process.
        life = uuid4().hex if store.is_in_memory else ""
        self._epoch = f"{store.store_id}/{life}"

    async def about(self) -> About:
        return About(await self.ends(), epoch=self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        return _ReplayCursor(self)

    async def search(self, **more: Any) -> list[Entry]:
        """Messages that are meant, oldest first."""
        found: list[Entry] = await self.store.search(**{**self._criteria, **more})
        return found

    async def ends(self) -> Ends:
        """The number of the first message, and behind the last."""
        first = await self.search(count=1)
        if not first:
            return Ends(0, 0)
        if (number := number_of(first[0])) is None:
            return Ends(0, await self.store.total())
        last = await self.search(count=1, order_by="-timestamp")
        newest = number_of(last[0]) if last else None
        return Ends(number, (number if newest is None else newest) + 1)

    def packed(self, entry: Entry) -> bytes:
        """A message as it travels."""
        if self._originals:
            return pack(entry["message"])
        msg = replayed(entry)
        msg.ticks = entry["message"].ticks
        return pack(msg)


def number_of(entry: Entry) -> int | None:
    """The number of a message, where the store has numbers."""
    return int(entry["id"]) if entry["id"].isdecimal() else None


class _ReplayCursor(EntityCursor):
    """Behind a message that was read, or at the start."""

    def __init__(self, source: StoreReplay) -> None:
        self._source = source
        self._position = 0
        self._after: str | None = None
        self._from: dict[str, Any] = {}
        self._waiting: list[Entry] = []

    async def ends(self) -> Ends:
        return await self._source.ends()

    async def seek(self, place: Place) -> int:
        self._after, self._from, self._waiting = None, {}, []
        if place.mark:
            return await self._seek_behind(place)
        ends = await self._source.ends()
        first, end = ends.first or 0, ends.end or 0
        if place.whence is Whence.TIME:
            return await self._seek_time(place.position, end)
        base = {Whence.START: first, Whence.END: end}.get(place.whence, 0)
        return await self._seek_number(base + place.position, first, end)

    async def _seek_behind(self, place: Place) -> int:
        try:
            await self._source.store.get(place.mark)
        except MessageNotFound as exc:
            raise await self._lost(place.position) from exc
        self._after = place.mark
        self._position = place.position
        return self._position

    async def _lost(self, position: int) -> PositionLost:
        first = (await self._source.ends()).first
        reason = f"the messages before position {position} were pruned"
        return PositionLost("", reason, first=first, position=position)

    async def _seek_time(self, ticks: int, end: int) -> int:
        self._from = {"start_dt": datetime_from_ticks(ticks)}
        found = await self._source.search(count=1, **self._from)
        number = number_of(found[0]) if found else end
        self._position = number or 0
        return self._position

    async def _seek_number(self, position: int, first: int, end: int) -> int:
        if not first <= position <= end:
            if 0 <= position < first:
                raise await self._lost(position)
            reason = f"there is no position {position}; it goes from {first} to {end}"
            raise StreamPositionError("", reason, first=first, end=end)
        self._position = position
        if position == first:
            return position
        self._after = await self._before(position)
        return position

    async def _before(self, position: int) -> str:
        """The message behind which this position is."""
        known = await self._source.search(count=1)
        if known and number_of(known[0]) is None:
            found = await self._source.search(start=position - 1, count=1)
            if found:
                return found[0]["id"]
            raise await self._lost(position)
        return await self._number_before(position)

    async def _number_before(self, position: int) -> str:
        store = self._source.store
        for number in range(position - 1, max(position - 1 - _NEAR, 0), -1):
            with suppress(MessageNotFound):
                return (await store.get(str(number)))["id"]
        return await self._number_far_before(position)

    async def _number_far_before(self, position: int) -> str:
        low = 0
        high = await self._source.store.total()
        # The numbers rise with the time of the messages; in between some may miss.
        while low < high:
            middle = (low + high) // 2
            found = await self._source.search(start=middle, count=1)
            if found and (number_of(found[0]) or 0) < position:
                low = middle + 1
            else:
                high = middle
        found = await self._source.search(start=low - 1, count=1)
        return found[0]["id"]

    async def read(self, items: int, size: int) -> Batch:
        if not self._waiting:
            self._waiting = await self._page(max(min(items, _PAGE), 1))
        packed, places, marks = list[bytes](), list[int](), list[str]()
        for entry in self._waiting[:items]:
            data = self._source.packed(entry)
            size -= len(data)
            if size < 0 and packed:
                break
            number = number_of(entry)
            place = self._position + len(packed) if number is None else number
            packed.append(data)
            places.append(place)
            marks.append(entry["id"])
        self._waiting = self._waiting[len(packed) :]
        if packed:
            self._position = places[-1] + 1
            self._after = marks[-1]
        return Batch(packed, places, marks)

    async def _page(self, count: int) -> list[Entry]:
        if self._after is None:
            return await self._source.search(count=count, **self._from)
        try:
            return await self._source.search(count=count, start_id=self._after)
        except MessageNotFound as exc:
            raise await self._lost(self._position) from exc

    async def wait(self) -> None:
        while not self._waiting:
            await asyncio.sleep(self._source.poll)
            self._waiting = await self._page(1)
