"""One stream that a peer has opened: its source is read and written here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import msgspec

from pichannels.errors import NotConnected
from pichannels.remote.entities import Batch
from pichannels.remote.errors import (
    ContextError,
    RefusedError,
    RemoteError,
    SourceFailed,
    StreamFailed,
    problem_of,
)
from pichannels.remote.frames import (
    Closed,
    Cut,
    Open,
    Opened,
    Read,
    Refused,
    StreamFrame,
)
from pichannels.remote.modes import Edge, Kind, Mode
from pichannels.remote.publications import Publication
from pichannels.remote.publisher import (
    Begin,
    Finish,
    Give,
    Publisher,
    Store,
    Sync,
    Task,
)
from pichannels.remote.sources import ByteCursor, Cursor, EntityCursor
from pichannels.remote.wire import Wire

__all__ = ["ServedStream", "StreamReport"]

logger: Final = logging.getLogger("pichannels.remote")

T = TypeVar("T")

_CLOSING: Final = 5.0


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one open stream does.

    Attributes:
        name: what is open.
        client: who has opened it.
        mode: what the client may do.
        position: of the next element that is sent or stored.
        sent, received: elements that went out and came in.
        credit_items, credit_bytes: what the reader has room for.
        lost: items that the reader was too slow for.
        stale: frames that came too late to matter.
        lag: elements between the position and the end, where that is known.
    """

    name: str
    client: str
    kind: Kind
    mode: Mode
    position: int
    sent: int
    received: int
    credit_items: int
    credit_bytes: int
    lost: int
    stale: int
    lag: int | None = None


class ServedStream:
    """One open stream.

    Args:
        wire: where its frames go.
        frame: what opened it.
        publication: what is opened.
        mode: what the peer may do.
        client: who that is.
        window: items and bytes to write, and to read ahead at most.
    """

    def __init__(
        self,
        wire: Wire,
        frame: Open,
        publication: Publication,
        client: str,
        window: tuple[int, int],
    ) -> None:
        self.id = frame.stream
        self.publication = publication
        self.client = client
        self._wire = wire
        self._window = window
        mode = publication.admit(self, frame.kind, Mode(frame.mode))
        self.core = Publisher(
            frame.stream,
            publication.name,
            publication.kind,
            mode,
            *window,
            largest=wire.largest,
        )
        self._news = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._is_interruptible = self._was_interrupted = False

    def take(self, frame: StreamFrame) -> None:
        """Note a frame of the stream; never waits."""
        answer = self.core.take(frame)
        if answer is not None:
            self._wire.forget(self.id)
            self._wire.send(answer)
        self._wake()

    def fail(self, error: StreamFailed) -> None:
        """End it from here, and tell the peer why."""
        if self.core.failure is None:
            self._wire.forget(self.id)
            self._wire.send(self.core.fail(error))
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._is_interruptible and self.core.is_superseded and self._task:
            self._is_interruptible = False
            self._was_interrupted = True
            self._task.cancel()

    def report(self) -> StreamReport:
        """What it does just now."""
        core = self.core
        return StreamReport(
            name=core.name,
            client=self.client,
            kind=core.kind,
            mode=core.mode,
            position=core.position,
            sent=core.sent,
            received=core.received,
            credit_items=core.credit.items,
            credit_bytes=core.credit.size,
            lost=core.lost,
            stale=core.stale,
        )

    # The run

    async def run(self) -> None:
        """Serve it until it is closed, or has failed."""
        self._task = asyncio.current_task()
        try:
            cursor = await self._open()
            if cursor is not None:
                await self._serve(cursor)
        except NotConnected:
            logger.debug("%s: the link of a reader was lost", self.core.name)
        finally:
            self.publication.release(self)

    async def _open(self) -> Cursor | None:
        source, core = self.publication.source, self.core
        try:
            about = await source.about()
            cursor = await source.open(core.mode)
        except RemoteError as exc:
            self._refuse(exc)
            return None
        except Exception:
            logger.exception("%s could not be opened", core.name)
            self._refuse(RefusedError(core.name, "its source could not be opened"))
            return None
        if self.core.failure is not None:
            await self._close(cursor)
            self._refuse(self.core.failure)
            return None
        ends = about.ends
        self._wire.send(
            Opened(
                self.id,
                core.kind,
                core.mode,
                about.epoch,
                about.version,
                ends.first,
                ends.end,
                *self._window,
            )
        )
        return cursor

    def _refuse(self, error: RemoteError) -> None:
        self._wire.send(Refused(self.id, problem_of(error)))

    async def _serve(self, cursor: Cursor) -> None:
        try:
            while self.core.failure is None:
                if (frame := self.core.ready()) is not None:
                    await self._wire.offer(self.id, frame)
                elif isinstance(task := self.core.todo(), Finish):
                    break
                elif task is not None:
                    await self._try(task, cursor)
                else:
                    await self._rest(cursor)
        finally:
            await self._close(cursor)
        if self.core.failure is None:
            self._wire.send(Closed(self.id))

    async def _rest(self, cursor: Cursor) -> None:
        """Until there is something to do."""
        if not self.core.is_at_end:
            self._news.clear()
            await self._news.wait()
        elif await self._unless_superseded(_true(cursor.wait())):
            self.core.grew()

    async def _try(self, task: Task, cursor: Cursor) -> None:
        try:
            await self._do(task, cursor)
        except ContextError as exc:
            await self._fault(exc)
        except StreamFailed as exc:
            self.fail(exc)
        except Exception:
            logger.exception("the source of %s failed", self.core.name)
            await self._fault(SourceFailed(self.core.name, "its source failed"))

    async def _fault(self, error: ContextError) -> None:
        frame = self.core.faulted(error)
        if frame is not None:
            # Behind the data that was read before.
            await self._wire.offer(self.id, frame)

    async def _do(self, task: Task, cursor: Cursor) -> None:
        if isinstance(task, Give):
            await self._give(task, cursor)
        elif isinstance(task, Begin):
            await self._begin(task, cursor)
        elif isinstance(task, Store):
            if isinstance(cursor, ByteCursor):
                await cursor.write(b"".join(task.batch))
            elif isinstance(cursor, EntityCursor):
                await cursor.write(task.batch)
            self._send(self.core.stored(task))
        elif isinstance(task, Sync):
            await cursor.flush(task.durable)
            self._send(self.core.synced(task))

    def _send(self, frames: list[StreamFrame]) -> None:
        for frame in frames:
            self._wire.send(frame)

    async def _give(self, task: Give, cursor: Cursor) -> None:
        if isinstance(cursor, ByteCursor):
            data = await self._unless_superseded(cursor.read(task.size))
            batch = None if data is None else Batch((data,) if data else ())
        else:
            assert isinstance(cursor, EntityCursor)
            batch = await self._unless_superseded(cursor.read(task.items, task.size))
        if batch is not None:
            self.core.gave(batch)

    async def _begin(self, task: Begin, cursor: Cursor) -> None:
        refusal = self.core.begin(task)
        if refusal is not None:
            raise refusal
        position = self.core.position
        if self.core.moves or not isinstance(task.start, Read):
            position = await cursor.seek(task.place)
        if isinstance(task.start, Cut) and task.start.edge is Edge.BEFORE:
            await cursor.trim()
        elif isinstance(task.start, Cut):
            await cursor.truncate()
        started = self.core.began(task, position, await cursor.ends())
        self._wire.send(started)

    async def _unless_superseded(self, work: Awaitable[T]) -> T | None:
        """The result, or None where something came that makes it useless."""
        task = self._task
        assert task is not None
        self._is_interruptible, self._was_interrupted = True, False
        try:
            result: T | None = await work
        except asyncio.CancelledError:
            if not self._was_interrupted or task.cancelling() > 1:
                raise
            result = None
        finally:
            self._is_interruptible = False
        if self._was_interrupted:
            task.uncancel()
        return result

    async def _close(self, cursor: Cursor) -> None:
        """Close the source, also where this task is cancelled meanwhile."""
        closing = asyncio.create_task(
            self._closed(cursor), name=f"remote: close of {self.core.name}"
        )
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing], timeout=_CLOSING)
            closing.cancel()
            raise

    async def _closed(self, cursor: Cursor) -> None:
        try:
            await cursor.aclose()
        except Exception:
            logger.exception("the source of %s could not be closed", self.core.name)


async def _true(waiting: Awaitable[None]) -> bool:
    await waiting
    return True
