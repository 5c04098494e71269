"""What streams of entities and of bytes have in common, where they are opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from pichannels.errors import NotConnected
from pichannels.remote.consumer import Activity
from pichannels.remote.errors import PositionLost, StreamLost, UnsupportedOperation
from pichannels.remote.frames import Close, Frame
from pichannels.remote.modes import Bookmark, Edge, Mode, Place, Whence, described
from pichannels.remote.opened import OpenedStream
from pichannels.values import ticks_from_datetime

__all__ = ["RemoteStream", "Start"]

Start = Whence | int | datetime | Bookmark
"""Where to begin: `START`, `END`, a position, a time, a bookmark."""

_CLOSING: Final = 5.0


class RemoteStream(OpenedStream):
    """A stream that is open; see `Link.entities` and `Link.bytes`.

    One task may read while another one looks at `position`; two that read (or write)
    at once get `StreamInUse`. Every call that waits raises at once when the stream
    fails. After `ContextError` the stream is still there: `seek`, and go on.

    Attributes:
        name: as it is published.
        mode: what may be done with it.
        version: changes when the contents do, where the source can tell.
        epoch: identifies the sequence whose positions these are.
        limits: what the two sides agree on.
    """

    _eos = True

    # Moving

    async def seek(
        self, position: int = 0, whence: Whence = Whence.ABSOLUTE, *, mark: str = ""
    ) -> int:
        """Go to a position: the absolute one there.

        Args:
            position: counted from `whence`.
            whence: ABSOLUTE, CURRENT, START or END (also as `os.SEEK_...`).
            mark: of a bookmark.

        Raises:
            ContextError: there is no such place, or it is gone; seek elsewhere.
            UnsupportedOperation: the stream does not go there.
            StreamFailed: the stream is of no more use.
        """
        self._refuse_closed()
        whence = Whence(whence)
        if whence is Whence.CURRENT:
            position, whence = self.position + position, Whence.ABSOLUTE
        return await self._go(Place(whence, position, mark))

    async def seek_time(self, moment: datetime) -> int:
        """Go to the first item at or after a time: its position.

        Raises:
            ContextError: there is no such place.
            UnsupportedOperation: the stream knows no times.
        """
        self._refuse_closed()
        ticks = ticks_from_datetime(moment.astimezone())
        return await self._go(Place(Whence.TIME, ticks))

    async def _go(self, place: Place) -> int:
        self._refuse_way(place)
        await self._settle_writes()
        if self.wanted & Mode.WRITE:
            return await self._go_when_used(place)
        with self._reading():
            if self._must_skip(place):
                await self._skip_to(place.position)
                return self.position
            self._read_from(place)
            await self._until(lambda: self.core.is_started)
        return self.position

    def _refuse_way(self, place: Place) -> None:
        needed = {
            Whence.TIME: Mode.SEEK_TIME,
            Whence.END: Mode.SEEK_ON,
            Whence.START: Mode.SEEK_BACK,
        }.get(place.whence)
        if needed is None:
            is_back = place.position < self.position
            needed = Mode.SEEK_BACK if is_back else Mode.SEEK_ON
        if not self.mode & needed:
            reason = f"it is not published for {described(needed)}"
            raise UnsupportedOperation(self.name, reason)

    async def _go_when_used(self, place: Place) -> int:
        """Remember the place: what follows tells whether to read or write there."""
        if place.whence is not Whence.ABSOLUTE:
            ends = await self.ends()
            base = ends.end if place.whence is Whence.END else ends.first
            place = Place(Whence.ABSOLUTE, (base or 0) + place.position)
        self.core.rest()
        self._place = place
        return place.position

    def _must_skip(self, place: Place) -> bool:
        """Whether what the publisher has sent already goes beyond the place.

        It then cannot go back to it, where it does not seek backward.
        """
        is_reading = self.core.activity is Activity.READING and self.core.is_started
        is_near = place.whence is Whence.ABSOLUTE and place.position < self.core.horizon
        return is_reading and is_near and not self.mode & Mode.SEEK_BACK

    async def _skip_to(self, position: int) -> None:
        raise NotImplementedError

    async def truncate(self) -> None:
        """Make the present position the end.

        Raises:
            UnsupportedOperation: this stream may not do that.
        """
        await self._cut(Edge.AFTER, Mode.TRUNCATE)

    async def trim(self) -> None:
        """Make the present position the start.

        Raises:
            UnsupportedOperation: this stream may not do that.
        """
        await self._cut(Edge.BEFORE, Mode.TRIM)

    async def _cut(self, edge: Edge, needed: Mode) -> None:
        self._refuse_closed()
        if not self.mode & needed:
            reason = f"it was not opened for {described(needed)}"
            raise UnsupportedOperation(self.name, reason)
        await self._settle_writes()
        position = self.position
        self._send(self.core.cut(edge, position))
        self._place = Place(Whence.ABSOLUTE, position)
        await self._until(lambda: self.core.is_started)
        self.core.rest()

    # Reading and writing

    async def begin(self, start: Start, *, eos: bool) -> None:
        """Remember where to begin; what is only read begins at once.

        Raises:
            ContextError: there is no such place.
        """
        self._eos = eos
        if isinstance(start, Bookmark):
            self._refuse_epoch(start)
            self._place = Place(Whence.ABSOLUTE, start.position, start.mark)
        elif isinstance(start, datetime):
            self._place = Place(Whence.TIME, ticks_from_datetime(start.astimezone()))
        elif isinstance(start, Whence):
            self._place = Place(start)
        else:
            self._place = Place(Whence.ABSOLUTE, start)
        if not self.wanted & Mode.WRITE:
            self._read_from(self._place)
            await self._until(lambda: self.core.is_started)

    def _refuse_epoch(self, start: Bookmark) -> None:
        if start.epoch != self.epoch:
            reason = "the bookmark is of another sequence under this name"
            raise PositionLost(self.name, reason, position=start.position)

    def _read_from(self, place: Place) -> None:
        self._place = place
        self._send(self.core.read(place, eos=self._eos))

    def _begin_reading(self) -> None:
        """Have a context that reads, at the present position."""
        self._refuse_closed()
        if self.core.activity is not Activity.READING:
            if not self.wanted & Mode.READ:
                raise UnsupportedOperation(self.name, "it was not opened for reading")
            self._read_from(self._here())

    def _here(self) -> Place:
        if self.core.position is not None:
            return Place(Whence.ABSOLUTE, self.core.position, self.core.mark)
        return self._place

    async def _begin_writing(self) -> None:
        """Have a context that writes, at the present position."""
        self._refuse_closed()
        if self.core.activity is not Activity.WRITING:
            self._ask_to_write()
        await self._until(lambda: self.core.is_started)

    def _ask_to_write(self) -> None:
        if not self.wanted & Mode.WRITE:
            raise UnsupportedOperation(self.name, "it was not opened for writing")
        place = self._here() if self.mode & Mode.SEEK else Place(Whence.END)
        self._place = place
        self._send(self.core.write(place))

    async def flush(self, durable: bool = False) -> int:
        """Wait until all that was written is stored: up to which position.

        Args:
            durable: wait until it is also safe from a loss of power there.

        Raises:
            ContextError: it could not be stored; `stored` tells what was.
            StreamFailed: the stream is of no more use.
        """
        self._refuse_closed()
        if self.core.activity is not Activity.WRITING:
            return self.position
        await self._until(lambda: self.core.is_started)
        await self._put(lambda: self.core.flush(durable))
        wanted, core = self.position, self.core
        await self._until(lambda: (core.durable if durable else core.stored) >= wanted)
        return wanted

    async def _settle_writes(self) -> None:
        """What was written must not be lost silently by going elsewhere."""
        if self.core.activity is Activity.WRITING and not self.core.is_broken:
            await self.flush()

    async def _put(self, make: Callable[[], Frame]) -> None:
        """Send a frame behind the data before; it is made when it can go."""
        try:
            await self._link.room(self.id)
        except NotConnected as exc:
            self._raise_broken()
            raise StreamLost(self.name, exc.reason, stored=self.stored) from exc
        self._raise_broken()
        self._link.put(self.id, make())

    async def wait_readable(self) -> None:
        """Until there is something to read: elements, the end, or an error."""
        self._begin_reading()
        while not self.core.is_ready and not self._is_closed:
            self._demand(1)
            await self._news()

    # The end

    async def aclose(self) -> None:
        """Let go of it; what was written is stored before.

        May be called again, and after errors.

        Raises:
            ContextError: what was written could not be stored.
        """
        await self._close(is_orderly=True)

    async def _close(self, *, is_orderly: bool) -> None:
        if self._is_closed:
            return
        try:
            if is_orderly and self._has_unstored:
                await self.flush()
        finally:
            self._is_closed = True
            self.wake()
            await self._let_go()

    @property
    def _has_unstored(self) -> bool:
        core = self.core
        is_writing = core.activity is Activity.WRITING and core.failure is None
        is_known = core.fault is not None and core.fault is self._told
        is_sent = core.is_started and self.position > core.stored
        return is_writing and is_sent and not is_known

    async def _let_go(self) -> None:
        try:
            if self.core.failure is None and not self._is_suspended:
                self._link.send_last(self.id, Close(self.id))
                async with asyncio.timeout(_CLOSING):
                    while not (self.core.is_closed or self.core.failure):
                        await self._news()
        except TimeoutError:
            # The publisher closes its source when it can; nothing here waits for it.
            return
        finally:
            self._link.forget(self.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(is_orderly=kind is None)
