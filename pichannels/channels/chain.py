"""Run a message through the steps of a channel.

The steps are decided once, when the chain is built: a flat list of what to call. A
step that returns a message costs a call and a look at its type; whatever else comes
back takes the slower way below.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, NamedTuple, Protocol, cast

from pichannels.attempts import failed_of
from pichannels.delivery import Delivery, described
from pichannels.errors import (
    Dropped,
    EndOfChain,
    NodeResultError,
    Rejected,
    SampleErrors,
    TryAgain,
)
from pichannels.message import Message
from pichannels.node import Pending, Step
from pichannels.tallies import Passes, Tally

__all__ = ["Chain", "ChainStep", "Replaced", "Stopped"]

logger: Final = logging.getLogger("pichannels.channels")


class ChainStep(Protocol):
    """What stands in a chain: a node or a branch."""

    name: str
    tally: Tally
    position: int

    def step(self) -> Step: ...

    def fullpath(self) -> str: ...


class Replaced(NamedTuple):
    """What a `when` gives: the result of its branch is that of the channel."""

    message: Message


class Stopped:
    """Where a chain stopped: the step, what it got, what it gave or raised."""

    __slots__ = ("error", "message", "result", "step")

    def __init__(
        self,
        step: ChainStep,
        message: Message,
        result: Any,
        error: Exception | None = None,
    ) -> None:
        self.step = step
        self.message = message
        self.result = result
        self.error = error


class Chain:
    """The compiled steps of one channel.

    Args:
        steps: what stands in the channel.
        call_of: what is called for a step, where that is not `step.step()`.
    """

    def __init__(
        self,
        steps: Sequence[ChainStep],
        call_of: Callable[[ChainStep], Step] | None = None,
    ) -> None:
        self._passes = Passes()
        for position, step in enumerate(steps):
            step.position = position
            step.tally.join(self._passes)
        self._steps = [
            (call_of(step) if call_of else step.step(), step) for step in steps
        ]
        self._usual = list(self._steps)
        self._call_of = call_of

    def renew(self, step: ChainStep) -> None:
        """Ask a step anew what to call, also for messages that are on their way."""
        position = self.position_of(step)
        if position is not None:
            call = self._call_of(step) if self._call_of else step.step()
            self._steps[position] = self._usual[position] = (call, step)

    # Looking at single messages

    def once(self, position: int, wrap: Callable[[Step], Step]) -> None:
        """Let the next message at a step be given to what `wrap` makes of its call.

        Those after it take the usual way: looking at few costs the others nothing.
        """
        call, step = self._steps[position]
        usual = self._usual[position]
        once = _Once(self._steps, position, usual, wrap(call))
        self._steps[position] = once.step, step

    def unwatched(self) -> Iterator[tuple[int, ChainStep]]:
        """Positions and steps of which nobody waits for the next message, by `once`."""
        for position, usual in enumerate(self._usual):
            if self._steps[position] is usual:
                yield position, usual[1]

    def position_of(self, step: ChainStep) -> int | None:
        """Where the step stands; None where it does not."""
        found = (at for at, (_, each) in enumerate(self._usual) if each is step)
        return next(found, None)

    def advance(self, msg: Message, start: int = 0) -> Message | Stopped:
        """The message after all steps from `start` on, or where that stopped.

        Runs as far as the steps give messages, without an event loop; `resume` takes
        it from there.
        """
        step: ChainStep | None = None
        try:
            for call, step in self._steps[start:] if start else self._steps:
                result = call(msg)
                if result is not msg:
                    if type(result) is not Message:
                        self._count(start, step.position)
                        return Stopped(step, msg, result)
                    result.delivery = msg.delivery
                    msg = result
        except Exception as exc:
            assert step is not None
            self._count(start, step.position)
            return Stopped(step, msg, None, exc)
        if start:
            self._count(start, len(self._steps))
        else:
            self._passes.count += 1
        return msg

    def _count(self, start: int, end: int) -> None:
        """Count a message that went through these steps only."""
        for _, step in self._steps[start:end]:
            step.tally.add()

    async def run(self, msg: Message, delivery: Delivery, start: int = 0) -> Message:
        """The message after all steps from `start` on.

        Raises whatever a step raises, except `EndOfChain` and `SampleErrors`.
        """
        msg.delivery = delivery
        result = self.advance(msg, start)
        if type(result) is Stopped:
            return await self.resume(result, delivery)
        return cast(Message, result)

    async def resume(self, stopped: Stopped, delivery: Delivery) -> Message:
        """Go on where `advance` stopped, to the end; raises as `run`."""
        while True:
            step, msg = stopped.step, stopped.message
            try:
                result = await _outcome(stopped, delivery)
                if type(result) is Replaced:
                    step.tally.add()
                    return result.message
                if type(result) is not Message:
                    return await self._run_each(result, msg, delivery, step)
                step.tally.add()
            except EndOfChain:
                step.tally.add()
                return msg
            except SampleErrors as exc:
                rest = None
                if exc is not delivery.noted:
                    rest = _without_failed(msg, exc, delivery, step)
                if rest is None:
                    _note(step, exc, delivery)
                    raise
                step.tally.add()
                step.tally.note(exc)
                result = rest
            except BaseException as exc:
                _note(step, exc, delivery)
                raise
            result.delivery = delivery
            found = self.advance(result, step.position + 1)
            if type(found) is not Stopped:
                return cast(Message, found)
            stopped = found

    async def _run_each(
        self, results: Any, msg: Message, delivery: Delivery, step: ChainStep
    ) -> Message:
        """Run the rest of the chain for each result, in order.

        A part that fails does not stop the others. The gravest failure is raised at
        the end, else the result is that of the last part that was not dropped.
        """
        parts = _Parts(self, delivery, step)
        try:
            if isinstance(results, AsyncGeneratorType):
                async with aclosing(results):
                    async for result in results:
                        await parts.run(result)
            else:
                for result in results:
                    await parts.run(result)
        except Exception as exc:
            if parts.count == 0:
                raise
            await parts.end_early(exc, msg)
        step.tally.add()
        step.tally.more += parts.count - 1
        return parts.result()


class _Once:
    """A call that is made for one message, and gone before it is made."""

    __slots__ = ("_call", "_position", "_steps", "_usual")

    def __init__(
        self,
        steps: list[tuple[Step, ChainStep]],
        position: int,
        usual: tuple[Step, ChainStep],
        call: Step,
    ) -> None:
        self._steps = steps
        self._position = position
        self._usual = usual
        self._call = call

    def step(self, msg: Message) -> Any:
        self._steps[self._position] = self._usual
        return self._call(msg)


class _Parts:
    """The outcomes of what one step yielded."""

    def __init__(self, chain: Chain, delivery: Delivery, step: ChainStep) -> None:
        self._chain = chain
        self._delivery = delivery
        self._step = step
        self._last: Message | None = None
        self._failure: _Failure | None = None
        self._ended: _Failure | None = None
        self.count = 0

    async def run(self, result: Any) -> None:
        """Run one part, whatever comes of it."""
        self.count += 1
        try:
            self._last = await self._run(result)
        except Dropped as exc:
            taken = self._taken(exc)
            self._ended = self._ended or taken
        except SampleErrors as exc:
            # All that was in this part; the chain of the part has noted them.
            self._ended = self._taken(exc)
        except Exception as exc:
            self._fail(self._taken(exc))

    async def _run(self, result: Any) -> Message:
        if type(result) is CoroutineType:
            result = await result
        if type(result) is Replaced:
            return result.message
        part = await _plain(result, self._step, self._delivery)
        if type(part) is not Message:
            raise NodeResultError(self._step.fullpath(), result)
        part.delivery = self._delivery
        # Not a run of its own, whatever a child makes of one.
        after = self._step.position + 1
        return await Chain.run(self._chain, part, self._delivery, after)

    def _taken(self, exc: Exception) -> _Failure:
        """The failure with its place, which the next part must not find."""
        at = self._delivery.failed_at or self._step.fullpath()
        self._delivery.failed_at = ""
        return _Failure(exc, at)

    def _fail(self, new: _Failure) -> None:
        old, self._failure = self._failure, new
        if old is not None:
            if _gravity(old.error) > _gravity(new.error):
                old, self._failure = new, old
            logger.warning("%s: a part failed: %s", old.at, old.error)

    async def end_early(self, exc: Exception, msg: Message) -> None:
        """The step raised after it had yielded parts; they stay as they are."""
        if isinstance(exc, EndOfChain | Dropped):
            return
        self._step.tally.note(exc)
        if not isinstance(exc, SampleErrors):
            self._fail(self._taken(exc))
            return
        _set_aside(msg, exc, self._delivery, self._step)
        if isinstance(exc.message, Message):
            await self.run(exc.message)
        elif self._last is None:
            self._ended = self._taken(exc)

    def result(self) -> Message:
        failure = self._failure
        if failure is None and self._last is None:
            failure = self._ended or self._taken(Dropped("nothing was left"))
        if failure is None:
            assert self._last is not None
            return self._last
        self._delivery.failed_at = failure.at
        if isinstance(failure.error, SampleErrors):
            self._delivery.noted = failure.error
        raise failure.error


class _Failure(NamedTuple):
    """What a part ended with, and where."""

    error: Exception
    at: str


def _note(step: ChainStep, exc: BaseException, delivery: Delivery) -> None:
    """A message got no further than this step, or what comes behind or in it."""
    if not delivery.failed_at:
        delivery.failed_at = step.fullpath()
        step.tally.raised(exc)


def _gravity(error: Exception) -> int:
    # Trying again is worth it for all parts; a failure is not to be taken for a
    # rejection, which nobody looks at again.
    if isinstance(error, TryAgain):
        return 2
    return 0 if isinstance(error, Rejected) else 1


async def _outcome(stopped: Stopped, delivery: Delivery) -> Any:
    """What the step gave, waited for; raises what it raised."""
    if stopped.error is not None:
        raise stopped.error
    result = stopped.result
    if type(result) is CoroutineType:
        result = await result
    if type(result) is Message or type(result) is Replaced:
        return result
    return await _plain(result, stopped.step, delivery)


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
) -> Message | None:
    """The message without the samples that failed; None when nothing is left."""
    _set_aside(msg, exc, delivery, step)
    rest: Any = exc.message
    if not isinstance(rest, Message):
        if not isinstance(msg.payload, list):
            return None
        msg.payload = [s for i, s in enumerate(msg.payload) if i not in exc.causes]
        rest = msg if msg.payload else None
    if rest is None:
        return None
    rest.delivery = delivery
    return cast(Message, rest)


def _set_aside(
    msg: Message, exc: SampleErrors, delivery: Delivery, step: ChainStep
) -> None:
    if exc.failed is None:
        exc.failed = failed_of(msg, exc)
    delivery.set_aside(step.fullpath(), described(exc), len(exc.causes), _whole(exc))
    delivery.noted = exc


def _whole(exc: SampleErrors) -> Message | None:
    return exc.failed if isinstance(exc.failed, Message) else None
