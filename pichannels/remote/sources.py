"""What can be published: the contract of sources, and those that are in memory.

A source is opened once for each reader or writer, and gives it a cursor of its own.
All methods are called in the event loop, one at a time for each cursor, and have to
leave it free: what blocks belongs in a thread. Besides `RemoteError`s, which reach
the other side as they are, whatever a cursor raises is told there as `SourceFailed`,
without its text, and logged here.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Final, Protocol, overload, runtime_checkable
from uuid import uuid4

from pichannels.errors import UsageError
from pichannels.remote.entities import Batch, pack, pack_some
from pichannels.remote.errors import StreamPositionError, UnsupportedOperation
from pichannels.remote.modes import About, Ends, Kind, Mode, Place, Whence

__all__ = [
    "ByteCursor",
    "ByteSource",
    "Cursor",
    "EntityCursor",
    "EntitySource",
    "Source",
    "fixed",
    "from_iterable",
    "place_within",
]

_FIXED: Final = Mode.READ | Mode.SEEK | Mode.FIXED
_IN_A_ROW: Final = 200


class Cursor(ABC):
    """What one reader or writer has of a source; only what its mode offers is called.

    `read` and `wait` may be cancelled, and have then taken nothing. `aclose` is called
    once, whatever happens.
    """

    @abstractmethod
    async def ends(self) -> Ends:
        """Where the sequence begins and ends just now."""

    async def seek(self, place: Place) -> int:
        """Go to a place: the absolute position there.

        `Whence.START` at 0 is where it is when it is opened. `place.is_write` tells
        that writing begins there, which may be beyond the end.

        Raises:
            PositionLost: the place is before the first element there is.
            StreamPositionError: there is no such place.
        """
        raise _unsupported("seek")

    async def wait(self) -> None:
        """Return when there may be more to read than before, or less.

        Called at the end, for readers that follow. Without one of its own a cursor
        never ends to wait.
        """
        await asyncio.get_running_loop().create_future()

    async def flush(self, durable: bool) -> None:
        """Return when all that was written is stored; `durable`: outlives the power."""
        raise _unsupported("flush")

    async def trim(self) -> None:
        """Make the present position the start."""
        raise _unsupported("trim")

    async def truncate(self) -> None:
        """Make the present position the end."""
        raise _unsupported("truncate")

    async def aclose(self) -> None:
        """Let go of everything."""
        return


class EntityCursor(Cursor):
    """A cursor of entities; positions count them."""

    @abstractmethod
    async def read(self, items: int, size: int) -> Batch:
        """The next items; none means that this is the end just now.

        Args:
            items: how many at most.
            size: how many bytes at most, of all but the first item.

        Raises:
            PositionLost: the next item is not there any more.
        """

    async def write(self, items: Sequence[bytes]) -> None:
        """Take packed items over, all of them, at the present position."""
        raise _unsupported("write")


class ByteCursor(Cursor):
    """A cursor of bytes; positions count them."""

    @abstractmethod
    async def read(self, size: int) -> bytes:
        """At most so many of the next bytes; none means that this is the end just now.

        Raises:
            PositionLost: they are not there any more.
        """

    async def write(self, data: bytes) -> None:
        """Take bytes over, all of them, at the present position."""
        raise _unsupported("write")


@runtime_checkable
class EntitySource(Protocol):
    """Entities that can be published."""

    @property
    def kind(self) -> Kind:
        """`Kind.ENTITIES`."""

    @property
    def mode(self) -> Mode:
        """All that it can do; what is published may be less."""

    async def about(self) -> About:
        """What a listing tells of it."""

    async def open(self, mode: Mode) -> EntityCursor:
        """A cursor for one reader or writer, who may do this.

        Raises:
            RemoteError: it is refused.
        """


@runtime_checkable
class ByteSource(Protocol):
    """Bytes that can be published."""

    @property
    def kind(self) -> Kind:
        """`Kind.BYTES`."""

    @property
    def mode(self) -> Mode:
        """All that it can do; what is published may be less."""

    async def about(self) -> About:
        """What a listing tells of it."""

    async def open(self, mode: Mode) -> ByteCursor:
        """A cursor for one reader or writer, who may do this.

        Raises:
            RemoteError: it is refused.
        """


Source = EntitySource | ByteSource


def _unsupported(what: str) -> UnsupportedOperation:
    return UnsupportedOperation("", f"this source does not {what}")


def place_within(place: Place, ends: Ends) -> int:
    """The absolute position of a place in a sequence with known ends.

    Raises:
        StreamPositionError: it is outside.
    """
    first, end = ends.first or 0, ends.end or 0
    base = {Whence.START: first, Whence.END: end}.get(place.whence, 0)
    position = base + place.position
    if place.whence is Whence.TIME or not first <= position <= end:
        reason = f"there is no position {position}; it goes from {first} to {end}"
        raise StreamPositionError("", reason, first=first, end=end)
    return position


# What is fixed


# Bytes are a sequence, too, of numbers; as such nobody means them.
@overload
def fixed(data: bytes | bytearray | memoryview) -> ByteSource: ...


@overload
def fixed(data: Sequence[Any]) -> EntitySource: ...


def fixed(data: bytes | bytearray | memoryview | Sequence[Any]) -> Source:
    """What never changes: bytes as a stream of bytes, a sequence as one of entities.

    Readers may go back and forth.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return _FixedBytes(bytes(data))
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise UsageError(
            f"fixed() takes bytes or a sequence, not {type(data).__name__}; for"
            " anything else that can be iterated there is from_iterable()"
        )
    return _FixedEntities(tuple(data))


class _FixedBytes:
    kind = Kind.BYTES
    mode = _FIXED

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._epoch = uuid4().hex

    async def about(self) -> About:
        return About(Ends(0, len(self.data)), self._epoch, self._epoch)

    async def open(self, mode: Mode) -> ByteCursor:
        return _FixedBytesCursor(self.data)


class _FixedBytesCursor(ByteCursor):
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    async def ends(self) -> Ends:
        return Ends(0, len(self._data))

    async def seek(self, place: Place) -> int:
        self._position = place_within(place, Ends(0, len(self._data)))
        return self._position

    async def read(self, size: int) -> bytes:
        found = self._data[self._position : self._position + size]
        self._position += len(found)
        return found


class _FixedEntities:
    kind = Kind.ENTITIES
    mode = _FIXED

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self._epoch = uuid4().hex

    async def about(self) -> About:
        return About(Ends(0, len(self.values)), self._epoch, self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        return _FixedEntitiesCursor(self.values)


class _FixedEntitiesCursor(EntityCursor):
    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values
        self._position = 0

    async def ends(self) -> Ends:
        return Ends(0, len(self._values))

    async def seek(self, place: Place) -> int:
        self._position = place_within(place, Ends(0, len(self._values)))
        return self._position

    async def read(self, items: int, size: int) -> Batch:
        most = self._position + min(items, _IN_A_ROW)
        packed = pack_some(self._values[self._position : most], size)
        self._position += len(packed)
        return Batch(packed)


# What is made on demand

Made = Iterable[Any] | AsyncIterable[Any]


def from_iterable(origin: Made | Callable[[], Made]) -> EntitySource:
    """The values of an iterable, each asked for only when a reader has room for it.

    Readers can only go forward.

    Args:
        origin: an iterable or async iterable, or a function that makes one for each
            reader. Of a generator there can be one reader.
    """
    return _Iterated(origin)


class _Iterated:
    kind = Kind.ENTITIES
    mode = Mode.READ

    def __init__(self, origin: Made | Callable[[], Made]) -> None:
        self._origin = origin
        self._is_spent = False

    async def about(self) -> About:
        return About(Ends(0, None))

    async def open(self, mode: Mode) -> EntityCursor:
        origin = self._origin
        made = origin if isinstance(origin, AsyncIterable | Iterable) else origin()
        if isinstance(made, Iterator | AsyncIterator) and made is origin:
            if self._is_spent:
                raise UnsupportedOperation("", "it can be read once, and was")
            self._is_spent = True
        if isinstance(made, AsyncIterable):
            return _AsyncIterated(aiter(made))
        return _SyncIterated(iter(made))


class _OneWay(EntityCursor):
    """Goes forward; what has failed stays so."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    async def ends(self) -> Ends:
        return Ends(0, None)

    def _refuse_failed(self) -> None:
        if self._error is not None:
            raise self._error


class _SyncIterated(_OneWay):
    def __init__(self, values: Iterator[Any]) -> None:
        super().__init__()
        self._values = values
        self._spare: bytes | None = None

    async def read(self, items: int, size: int) -> Batch:
        self._refuse_failed()
        packed = [] if self._spare is None else [self._spare]
        self._spare, left = None, size - sum(map(len, packed))
        wanted = min(items, _IN_A_ROW) - len(packed)
        try:
            for value in itertools.islice(self._values, wanted):
                data = pack(value)
                left -= len(data)
                if left < 0 and packed:
                    self._spare = data
                    break
                packed.append(data)
        except Exception as exc:
            self._error = exc
        if not packed:
            self._refuse_failed()
        return Batch(packed)

    async def aclose(self) -> None:
        if (close := getattr(self._values, "close", None)) is not None:
            close()


class _AsyncIterated(_OneWay):
    def __init__(self, values: AsyncIterator[Any]) -> None:
        super().__init__()
        self._values = values
        self._ready: deque[bytes] = deque()
        self._wanted = self._room = 0
        self._news = asyncio.Event()
        # Outlives a read that is cancelled, for a generator would end with it.
        self._pulling: asyncio.Task[None] | None = None
        self._is_ended = False

    async def read(self, items: int, size: int) -> Batch:
        self._wanted, self._room = items, size
        while not self._ready:
            self._refuse_failed()
            if self._is_ended:
                return Batch(())
            if self._pulling is None or self._pulling.done():
                self._pulling = asyncio.create_task(self._pull(), name="remote: items")
            self._news.clear()
            await self._news.wait()
        packed = [self._ready.popleft()]
        left = size - len(packed[0])
        while self._ready and len(packed) < items and len(self._ready[0]) <= left:
            left -= len(self._ready[0])
            packed.append(self._ready.popleft())
        return Batch(packed)

    async def _pull(self) -> None:
        """Take as many as a reader has asked for, and no more."""
        try:
            while len(self._ready) < self._wanted and self._room > 0:
                self._ready.append(data := pack(await anext(self._values)))
                self._room -= len(data)
                self._news.set()
                if len(self._ready) % _IN_A_ROW == 0:
                    await asyncio.sleep(0)
        except StopAsyncIteration:
            self._is_ended = True
        except Exception as exc:
            self._error = exc
        finally:
            self._news.set()

    async def aclose(self) -> None:
        if self._pulling is not None:
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
        if (aclose := getattr(self._values, "aclose", None)) is not None:
            await aclose()
