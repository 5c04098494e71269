"""What happens in an instance, told to whoever listens.

A bus belongs to one project. Listeners are called in the order of their
subscription, synchronously and in the event loop; they must not block. Followers
(`follow`) get a bounded queue each: one that is too slow loses its oldest events
and is told how many.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from weakref import WeakSet

import msgspec

from pichannels import clock

__all__ = ["Event", "EventBus", "Follower"]

logger: Final = logging.getLogger("pichannels.events")


class Event(msgspec.Struct, frozen=True):
    """One thing that happened: `name` (such as `channel.state`) and its facts."""

    name: str
    ticks: int
    facts: dict[str, Any]


Listener = Callable[[Event], None]


class EventBus:
    """Listeners and followers of one project's events."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        # One that its reader has left is gone with it.
        self._followers: WeakSet[Follower] = WeakSet()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each event; the result ends the subscription."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def fire(self, name: str, **facts: Any) -> None:
        """Tell everyone; a listener that fails is logged and does not stop others."""
        if not self._listeners and not self._followers:
            return
        event = Event(name, clock.now(), facts)
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                logger.exception("a listener of %s failed", name)
        for follower in list(self._followers):
            follower.put(event)

    def follow(self, limit: int = 1000) -> Follower:
        """Each event from this call on; at most `limit` wait for a slow reader.

        It is forgotten when it is closed (`aclose`), or nobody holds it any more.
        """
        follower = Follower(limit, self._followers.discard)
        self._followers.add(follower)
        return follower


class Follower(AsyncIterator[Event]):
    """The events of a bus, for one reader.

    Args:
        limit: how many wait at most; the oldest are lost first.
        forget: called with it when it is closed.
    """

    def __init__(self, limit: int, forget: Callable[[Follower], None]) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._lost = 0
        self._ready = asyncio.Event()
        self._is_closed = False
        self._forget = forget

    def put(self, event: Event) -> None:
        """Keep an event until it is read."""
        self._lost += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._ready.set()

    async def __anext__(self) -> Event:
        while not self._events and not self._is_closed:
            self._ready.clear()
            await self._ready.wait()
        if self._is_closed:
            raise StopAsyncIteration
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event("events.lost", clock.now(), {"count": lost})
        return self._events.popleft()

    async def aclose(self) -> None:
        """Follow no longer; a reader that waits comes to its end."""
        self._is_closed = True
        self._forget(self)
        self._ready.set()
