"""Whether a channel processes what it has received."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Gate"]


class Gate:
    """Closed while a channel is paused; that of a part is closed with the whole.

    Who commands the channel holds it closed. A message that is to run again before
    all others closes it for as long as that takes.

    Args:
        above: that of the channel which this one is a part of.

    Attributes:
        is_closed: whether nothing is to be processed.
        is_held: whether somebody has commanded that.
    """

    def __init__(self, above: Gate | None = None) -> None:
        self.is_closed = False
        self.is_held = False
        self._above = above
        self._is_held_here = False
        self._closers = 0
        self._opening: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[], None]] = []
        if above is not None:
            above.listen(self._update)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def hold(self, on: bool = True) -> None:
        """Close on command, or end that."""
        self._is_held_here = on
        self._update()

    def close(self) -> None:
        """Close until as many `open` as `close` have come."""
        self._closers += 1
        self._update()

    def open(self) -> None:
        """What `close` was called for is over."""
        self._closers -= 1
        self._update()

    async def until_released(self) -> None:
        """Until nobody holds it."""
        while self.is_held:
            changed = asyncio.Event()
            end = self.listen(changed.set)
            try:
                await changed.wait()
            finally:
                end()

    def close_for(self, seconds: float) -> None:
        """Close for some time, unless it is closed so already."""
        if self._opening is None:
            loop = asyncio.get_running_loop()
            self._opening = loop.call_later(seconds, self._open_again)
            self.close()

    def end(self) -> None:
        """Forget `close_for`; the channel stops."""
        if self._opening is not None:
            self._opening.cancel()
            self._open_again()

    def _open_again(self) -> None:
        self._opening = None
        self.open()

    def _update(self) -> None:
        before = self.is_held, self.is_closed
        above = self._above
        self.is_held = self._is_held_here or (above is not None and above.is_held)
        self.is_closed = (
            self.is_held or self._closers > 0 or (above is not None and above.is_closed)
        )
        if before != (self.is_held, self.is_closed):
            for listener in list(self._listeners):
                listener()
