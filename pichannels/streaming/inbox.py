"""A channel that others send messages to: what they write is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from pichannels.channels.arrivals import Arrival, Arrivals, let_unpack
from pichannels.channels.base import BaseChannel
from pichannels.channels.inlet import Inlet
from pichannels.errors import PichannelsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.remote.errors import SourceFailed
from pichannels.remote.inboxes import WriteOnly
from pichannels.remote.modes import Mode
from pichannels.remote.sources import EntityCursor

__all__ = ["Inbox", "inbox"]

_KNOWN: Final = 50_000


def inbox(channel: BaseChannel, window_events: int = _KNOWN) -> Inbox:
    """A channel as a stream to write messages to.

    A message is stored, and durable, as soon as the channel has accepted it into its
    journal: a writer whose `flush` has returned may forget what it has written. What is
    sent again, as a link or a process ended before that was told, is left out.
    Without a journal a message is stored when it is settled.

    What cannot be read here holds nobody up: it becomes a dead letter of a node
    `unpack`, which is put before the others of the channel.

    Args:
        channel: whose messages they become; they keep uuid, lane, meta and types.
        window_events: how many events are known, so that none comes twice.
    """
    return Inbox(channel, window_events)


class Inbox(WriteOnly):
    """See `inbox`."""

    def __init__(self, channel: BaseChannel, window_events: int = _KNOWN) -> None:
        super().__init__(self._accept)
        let_unpack(channel)
        self.channel = channel
        self._arrivals = Arrivals(_Receiver(channel), window_events, way="inbox")
        self._opening = asyncio.Lock()
        self._is_open = False

    @property
    def duplicates(self) -> int:
        """How many events were left out, as they had come before."""
        return self._arrivals.duplicates

    @property
    def unreadable(self) -> int:
        """How many messages could not be read."""
        return self._arrivals.unreadable

    async def open(self, mode: Mode) -> EntityCursor:
        """A writer's place; the first one brings back what came before."""
        async with self._opening:
            if not self._is_open:
                await self._arrivals.open()
                self._is_open = True
        return await super().open(mode)

    async def _accept(self, items: Sequence[bytes]) -> None:
        try:
            await self._arrivals.take([Arrival(data) for data in items])
        except PichannelsError as exc:
            raise SourceFailed("", f"a message was not accepted: {exc}") from exc


class _Receiver:
    """The channel, as it is seen by what takes messages for it."""

    def __init__(self, channel: BaseChannel) -> None:
        self._channel = channel
        self.name = channel.name

    @property
    def journal(self) -> Journal | None:
        return self._channel.journal

    @property
    def is_ending(self) -> bool:
        return self._channel.is_stopped()

    async def handle(self, msg: Message) -> Message:
        return await self._channel.handle(msg)

    def way_in(self) -> Inlet:
        return self._channel.way_in()
