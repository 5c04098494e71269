"""A stream whose reader can be woken while it waits for a value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any, Final

__all__ = ["END", "PAUSE", "Pump"]

END: Final = object()
"""The stream has ended."""
PAUSE: Final = object()
"""No value has come, but the reader was woken, or has waited long enough."""
_NONE: Final = object()


class Pump:
    """Asks a stream for its values in a task of its own, one at a time.

    The next one is asked for when the reader asks for it, and so is done with the last.
    """

    def __init__(self, values: AsyncIterable[Any]) -> None:
        self._values = values
        self._value: Any = _NONE
        self._taken = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Let a reader that waits, or the next one, go on with a pause."""
        self._changed.set()

    async def next(self, timeout: float | None = None) -> Any:
        """The next value, a pause, or the end; raises what the stream raises."""
        task = self._task
        if task is None:
            task = asyncio.create_task(self._run(), name="dataflow: pump")
            task.add_done_callback(lambda _: self._changed.set())
            self._task = task
        self._taken.set()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return PAUSE
        except asyncio.CancelledError:
            await self._cut_off(task)
        self._changed.clear()
        if self._value is not _NONE:
            value, self._value = self._value, _NONE
            return value
        if task.done():
            task.result()
            return END
        return PAUSE

    async def _run(self) -> None:
        async for value in self._values:
            self._taken.clear()
            self._value = value
            self._changed.set()
            await self._taken.wait()

    async def _cut_off(self, task: asyncio.Task[None]) -> None:
        """Pass a cancellation on; where it only ends the stream, it is over then."""
        task.cancel()
        await asyncio.wait([task])
        own = asyncio.current_task()
        if task.cancelled() or own is None:
            raise asyncio.CancelledError
        own.uncancel()

    async def close(self) -> None:
        """Ask for no more values."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
