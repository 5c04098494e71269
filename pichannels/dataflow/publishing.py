"""What is published to readers: bounded queues that lose nothing.

A reader gets all that is published after it has subscribed. Where one is slow, its
queue is full and who publishes waits for it.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, Self

from pichannels.errors import Backpressure, UsageError

__all__ = ["LIMIT", "Outlet", "Published", "Queue", "Reader"]

LIMIT: Final = 1000
"""How many updates wait for one reader."""


class Queue:
    """What waits for one reader, with an end."""

    def __init__(self, limit: int) -> None:
        self.waiting: deque[Any] = deque()
        self.limit = limit
        self.is_closed = False
        self.reader_task: asyncio.Task[Any] | None = None
        self.is_asked = False
        self._changed: deque[asyncio.Future[None]] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether the reader has worked off all and asks for more."""
        return self.is_closed or (self.is_asked and not self.waiting)

    def wake(self) -> None:
        """Whoever waits looks again."""
        while self._changed:
            future = self._changed.popleft()
            if not future.done():
                future.set_result(None)

    async def changed(self) -> None:
        """Until something was put in or taken out."""
        future = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        try:
            await future
        finally:
            if future in self._changed:
                self._changed.remove(future)

    def close(self) -> None:
        """Take no more; who waits for room goes on."""
        self.is_closed = True
        self.wake()

    async def get(self) -> Any:
        """Take what waits longest, as soon as there is something.

        Raises:
            StopAsyncIteration: it is closed, and nothing is left.
        """
        if self.reader_task is None:
            self.reader_task = asyncio.current_task()
        if not self.waiting:
            await self._filled()
        found = self.waiting.popleft()
        if self._changed:
            self.wake()
        return found

    async def _filled(self) -> None:
        self.reader_task = asyncio.current_task()
        self.is_asked = True
        self.wake()
        try:
            while not self.waiting:
                if self.is_closed:
                    raise StopAsyncIteration
                await self.changed()
        finally:
            self.is_asked = False

    async def put(self, update: Any) -> None:
        """Add an update, as soon as there is room."""
        while len(self.waiting) >= self.limit and not self.is_closed:
            if asyncio.current_task() is self.reader_task:
                self._make_room_for_own()
                break
            await self.changed()
        if not self.is_closed:
            self.waiting.append(update)
            if self.is_asked:
                self.wake()

    def _make_room_for_own(self) -> None:
        # The reader would wait for itself. What it adds for each that it takes fits;
        # what grows without end is told.
        if len(self.waiting) >= 2 * self.limit:
            raise Backpressure("the queue of a reader that publishes to itself", 0.0)


class Reader(AsyncIterator[Any]):
    """What is published from now on; `async for` gives it in order.

    It ends its subscription when it is closed, or when nobody has it any more.
    """

    def __init__(self, queues: list[Queue], limit: int) -> None:
        self._queues = queues
        self._queue = Queue(limit)
        queues.append(self._queue)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._queue.get()

    @property
    def is_idle(self) -> bool:
        """Whether all that was published is worked off."""
        return self._queue.is_idle

    async def worked_off(self) -> None:
        """Until all that was published is worked off."""
        while not self._queue.is_idle:
            await self._queue.changed()

    def close(self) -> None:
        """End the subscription; what still waits can be read."""
        if self._queue in self._queues:
            self._queues.remove(self._queue)
        self._queue.close()

    async def aclose(self) -> None:
        """The same as `close`, for `contextlib.aclosing`."""
        self.close()

    def __del__(self) -> None:
        # `async for` tells nobody that it was left, and who publishes must not wait
        # for ever.
        if not self._queue.is_closed:
            self.close()


class Outlet(Protocol):
    """Something that takes all that is published, and need not be asked for."""

    async def put(self, update: Any) -> None:
        """Take an update."""


class Published:
    """Something that readers can follow by `async for`.

    Subclasses need not call this constructor.
    """

    @functools.cached_property
    def _queues(self) -> list[Queue]:
        return []

    @functools.cached_property
    def outlets(self) -> list[Outlet]:
        """What keeps all that is published, before readers get it."""
        return []

    def __aiter__(self) -> Reader:
        return self.subscribe()

    def subscribe(self, limit: int = LIMIT) -> Reader:
        """A reader of all that is published from now on.

        Args:
            limit: how many updates may wait before who publishes has to.

        Raises:
            UsageError: `limit` is below 1.
        """
        if limit < 1:
            raise UsageError(f"limit is 1 or more, not {limit!r}")
        return Reader(self._queues, limit)

    async def publish(self, update: Any) -> None:
        """Give all readers an update, in order; waits for those whose queue is full.

        Raises:
            Backpressure: a reader publishes more to itself than it takes.
        """
        for outlet in self.outlets:
            await outlet.put(update)
        for queue in list(self._queues):
            await queue.put(update)
