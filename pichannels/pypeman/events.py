"""What pypeman tells of channels and messages, by its names and with its handlers.

Handlers may be plain or async. Those of one event are called in the order in which they
were added; one that fails is logged and stops no other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

__all__ = [
    "Event",
    "channel_change_state",
    "msg_processing_end",
    "msg_processing_start",
]

logger: Final = logging.getLogger("pichannels.pypeman")

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)


class Event:
    """One kind of thing that happens, and who wants to know."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.handlers: list[Handler] = []
        self._waiting: deque[dict[str, Any]] = deque()
        self._telling: asyncio.Task[None] | None = None

    def add_handler(self, handler: Handler) -> Self:
        """Call it each time from now on; adding it twice changes nothing."""
        if handler not in self.handlers:
            self.handlers.append(handler)
        return self

    def remove_handler(self, handler: Handler) -> Self:
        """Call it no more.

        Raises:
            ValueError: it is no handler of this event.
        """
        if handler not in self.handlers:
            raise ValueError(f"{handler!r} is no handler of {self!r}")
        self.handlers.remove(handler)
        return self

    def receiver(self, handler: H) -> H:
        """Add the function that this decorates."""
        self.add_handler(handler)
        return handler

    async def fire(self, *args: Any, **facts: Any) -> None:
        """Call all handlers and wait for them.

        Raises:
            Exception: what a handler fails with; those behind it are not called.
        """
        for handler in tuple(self.handlers):
            result = handler(*args, **facts)
            if inspect.isawaitable(result):
                await result

    async def fire_safely(self, *args: Any, **facts: Any) -> None:
        """Call all handlers and wait for them; what fails is logged."""
        for handler in tuple(self.handlers):
            try:
                result = handler(*args, **facts)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("a handler of %r failed", self)

    def tell(self, **facts: Any) -> None:
        """Call all handlers soon, after those of what was told before."""
        if not self.handlers:
            return
        self._waiting.append(facts)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), name=repr(self))

    async def _tell(self) -> None:
        while self._waiting:
            await self.fire_safely(**self._waiting.popleft())

    def getHandlerCount(self) -> int:
        """How many handlers there are."""
        return len(self.handlers)

    def __repr__(self) -> str:
        return f"<Event {self.name or hex(id(self))}>"

    __iadd__ = add_handler
    __isub__ = remove_handler
    __call__ = fire
    __len__ = getHandlerCount


channel_change_state: Final = Event("channel_change_state")
"""`channel, old_state, new_state`: the states as numbers, see `STATE_NAMES`."""
msg_processing_start: Final = Event("msg_processing_start")
"""`channel, msg`: before the message is stored, so that `msg.meta` may be enriched."""
msg_processing_end: Final = Event("msg_processing_end")
"""`channel, msg, result, exc`: what has become of it; `result` or `exc` is None."""
