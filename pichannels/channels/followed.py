"""What a step gives, followed until all of it is there.

A step may give a message at once, later, one after another, or one that is still to
be acknowledged; what is told of its work begins and ends with each stretch of it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import AsyncGeneratorType
from typing import Any, Protocol

from pichannels.message import Message
from pichannels.node import Pending

__all__ = ["Follower", "Work"]


class Work(Protocol):
    """What is told of the work of a step for one message."""

    def enter(self) -> Any:
        """It works, up to `leave` with what this gives."""

    def leave(self, entered: Any) -> None:
        """Others work now."""

    def end(self, error: BaseException | None = None) -> None:
        """It is over, perhaps because of this error."""


class Follower:
    """Follows what one call gives.

    Args:
        work: is told of it.
        gave: is told each message that the step gives.
        to_the_end: whether it is over only when it is acknowledged.
    """

    __slots__ = ("_gave", "_to_the_end", "_work")

    def __init__(
        self,
        work: Work,
        gave: Callable[[Message], None] | None = None,
        *,
        to_the_end: bool = True,
    ) -> None:
        self._work = work
        self._gave = gave
        self._to_the_end = to_the_end

    def call(self, step: Callable[[Message], Any], msg: Message) -> Any:
        """What the step gives for a message, followed; raises what it raises."""
        with self._stretch():
            result = step(msg)
        return self._followed(result)

    @contextmanager
    def _stretch(self) -> Iterator[None]:
        """The step works for as long as the block takes; an error in it is the end."""
        entered = self._work.enter()
        try:
            yield
        except BaseException as exc:
            self._work.leave(entered)
            self._work.end(exc)
            raise
        self._work.leave(entered)

    def _followed(self, result: Any) -> Any:
        if type(result) is Message:
            self._given(result)
            self._work.end()
            return result
        if isinstance(result, Pending):
            return self._pending(result)
        if isinstance(result, AsyncGeneratorType):
            return self._each_async(result)
        if inspect.isawaitable(result):
            return self._awaited(result)
        if hasattr(result, "__next__"):
            return self._each(result)
        self._work.end()
        return result

    def _given(self, message: Any) -> None:
        if self._gave is not None and isinstance(message, Message):
            self._gave(message)

    def _pending(self, result: Pending) -> Pending:
        self._given(result.message)
        if self._to_the_end:
            return Pending(result.message, self._acknowledged(result.ack))
        self._work.end()
        return result

    def _acknowledged(self, ack: Awaitable[Any]) -> Awaitable[Any]:
        if not isinstance(ack, asyncio.Future):
            return self._awaited(ack)

        def done(future: asyncio.Future[Any]) -> None:
            self._work.end(None if future.cancelled() else future.exception())

        ack.add_done_callback(done)
        return ack

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        with self._stretch():
            found = await result
        return self._followed(found)

    def _each(self, results: Iterator[Any]) -> Iterator[Any]:
        """What a generator gives; between two results others work."""
        try:
            while True:
                entered = self._work.enter()
                try:
                    result = next(results)
                except StopIteration:
                    break
                finally:
                    self._work.leave(entered)
                self._given(result)
                yield result
        except BaseException as exc:
            self._work.end(exc)
            raise
        self._work.end()

    async def _each_async(
        self, results: AsyncGeneratorType[Any, Any]
    ) -> AsyncIterator[Any]:
        try:
            async with aclosing(results):
                while True:
                    entered = self._work.enter()
                    try:
                        result = await anext(results)
                    except StopAsyncIteration:
                        break
                    finally:
                        self._work.leave(entered)
                    self._given(result)
                    yield result
        except BaseException as exc:
            self._work.end(exc)
            raise
        self._work.end()
