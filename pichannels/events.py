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

import msgspec

from pichannels import clock

__all__ = ["Event", "EventBus"]

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
        self._followers: list[_Follower] = []

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
        for follower in self._followers:
            follower.put(event)

    async def follow(self, limit: int = 1000) -> AsyncIterator[Event]:
        """Each event from now on; at most `limit` wait for a slow reader."""
        follower = _Follower(limit)
        self._followers.append(follower)
        try:
            while True:
                yield await follower.get()
        finally:
            self._followers.remove(follower)


class _Follower:
    def __init__(self, limit: int) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._lost = 0
        self._ready = asyncio.Event()

    def put(self, event: Event) -> None:
        self._lost += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._ready.set()

    async def get(self) -> Event:
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event("events.lost", clock.now(), {"count": lost})
        return self._events.popleft()
