"""What carries frames: the contract, and a pair within one process.

A transport carries whole messages of bytes, in order, each once, or is lost. It has
one reader and one writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from pichannels.errors import NotConnected

__all__ = ["Dial", "Transport", "memory_pair"]

_LIMIT = 64


class Transport(Protocol):
    """A connection that is open."""

    @property
    def target(self) -> str:
        """The other side, for errors."""

    async def send(self, data: bytes) -> None:
        """Hand over a message; waits while the other side takes nothing.

        Raises:
            NotConnected: the connection is lost.
        """

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            NotConnected: the connection is lost, or the other side has closed it.
        """

    async def aclose(self) -> None:
        """Close it; what waits in `send` and `receive` raises."""


Dial = Callable[[], Awaitable[Transport]]
"""Opens a new connection to the same place, or raises `NotConnected`."""


class _Lane:
    """Messages in one direction."""

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque()
        self.moved = asyncio.Event()

    def notify(self) -> None:
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()


class _MemoryTransport:
    def __init__(self, target: str, out: _Lane, into: _Lane, shut: asyncio.Event):
        self.target = target
        self._out = out
        self._into = into
        self._shut = shut

    async def send(self, data: bytes) -> None:
        while len(self._out.messages) >= _LIMIT and not self._shut.is_set():
            await self._out.moved.wait()
        if self._shut.is_set():
            raise NotConnected(self.target, "closed")
        self._out.messages.append(data)
        self._out.notify()

    async def receive(self) -> bytes:
        while not self._into.messages:
            if self._shut.is_set():
                raise NotConnected(self.target, "closed")
            await self._into.moved.wait()
        data = self._into.messages.popleft()
        self._into.notify()
        return data

    async def aclose(self) -> None:
        self._shut.set()
        self._out.notify()
        self._into.notify()


def memory_pair(name: str = "memory") -> tuple[Transport, Transport]:
    """Two ends of a connection within this process and event loop.

    Some messages may wait on the way; a sender then waits, too.
    """
    there, back, shut = _Lane(), _Lane(), asyncio.Event()
    return (
        _MemoryTransport(name, there, back, shut),
        _MemoryTransport(name, back, there, shut),
    )
