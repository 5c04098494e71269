"""A function that handles values, and the sinks that get what comes of them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from types import GeneratorType
from typing import Any, Final, Literal, NamedTuple

from pichannels.channels.base import BaseChannel
from pichannels.dataflow.interfaces import KeyedSink
from pichannels.errors import Dropped, UsageError
from pichannels.message import Message, isolate
from pichannels.retry import NO_RETRY, RetryPolicy

__all__ = ["Call", "Failure", "Handler", "OnError"]

logger: Final = logging.getLogger("pichannels.dataflow")

Call = Callable[[Any], Awaitable[None] | None]
"""Handles a value; what it gives, if anything, has to be awaited."""
Put = Callable[[Any], Any]
_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


class Failure(NamedTuple):
    """A value that a handler, or one of its sinks, has failed for.

    Attributes:
        value: as the handler got it.
        error: what was raised at the last attempt.
        handler: the name of the function.
    """

    value: Any
    error: Exception
    handler: str


OnError = Literal["stop", "skip", "fail"] | Callable[[Failure], Any]
Note = Callable[[Exception], None]
"""Lets a value fail at its source; the handler goes on."""
_POLICIES: Final = ("stop", "skip", "fail")


class Handler:
    """A function with its sinks; called with a value, it does what `stream` does.

    Args:
        function: sync or async, a function or a generator.
        sinks: what gets all that comes of it, one after the other.
        retry: how often and how soon it is called again for a value that it fails for.
        on_error: what follows then. `stop` ends the stream; `skip` logs it and goes on;
            `fail` does so, too, but lets a message fail in the channel that it comes
            from; a function or a `Proxy` gets the `Failure`, and then it goes on.

    Attributes:
        failed: for how many values it has failed.
        keywords: what it gets of the keyword arguments of `stream`, by name.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        sinks: tuple[Any, ...],
        retry: RetryPolicy | None = None,
        on_error: OnError = "stop",
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = getattr(function, "__qualname__", repr(function))
        self.failed = 0
        self._function = function
        self._retry = retry or NO_RETRY
        if on_error not in _POLICIES and not callable(on_error):
            raise UsageError(
                f"on_error is one of {_POLICIES} or a function, not {on_error!r}"
            )
        self._on_error = on_error
        self._puts = tuple(self._put_to(sink) for sink in sinks)
        parameters = inspect.signature(function).parameters.values()
        self._takes_value = any(p.kind in _POSITIONAL for p in parameters)
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.keywords = _keywords(list(parameters), self._takes_value)

    def takes(self, keyword: str) -> bool:
        """Whether it gets this keyword argument of `stream`."""
        return self._takes_all or keyword in self.keywords

    async def __call__(self, *value: Any, **kwargs: Any) -> None:
        """Handle a value, and give the sinks what comes of it."""
        done = self.bound(kwargs)(value[0] if value else None)
        if done is not None:
            await done

    def bound(self, kwargs: Mapping[str, Any], note: Note | None = None) -> Call:
        """What handles a value, with those of these arguments that it takes.

        `note` is told of errors where `on_error` is `fail`.
        """
        call, puts = self._called_with(kwargs), self._puts

        def handle(value: Any) -> Awaitable[None] | None:
            # Nothing is awaited, and no coroutine made, where nothing has to wait.
            try:
                outputs = call(value)
                if type(outputs) is not GeneratorType:
                    if hasattr(outputs, "__await__") or hasattr(outputs, "__anext__"):
                        work = _handled(outputs, puts)
                        return self._guarded(work, call, value, note)
                    outputs = iter((outputs,))
                for output in outputs:
                    left = iter(puts)
                    for put in left:
                        done = put(output)
                        if done is not None and isawaitable(done):
                            work = _rest_of(done, output, left, outputs, puts)
                            return self._guarded(work, call, value, note)
                return None
            except Exception as exc:
                return self._failed(call, value, exc, note)

        return handle

    async def _guarded(
        self,
        work: Awaitable[None],
        call: Callable[[Any], Any],
        value: Any,
        note: Note | None,
    ) -> None:
        try:
            await work
        except Exception as exc:
            await self._failed(call, value, exc, note)

    def _called_with(self, kwargs: Mapping[str, Any]) -> Callable[[Any], Any]:
        function = self._function
        given = {key: value for key, value in kwargs.items() if self.takes(key)}
        if not self._takes_value:
            return lambda value: function(**given)
        if given:
            return functools.partial(function, **given)
        return function

    async def _failed(
        self,
        call: Callable[[Any], Any],
        value: Any,
        error: Exception,
        note: Note | None,
    ) -> None:
        attempt = 1
        while not isinstance(error, Dropped):
            delay = self._retry.delay(attempt, error)
            if delay is None:
                break
            await asyncio.sleep(delay)
            attempt += 1
            try:
                return await _handled(call(value), self._puts)
            except Exception as exc:
                error = exc
        if not isinstance(error, Dropped):
            await self._give_up(value, error, note)

    async def _give_up(self, value: Any, error: Exception, note: Note | None) -> None:
        self.failed += 1
        if self._on_error == "stop":
            error.add_note(f"raised in the handler {self.name}, whose on_error is stop")
            raise error
        if self._on_error == "fail" and note is not None:
            note(error)
            return
        if self._on_error in ("skip", "fail"):
            logger.error("%s has failed for a value", self.name, exc_info=error)
            return
        assert callable(self._on_error)
        done = self._on_error(Failure(value, error, self.name))
        if isawaitable(done):
            await done

    def _put_to(self, sink: Any) -> Put:
        if isinstance(sink, BaseChannel):
            return functools.partial(_into, sink)
        if isinstance(sink, KeyedSink):
            return functools.partial(_unpacked, self.name, sink)
        if not callable(sink):
            raise UsageError(f"{sink!r} is no sink: it cannot be called")
        put: Put = sink
        return put


async def _handled(result: Any, puts: tuple[Put, ...]) -> None:
    """Give the sinks what a function has returned or yields."""
    if isawaitable(result):
        result = await result
    if isinstance(result, GeneratorType):
        for output in result:
            await _put_all(puts, output)
    elif isinstance(result, AsyncGenerator):
        async for output in result:
            await _put_all(puts, output)
    else:
        await _put_all(puts, result)


async def _rest_of(
    done: Awaitable[Any],
    output: Any,
    left: Iterable[Put],
    outputs: Iterable[Any],
    puts: tuple[Put, ...],
) -> None:
    """Go on with a generator from the first sink that has to be awaited."""
    await done
    await _put_all(left, output)
    for further in outputs:
        await _put_all(puts, further)


async def _put_all(puts: Iterable[Put], output: Any) -> None:
    for put in puts:
        done = put(output)
        if done is not None and isawaitable(done):
            await done


def _unpacked(handler: str, sink: KeyedSink, output: Any) -> Awaitable[None]:
    if not isinstance(output, tuple):
        raise UsageError(
            f"{type(sink).__name__} takes (key, value), and {handler} gave {output!r}"
        )
    return sink(*output)


async def _into(channel: BaseChannel, output: Any) -> None:
    """Give a channel a message of its own: durable, or through, when this returns."""
    if isinstance(output, Message):
        msg = output.copy()
        msg.delivery = None
    else:
        msg = Message(payload=isolate(output))
    if channel.journal is not None:
        await channel.accept(msg)
    else:
        await channel.handle(msg)


def _keywords(parameters: list[inspect.Parameter], takes_value: bool) -> frozenset[str]:
    """The parameters that `stream` can fill: all by name but the first."""
    by_name = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)
    ]
    rest = by_name[1:] if takes_value and by_name else by_name
    return frozenset(p.name for p in rest if p.kind is not p.POSITIONAL_ONLY)
