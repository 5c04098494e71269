"""A limit of time for many futures at once: one timer, and next to nothing for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Deadlines"]

_STEPS: Final = 10
"""Into how many the time is divided: a future may get that much more of it."""
_FEW: Final = 1000

Futures = list[asyncio.Future[Any]]


class Deadlines:
    """Lets futures fail that are not done in time, or up to a tenth of it later.

    Args:
        seconds: what each of them has.
        error: makes what they fail with.
    """

    def __init__(self, seconds: float, error: Callable[[], Exception]) -> None:
        self._step = seconds / _STEPS
        self._error = error
        # Those of the last steps, the newest at the end.
        self._steps: deque[Futures] = deque()
        self._newest: Futures = []
        self._most = _FEW
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any]) -> None:
        """Begin the time of a future."""
        self._newest.append(future)
        if self._timer is None:
            self._timer = future.get_loop().call_later(self._step, self._go_on)
        elif len(self._newest) > self._most:
            self._newest = _not_done(self._newest)
            self._most = max(_FEW, 2 * len(self._newest))

    def _go_on(self) -> None:
        self._timer = None
        self._steps.append(_not_done(self._newest))
        self._newest = []
        if len(self._steps) > _STEPS:
            for future in _not_done(self._steps.popleft()):
                future.set_exception(self._error())
        if any(self._steps):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._step, self._go_on)
        else:
            self._steps.clear()

    @property
    def waiting(self) -> int:
        """How many futures are kept."""
        return len(self._newest) + sum(map(len, self._steps))

    def close(self) -> None:
        """Look no more."""
        self._steps.clear()
        self._newest = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _not_done(futures: Futures) -> Futures:
    return [future for future in futures if not future.done()]
