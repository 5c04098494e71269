"""What waits between a PI channel's reader and its user: frames and events.

Both wait in one line, so that the user learns of a lost or a new connection
exactly between the frames before and after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from pichannels import clock

__all__ = [
    "ChannelEvent",
    "Connected",
    "FrameBuffer",
    "Lost",
    "NotOpened",
    "OnEvent",
    "Undecodable",
]


class Connected(msgspec.Struct, frozen=True):
    """A connection is open; what follows came from it."""

    url: str
    at: int
    """Our own time, ticks."""
    server_date: int | None = None
    """The server's time of the handshake (whole seconds, ticks), where it told."""


class Lost(msgspec.Struct, frozen=True):
    """The connection is gone; what changed after `last_received` may be missing."""

    url: str
    at: int
    reason: str
    """`closed`, `network`, `silence`, `backpressure` or `update`; of stream updates
    `marker`: the server has lost our place."""
    detail: str = ""
    code: int | None = None
    """The close code, where the server sent one."""
    last_received: int | None = None
    """Our own time of its last frame, ticks."""


class NotOpened(msgspec.Struct, frozen=True):
    """An attempt to connect failed; it is tried again."""

    url: str
    at: int
    error: Exception


class Undecodable(msgspec.Struct, frozen=True):
    """A message that is no JSON was left out."""

    url: str
    at: int
    raw: bytes


ChannelEvent: TypeAlias = Connected | Lost | NotOpened | Undecodable
OnEvent: TypeAlias = Callable[[ChannelEvent], None]

logger: Final = logging.getLogger("pichannels.piwebasync")

# What an event counts against the limit: a flapping server must not fill memory.
_EVENT_BYTES = 1024


class FrameBuffer:
    """Frames and events in order, bounded by number and bytes; one reader, one user.

    `put` always takes what it gets; the reader asks `is_full` before it reads on,
    so that the limit is exceeded by one frame at most.
    """

    def __init__(self, max_frames: int, max_bytes: int, on_event: OnEvent) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._on_event = on_event
        self._items: deque[bytes | ChannelEvent] = deque()
        self._bytes = 0
        self._events = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self.frames = 0
        """Frames put in since the start."""
        self.frame_bytes = 0
        """The size of those that were taken."""
        self.heard: int | None = None
        """Our own time (ticks) when the first of the frames came that came last."""
        self.end: Exception | None = None
        """Why nothing more will come; set by `close`."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes_waiting(self) -> int:
        """The size of all that waits."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether the reader has to wait."""
        return self._bytes >= self._max_bytes or len(self._items) >= self._max_frames

    def put(self, frame: bytes) -> bool:
        """Append a frame; whether the reader has to wait now."""
        items = self._items
        if not items:
            # Nobody waits for more while something waits to be taken; and of frames
            # that come together the time of the first is late enough.
            self.heard = clock.now()
            self._arrived.set()
        items.append(frame)
        self.frames += 1
        self._bytes += len(frame)
        return self._bytes >= self._max_bytes or len(items) >= self._max_frames

    def tell(self, event: ChannelEvent, *, at_once: bool = False) -> None:
        """Append an event; `at_once` goes before frames, though not before events."""
        if at_once and not self._events:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("what is told of a PI channel has failed")
            return
        self._items.append(event)
        self._events += 1
        self._bytes += _EVENT_BYTES
        self._arrived.set()

    def close(self, end: Exception) -> None:
        """Nothing more will come; what waits can still be taken."""
        if self.end is None:
            self.end = end
        self._arrived.set()
        self._taken.set()

    def take(self, max_bytes: int, max_frames: int) -> list[bytes]:
        """The frames that wait, up to the next event; at least one if there is one.

        Events in front of them are told first.
        """
        items = self._items
        while items and not isinstance(event := items[0], bytes):
            items.popleft()
            self._events -= 1
            self._note_taken(_EVENT_BYTES)
            self._on_event(event)
        frames: list[bytes] = []
        if not self._events and self._bytes <= max_bytes and len(items) <= max_frames:
            frames.extend(items)  # type: ignore[arg-type]  # there are only frames
            items.clear()
        else:
            room = max_bytes
            while items and isinstance(items[0], bytes) and len(frames) < max_frames:
                room -= len(items[0])
                if frames and room < 0:
                    break
                frames.append(items[0])
                items.popleft()
        size = sum(map(len, frames))
        self.frame_bytes += size
        self._note_taken(size)
        return frames

    def pop(self) -> bytes | None:
        """The first that waits where it is a frame, else None; tells no event."""
        items = self._items
        if not items or type(frame := items[0]) is not bytes:
            return None
        items.popleft()
        size = len(frame)
        self.frame_bytes += size
        self._bytes -= size
        self._taken.set()
        return frame

    async def wait_item(self) -> None:
        """Until something waits or the end is known."""
        while not self._items and self.end is None:
            self._arrived.clear()
            await self._arrived.wait()

    async def wait_room(self) -> None:
        """Until there is room."""
        while self.is_full:
            self._taken.clear()
            await self._taken.wait()

    def _note_taken(self, size: int) -> None:
        self._bytes -= size
        self._taken.set()
