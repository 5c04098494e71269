"""Finds out that nothing is heard any more, at no cost for what is heard."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from pichannels import clock

__all__ = ["Silence"]

_MISSED_HEARTBEATS: Final = 3


class Silence:
    """Ends a connection from which nothing was heard for three heartbeats.

    One timer looks at the time of the last frame, so that a frame costs no timer.
    """

    def __init__(self, heartbeat: float | None) -> None:
        self.limit = (heartbeat or 0.0) * _MISSED_HEARTBEATS
        self.deadline: asyncio.Timeout | None = None
        self._heard: float | None = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self.limit:
            self._wait(self.limit)
        return self

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """A frame came, or is awaited from now on."""
        self._heard = clock.monotonic()

    def pause(self) -> None:
        """We do not listen; silence means nothing."""
        self._heard = None

    def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        quiet = 0.0 if self._heard is None else clock.monotonic() - self._heard
        if quiet < self.limit or self.deadline is None:
            self._wait(max(self.limit - quiet, 0.001))
        else:
            self.deadline.reschedule(asyncio.get_running_loop().time())
