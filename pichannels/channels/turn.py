"""One at a time, in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turn"]


class Turn:
    """Who may run: one at a time, in the order of asking."""

    __slots__ = ("waiting", "busy")

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Until it is the caller's turn; `busy` stays true."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.done()
            raise

    def done(self) -> None:
        """The caller's turn is over."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.busy = False
