"""A running channel as a stream: what comes out of it, as it comes."""

from __future__ import annotations

import logging
from typing import Final

from pichannels.channels.base import BaseChannel
from pichannels.errors import CodecError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.remote.entities import pack
from pichannels.remote.modes import About, Kind, Mode
from pichannels.remote.rings import Overflow, Ring
from pichannels.remote.sources import EntityCursor

__all__ = ["ChannelTail", "TailNode", "tail"]

logger: Final = logging.getLogger("pichannels.streaming")

_FOLLOWED: Final = 1000


def tail(
    channel: BaseChannel,
    keep: int = 10_000,
    *,
    keep_bytes: int = 64 * 2**20,
    overflow: Overflow = "error",
    always: bool = True,
) -> Ring:
    """The results of a channel, as a source to publish.

    It becomes the last node of the channel, which may run already. The channel never
    waits for readers: the newest messages are kept, and a reader who is too slow for
    them is told so.

    Args:
        channel: what is followed; also a sub-channel.
        keep: how many messages are kept.
        keep_bytes: how many bytes of them.
        overflow: what a reader gets who was too slow: `error` raises `PositionLost`,
            `skip` gives a `Gap` and goes on.
        always: keep messages also while nobody reads, so that readers can go back.
            Without it a channel that nobody follows has no work with this.

    Raises:
        UsageError: it would keep nothing, or `overflow` is not of these.
    """
    ring = Ring(keep, keep_bytes=keep_bytes, overflow=overflow, always=always)
    channel.add(TailNode(ring))
    return ring


class TailNode(BaseNode):
    """The last node of a channel that is followed.

    Args:
        ring: gets what comes out of the channel.
    """

    def __init__(self, ring: Ring) -> None:
        super().__init__(name="tail")
        self.is_auto_named = True
        self._ring = ring
        self._unpacked = 0

    def process(self, msg: Message) -> Message:
        """Put the message into the ring, if it is recording."""
        if self._ring.is_recording:
            try:
                self._ring.put_packed(pack(msg))
            except CodecError as exc:
                self._note(exc)
        return msg

    def _note(self, error: CodecError) -> None:
        """Such a message is missing for readers; the channel goes on with it."""
        self._unpacked += 1
        if self._unpacked == 1:
            logger.warning("%s: readers miss messages: %s", self.fullpath(), error)


class ChannelTail:
    """The tail of whichever channel has a name, also when another one takes its place.

    Args:
        channel: the one that has it now.
        keep: how many messages are kept while nobody follows; with 0 the channel has
            no work with this until somebody does.
    """

    kind = Kind.ENTITIES
    mode = Ring.mode

    def __init__(self, channel: BaseChannel, keep: int = 0) -> None:
        self._ring = Ring(keep or _FOLLOWED, overflow="skip", always=keep > 0)
        self._channel = channel
        self._is_followed = keep > 0
        if keep:
            channel.add(TailNode(self._ring))

    def move(self, channel: BaseChannel) -> None:
        """Go on with this channel; those who follow notice nothing."""
        if channel is not self._channel:
            self._channel = channel
            if self._is_followed:
                channel.add(TailNode(self._ring))

    async def about(self) -> About:
        """Where it begins and ends."""
        return await self._ring.about()

    async def open(self, mode: Mode) -> EntityCursor:
        """A reader's place; from the first one on the channel is followed."""
        if not self._is_followed:
            self._is_followed = True
            self._channel.add(TailNode(self._ring))
        return await self._ring.open(mode)
