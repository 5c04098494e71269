"""Chains of which each run, and each step of it, is a span of a trace.

Steps are wrapped when the chain is built, and only where there is a tracer: a chain
without one has none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pichannels.channels.chain import Chain, ChainStep
from pichannels.channels.followed import Follower
from pichannels.delivery import Delivery
from pichannels.message import Message
from pichannels.node import BaseNode, Step
from pichannels.tracing import NAMES, Attempt, Tracer

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
        return Follower(self._tracer.node(*self._facts)).call(self._call, msg)
