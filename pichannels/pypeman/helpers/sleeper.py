"""Waiting that can be ended."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Sleeper"]


class Sleeper:
    """Several who wait, and all of whom can be woken at once."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    async def sleep(self, delay: float, result: Any = None) -> Any:
        """Wait so many seconds, or until all are woken; gives `result`."""
        sleeping = asyncio.create_task(asyncio.sleep(delay, result), name="sleeper")
        self.tasks.add(sleeping)
        try:
            await asyncio.wait([sleeping])
            return result
        finally:
            sleeping.cancel()
            self.tasks.discard(sleeping)

    def cancel_all_helper(self) -> set[asyncio.Task[Any]]:
        """Wake all; those that were asleep."""
        return {task for task in self.tasks if task.cancel()}

    async def cancel_all(self) -> int:
        """Wake all, and wait until they are awake; how many were asleep."""
        woken = self.cancel_all_helper()
        if woken:
            await asyncio.wait(woken)
        return len(woken)
