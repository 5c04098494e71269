"""Items that wait until who reads them has them for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

from pichannels.remote.entities import Batch
from pichannels.remote.errors import PositionLost
from pichannels.remote.modes import About, Ends, Kind, Mode, Place
from pichannels.remote.sources import EntityCursor, place_within

__all__ = ["Outbox"]


class Outbox:
    """A sequence that is kept in memory until its reader takes it away.

    A reader takes items away by moving the start up (`trim`), as soon as it has stored
    what is before. Nothing is ever dropped, so who puts in sees to the bound.

    Args:
        taken: called for each item that was taken away, oldest first.
    """

    kind = Kind.ENTITIES
    mode = Mode.READ | Mode.WRITE | Mode.SEEK | Mode.START_UP | Mode.END_UP | Mode.TRIM

    def __init__(self, taken: Callable[[], None]) -> None:
        self.first = 0
        self.end = 0
        self._items: dict[int, bytes] = {}
        self._taken = taken
        self._epoch = uuid4().hex
        self._waiting: asyncio.Event | None = None

    def put(self, data: bytes) -> None:
        """Add a packed value."""
        self._items[self.end] = data
        self.end += 1
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set()

    def trim(self, position: int) -> None:
        """Take away what is before a position, which is within the ends."""
        while self.first < position:
            del self._items[self.first]
            self.first += 1
            self._taken()

    def ends(self) -> Ends:
        """Where it begins and ends just now."""
        return Ends(self.first, self.end)

    async def about(self) -> About:
        return About(self.ends(), epoch=self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        return _OutboxCursor(self)

    def read(self, position: int, items: int, size: int) -> list[bytes]:
        """Packed values from a position on, which is there."""
        found: list[bytes] = []
        for place in range(position, min(position + items, self.end)):
            data = self._items[place]
            size -= len(data)
            if size < 0 and found:
                break
            found.append(data)
        return found

    async def changed(self) -> None:
        """Until something is put in."""
        if self._waiting is None:
            self._waiting = asyncio.Event()
        await self._waiting.wait()


class _OutboxCursor(EntityCursor):
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._position = outbox.first

    async def ends(self) -> Ends:
        return self._outbox.ends()

    async def seek(self, place: Place) -> int:
        self._position = place_within(place, self._outbox.ends())
        return self._position

    async def read(self, items: int, size: int) -> Batch:
        outbox = self._outbox
        if self._position < outbox.first:
            reason = "another reader has taken away what comes next"
            raise PositionLost("", reason, first=outbox.first, end=outbox.end)
        found = outbox.read(self._position, items, size)
        self._position += len(found)
        return Batch(found)

    async def wait(self) -> None:
        if self._position == self._outbox.end:
            await self._outbox.changed()

    async def trim(self) -> None:
        self._outbox.trim(self._position)
