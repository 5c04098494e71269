"""A limit of time for many futures at once: one timer, and nothing to do for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Deadlines"]


class Deadlines:
    """Lets futures fail that are not done in time.

    Args:
        seconds: what each of them has.
        error: makes what they fail with.
    """

    def __init__(self, seconds: float, error: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self._error = error
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any]) -> None:
        """Begin the time of a future."""
        waiting = self._waiting
        # Those that come first are done first, mostly.
        while waiting and waiting[0][1].done():
            waiting.popleft()
        loop = future.get_loop()
        waiting.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_at(waiting[0][0], self._look)

    def _look(self) -> None:
        waiting, self._timer = self._waiting, None
        now = asyncio.get_running_loop().time()
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            future = waiting.popleft()[1]
            if not future.done():
                future.set_exception(self._error())
        if waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(waiting[0][0], self._look)

    def close(self) -> None:
        """Look no more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
