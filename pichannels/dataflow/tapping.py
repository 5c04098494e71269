"""The messages of a channel as a source: settled when they are worked off."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pichannels.channels.base import BaseChannel
from pichannels.dataflow.interfaces import Stream, Streamed
from pichannels.dataflow.publishing import Queue
from pichannels.errors import RetryLater
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Tap"]

LIMIT: Final = 100
"""How many messages of a channel wait for handlers."""


class Tap(Streamed):
    """What comes out of a channel, copied for handlers.

    A message of the channel is settled when the handlers and their sinks are done with
    it; where they fail, it fails in the channel, too. Without a stream that takes
    messages they run again later.
    """

    def __init__(self, channel: BaseChannel) -> None:
        self._channel = channel
        self._node = _TapNode()
        channel.add(self._node)

    async def open_stream(self) -> Stream:
        stream = _TapStream(self._channel)
        self._node.stream = stream
        if self._channel.is_stopped():
            stream.is_owner = True
            await self._channel.start()
        return stream


class _TapNode(BaseNode):
    """The last node of a channel that is a source."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: _TapStream | None = None

    async def process(self, msg: Message) -> Message:
        if self.stream is None or self.stream.is_closed:
            raise RetryLater("no stream takes the messages of this channel")
        # Waiting here and not behind the node (`Pending`): what a handler raises then
        # counts as raised by a node, so that it may ask for a retry.
        await (await self.stream.take(msg))
        return msg

    async def stop(self) -> None:
        if self.stream is not None:
            self.stream.end()


class _TapStream(Stream):
    def __init__(self, channel: BaseChannel) -> None:
        self.is_owner = False
        self._channel = channel
        self._queue = Queue(LIMIT)
        self._given: asyncio.Future[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more."""
        return self._queue.is_closed

    async def take(self, msg: Message) -> asyncio.Future[None]:
        """Hand over a copy, as soon as there is room; the future is its settlement."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        copy = msg.copy()
        copy.delivery = None
        await self._queue.put((copy, done))
        if self._queue.is_closed:
            raise _left()
        return done

    async def __anext__(self) -> Any:
        msg, self._given = await self._queue.get()
        return msg

    def settled(self) -> None:
        given, self._given = self._given, None
        if given is not None and not given.done():
            given.set_result(None)

    def failed(self, error: BaseException) -> None:
        given, self._given = self._given, None
        if given is not None and not given.done():
            given.set_exception(error if isinstance(error, Exception) else _left())

    def end(self) -> None:
        """The channel has stopped: nothing more comes."""
        self._queue.close()

    async def stop(self) -> bool:
        if self.is_owner and self._stopping is None:
            self._stopping = asyncio.create_task(
                self._channel.stop(), name=f"{self._channel.name}: stop of a stream"
            )
        return self.is_owner

    async def close(self) -> None:
        self._queue.close()
        self.failed(_left())
        while self._queue.waiting:
            _, self._given = self._queue.waiting.popleft()
            self.failed(_left())
        if self.is_owner:
            await (self._stopping or self._channel.stop())


def _left() -> RetryLater:
    return RetryLater("the stream that took the messages has ended")
