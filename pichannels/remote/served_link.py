"""One link of a hub: what a client has opened and called on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pichannels.remote.access import Access, Action, actions_of
from pichannels.remote.errors import (
    AccessDenied,
    CallFailed,
    LimitReached,
    ModeRefused,
    RemoteError,
    StreamProtocolError,
    StreamWithdrawn,
    problem_of,
)
from pichannels.remote.filing import FILING
from pichannels.remote.frames import (
    OVERHEAD,
    SMALLEST_FRAME,
    VERSION,
    Ask,
    Call,
    CallFault,
    CallResult,
    Cancel,
    EndsAre,
    Frame,
    Hello,
    List,
    Listed,
    ListedName,
    Open,
    Refused,
    StreamFrame,
)
from pichannels.remote.modes import Ends, Listing, Mode
from pichannels.remote.serving import ServedStream
from pichannels.remote.transports import Transport
from pichannels.remote.wire import Wire

if TYPE_CHECKING:
    from pichannels.remote.hub import Hub

__all__ = ["Counts", "ServedLink"]

logger: Final = logging.getLogger("pichannels.remote")

_NAMES_PER_FRAME: Final = 200
_LOOK_AGAIN: Final = 0.1
_ALL_MODES: Final = sum(Mode)


class Counts(msgspec.Struct):
    """What has happened on all links of a hub."""

    opened: int = 0
    refused: int = 0
    calls: int = 0
    broken: int = 0


class ServedLink:
    """One link, from its first frame to its last.

    Args:
        hub: what is published.
        transport: an open connection, closed at the end.
        access: what the client may do.
    """

    def __init__(self, hub: Hub, transport: Transport, access: Access) -> None:
        self.access = access
        self.streams: dict[int, ServedStream] = {}
        self._hub = hub
        name = f"remote: link of {access.client or transport.target}"
        self._wire = Wire(transport, hub.heartbeat, name)
        self._is_greeted = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._emptied = asyncio.Event()

    @property
    def client(self) -> str:
        """Who it is."""
        return self.access.client

    async def run(self) -> None:
        """Serve it until it ends."""
        self._wire.send(Hello(VERSION, self._hub.limits.frame_bytes, self.client))
        try:
            await self._wire.run(self._take)
        finally:
            tasks = [*self._tasks, *self._jobs]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def turn_away(self, reason: str) -> None:
        """End it before it begins."""
        running = asyncio.create_task(self._wire.run(_ignore), name="remote: refusal")
        await self._wire.say_goodbye(reason)
        await running

    # What comes

    def _take(self, frame: Frame) -> None:
        if not self._is_greeted:
            self._greet(frame)
        elif isinstance(frame, Open):
            self._open(frame)
        elif isinstance(frame, Ask):
            self._work(self._tell_ends(frame))
        elif isinstance(frame, StreamFrame):
            # Of a stream that has ended something may still be on its way.
            if (stream := self.streams.get(frame.stream)) is not None:
                self._take_for(stream, frame)
        elif isinstance(frame, List):
            self._work(self._list(frame))
        elif isinstance(frame, Call):
            self._call(frame)
        elif isinstance(frame, Cancel):
            if (call := self._calls.get(frame.call)) is not None:
                call.cancel()
        else:
            self._break(f"a client sends no {type(frame).__name__}")

    def _greet(self, frame: Frame) -> None:
        if not isinstance(frame, Hello) or frame.frame_bytes < SMALLEST_FRAME:
            self._break("the first frame is no greeting")
        elif frame.version != VERSION:
            reason = f"it speaks version {frame.version}, not {VERSION}"
            self._tasks.add(asyncio.create_task(self._wire.say_goodbye(reason)))
        else:
            self._wire.largest = frame.frame_bytes
            self._is_greeted = True

    def _take_for(self, stream: ServedStream, frame: StreamFrame) -> None:
        was_broken = stream.core.failure is not None
        stream.take(frame)
        if not was_broken and isinstance(stream.core.failure, StreamProtocolError):
            self._hub.counts.broken += 1

    def _break(self, reason: str) -> None:
        self._hub.counts.broken += 1
        self._wire.lose(reason)

    def _work(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Do something beside the streams; None where too much is under way."""
        if len(self._jobs) >= self._hub.limits.calls_per_link:
            work.close()
            return None
        job = asyncio.create_task(work, name="remote: answer")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    # Streams

    def _open(self, frame: Open) -> None:
        if frame.stream in self.streams:
            return self._break(f"stream {frame.stream} is open")
        self._hub.counts.opened += 1
        try:
            stream = self._admit(frame)
        except RemoteError as exc:
            self._hub.counts.refused += 1
            self._wire.send(Refused(frame.stream, problem_of(exc)))
            return
        self.streams[frame.stream] = stream
        task = asyncio.create_task(stream.run(), name=f"remote: {frame.name}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(frame.stream, done))

    def _admit(self, frame: Open) -> ServedStream:
        most = self._hub.limits.streams_per_link
        if len(self.streams) >= most:
            reason = f"{most} streams are open on this link"
            raise LimitReached(frame.name, reason, limit=most)
        if frame.mode & ~_ALL_MODES or not frame.mode & (Mode.READ | Mode.WRITE):
            raise ModeRefused(frame.name, "it is opened to read, to write, or both")
        publication = self._hub.find(frame.name)
        if not publication.is_once:
            self._refuse_forbidden(frame)
        limits = self._hub.limits
        if frame.mode & Mode.WRITE:
            self._refuse_more_writing(frame.name)
        window = limits.window_items, limits.window_bytes
        return ServedStream(self._wire, frame, publication, self.client, window)

    def _refuse_more_writing(self, name: str) -> None:
        limits = self._hub.limits
        writers = sum(bool(s.core.mode & Mode.WRITE) for s in self.streams.values())
        most = max(limits.written_bytes_per_link // limits.window_bytes, 1)
        if writers >= most:
            reason = f"{most} streams are open for writing on this link"
            raise LimitReached(name, reason, limit=most)

    def _refuse_forbidden(self, frame: Open) -> None:
        for action in actions_of(Mode(frame.mode)):
            if not self.access.allows(action, frame.name):
                reason = f"the token does not allow to {action} it"
                raise AccessDenied(frame.name, reason, action=str(action))

    def _ended(self, stream: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self.streams[stream]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a remote stream has failed", exc_info=error)
        if not self.streams:
            self._emptied.set()

    async def _tell_ends(self, frame: Ask) -> None:
        stream = self.streams.get(frame.stream)
        ends = Ends(None, None)
        if stream is not None:
            with suppress(Exception):
                ends = (await stream.publication.source.about()).ends
        self._wire.send(EndsAre(frame.stream, frame.request, ends.first, ends.end))

    # What is not a stream

    async def _list(self, frame: List) -> None:
        found = await self._hub.listing(self.access, frame.pattern)
        for first in range(0, max(len(found), 1), _NAMES_PER_FRAME):
            part = found[first : first + _NAMES_PER_FRAME]
            has_more = first + _NAMES_PER_FRAME < len(found)
            self._wire.send(Listed(frame.request, [_named(x) for x in part], has_more))

    def _call(self, frame: Call) -> None:
        self._hub.counts.calls += 1
        job = (
            self._work(self._run_call(frame)) if frame.call not in self._calls else None
        )
        if job is None:
            error = LimitReached(frame.service, "too many calls are under way")
            self._wire.send(CallFault(frame.call, problem_of(error)))
            return
        self._calls[frame.call] = job
        job.add_done_callback(lambda _: self._calls.pop(frame.call, None))

    async def _run_call(self, frame: Call) -> None:
        try:
            may = frame.service == FILING  # which sees to what is named
            if not may and not self.access.allows(Action.CALL, frame.service):
                reason = "the token does not allow to call it"
                raise AccessDenied(frame.service, reason, action=str(Action.CALL))
            service = self._hub.service(frame.service)
            value = await service.call(
                self._hub, self.access, frame.method, frame.arguments
            )
            if len(value) > self._wire.largest - OVERHEAD:
                reason = f"{frame.method} returned {len(value)} bytes; return a stream"
                raise CallFailed(frame.service, reason)
        except RemoteError as exc:
            self._wire.send(CallFault(frame.call, problem_of(exc)))
        else:
            self._wire.send(CallResult(frame.call, value))

    # The end

    async def drain(self, error: StreamWithdrawn) -> None:
        """Wait until no stream is open; those that wait for more end at once."""
        while self.streams:
            for stream in list(self.streams.values()):
                if stream.core.is_at_end:
                    stream.fail(error)
            self._emptied.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._emptied.wait()

    async def end(self, error: StreamWithdrawn) -> None:
        """End what is open, and the link, and tell why."""
        for stream in list(self.streams.values()):
            stream.fail(error)
        await self._wire.say_goodbye(error.reason)


def _ignore(frame: Frame) -> None:
    return


def _named(found: Listing) -> ListedName:
    return ListedName(
        found.name, found.kind, found.mode, found.first, found.end, found.version
    )
