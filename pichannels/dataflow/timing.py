"""A timer as a source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pichannels import clock
from pichannels.errors import UsageError

__all__ = ["Timer"]


class Timer:
    """Gives the time, at once and then each `interval` seconds.

    It keeps its beat however long handlers take; beats that were missed are left out.
    The time is in ticks of 100 ns since 1970 UTC; handlers may do without.

    Raises:
        UsageError: `interval` is not above 0.
    """

    def __init__(self, interval: float = 1.0) -> None:
        if not interval > 0:
            raise UsageError(f"interval is seconds above 0, not {interval!r}")
        self.interval = interval

    async def __aiter__(self) -> AsyncIterator[int]:
        begin = clock.monotonic()
        while True:
            yield clock.now()
            passed = clock.monotonic() - begin
            await asyncio.sleep(self.interval - passed % self.interval)
