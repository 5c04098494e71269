"""Values of a stream worked on beside each other; those of one key stay in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

from pichannels.dataflow.interfaces import Receipt

__all__ = ["Lanes"]

Call = Callable[[Any], Awaitable[None] | None]


class Lanes:
    """Gives values to functions, so many at once.

    Args:
        group: owns the tasks; the first error ends it.
        at_once: how many values at most.
        calls: what is called for each value, one after the other.
    """

    def __init__(
        self, group: asyncio.TaskGroup, at_once: int, calls: Sequence[Call]
    ) -> None:
        self._group = group
        self._calls = calls
        self._room = asyncio.Semaphore(at_once)
        self._last: dict[Hashable, asyncio.Task[None]] = {}

    async def put(self, value: Any, receipt: Receipt) -> None:
        """Begin with a value as soon as there is room."""
        await self._room.acquire()
        key = receipt.key
        before = None if key is None else self._last.get(key)
        task = self._group.create_task(
            self._work(before, value, receipt), name="dataflow: lane"
        )
        if key is not None:
            self._last[key] = task
        task.add_done_callback(lambda done: self._leave(key, done))

    def _leave(self, key: Hashable, task: asyncio.Task[None]) -> None:
        self._room.release()
        if self._last.get(key) is task:
            del self._last[key]

    async def _work(
        self, before: asyncio.Task[None] | None, value: Any, receipt: Receipt
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                # All of it ends, and this one comes again after that one.
                return
        for call in self._calls:
            done = call(value)
            if done is not None:
                await done
        receipt.settled()
