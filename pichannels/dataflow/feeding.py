"""One stream for several pipes that go in step: none is ahead of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Self

__all__ = ["Feed"]

_NOTHING: Final = object()


class Feed(AsyncIterator[Any]):
    """Gives one pipe the values of a source, one at a time."""

    def __init__(self) -> None:
        self._value: Any = _NOTHING
        self._is_asked = False
        self._is_closed = False
        self.is_left = False
        self._changed = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self._is_asked = True
        self._changed.set()
        while self._value is _NOTHING:
            if self._is_closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        value, self._value = self._value, _NOTHING
        self._is_asked = False
        return value

    def put(self, value: Any) -> None:
        """The next value; the one before is worked off."""
        if not self.is_left:
            self._value = value
            self._changed.set()

    async def worked_off(self) -> None:
        """Until the pipe asks for the next value, or has ended."""
        while not self.is_left and (self._value is not _NOTHING or not self._is_asked):
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """There are no more values."""
        self._is_closed = True
        self._changed.set()

    def leave(self) -> None:
        """The pipe has ended and takes no more."""
        self.is_left = True
        self._changed.set()
