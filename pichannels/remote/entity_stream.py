"""A stream of entities that is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, Self

from pichannels import codecs
from pichannels.errors import CodecError
from pichannels.remote.buffers import Entry
from pichannels.remote.entities import Gap, Item, pack
from pichannels.remote.errors import ItemTooLarge
from pichannels.remote.frames import OVERHEAD, PER_ITEM, TURN_BYTES
from pichannels.remote.modes import Bookmark
from pichannels.remote.stream import RemoteStream

__all__ = ["EntityStream"]

_MOST: Final = 1000


class EntityStream(RemoteStream):
    """Messages, or other values, in order; `async for` gives them one by one.

    `asyncio.timeout` around any of its calls loses nothing: what was not returned
    comes with the next call.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """The next value, or a `Gap`.

        Raises:
            CodecError: the next value cannot be read here; it is passed over.
            ContextError: reading from here is over; seek, and go on.
            StreamFailed: the stream is of no more use.
        """
        is_free = not self._readers and not self._is_closed
        if is_free and self.core.waiting:
            return self._values(1)[0]
        await self._arrived(1)
        found = self._values(1)
        if not found:
            raise StopAsyncIteration
        return found[0]

    async def receive(self, most: int = _MOST) -> tuple[Any, ...]:
        """The values that are here, `most` at most; waits for the first.

        None of them only at the end. Raises as `__anext__` does.
        """
        await self._arrived(most)
        return tuple(self._values(most))

    async def receive_items(self, most: int = _MOST) -> tuple[Item, ...]:
        """As `receive`, with the position and the bookmark of each."""
        epoch = self.epoch
        return tuple(
            Item(entry.position, value, Bookmark(epoch, entry.after, entry.mark))
            for entry, value in await self._received(most)
        )

    async def receive_packed(self, most: int = _MOST) -> tuple[Item, ...]:
        """As `receive_items`, with values as they travelled; `unpack` reads them.

        For who passes them on, or wants to see what cannot be read.
        """
        epoch = self.epoch
        await self._arrived(most)
        found = self.core.peek(max(most, 1))
        self._took(len(found))
        return tuple(
            Item(each.position, each.data, Bookmark(epoch, each.after, each.mark))
            for each in found
        )

    async def _received(self, most: int) -> list[tuple[Entry, Any]]:
        await self._arrived(most)
        # Nothing waits between looking and taking, so that none can be lost.
        entries = self.core.peek(max(most, 1))
        return list(zip(entries, self._values(most), strict=False))

    async def _arrived(self, most: int) -> None:
        """Until something is here, or the end is."""
        with self._reading():
            self._begin_reading()
            while not self.core.waiting and not self.core.is_ended:
                self._raise_broken()
                self._demand(most)
                await self._news()
                self._refuse_closed()

    async def items(self) -> AsyncIterator[Item]:
        """As `async for`, with the position and the bookmark of each."""
        while found := await self.receive_items(1):
            yield found[0]

    def _values(self, most: int) -> list[Any]:
        """Read what is here."""
        found: list[Any] = []
        decode = codecs.decode
        try:
            for data in self.core.peek_data(max(most, 1)):
                found.append(data if isinstance(data, Gap) else decode(data))
        except CodecError:
            if not found:
                self._took(1)
                raise
        self._took(len(found))
        return found

    def _took(self, count: int) -> None:
        self.core.take_items(count)
        self._renew()

    async def _skip_to(self, position: int) -> None:
        core = self.core
        while self.position < position and not core.is_ended:
            entries = core.peek(position - self.position)
            wanted = [entry for entry in entries if entry.position < position]
            if wanted:
                self._took(len(wanted))
                continue
            if entries:
                return
            self._raise_broken()
            self._demand(position - self.position)
            await self._news()

    # Writing

    async def write(self, values: Iterable[Any]) -> None:
        """Send values, all of them, as fast as the other side stores them.

        When it is cancelled, `position` tells how many have gone out.

        Raises:
            CodecError: one of them has a type without codec; those before it are sent.
            ContextError: it could not be stored; `stored` tells what was.
            ItemTooLarge: one is larger than a frame may be.
            StreamFailed: the stream is of no more use.
        """
        await self.write_packed(pack(value) for value in values)

    async def write_packed(self, items: Iterable[bytes]) -> None:
        """As `write`, with values that were packed."""
        with self._writing():
            await self._begin_writing()
            batch: list[bytes] = []
            for data in items:
                self._refuse_large(data)
                if not self._goes_with(batch, data):
                    await self._send_batch(batch)
                    batch = []
                batch.append(data)
            await self._send_batch(batch)

    def _refuse_large(self, data: bytes) -> None:
        most = self.limits.frame_bytes - OVERHEAD
        if len(data) > most:
            reason = f"this item has {len(data)} bytes, at most {most} can be sent"
            raise ItemTooLarge(self.name, reason, size=len(data), most=most)

    def _goes_with(self, batch: list[bytes], data: bytes) -> bool:
        """Whether an item can go in the same frame as these."""
        if not batch:
            return True
        size, count = sum(map(len, batch)) + len(data), len(batch) + 1
        most = min(TURN_BYTES, self.limits.frame_bytes - OVERHEAD)
        return size + count * PER_ITEM <= most and self.core.fits(count, size)

    async def _send_batch(self, batch: list[bytes]) -> None:
        if not batch:
            return
        size = sum(map(len, batch))
        await self._until(lambda: self.core.fits(len(batch), size))
        await self._put(lambda: self.core.push(batch))
