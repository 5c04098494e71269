"""Run a message through the steps of a channel.

The steps are decided once, when the chain is built: a flat list of what to call. A
step that returns a message costs a call and a look at its type; whatever else comes
back takes the slower way below.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, NamedTuple, Protocol

from pichannels.delivery import Delivery
from pichannels.errors import (
    Dropped,
    EndOfChain,
    NodeResultError,
    SampleErrors,
)
from pichannels.message import Message
from pichannels.node import Pending, Step
from pichannels.values import Sample

__all__ = ["Chain", "ChainStep", "Replaced"]

logger: Final = logging.getLogger("pichannels.channels")


class ChainStep(Protocol):
    """What stands in a chain: a node or a branch."""

    name: str
    processed: int
    position: int

    def step(self) -> Step: ...

    def fullpath(self) -> str: ...


class Replaced(NamedTuple):
    """What a `when` gives: the result of its branch is that of the channel."""

    message: Message


class Chain:
    """The compiled steps of one channel."""

    def __init__(self, steps: Sequence[ChainStep]) -> None:
        for position, step in enumerate(steps):
            step.position = position
        self._steps = [(step.step(), step) for step in steps]

    async def run(self, msg: Message, delivery: Delivery, start: int = 0) -> Message:
        """The message after all steps from `start` on.

        Raises whatever a step raises, except `EndOfChain` and `SampleErrors`.
        """
        step: ChainStep | None = None
        try:
            for call, step in self._steps[start:] if start else self._steps:
                result = call(msg)
                if type(result) is not Message:
                    if type(result) is CoroutineType:
                        result = await result
                    if type(result) is Replaced:
                        step.processed += 1
                        return result.message
                    if type(result) is not Message:
                        result = await _plain(result, step, delivery)
                    if type(result) is not Message:
                        return await self._run_each(result, msg, delivery, step)
                step.processed += 1
                if result is not msg:
                    result.delivery = delivery
                    msg = result
            return msg
        except EndOfChain:
            return msg
        except SampleErrors as exc:
            assert step is not None
            rest = _without_failed(msg, exc, delivery, step)
            return await self.run(rest, delivery, step.position + 1)
        except BaseException:
            if not delivery.failed_at and step is not None:
                delivery.failed_at = step.fullpath()
            raise

    async def _run_each(
        self, results: Any, msg: Message, delivery: Delivery, step: ChainStep
    ) -> Message:
        """Run the rest of the chain for each result, in order.

        A part that fails does not stop the others. The last failure is raised at the
        end, else the result is that of the last part that was not dropped.
        """
        parts = _Parts(self, delivery, step)
        if isinstance(results, AsyncGeneratorType):
            async for result in results:
                await parts.run(result)
        else:
            for result in results:
                await parts.run(result)
        step.processed += 1
        return parts.result()


class _Parts:
    """The outcomes of what one step yielded."""

    def __init__(self, chain: Chain, delivery: Delivery, step: ChainStep) -> None:
        self._chain = chain
        self._delivery = delivery
        self._step = step
        self._last: Message | None = None
        self._error: Exception | None = None
        self._dropped: Dropped | None = None

    async def run(self, result: Any) -> None:
        if type(result) is Replaced:
            self._last = result.message
            return
        part = await _plain(result, self._step, self._delivery)
        if type(part) is not Message:
            raise NodeResultError(self._step.fullpath(), result)
        part.delivery = self._delivery
        try:
            self._last = await self._chain.run(
                part, self._delivery, self._step.position + 1
            )
        except Dropped as exc:
            self._dropped = exc
        except Exception as exc:
            if self._error is not None:
                logger.warning("%s: a part failed: %s", self._step.name, self._error)
            self._error = exc

    def result(self) -> Message:
        if self._error is not None:
            raise self._error
        if self._last is None:
            raise self._dropped or Dropped("nothing was left")
        return self._last


async def _plain(result: Any, step: ChainStep, delivery: Delivery) -> Any:
    """The message in `result`, or what yields messages.

    Raises:
        NodeResultError: it is neither.
    """
    if isinstance(result, GeneratorType | AsyncGeneratorType):
        return result
    if isinstance(result, Pending):
        delivery.wait_for(result.ack, step)
        result = result.message
    elif inspect.isawaitable(result):
        return await _plain(await result, step, delivery)
    if type(result) is Message:
        return result
    if isinstance(result, Message):
        return _as_message(result)
    if hasattr(result, "__next__"):
        return result
    raise NodeResultError(step.fullpath(), result)


def _as_message(result: Message) -> Message:
    """A plain message with the facts of one of a subclass, which is slower."""
    plain = result.derive(result.payload)
    plain.uuid = result.uuid
    return plain


def _without_failed(
    msg: Message, exc: SampleErrors, delivery: Delivery, step: ChainStep
) -> Message:
    """The message without the samples that failed.

    Raises:
        SampleErrors: the same, when nothing is left or the message is no batch.
    """
    delivery.set_aside(step.fullpath(), _described(msg, exc), len(exc.causes))
    if isinstance(exc.message, Message):
        return exc.message
    if not isinstance(msg.payload, list):
        raise exc
    left = [s for i, s in enumerate(msg.payload) if i not in exc.causes]
    if not left:
        raise exc
    msg.payload = left
    return msg


def _described(msg: Message, exc: SampleErrors) -> dict[str, str]:
    samples = msg.payload if isinstance(msg.payload, list) else []
    found = {}
    for index, cause in exc.causes.items():
        key = str(index)
        if isinstance(index, int) and 0 <= index < len(samples):
            sample = samples[index]
            if isinstance(sample, Sample):
                key = f"{sample.tag.name} {sample.iso}"
        found[key] = str(cause) or type(cause).__name__
    return found
