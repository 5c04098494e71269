"""What tests of remote streams share: a hub, links, sources that watch themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from pichannels.remote import (
    About,
    Batch,
    Ends,
    EntityCursor,
    Hub,
    HubLimits,
    HubServer,
    Kind,
    Link,
    Mode,
    Place,
    connect,
    pack,
)
from pichannels.remote.sources import place_within

__all__ = ["Numbers", "World", "soon"]


async def soon(is_so: Callable[[], object]) -> None:
    """Wait until something is so; the test's own time limit ends it."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class World:
    """A hub, with links to it over one kind of transport.

    Attributes:
        hub: with nothing published.
        link: the first link.
    """

    hub: Hub
    link: Link

    def __init__(self, stack: AsyncExitStack, is_socket: bool) -> None:
        self.is_socket = is_socket
        self._stack = stack

    @classmethod
    async def open(cls, stack: AsyncExitStack, *, is_socket: bool) -> Self:
        made = cls(stack, is_socket)
        made.hub = await made.other_hub()
        made.link = await made.connect()
        return made

    async def other_hub(self, **options: Any) -> Hub:
        """A hub that is closed after the test; `self.hub` from now on."""
        limits = HubLimits(**options.pop("limits", {}))
        self.hub = await self._stack.enter_async_context(Hub(limits=limits, **options))
        if self.is_socket:
            self.server = await self._stack.enter_async_context(HubServer(self.hub))
        return self.hub

    async def connect(self, **options: Any) -> Link:
        """One more link to the present hub."""
        target = self.server.url if self.is_socket else self.hub
        return await self._stack.enter_async_context(connect(target, **options))


class Numbers:
    """Counts up, and notes what is asked of it.

    Attributes:
        end: behind the last number.
        first: the first one.
        reads: how many there were.
        given: how many numbers it gave.
        opened, closed: how many cursors.
    """

    kind = Kind.ENTITIES

    def __init__(
        self, end: int = 100_000, mode: Mode = Mode.READ | Mode.SEEK, padding: int = 0
    ) -> None:
        self.mode = mode
        self.first, self.end = 0, end
        self.padding = b"x" * padding
        self.reads = self.given = self.opened = self.closed = 0
        self.error: BaseException | None = None
        self.close_error: BaseException | None = None
        self.asked: list[tuple[int, int]] = []
        self.moved = asyncio.Event()

    async def about(self) -> About:
        return About(Ends(self.first, self.end), epoch="numbers")

    async def open(self, mode: Mode) -> EntityCursor:
        if self.error is not None:
            raise self.error
        self.opened += 1
        return _Cursor(self)

    def grow(self, count: int = 1) -> None:
        self.end += count
        self.moved.set()
        self.moved = asyncio.Event()

    def value(self, number: int) -> Any:
        return [number, self.padding] if self.padding else number


class _Cursor(EntityCursor):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._next = 0

    async def ends(self) -> Ends:
        return Ends(self._numbers.first, self._numbers.end)

    async def seek(self, place: Place) -> int:
        self._next = place_within(place, await self.ends())
        return self._next

    async def read(self, items: int, size: int) -> Batch:
        numbers = self._numbers
        numbers.asked.append((items, size))
        if numbers.error is not None:
            raise numbers.error
        numbers.reads += 1
        packed: Sequence[bytes] = []
        packed = self._packed(min(items, numbers.end - self._next), size)
        self._next += len(packed)
        numbers.given += len(packed)
        return Batch(packed)

    def _packed(self, most: int, size: int) -> list[bytes]:
        packed: list[bytes] = []
        for number in range(self._next, self._next + most):
            data = pack(self._numbers.value(number))
            size -= len(data)
            if size < 0 and packed:
                break
            packed.append(data)
        return packed

    async def wait(self) -> None:
        if self._next == self._numbers.end:
            await self._numbers.moved.wait()

    async def aclose(self) -> None:
        self._numbers.closed += 1
        if self._numbers.close_error is not None:
            raise self._numbers.close_error
