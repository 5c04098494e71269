"""A channel that others send messages to: what they write is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from pichannels.channels.base import BaseChannel
from pichannels.errors import CodecError, PichannelsError
from pichannels.message import Message
from pichannels.remote.entities import Batch, unpack
from pichannels.remote.errors import SourceFailed, UnsupportedOperation
from pichannels.remote.modes import About, Ends, Kind, Mode, Place
from pichannels.remote.sources import EntityCursor

__all__ = ["Inbox", "inbox"]


def inbox(channel: BaseChannel) -> Inbox:
    """A channel as a stream to write messages to.

    A message is stored, and durable, as soon as the channel has accepted it into its
    journal: a writer whose `flush` has returned may forget what it has written.
    """
    return Inbox(channel)


class Inbox:
    """See `inbox`."""

    kind = Kind.ENTITIES
    mode = Mode.WRITE | Mode.END_UP | Mode.EXTEND

    def __init__(self, channel: BaseChannel) -> None:
        self.channel = channel
        self.accepted = 0
        self._epoch = uuid4().hex

    async def about(self) -> About:
        return About(Ends(0, self.accepted), epoch=self._epoch)

    async def open(self, mode: Mode) -> EntityCursor:
        return _InboxCursor(self)


class _InboxCursor(EntityCursor):
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def ends(self) -> Ends:
        return Ends(0, self._inbox.accepted)

    async def seek(self, place: Place) -> int:
        return self._inbox.accepted

    async def read(self, items: int, size: int) -> Batch:
        raise UnsupportedOperation("", "an inbox cannot be read")

    async def write(self, items: Sequence[bytes]) -> None:
        accept = self._inbox.channel.accept
        messages = [_message(data) for data in items]
        # Begun in order, and made durable together.
        results = await asyncio.gather(
            *(accept(msg) for msg in messages), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise _refused(result) from result
            self._inbox.accepted += 1

    async def flush(self, durable: bool) -> None:
        # What was written is durable already.
        return


def _message(data: bytes) -> Message:
    try:
        found = unpack(data)
    except CodecError as exc:
        raise SourceFailed("", f"a message cannot be read: {exc}") from exc
    if not isinstance(found, Message):
        raise SourceFailed("", f"a {type(found).__name__} is no message")
    return found


def _refused(error: BaseException) -> SourceFailed:
    if isinstance(error, PichannelsError):
        return SourceFailed("", f"a message was not accepted: {error}")
    return SourceFailed("", "a message was not accepted")
