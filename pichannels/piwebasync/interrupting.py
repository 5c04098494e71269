"""Work that others may end, and cancellations that nobody asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pichannels.errors import UsageError

__all__ = ["UnderWay", "as_failure"]


class UnderWay:
    """Work that ends with an error when `interrupt` is called.

    A task that is cancelled meanwhile stays cancelled: nobody is told to be who is
    not.
    """

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def working(self, error: Callable[[], Exception]) -> AsyncIterator[None]:
        """What is done within; interrupted it raises `error()`."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            # The work may have timeouts of its own.
            if limit.expired():
                raise error() from None
            raise

    def interrupt(self) -> None:
        """End all that is under way; it learns of it in the next turn of the loop."""
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)


def as_failure(error: asyncio.CancelledError) -> UsageError:
    """The failure of a user's function that awaited something cancelled.

    Raises:
        CancelledError: it is the running task itself that is cancelled.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    failure = UsageError("what it awaited was cancelled, and it was not")
    failure.__cause__ = error
    return failure
