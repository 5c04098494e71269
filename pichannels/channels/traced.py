"""Chains of which each run, and each step of it, is a span of a trace.

Steps are wrapped when the chain is built, and only where there is a tracer: a chain
without one has none of this.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from types import AsyncGeneratorType
from typing import Any

from pichannels.channels.chain import Chain, ChainStep
from pichannels.delivery import Delivery
from pichannels.message import Message
from pichannels.node import BaseNode, Pending, Step
from pichannels.tracing import NAMES, Attempt, Span, Tracer

__all__ = ["make_chain"]

CallOf = Callable[[ChainStep], Step]


def make_chain(
    name: str,
    steps: Sequence[ChainStep],
    call_of: CallOf | None = None,
    tracer: Tracer | None = None,
) -> Chain:
    """The compiled steps of a channel, traced where there is a tracer."""
    if tracer is None:
        return Chain(steps, call_of)
    return _TracedChain(name, steps, call_of, tracer)


class _TracedChain(Chain):
    """A chain whose runs are spans, within which those of its nodes are."""

    def __init__(
        self,
        name: str,
        steps: Sequence[ChainStep],
        call_of: CallOf | None,
        tracer: Tracer,
    ) -> None:
        self._name = name
        self._tracer = tracer
        self._call_of = call_of
        super().__init__(steps, self._traced)

    def _traced(self, step: ChainStep) -> Step:
        call = self._call_of(step) if self._call_of else step.step()
        # What a branch does is told by the span of its sub-channel.
        if not isinstance(step, BaseNode):
            return call
        return _TracedStep(call, step, self._tracer)

    async def run(self, msg: Message, delivery: Delivery, start: int = 0) -> Message:
        is_part = delivery.is_traced
        attempt = Attempt() if is_part else _attempt(delivery)
        span = self._tracer.message(self._name, msg.meta, msg.uuid, attempt)
        before: dict[str, Any] = {n: msg.meta[n] for n in NAMES if n in msg.meta}
        msg.meta = {**msg.meta, **span.headers}
        entered = span.enter()
        delivery.is_traced = True
        try:
            result = await super().run(msg, delivery, start)
        except BaseException as exc:
            span.end(exc)
            raise
        finally:
            span.leave(entered)
            delivery.is_traced = is_part
            if not is_part:
                delivery.trace = span.headers
        span.end()
        if is_part:
            # What follows in the chain of the parent is a part of that again.
            result.meta = {**result.meta, **before}
        return result


def _attempt(delivery: Delivery) -> Attempt:
    is_first = delivery.attempts == 1 and not delivery.is_redrive
    is_again = not is_first or delivery.is_rerun
    return Attempt(delivery.attempts, is_again, delivery.trace)


class _TracedStep:
    """What is called in place of a node's step."""

    def __init__(self, call: Step, node: BaseNode, tracer: Tracer) -> None:
        self._call = call
        self._tracer = tracer
        self._facts = (node.fullpath(), type(node).__name__, node.is_sink)

    def __call__(self, msg: Message) -> Any:
        span = self._tracer.node(*self._facts)
        entered = span.enter()
        try:
            result = self._call(msg)
        except BaseException as exc:
            span.end(exc)
            raise
        finally:
            span.leave(entered)
        return _followed(result, span)


def _followed(result: Any, span: Span) -> Any:
    """A result that ends the span when all of it is there."""
    if type(result) is Message:
        span.end()
        return result
    if isinstance(result, Pending):
        return Pending(result.message, _acknowledged(result.ack, span))
    if isinstance(result, AsyncGeneratorType):
        return _each_async(result, span)
    if inspect.isawaitable(result):
        return _awaited(result, span)
    if hasattr(result, "__next__"):
        return _each(result, span)
    span.end()
    return result


async def _awaited(result: Awaitable[Any], span: Span) -> Any:
    entered = span.enter()
    try:
        found = await result
    except BaseException as exc:
        span.end(exc)
        raise
    finally:
        span.leave(entered)
    return _followed(found, span)


def _acknowledged(ack: Awaitable[Any], span: Span) -> Awaitable[Any]:
    if not isinstance(ack, asyncio.Future):
        return _awaited(ack, span)

    def done(future: asyncio.Future[Any]) -> None:
        span.end(None if future.cancelled() else future.exception())

    ack.add_done_callback(done)
    return ack


def _each(results: Iterator[Any], span: Span) -> Iterator[Any]:
    """What a generator gives; between two results others work, outside the span."""
    try:
        while True:
            entered = span.enter()
            try:
                result = next(results)
            except StopIteration:
                break
            finally:
                span.leave(entered)
            yield result
    except BaseException as exc:
        span.end(exc)
        raise
    span.end()


async def _each_async(
    results: AsyncGeneratorType[Any, Any], span: Span
) -> AsyncIterator[Any]:
    try:
        async with aclosing(results):
            while True:
                entered = span.enter()
                try:
                    result = await anext(results)
                except StopAsyncIteration:
                    break
                finally:
                    span.leave(entered)
                yield result
    except BaseException as exc:
        span.end(exc)
        raise
    span.end()
