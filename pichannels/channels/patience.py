"""How long the steps of a stop may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

__all__ = ["Patience"]


class Patience:
    """The limits of the steps that run just now, until somebody ends them all."""

    def __init__(self) -> None:
        self._is_over = False
        self._running: list[tuple[asyncio.Timeout, float]] = []

    def renew(self) -> None:
        """Begin again."""
        self._is_over = False

    def end(self) -> None:
        """Let what runs, and what follows, have no more than its grace."""
        if self._is_over:
            return
        self._is_over = True
        for limit, grace in self._running:
            if not limit.expired():
                limit.reschedule(_now() + grace)

    @asynccontextmanager
    async def step(
        self, deadline: float | None, grace: float = 0.0
    ) -> AsyncIterator[asyncio.Timeout]:
        """Run the block up to its limit, which tells afterwards if it was too late.

        Args:
            deadline: in the time of the event loop; None for no limit.
            grace: seconds that are left once patience has ended. It ends, too, when
                the task is cancelled.
        """
        when = _now() + grace if self._is_over else deadline
        limit = asyncio.timeout_at(when)
        try:
            async with limit:
                with self._counted(limit, grace):
                    yield limit
        except TimeoutError:
            if not limit.expired():
                raise
        except asyncio.CancelledError:
            self.end()
            raise

    @contextmanager
    def _counted(self, limit: asyncio.Timeout, grace: float) -> Iterator[None]:
        entry = (limit, grace)
        self._running.append(entry)
        try:
            yield
        finally:
            self._running.remove(entry)


def _now() -> float:
    return asyncio.get_running_loop().time()
