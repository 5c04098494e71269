"""What tests of remote streams share: a hub, links, sources that watch themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

from pichannels.errors import NotConnected
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
    Transport,
    connect,
    pack,
)
from pichannels.remote.sources import place_within
from tests.servers.proxy import Proxy

__all__ = ["Line", "MemoryLine", "Numbers", "World", "soon"]


async def soon(is_so: Callable[[], object]) -> None:
    """Wait until something is so; the test's own time limit ends it."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class Line(Protocol):
    """What links go through, which may break.

    Attributes:
        refusing: no new connection comes about.
        connections: how many there were.
    """

    refusing: bool
    connections: int

    def hang_up(self) -> None:
        """Break all connections."""

    def swallow(self) -> None:
        """Pass nothing on, and close nothing."""


class MemoryLine:
    """A line within the process.

    Attributes:
        hub: where new connections go.
        sent: how many frames the clients have sent.
    """

    def __init__(self, hub: Hub) -> None:
        self.refusing = False
        self.connections = self.sent = 0
        self.hub = hub
        self._transports: list[_Gated] = []

    async def dial(self) -> Transport:
        if self.refusing:
            raise NotConnected("the hub", "refused")
        self.connections += 1
        gated = _Gated(await self.hub.dial(), self)
        self._transports.append(gated)
        return gated

    def hang_up(self) -> None:
        for transport in self._transports:
            transport.hang_up()
        self._transports.clear()

    def swallow(self) -> None:
        for transport in self._transports:
            transport.passing.clear()


class _Gated:
    def __init__(self, inner: Transport, line: MemoryLine) -> None:
        self.line = line
        self.target = inner.target
        self.passing = asyncio.Event()
        self.passing.set()
        self._inner = inner
        self._closing: asyncio.Task[None] | None = None

    async def send(self, data: bytes) -> None:
        await self.passing.wait()
        self.line.sent += 1
        await self._inner.send(data)

    async def receive(self) -> bytes:
        data = await self._inner.receive()
        await self.passing.wait()
        return data

    def hang_up(self) -> None:
        self._closing = asyncio.create_task(self._inner.aclose())

    async def aclose(self) -> None:
        await self._inner.aclose()


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

    async def line(self, **options: Any) -> tuple[Link, Line]:
        """A link that goes through something that may break."""
        if not self.is_socket:
            return await self.counted(**options)
        proxy = await self._stack.enter_async_context(Proxy(self.server.port))
        made = connect(f"http://127.0.0.1:{proxy.port}", **options)
        return await self._stack.enter_async_context(made), proxy

    async def counted(self, **options: Any) -> tuple[Link, MemoryLine]:
        """A link within the process of which the frames are counted."""
        line = MemoryLine(self.hub)
        made = connect(line.dial, **options)
        return await self._stack.enter_async_context(made), line


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
        self.may_open = asyncio.Event()
        self.may_open.set()

    async def about(self) -> About:
        return About(Ends(self.first, self.end), epoch="numbers")

    async def open(self, mode: Mode) -> EntityCursor:
        if self.error is not None:
            raise self.error
        await self.may_open.wait()
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

    async def trim(self) -> None:
        self._numbers.first = self._next

    async def aclose(self) -> None:
        self._numbers.closed += 1
        if self._numbers.close_error is not None:
            raise self._numbers.close_error
