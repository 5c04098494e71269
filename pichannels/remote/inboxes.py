"""A stream that is only written to: each batch goes to a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from pichannels.remote.entities import Batch
from pichannels.remote.errors import UnsupportedOperation
from pichannels.remote.modes import About, Ends, Kind, Mode, Place
from pichannels.remote.sources import EntityCursor

__all__ = ["WriteOnly"]


class WriteOnly:
    """What others write, packed, is given to a function.

    Args:
        take: returns when all of it is durable, or raises a `RemoteError`.

    Attributes:
        accepted: how many items came.
        writing: how many have it open.
    """

    kind = Kind.ENTITIES
    mode = Mode.WRITE | Mode.END_UP | Mode.EXTEND

    def __init__(self, take: Callable[[Sequence[bytes]], Awaitable[None]]) -> None:
        self.accepted = 0
        self.writing = 0
        self._take = take
        self._epoch = uuid4().hex

    async def about(self) -> About:
        return About(Ends(0, self.accepted), epoch=self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        self.writing += 1
        return _Cursor(self)

    async def take(self, items: Sequence[bytes]) -> None:
        """Give items to the function."""
        await self._take(items)
        self.accepted += len(items)


class _Cursor(EntityCursor):
    def __init__(self, source: WriteOnly) -> None:
        self._source = source

    async def ends(self) -> Ends:
        return Ends(0, self._source.accepted)

    async def seek(self, place: Place) -> int:
        return self._source.accepted

    async def read(self, items: int, size: int) -> Batch:
        raise UnsupportedOperation("", "this stream cannot be read")

    async def write(self, items: Sequence[bytes]) -> None:
        await self._source.take(items)

    async def flush(self, durable: bool) -> None:
        # What was written is durable already.
        return

    async def aclose(self) -> None:
        self._source.writing -= 1
