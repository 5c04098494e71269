"""Sinks that write in the background what waits, in order, and acknowledge it then."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from nodes._batches import each, is_batch, set_aside
from nodes._options import at_least
from pichannels.errors import ChannelStopped, CodecError
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.tracing import outgoing
from pichannels.values import Sample

__all__ = ["Item", "Queueing", "QueueingSink", "StopRequested", "is_raw"]

logger: Final = logging.getLogger("pichannels.nodes")

_UNFIT = (TypeError, ValueError, OverflowError, CodecError)


class StopRequested(Exception):
    """The sink stops, and what it could not write stays unsettled."""


class Item:
    """What one message leaves in the queue; the message itself goes on.

    `size` is what it takes of the room in the queue, `lane` that of the message,
    `trace` the headers under which it is sent.
    """

    __slots__ = (
        "ack",
        "content_type",
        "count",
        "data",
        "is_batch",
        "is_done",
        "lane",
        "size",
        "trace",
        "uuid",
    )

    def __init__(self, msg: Message, data: Any, size: int | None = None) -> None:
        payload = msg.payload
        self.data = data
        self.size = len(data) if size is None else size
        self.is_batch = is_batch(payload)
        self.count = len(payload) if self.is_batch else 1
        self.content_type = msg.content_type if is_raw(msg) else "application/json"
        self.uuid = msg.uuid
        self.lane = str(msg.meta.get("lane", "live"))
        self.trace = outgoing()
        self.is_done = False
        self.ack: asyncio.Future[None]


def is_raw(msg: Message) -> bool:
    """Whether the payload is text or bytes of the content type that the message says.

    A text that was decoded from JSON is a Python value, and no such text.
    """
    kind = type(msg.payload)
    return kind in (bytes, str) and msg.content_type != "application/python"


class Queueing(BaseNode):
    """A sink with a bounded queue and one write at a time.

    Messages go on at once and are settled when they are written. Where the queue
    is full, the channel waits. A child sets the bound by `limit`.

    Args:
        options: those of every node.
    """

    changes: ClassVar[frozenset[str]] = frozenset()
    is_sink: ClassVar[bool] = True
    pauses_itself: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._limit = 1
        self._queue: deque[Item] = deque()
        self._used = 0
        self._waiting = 0
        self._door = asyncio.Lock()
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.written = 0
        self.failed = 0
        self.errors = 0

    def limit(self, key: str, most: int) -> None:
        """Let items of this size together wait.

        Raises:
            SettingsError: less than 1.
        """
        at_least(key, most, 1)
        self._limit = most

    def encode(self, msg: Message) -> Any:
        """What is written for a message; implemented by each sink."""
        raise NotImplementedError

    def item(self, msg: Message) -> Item:
        """What a message leaves in the queue."""
        return Item(msg, self.encode(msg))

    async def linger(self) -> None:
        """Called before a group is taken, to wait for more of it."""
        return

    async def deliver(self, group: Sequence[Item]) -> None:
        """Write a group; implemented by each sink.

        Raises:
            StopRequested: by `pause`; the group stays unsettled.
            Exception: the messages of the group fail with it.
        """
        raise NotImplementedError

    def statistics(self) -> dict[str, int]:
        """Counts of values: queued, written, failed; and of failed writes."""
        return {
            "queued": sum(item.count for item in self._queue),
            "written": self.written,
            "failed": self.failed,
            "errors": self.errors,
        }

    async def start(self) -> None:
        """Take messages (again)."""
        self._door = asyncio.Lock()
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()

    async def stop(self) -> None:
        """Write what is queued; what cannot be written now stays unsettled."""
        self._stopping.set()
        self.give_up_pause()
        if self._writer is not None:
            await self._writer
        if self._queue:
            logger.warning(
                "%s: %d messages could not be written and stay unsettled",
                self.fullpath(),
                len(self._queue),
            )
            self._queue.clear()
            self._used = 0

    def process(self, msg: Message) -> Pending | Awaitable[Pending]:
        if self._stopping.is_set():
            raise ChannelStopped(self.channel.name if self.channel else self.name)
        try:
            item = self.item(msg)
        except _UNFIT as exc:
            return self._publish_fit(msg, exc)
        if self._waiting or not self._has_room(item):
            return self._put_later(msg, item)
        return Pending(msg, self._put(item))

    def _has_room(self, item: Item) -> bool:
        return not self._used or self._used + item.size <= self._limit

    def _put(self, item: Item) -> asyncio.Future[None]:
        item.ack = asyncio.get_running_loop().create_future()
        self._queue.append(item)
        self._used += item.size
        if self._writer is None:
            name = f"{self.fullpath()}: writer"
            self._writer = asyncio.create_task(self._write_all(), name=name)
        return item.ack

    async def _put_later(self, msg: Message, item: Item) -> Pending:
        """Wait in line for room."""
        self._waiting += 1
        try:
            async with self._door:
                while not self._has_room(item):
                    self._freed.clear()
                    await self._freed.wait()
                return Pending(msg, self._put(item))
        finally:
            self._waiting -= 1

    async def _publish_fit(self, msg: Message, cause: Exception) -> Pending:
        """Publish the samples that can be, and set aside the others.

        Raises:
            SampleErrors: some samples cannot be encoded.
            CodecError: the message cannot be.
        """
        if not is_batch(msg.payload):
            raise CodecError(f"{self.fullpath()}: {cause}") from cause
        results, causes = each(msg, self.fullpath(), self._encode_one)
        if not causes:
            raise CodecError(f"{self.fullpath()}: {cause}") from cause
        kept = [s for s, data in zip(msg.payload, results, strict=True) if data]
        error = set_aside(msg, causes, kept)
        if kept:
            pending = await self._put_later(msg, self.item(msg))
            if msg.delivery is not None:
                msg.delivery.wait_for(pending.ack, self)
        raise error

    def _encode_one(self, sample: Sample) -> Any:
        return self.encode(Message(payload=[sample]))

    async def _write_all(self) -> None:
        """Write group after group until nothing waits."""
        try:
            while self._queue:
                await self.linger()
                if self.is_paused:
                    await self._until_resumed()
                group = self.take()
                try:
                    await self.deliver(group)
                except StopRequested:
                    left = [item for item in group if not item.is_done]
                    self._queue.extendleft(reversed(left))
                    raise
                except Exception as exc:
                    self.fail(group, exc)
                else:
                    self.settle(group)
        except StopRequested:
            return
        finally:
            self._writer = None

    def take(self) -> list[Item]:
        """The items that are written together, out of the queue."""
        group = list(self._queue)
        self._queue.clear()
        return group

    def settle(self, group: Sequence[Item]) -> None:
        """Acknowledge what is written."""
        for item in self._leave(group):
            self.written += item.count
            if not item.ack.done():
                item.ack.set_result(None)

    def fail(self, group: Sequence[Item], error: Exception) -> None:
        """Let the messages of these items fail."""
        for item in self._leave(group):
            self.failed += item.count
            if not item.ack.done():
                item.ack.set_exception(error)

    def _leave(self, group: Sequence[Item]) -> list[Item]:
        """The items that had not left the queue yet; makes room for others."""
        leaving = [item for item in group if not item.is_done]
        for item in leaving:
            item.is_done = True
            self._used -= item.size
        self._freed.set()
        return leaving

    def not_written(self, error: Exception) -> None:
        """Count a failed attempt to write."""
        self.errors += 1
        self.tally.note(error)

    async def pause(self, seconds: float) -> None:
        """Wait before the next try, and while the sink is paused.

        A stop gives one more try at once, unless it is paused.

        Raises:
            StopRequested: that was it.
        """
        self.tally.again()
        if self._stopping.is_set():
            raise StopRequested
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        if self.is_paused:
            await self._until_resumed()

    async def _until_resumed(self) -> None:
        try:
            await self.until_resumed()
        except ChannelStopped as exc:
            raise StopRequested from exc


class QueueingSink(Queueing):
    """A sink whose queue is bounded by bytes.

    Args:
        queue_bytes: how much may be queued, encoded.
        options: those of every node.
    """

    def __init__(self, *, queue_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit("queue_bytes", queue_bytes)

    def statistics(self) -> dict[str, int]:
        """Counts of values: queued, written, failed; and of failed writes."""
        return super().statistics() | {"queued_bytes": self._used}
