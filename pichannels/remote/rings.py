"""The newest of what is put in, for readers who may be slow: a ring."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from uuid import uuid4

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.remote.entities import Batch, pack
from pichannels.remote.errors import PositionLost
from pichannels.remote.modes import About, Ends, Kind, Mode, Place, Whence
from pichannels.remote.sources import EntityCursor, place_within

__all__ = ["Overflow", "Ring"]

Overflow = Literal["error", "skip"]
"""What a reader gets who was too slow: `PositionLost`, or a `Gap` and what is there."""


class Ring:
    """Keeps the newest values; who puts them in never waits for readers.

    Positions count from the first value ever put in.

    Args:
        keep: how many values it keeps.
        keep_bytes: how many bytes of them.
        overflow: what a reader gets who was too slow.
        always: keep values also while nobody reads. Otherwise a reader gets those
            that come while it, or another one, has the stream open.

    Raises:
        UsageError: it would keep nothing, or `overflow` is not of these.
    """

    kind = Kind.ENTITIES
    mode = Mode.READ | Mode.SEEK | Mode.SEEK_TIME | Mode.START_UP | Mode.END_UP

    def __init__(
        self,
        keep: int = 10_000,
        *,
        keep_bytes: int = 64 * 2**20,
        overflow: Overflow = "error",
        always: bool = True,
    ) -> None:
        if keep < 1 or keep_bytes < 1 or overflow not in ("error", "skip"):
            raise UsageError("a ring keeps at least one value; overflow: error, skip")
        self.overflow = overflow
        self.first = 0
        self.end = 0
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._always = always
        self._bytes = 0
        self._places: list[tuple[bytes, int] | None] = [None] * keep
        self._epoch = uuid4().hex
        self._cursors = 0
        self._waiting: asyncio.Event | None = None

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._bytes

    @property
    def is_recording(self) -> bool:
        """Whether what is put in is kept."""
        return self._always or self._cursors > 0

    def put(self, value: Any) -> None:
        """Add a value; returns at once.

        Raises:
            CodecError: some value inside has no codec.
        """
        if self.is_recording:
            self.put_packed(pack(value))

    def put_packed(self, data: bytes) -> None:
        """Add a value that was packed."""
        if self.end - self.first == self._keep:
            self._drop()
        self._places[self.end % self._keep] = (data, clock.now())
        self.end += 1
        self._bytes += len(data)
        while self._bytes > self._keep_bytes:
            self._drop()
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def _drop(self) -> None:
        index = self.first % self._keep
        self._bytes -= len(self._at(self.first)[0])
        self._places[index] = None
        self.first += 1

    def _at(self, position: int) -> tuple[bytes, int]:
        found = self._places[position % self._keep]
        assert found is not None
        return found

    def ends(self) -> Ends:
        """Where it begins and ends just now."""
        return Ends(self.first, self.end)

    async def about(self) -> About:
        return About(self.ends(), f"{self.end}", self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        self._cursors += 1
        return _RingCursor(self)

    def left(self) -> None:
        """A reader has closed it."""
        self._cursors -= 1

    def read(self, position: int, items: int, size: int) -> list[bytes]:
        """Packed values from a position on, which is there."""
        found: list[bytes] = []
        places, keep = self._places, self._keep
        for place in range(position, min(position + items, self.end)):
            kept = places[place % keep]
            assert kept is not None
            size -= len(kept[0])
            if size < 0 and found:
                break
            found.append(kept[0])
        return found

    def since(self, ticks: int) -> int:
        """The position of the first value that was put in at or after an instant."""
        low, high = self.first, self.end
        while low < high:
            middle = (low + high) // 2
            if self._at(middle)[1] < ticks:
                low = middle + 1
            else:
                high = middle
        return low

    async def changed(self) -> None:
        """Until something is put in."""
        if self._waiting is None:
            self._waiting = asyncio.Event()
        await self._waiting.wait()


class _RingCursor(EntityCursor):
    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._position = ring.first

    async def ends(self) -> Ends:
        return self._ring.ends()

    async def seek(self, place: Place) -> int:
        ring = self._ring
        if place.whence is Whence.TIME:
            self._position = ring.since(place.position)
        elif place.whence is Whence.ABSOLUTE and 0 <= place.position < ring.first:
            self._position = place.position
            if ring.overflow == "error":
                raise self._overtaken()
        else:
            self._position = place_within(place, ring.ends())
        return self._position

    async def read(self, items: int, size: int) -> Batch:
        ring, lost = self._ring, max(self._ring.first - self._position, 0)
        if lost and ring.overflow == "error":
            raise self._overtaken()
        found = ring.read(self._position + lost, items, size)
        self._position += lost + len(found)
        return Batch(found, lost=lost)

    def _overtaken(self) -> PositionLost:
        first = self._ring.first
        reason = (
            f"the reader was too slow, or away: {self._position} is gone, the first"
        )
        return PositionLost(
            "", f"{reason} there is now is {first}", first=first, end=self._ring.end
        )

    async def wait(self) -> None:
        if self._position == self._ring.end:
            await self._ring.changed()

    async def aclose(self) -> None:
        self._ring.left()
