"""A pause that ends when somebody resumes, or when it is given up."""

from __future__ import annotations

import asyncio

__all__ = ["Pause"]


class Pause:
    """What waits for it goes on when it ends."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        """Let all go on, or fail with this."""
        self._error = error
        self._ended.set()

    async def over(self) -> None:
        """Until it ends; raises what it was given up for."""
        await self._ended.wait()
        if self._error is not None:
            raise self._error
