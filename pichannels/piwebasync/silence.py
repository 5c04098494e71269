"""Finds out that nothing is heard any more, at no cost for what is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Self

__all__ = ["Silence"]

_LOOKS: Final = 16
"""How often we look in one heartbeat."""
_QUIET_LOOKS: Final = 28
"""So often nothing new is seen before it counts as silence: a heartbeat may come
three quarters of its time late."""


class Silence:
    """Ends a connection from which nothing was heard for 1.75 heartbeats.

    A timer looks whether the number of frames has grown, so that a frame costs
    nothing. The end is found a sixteenth of a heartbeat later at most, so always
    within two heartbeats of the last frame. What counts are looks, not time: a
    program that stands still for a while takes no connection for silent.

    Args:
        heartbeat: seconds between heartbeats; None waits without end.
        count: the frames so far.
    """

    def __init__(self, heartbeat: float | None, count: Callable[[], int]) -> None:
        self._interval = (heartbeat or 0.0) / _LOOKS
        self.limit = self._interval * _QUIET_LOOKS
        self.deadline: asyncio.Timeout | None = None
        self.paused = False
        """Whether we do not listen, so that silence means nothing."""
        self._count = count
        self._seen = count()
        self._quiet = 0
        self._planned = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._interval:
            self._planned = asyncio.get_running_loop().time()
            self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._planned += self._interval
        if self._planned < loop.time():
            self._planned = loop.time() + self._interval
        self._timer = loop.call_at(self._planned, self._look)

    def _look(self) -> None:
        seen = self._count()
        heard = seen != self._seen or self.paused
        self._seen = seen
        self._quiet = 0 if heard else self._quiet + 1
        if self._quiet < _QUIET_LOOKS or self.deadline is None:
            self._wait()
        else:
            self.deadline.reschedule(asyncio.get_running_loop().time())
