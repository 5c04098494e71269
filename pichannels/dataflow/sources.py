"""A source on its way through its handlers: one value after the other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Hashable,
    Iterable,
    Mapping,
)
from types import AsyncGeneratorType
from typing import Any, Final

from pichannels.channels.base import BaseChannel
from pichannels.dataflow.feeding import Feed
from pichannels.dataflow.handlers import Call, Handler
from pichannels.dataflow.interfaces import Stream, Streamed
from pichannels.dataflow.lanes import Lanes
from pichannels.dataflow.publishing import Published, Reader
from pichannels.dataflow.stored import Replay
from pichannels.dataflow.tapping import Tap
from pichannels.errors import RetryLater, UsageError
from pichannels.store import MessageStore

__all__ = ["Pipe", "Source"]

logger: Final = logging.getLogger("pichannels.dataflow")

_IN_A_ROW: Final = 500
"""After so many values others have their turn, where nothing has been awaited."""

Pipe = Callable[[Any], AsyncIterable[Any]]
"""Makes another stream of a stream."""


class Source:
    """What gives values, with the handlers that get them.

    Args:
        origin: an async iterable, or a function that makes one each time; a channel, a
            message store, a cache, a proxy.

    Raises:
        UsageError: it is none of these.
    """

    def __init__(self, origin: Any) -> None:
        self.origin = origin
        self._opened = _adapted(origin)
        self._bound: list[tuple[Handler, tuple[Pipe, ...]]] = []
        self._holders: set[Hashable] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._values: AsyncIterator[Any] | None = None
        self._stream: Stream | None = None
        self._is_interrupted = False
        self._is_stopping = False
        self._is_busy = False
        self._gives_the_rest = False
        self._is_cut_off = False
        self._noted: Exception | None = None
        self._reader: Reader | None = None

    @property
    def handlers(self) -> list[Handler]:
        """The functions that get the values."""
        return [handler for handler, _ in self._bound]

    @property
    def is_inner(self) -> bool:
        """Whether its values come from handlers."""
        return isinstance(self.origin, Published)

    @property
    def is_paused(self) -> bool:
        """Whether it gives no values just now."""
        return bool(self._holders)

    @property
    def is_busy(self) -> bool:
        """Whether handlers work on a value."""
        return self._is_busy

    @property
    def reader(self) -> Reader:
        """Of an inner source that is open: what it reads with."""
        assert self._reader is not None
        return self._reader

    def bind(self, handler: Handler, pipes: Iterable[Pipe]) -> None:
        """Give a handler the values, perhaps through pipes."""
        self._bound.append((handler, tuple(pipes)))

    # Pausing

    def pause(self, holder: Hashable) -> None:
        """Give no values until each who has paused it has resumed it."""
        self._holders.add(holder)
        self._is_interrupted = True
        if not self._is_stopping:
            self._goes_on.clear()
        if self._stream is not None:
            self._stream.held(True)

    def resume(self, holder: Hashable) -> None:
        """Take back the pause of this holder."""
        if holder not in self._holders:
            return
        self._holders.remove(holder)
        if not self._holders:
            self._goes_on.set()
            self._is_interrupted = self._is_stopping
            if self._stream is not None:
                self._stream.held(False)

    # The run

    async def open(self) -> None:
        """Begin to receive.

        Raises:
            UsageError: it can be streamed only once, and was.
        """
        self._is_stopping = self._is_busy = False
        self._gives_the_rest = self._is_cut_off = False
        self._is_interrupted = self.is_paused
        if self.is_paused:
            self._goes_on.clear()
        opened = self._opened
        if isinstance(opened, Streamed):
            self._values = self._stream = await opened.open_stream()
            self._stream.held(self.is_paused)
            return
        if not isinstance(opened, AsyncIterable):
            opened = opened()
        if inspect.isasyncgen(opened):
            _refuse_ended(opened)
        self._values = aiter(opened)
        if isinstance(self._values, Reader):
            self._reader = self._values

    async def run(self, kwargs: Mapping[str, Any]) -> None:
        """Give the handlers all values, until the source ends or `stop`."""
        note = None if self._stream is None else self._note
        plain = [h.bound(kwargs, note) for h, pipes in self._bound if not pipes]
        piped = [(h.bound(kwargs, note), pipes) for h, pipes in self._bound if pipes]
        try:
            if not piped and self._stream is not None and self._stream.at_once > 1:
                await self._run_many(plain, self._stream)
            elif not piped:
                await self._run_plain(plain)
            elif len(piped) == 1 and not plain:
                await _through(self._given(), *piped[0])
            else:
                await self._run_in_step(plain, piped)
        except BaseException as exc:
            if self._stream is not None:
                self._stream.failed(exc)
            raise
        finally:
            # Nobody takes values any more, and who gives them must not wait.
            await self.close()

    async def _run_plain(self, calls: list[Call]) -> None:
        assert self._values is not None
        stream, left = self._stream, _IN_A_ROW
        if self._is_interrupted and await self._ends():
            return
        async for value in self._values:
            if self._is_interrupted and await self._waits():
                return
            self._is_busy = True
            for call in calls:
                done = call(value)
                if done is not None:
                    await done
            self._is_busy = False
            if stream is not None:
                self._settle(stream)
            left -= 1
            if not left:
                left = _IN_A_ROW
                await asyncio.sleep(0)
            if self._is_interrupted and await self._ends():
                return

    async def _run_many(self, calls: list[Call], stream: Stream) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                lanes = Lanes(group, stream.at_once, calls)
                if self._is_interrupted and await self._ends():
                    return
                try:
                    async for value in stream:
                        if self._is_interrupted and await self._waits():
                            return
                        await lanes.put(value, stream.receipt())
                        if self._is_interrupted and await self._ends():
                            return
                except asyncio.CancelledError:
                    self._forgive_cut()
                finally:
                    # What is worked on ends by itself, and is not to be cut off.
                    self._is_busy = True
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    def _forgive_cut(self) -> None:
        """Go on after `cut_off`; raise any other cancellation again."""
        task = asyncio.current_task()
        if not self._is_cut_off or task is None:
            raise
        task.uncancel()

    async def _given(self) -> AsyncIterator[Any]:
        """The values; one is worked off when the next is asked for.

        They end when the source is stopped, so that pipes give what they hold.
        """
        assert self._values is not None
        left = _IN_A_ROW
        try:
            if self._is_interrupted and await self._ends():
                return
            async for value in self._values:
                if self._is_interrupted and await self._waits():
                    return
                self._is_busy = True
                yield value
                self._is_busy = False
                if self._stream is not None:
                    self._settle(self._stream)
                left -= 1
                if not left:
                    left = _IN_A_ROW
                    await asyncio.sleep(0)
                if self._is_interrupted and await self._ends():
                    return
        except asyncio.CancelledError:
            self._forgive_cut()

    def _note(self, error: Exception) -> None:
        """A handler has failed for the value under way, and goes on."""
        self._noted = self._noted or error

    def _settle(self, stream: Stream) -> None:
        error, self._noted = self._noted, None
        if error is None:
            stream.settled()
        else:
            stream.failed(error)

    async def _ends(self) -> bool:
        """Wait while it is paused; whether it has to stop before the next value."""
        await self._goes_on.wait()
        return self._is_stopping and not self._gives_the_rest

    async def _waits(self) -> bool:
        """The same with a value in the hand, which is then given back if it can be."""
        ends = await self._ends()
        if ends and self._stream is not None:
            self._stream.failed(_interrupted())
        return ends and self._stream is not None

    async def _run_in_step(
        self, plain: list[Call], piped: list[tuple[Call, tuple[Pipe, ...]]]
    ) -> None:
        feeds = [Feed() for _ in piped]
        try:
            async with asyncio.TaskGroup() as group:
                for feed, (call, pipes) in zip(feeds, piped, strict=True):
                    group.create_task(
                        _through_feed(feed, call, pipes), name="dataflow: pipe"
                    )
                async for value in self._given():
                    for feed in feeds:
                        feed.put(value)
                    for call in plain:
                        done = call(value)
                        if done is not None:
                            await done
                    for feed in feeds:
                        await feed.worked_off()
                    if not plain and all(feed.is_left for feed in feeds):
                        break
                for feed in feeds:
                    feed.close()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    # The end

    async def stop(self) -> bool:
        """Take no more values.

        Returns:
            False where it waits for values that need not come any more.
        """
        self._is_stopping = self._is_interrupted = True
        self._goes_on.set()
        if self._stream is not None and await self._stream.stop():
            self._gives_the_rest = True
            return True
        return self._is_busy

    def cut_off(self, task: asyncio.Task[None]) -> None:
        """Let its run, which waits for a value, go on as if there were no more."""
        self._is_cut_off = True
        task.cancel()

    async def close(self) -> None:
        """Let go of the source."""
        values, self._values = self._values, None
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
        elif (aclose := getattr(values, "aclose", None)) is not None:
            await aclose()


async def _through(
    values: AsyncIterable[Any], call: Call, pipes: tuple[Pipe, ...]
) -> None:
    for pipe in pipes:
        values = pipe(values)
    async for value in values:
        done = call(value)
        if done is not None:
            await done


async def _through_feed(feed: Feed, call: Call, pipes: tuple[Pipe, ...]) -> None:
    try:
        await _through(feed, call, pipes)
    finally:
        feed.leave()


def _refuse_ended(generator: AsyncGeneratorType[Any, Any]) -> None:
    if generator.ag_frame is None:
        name = generator.__name__
        raise UsageError(
            f"{name}() has been streamed; give handle the function {name}, without (),"
            " to stream it again"
        )


def _interrupted() -> RetryLater:
    return RetryLater("the stream was stopped")


def _adapted(origin: Any) -> Any:
    if isinstance(origin, BaseChannel):
        return Tap(origin)
    if isinstance(origin, MessageStore):
        return Replay(origin)
    if isinstance(origin, Streamed | AsyncIterable):
        return origin
    if callable(origin):
        _refuse_arguments(origin)
        return origin
    raise UsageError(
        f"{type(origin).__name__} is no source: no async iterable, channel or store"
    )


def _refuse_arguments(function: Callable[..., Any]) -> None:
    """As what `@handle` without parentheses binds is a handler."""
    try:
        inspect.signature(function).bind()
    except TypeError as exc:
        name = getattr(function, "__name__", type(function).__name__)
        raise UsageError(
            f"{name} is no source: {exc}; a handler stands below @handle(source, ...)"
        ) from exc
    except ValueError:
        # Of some that are written in C nothing is known.
        return
