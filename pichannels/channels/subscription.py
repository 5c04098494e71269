"""One PI channel of a source: its streams, its connection, what it may pass on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from pichannels.channels.overlap import Overlap
from pichannels.errors import NotConnected
from pichannels.piwebasync.frames import ChannelEvent, Connected
from pichannels.piwebasync.websocket import WebsocketClient

__all__ = ["Subscription"]

_LOOK: Final = 0.02


class Subscription:
    """A PI channel that is open, or will be again.

    Args:
        client: the connection.
        web_ids: the streams that it is for.
        overlap: what other PI channels give for the same streams meanwhile; nothing
            is passed on then before `release`.
        has_initial: whether the first message of a connection has the current
            values.
    """

    def __init__(
        self,
        client: WebsocketClient,
        web_ids: Sequence[str],
        overlap: Overlap | None = None,
        *,
        has_initial: bool = False,
    ) -> None:
        self.client = client
        self.web_ids = frozenset(web_ids)
        self.is_retired = False
        self.task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._released = asyncio.Event()
        self._has_initial = has_initial
        self._is_first = False
        self._held_back = overlap
        self._noted: Overlap | None = None
        self._known: frozenset[str] = frozenset()
        self._until = 0.0
        if overlap is None:
            self._released.set()

    def connected(self, event: ChannelEvent) -> None:
        """Learn of a new connection."""
        if isinstance(event, Connected):
            self._is_first = True
            if not self._has_initial:
                self._ready.set()

    async def passed(self, frames: list[bytes]) -> list[bytes]:
        """What of these frames goes on, as soon as it may."""
        is_first, self._is_first = self._is_first, False
        self._ready.set()
        if self._noted is not None:
            for frame in frames:
                self._noted.note(frame)
        if self._held_back is None:
            return frames
        await self._released.wait()
        if self._until and asyncio.get_running_loop().time() > self._until:
            self._held_back = None
            return frames
        return list(self._filtered(frames, is_first and self._has_initial))

    def _filtered(self, frames: list[bytes], has_initial: bool) -> list[bytes]:
        overlap = self._held_back
        assert overlap is not None
        left = []
        for number, frame in enumerate(frames):
            rest: bytes | None = frame
            if has_initial and number == 0:
                rest = overlap.without(frame, self._known)
            if rest is not None:
                rest = overlap.unknown(rest)
            if rest is not None:
                left.append(rest)
        return left

    # The new ones of an overlap

    async def ready(self) -> None:
        """Until the server has begun to give.

        Raises:
            NotConnected: it ended instead.
        """
        assert self.task is not None
        ready = asyncio.create_task(self._ready.wait(), name="PI channel ready")
        try:
            await asyncio.wait([ready, self.task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            raise NotConnected(self.client.url, "the PI channel ended")

    def release(self, known: frozenset[str] = frozenset(), seconds: float = 0) -> None:
        """Pass on what was held back, and what comes.

        Args:
            known: streams whose current values others have given, by WebID or path.
            seconds: how long events may still be ones that others have given.
        """
        self._known = known
        if seconds:
            self._until = asyncio.get_running_loop().time() + seconds
        self._released.set()

    async def discard(self) -> None:
        """Close it and pass nothing on."""
        self.is_retired = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    # The old ones

    def note(self, overlap: Overlap | None) -> None:
        """Note from now on what is passed on, or no longer."""
        self._noted = overlap

    @property
    def connections(self) -> int:
        """How many there were; odd things happened where that grows."""
        return self.client.statistics()["connections"] if self.client.is_open else -1

    async def drained(self) -> None:
        """Until nothing waits that was received."""
        while True:
            if not self.client.is_open or not self.client.statistics()["waiting"]:
                return
            await asyncio.sleep(_LOOK)

    async def retire(self) -> None:
        """Close it, after what was received is passed on."""
        self.is_retired = True
        self._noted = None
        await self.client.close()
        if self.task is not None:
            await asyncio.wait([self.task])
