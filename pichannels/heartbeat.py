"""Whether the event loop goes on, how late it is, and who hears of each beat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pichannels import clock
from pichannels.metrics import Histogram

__all__ = ["Heartbeat"]

logger: Final = logging.getLogger("pichannels.engine")

_EVERY: Final = 0.5


class Heartbeat:
    """Beats in the event loop, as long as that is not held up.

    Args:
        listener: called at each beat.
        every: seconds from beat to beat.

    Attributes:
        lag: how many seconds too late the beats came.
    """

    def __init__(
        self, listener: Callable[[], None] | None = None, every: float = _EVERY
    ) -> None:
        self._listener = listener
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self.lag = Histogram()

    def start(self) -> None:
        """Begin; in the event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._beat(), name="heartbeat")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _beat(self) -> None:
        while True:
            due = clock.monotonic() + self._every
            await asyncio.sleep(self._every)
            self.lag.note(max(clock.monotonic() - due, 0.0))
            if self._listener is not None:
                self._listener()
