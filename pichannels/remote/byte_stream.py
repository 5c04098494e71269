"""A stream of bytes that is open."""

from __future__ import annotations

import sys
from asyncio import IncompleteReadError
from typing import Final

from pichannels.remote.consumer import Activity
from pichannels.remote.frames import OVERHEAD, TURN_BYTES
from pichannels.remote.stream import RemoteStream

__all__ = ["ByteStream"]

_ALL: Final = -1


class ByteStream(RemoteStream):
    """Bytes with a position, much as a file that was opened unbuffered.

    It reads or writes at one position; going over from one to the other keeps it. For
    both at once open it twice.
    """

    async def receive(self, most: int = TURN_BYTES) -> bytes:
        """The bytes that are here, `most` at most; waits for the first.

        None of them only at the end.

        Raises:
            ContextError: reading from here is over; seek, and go on.
            StreamFailed: the stream is of no more use.
        """
        with self._reading():
            return await self._receive(most)

    async def _receive(self, most: int) -> bytes:
        await self._settle_writes()
        self._begin_reading()
        while not self.core.waiting and not self.core.is_ended:
            self._raise_broken()
            self._demand(0)
            await self._news()
            self._refuse_closed()
        data = self.core.take_bytes(most)
        self._renew()
        return data

    async def read(self, size: int = _ALL) -> bytes:
        """So many bytes, fewer only at the end; all up to the end by default.

        When it is cancelled, the stream goes back to where it was.
        """
        with self._reading():
            parts: list[bytes] = []
            left = sys.maxsize if size < 0 else size
            try:
                while left and (data := await self._receive(min(left, TURN_BYTES))):
                    parts.append(data)
                    left -= len(data)
            except BaseException:
                self.core.put_back(b"".join(parts))
                raise
            return b"".join(parts)

    async def readexactly(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            IncompleteReadError: the end came before; `partial` has what there was.
        """
        data = await self.read(size)
        if len(data) < size:
            raise IncompleteReadError(data, size)
        return data

    async def _skip_to(self, position: int) -> None:
        while self.position < position:
            if not await self._receive(position - self.position):
                return

    # Writing

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write bytes, all of them, as fast as the other side stores them.

        When it is cancelled, `position` tells how many have gone out. That they are
        stored is what `flush` tells.

        Raises:
            ContextError: they could not be stored; `stored` tells what was.
            StreamFailed: the stream is of no more use.
        """
        left = memoryview(data).cast("B")
        size = len(left)
        with self._writing():
            await self._begin_writing()
            while left:
                await self._until(lambda: self.core.room > 0)
                await self._link.room(self.id)
                left = left[self._push(left) :]
        return size

    def write_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Write what can go at once: how many bytes that were; perhaps 0."""
        left = memoryview(data).cast("B")
        with self._writing():
            self._raise_broken()
            if self.core.activity is not Activity.WRITING:
                self._ask_to_write()
            can = self.core.room > 0 and self._link.has_room(self.id)
            return self._push(left) if can and left else 0

    def _push(self, data: memoryview) -> int:
        most = min(self.core.room, TURN_BYTES, self.limits.frame_bytes - OVERHEAD)
        piece = bytes(data[:most])
        if piece:
            self._link.put(self.id, self.core.push([piece]))
        return len(piece)
