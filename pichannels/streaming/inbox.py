"""A channel that others send messages to: what they write is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pichannels.channels.base import BaseChannel
from pichannels.errors import CodecError, PichannelsError
from pichannels.message import Message
from pichannels.remote.entities import unpack
from pichannels.remote.errors import SourceFailed
from pichannels.remote.inboxes import WriteOnly

__all__ = ["Inbox", "inbox"]


def inbox(channel: BaseChannel) -> Inbox:
    """A channel as a stream to write messages to.

    A message is stored, and durable, as soon as the channel has accepted it into its
    journal: a writer whose `flush` has returned may forget what it has written.
    """
    return Inbox(channel)


class Inbox(WriteOnly):
    """See `inbox`."""

    def __init__(self, channel: BaseChannel) -> None:
        super().__init__(self._accept)
        self.channel = channel

    async def _accept(self, items: Sequence[bytes]) -> None:
        messages = [_message(data) for data in items]
        # Begun in order, and made durable together.
        results = await asyncio.gather(
            *(self.channel.accept(msg) for msg in messages), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise _refused(result) from result


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
