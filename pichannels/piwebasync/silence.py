"""Finds out that nothing is heard any more, at no cost for what is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Self

__all__ = ["Silence"]

_MISSED_HEARTBEATS: Final = 3
_LOOKS: Final = 2
"""How often we look in one heartbeat."""


class Silence:
    """Ends a connection from which nothing was heard for three heartbeats.

    A timer looks whether the number of frames has grown, so that a frame costs
    nothing; the end is found within half a heartbeat more.

    Args:
        heartbeat: seconds between heartbeats; None waits without end.
        count: the frames so far.
    """

    def __init__(self, heartbeat: float | None, count: Callable[[], int]) -> None:
        self.limit = (heartbeat or 0.0) * _MISSED_HEARTBEATS
        self.deadline: asyncio.Timeout | None = None
        self.paused = False
        """Whether we do not listen, so that silence means nothing."""
        self._interval = (heartbeat or 0.0) / _LOOKS
        self._count = count
        self._seen = count()
        self._quiet = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._interval:
            self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._look)

    def _look(self) -> None:
        seen = self._count()
        heard = seen != self._seen or self.paused
        self._seen = seen
        self._quiet = 0 if heard else self._quiet + 1
        if self._quiet < _MISSED_HEARTBEATS * _LOOKS or self.deadline is None:
            self._wait()
        else:
            self.deadline.reschedule(asyncio.get_running_loop().time())
