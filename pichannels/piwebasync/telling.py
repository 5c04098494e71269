"""Telling the error that has ended a stream to the function that wants to know."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

__all__ = ["OnError", "Telling"]

OnError: TypeAlias = Callable[[asyncio.Future[None]], object]
"""Called with a future that holds the error, after the stream has ended by it.

It may be a coroutine function; `Stream.stop` waits for it.
"""

logger: Final = logging.getLogger("pichannels.piwebasync")


class Telling:
    """Calls error callbacks, and owns those that are coroutines."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, on_error: OnError, error: Exception) -> None:
        """Call it; what it raises is logged."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        # A callback need not look at it.
        future.exception()
        try:
            result = on_error(future)
        except Exception:
            _tell_failure()
            return
        if inspect.isawaitable(result):
            task = asyncio.create_task(_awaited(result), name="pi-stream error")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def done(self, seconds: float | None) -> None:
        """Wait for the callbacks; those that take longer are cancelled.

        One that waits here itself is waited for by nobody.
        """
        tasks = self._tasks - {asyncio.current_task()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            logger.warning("an error callback of a stream took too long")
            await asyncio.wait(late)


async def _awaited(result: Awaitable[object]) -> None:
    try:
        await result
    except Exception:
        _tell_failure()


def _tell_failure() -> None:
    logger.exception("the error callback of a stream failed")
