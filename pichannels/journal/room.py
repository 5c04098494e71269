"""Who waits until the journal takes more, first come first served."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from pichannels.errors import JournalError

__all__ = ["Room"]

_AT_ONCE: Final = 256


class Room:
    """Lets waiting callers go on while there is room, in the order they came."""

    def __init__(self, is_full: Callable[[], bool]) -> None:
        self._is_full = is_full
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_waking = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self) -> None:
        """Until there is room and all who came before have been let in.

        Raises:
            JournalError: the journal was closed meanwhile.
        """
        if not self._waiting and not self._is_full():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # It may be out of the line already.
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
            raise

    def wake(self) -> None:
        """Let in some of those who wait, and the others when these have had a go."""
        if self._is_waking or not self._waiting or self._is_full():
            return
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._waiting:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake_next)

    def _wake_next(self) -> None:
        self._is_waking = False
        self.wake()

    def close(self, error: JournalError) -> None:
        """Turn away all who wait."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)
