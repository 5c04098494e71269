"""A stream that is open, as its link knows it: what comes, and what it waits for."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pichannels.remote.consumer import Activity, Consumer
from pichannels.remote.errors import (
    PositionLost,
    RemoteError,
    StreamClosed,
    StreamFailed,
    StreamInUse,
    StreamLost,
)
from pichannels.remote.frames import Ask, Frame, Opened, StreamFrame
from pichannels.remote.modes import Bookmark, Ends, Kind, Mode, Place, Whence

if TYPE_CHECKING:
    from pichannels.remote.linking import KeptLink

__all__ = ["Limits", "OpenedStream", "StreamState"]


class StreamState(enum.StrEnum):
    """What a stream that was opened is doing."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """The link was lost, and the stream goes on when there is another one."""
    FAILED = "failed"
    CLOSED = "closed"


class Limits(msgspec.Struct, frozen=True):
    """What the two sides agree on.

    Attributes:
        items: how many items may wait here unread.
        size: how many bytes.
        frame_bytes: how large a frame may be that goes to the publisher.
    """

    items: int
    size: int
    frame_bytes: int


class OpenedStream:
    """The part of a remote stream that its link talks to.

    Attributes:
        id: its number on the link.
        wanted: what it was opened for.
        core: the rules of the protocol.
    """

    def __init__(
        self,
        link: KeptLink,
        id: int,
        opened: Opened,
        name: str,
        wanted: Mode,
        window: tuple[int, int],
    ) -> None:
        self.name = name
        self.mode = Mode(opened.mode)
        self.version = opened.version
        self.epoch = opened.epoch
        self.wanted = wanted
        items, size = min(window[0], opened.items), min(window[1], opened.size)
        self.limits = Limits(items, max(size, 1), link.largest)
        self.core = Consumer(id, name, opened.kind, items, max(size, 1))
        self.id = id
        self._link = link
        self._changed = asyncio.Event()
        self._place = Place()
        self._readers = self._writers = 0
        self._told: RemoteError | None = None
        self._is_suspended = False
        self._is_closed = False
        self._answers: dict[int, asyncio.Future[Ends]] = {}

    # State

    @property
    def kind(self) -> Kind:
        """What it is made of."""
        return self.core.kind

    @property
    def state(self) -> StreamState:
        """What it is doing."""
        if self._is_closed:
            return StreamState.CLOSED
        if self.core.failure is not None:
            return StreamState.FAILED
        return StreamState.SUSPENDED if self._is_suspended else StreamState.ACTIVE

    @property
    def position(self) -> int:
        """Of the next element to be read or written.

        Known from the start of a context and what was read since, whatever was read
        ahead. Before the publisher has begun the context it is where it was asked to
        begin; 0 for ends and times.
        """
        if self.core.position is not None:
            return self.core.position
        return 0 if self._place.whence > Whence.ABSOLUTE else self._place.position

    @property
    def bookmark(self) -> Bookmark:
        """This position, to go on there at another time: `start=bookmark`."""
        return Bookmark(self.epoch, self.position, self.core.mark)

    @property
    def stored(self) -> int:
        """Of a writer: up to which position the other side has said it has stored."""
        return self.core.stored

    @property
    def stale(self) -> int:
        """How many frames came for what was read before a `seek`; none is delivered."""
        return self.core.stale

    async def ends(self) -> Ends:
        """Where the sequence begins and ends just now.

        Raises:
            StreamFailed: the stream is of no more use.
        """
        self._refuse_closed()
        while self._is_suspended and self.core.failure is None:
            await self._news()
        if self.core.failure is not None:
            self._raise_broken()
        request = self._link.next_request()
        answer: asyncio.Future[Ends] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self._send(Ask(self.id, request))
        try:
            return await answer
        finally:
            del self._answers[request]

    async def wait_closed(self) -> None:
        """Until the other side has closed the source, or the stream has failed."""
        while not (self._is_closed or self.core.is_closed or self.core.failure):
            await self._news()

    # Waiting

    def take(self, frame: StreamFrame) -> None:
        """Note a frame of this stream."""
        answer = self.core.take(frame)
        if answer is not None:
            self._send(answer)
        self.wake()

    def answer(self, request: int, ends: Ends) -> None:
        """The publisher has told where the ends are."""
        waiting = self._answers.get(request)
        if waiting is not None and not waiting.done():
            waiting.set_result(ends)

    def wake(self) -> None:
        """Let those that wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _news(self) -> None:
        await self._changed.wait()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something; raise what ends it."""
        while not is_so():
            self._raise_broken()
            await self._news()

    def _raise_broken(self) -> None:
        self._refuse_closed()
        error = self.core.failure or self.core.fault
        if error is None:
            return
        self._told = error
        # Others wait for the same one.
        raise type(error)(error.name, error.reason, **error.facts)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise StreamClosed(self.name, "it was closed here")

    def _send(self, frame: Frame) -> None:
        """Send a frame, unless the other side does not know the stream just now."""
        if not self._is_suspended:
            self._link.send(frame)

    def _demand(self, items: int) -> None:
        credit = self.core.demand(items)
        if credit is not None:
            self._send(credit)

    def _renew(self) -> None:
        credit = self.core.renew()
        if credit is not None:
            self._send(credit)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if self._readers:
            raise StreamInUse(self.name, "another task reads it just now")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._writers:
            raise StreamInUse(self.name, "another task writes to it just now")
        self._writers += 1
        try:
            yield
        finally:
            self._writers -= 1

    # The link

    def lose(self, reason: str, *, for_good: bool) -> None:
        """The link is gone."""
        core = self.core
        facts = {"position": core.position, "stored": core.stored}
        lost = StreamLost(self.name, reason, **facts)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(lost)
        if for_good or core.activity in (Activity.WRITING, Activity.CUTTING):
            core.fail(lost)
        else:
            self._is_suspended = True
        self.wake()

    def resume(self, opened: Opened) -> None:
        """There is another link, and the stream is open again."""
        self._is_suspended = False
        if opened.epoch != self.epoch:
            reason = "another sequence is published under this name now"
            self.core.drop(PositionLost(self.name, reason, first=opened.first))
            self.epoch = opened.epoch
        elif (frame := self.core.read_again()) is not None:
            self._send(frame)
        self.wake()

    def fail(self, error: StreamFailed) -> None:
        """The stream is of no more use."""
        self.core.fail(error)
        self._is_suspended = False
        self.wake()
