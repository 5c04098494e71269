"""The processing half of a channel: messages through the chain to an outcome."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeGuard

from pichannels.channels.branches import Branch, Fork
from pichannels.channels.building import ChainBuilder
from pichannels.channels.chain import Chain, ChainStep, Stopped
from pichannels.channels.finishing import Finishing
from pichannels.channels.gate import Gate
from pichannels.channels.parking import Parking
from pichannels.channels.recording import Observer, Recorder
from pichannels.channels.special import PHASES, Endings, state_of
from pichannels.channels.traced import make_chain
from pichannels.channels.turn import Turn
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    Dropped,
    NodeResultError,
    PauseChannel,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode, Step
from pichannels.states import State
from pichannels.tracing import Tracer

__all__ = ["Key", "Processing"]

logger: Final = logging.getLogger("pichannels.channels")

Key = Callable[[Message], Any]


class Processing(Finishing):
    """Runs messages through the chain, in turn, and counts what becomes of them."""

    wait_subchans = True
    """Whether callers wait for the copies of a message that go into forks."""
    tracer: Tracer | None = None
    """Who makes spans of what is done with messages."""
    observer: Observer | None = None
    """Who wants to know what becomes of accepted messages."""

    def __init__(
        self, lanes: int, key: Key | None, raise_dropped: bool, gate: Gate
    ) -> None:
        if lanes < 1 or (lanes > 1 and key is None):
            raise UsageError("lanes is 1, or more together with key=function(msg)")
        super().__init__()
        self.raise_dropped = raise_dropped
        self.gate = gate
        self._key = key
        self._turns = [Turn() for _ in range(lanes)]
        self._turn = self._turns[0]
        self._recorder: Recorder | None = None
        self._is_open = False
        self._is_simple = False
        self._is_plain = False
        self._run_chain: Callable[[Message, Delivery], Awaitable[Message]]
        self._chain = Chain([])
        self._endings = Endings("", dict.fromkeys(PHASES, ()))
        self._has_endings = False
        self._first = 0
        self._is_answered_early = False
        self.parkings: dict[str, Parking] = {}
        """In the root: where tags can be parked, by the full path of the node."""
        # For the message that takes the short way. As long as nothing is owed for
        # it, it is as good as new and serves the next one: making one for each would
        # cost a tenth of the whole way.
        self._delivery = Delivery()

    async def handle(self, msg: Message) -> Message:
        """Process a message: the result, once it is settled.

        A dropped message is returned as it came, unless `raise_dropped` is set.

        Raises:
            ChannelStopped: the channel takes no messages.
            ChannelPaused: it processes none just now, and says if it has stored it.
            Rejected: a node refused the message.
            Exception: whatever a node failed with.
        """
        turn = self._turn
        if turn.busy or not self._is_plain:
            return self._result(msg, await self.run(msg))
        # What `run` does, without the parts that this channel does not have.
        turn.busy = True
        msg.delivery = delivery = self._delivery
        try:
            found = self._chain.advance(msg)
            if delivery.owed == 1 and delivery.is_plain:
                if type(found) is Message:
                    self.processed += 1
                    msg.delivery = found.delivery = None
                    return found
                if _is_drop(found) and not self.raise_dropped:
                    found.step.tally.dropped += 1
                    self.dropped += 1
                    msg.delivery = None
                    return msg
            self._delivery = Delivery()
            self._running += 1
            outcome = await self._resumed(msg, found, delivery)
        finally:
            if turn.waiting:
                turn.done()
            else:
                turn.busy = False
        try:
            return self._result(msg, await self._settled(delivery, outcome))
        finally:
            self._leave()

    async def _resumed(
        self, msg: Message, found: Message | Stopped, delivery: Delivery
    ) -> Outcome:
        try:
            if isinstance(found, Stopped):
                found = await self._chain.resume(found, delivery)
            return Outcome(State.PROCESSED, found)
        except Exception as exc:
            return self._outcome(msg, exc, delivery)
        except BaseException:
            self._leave()
            raise

    def _result(self, msg: Message, outcome: Outcome) -> Message:
        if outcome.error is None:
            return outcome.message
        if outcome.state is State.DROPPED and not self.raise_dropped:
            return msg
        raise outcome.error

    async def run(self, msg: Message) -> Outcome:
        """Process a message and say what became of it, once it is settled.

        Raises:
            ChannelStopped: the channel takes no messages.
            ChannelPaused: it processes none just now, and says if it has stored it.
            CodecError: the store cannot keep the message; no node has seen it.
        """
        if not self._is_open:
            raise ChannelStopped(self.name)
        if self.gate.is_closed:
            raise ChannelPaused(self.name, await self._store_for_later(msg))
        if self._is_answered_early:
            return await self._run_ahead(msg)
        return await self.run_taken(msg)

    async def _store_for_later(self, msg: Message) -> bool:
        """Whether the message is durable, and runs when the channel goes on."""
        raise NotImplementedError

    def _is_put_back(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Whether a message that is kept runs again by itself after this."""
        raise NotImplementedError

    async def _put_back(self, delivery: Delivery, error: Any) -> None:
        """Let a message that pauses the channel run again by itself.

        Raises:
            JournalError: the journal cannot be read; it runs at the next start.
        """
        raise NotImplementedError

    async def _run_ahead(self, msg: Message) -> Outcome:
        """What became of a message, but for its copies in forks."""
        raise NotImplementedError

    async def run_taken(
        self, msg: Message, delivery: Delivery | None = None
    ) -> Outcome:
        """`run` for a message that was taken before the channel began to stop."""
        self._running += 1
        try:
            delivery = delivery or Delivery()
            if self._recorder is None:
                if delivery.retry is None:
                    outcome = await self.attempt(msg, delivery)
                else:
                    outcome = await self._attempts(msg, delivery, delivery.retry)
                return await self._settled(delivery, outcome)
            return await self._run_recorded(self._recorder, msg, delivery)
        finally:
            self._leave()

    async def _run_recorded(
        self, recorder: Recorder, msg: Message, delivery: Delivery
    ) -> Outcome:
        await recorder.admit(msg, delivery)
        if delivery.again is None:
            delivery.again = self._is_put_back
        try:
            if delivery.retry is None:
                outcome = await self.attempt(msg, delivery)
            else:
                outcome = await self._attempts(msg, delivery, delivery.retry)
            if self._is_put_back(delivery, outcome):
                await self._put_back(delivery, outcome.error)
                raise ChannelPaused(self.name, is_stored=True)
            outcome = await self._settled(delivery, outcome)
            self.counts.settled(msg)
            settled = recorder.settle(delivery, outcome)
            if settled is not None:
                await settled
            return outcome
        finally:
            recorder.leave(delivery)

    async def _attempts(
        self,
        msg: Message,
        delivery: Delivery,
        retry: Callable[[Delivery, Outcome], float | None],
    ) -> Outcome:
        """Run the chain for a copy, as often as it is worth another try."""
        gate, has_closed = self.root.gate, False
        try:
            outcome = await self.attempt(msg.copy(), delivery)
            while (delay := retry(delivery, outcome)) is not None:
                self.counts.retries += 1
                logger.warning(
                    "%s: a copy again in %.2f s: %s", self.name, delay, outcome.error
                )
                if isinstance(outcome.error, PauseChannel) and not has_closed:
                    has_closed = True
                    gate.close()
                await asyncio.sleep(delay)
                await gate.until_released()
                delivery.attempts += 1
                delivery.failed_at = ""
                outcome = await self.attempt(msg.copy(), delivery)
            return outcome
        finally:
            if has_closed:
                gate.open()

    async def attempt(
        self, msg: Message, delivery: Delivery, start: int = 0
    ) -> Outcome:
        """Run the chain once, in turn, from a step on; nothing is recorded."""
        turn = self._turn
        if self._key is not None:
            try:
                turn = self._turns[self._lane_of(msg)]
            except Exception as exc:
                return Outcome(State.ERROR, msg, exc, self.name)
        if turn.busy:
            await turn.wait()
        turn.busy = True
        msg.delivery = delivery
        try:
            if self._has_endings:
                self._endings.entry.keep(msg)
                outcome = await self._run_from(msg, delivery, start)
                return await self._endings.run(outcome, delivery)
            if start:
                result = await self._chain.run(msg, delivery, start)
            else:
                result = await self._run_chain(msg, delivery)
            return Outcome(State.PROCESSED, result)
        except Exception as exc:
            return self._outcome(msg, exc, delivery)
        finally:
            turn.done()

    async def _run_from(self, msg: Message, delivery: Delivery, start: int) -> Outcome:
        try:
            if start:
                result = await self._chain.run(msg, delivery, start)
            else:
                result = await self._run_chain(msg, delivery)
            return Outcome(State.PROCESSED, result)
        except Exception as exc:
            return self._outcome(msg, exc, delivery)

    def _outcome(self, msg: Message, exc: Exception, delivery: Delivery) -> Outcome:
        outcome = Outcome(state_of(exc), msg, exc, delivery.failed_at)
        if outcome.state is State.REJECTED:
            text, told = "%s: message %s rejected: %s", outcome.place(self.name)
            logger.warning(text, self.name, msg.uuid, exc, extra=told)
        return outcome

    async def subhandle(self, msg: Message) -> Message:
        """Called by `handle`; may be overloaded to do something around `process`."""
        return await self.process(msg)

    async def process(self, msg: Message) -> Message:
        """Run the chain; may be overloaded to do something around it."""
        if msg.delivery is None:
            raise UsageError(
                f"channel {self.name!r} was given a message made anew on its way; make"
                " it with msg.derive(payload)"
            )
        return await self._chain.run(msg, msg.delivery)

    async def _overloaded(self, msg: Message, delivery: Delivery) -> Message:
        result: Any = await self.subhandle(msg)
        if not isinstance(result, Message):
            raise NodeResultError(self.name, result)
        return result

    def chains(self) -> Iterator[Chain]:
        """The steps as they run just now: the chain, and those of the end nodes."""
        yield self._chain
        yield from self._endings.chains()

    def chain_changed(self) -> None:
        """Called after each change of the steps."""
        if self._is_open:
            self._compile()

    def _compile(self) -> None:
        steps: Sequence[ChainStep] = self.steps
        self._endings = Endings(self.name, self.special, self.tracer)
        self._has_endings = self._endings.is_needed
        self._first = 0
        if before := self.special["init"]:
            # What end nodes get is what the init nodes have made.
            marks = [self._endings.entry] if self._has_endings else []
            steps = [*before, *marks, *steps]
            self._first = len(before) + len(marks)
        call_of = self._parked if self.root.keep_order else None
        self._chain = make_chain(self.name, steps, call_of, self.tracer)
        kind = type(self)
        is_overloaded = (
            kind.subhandle is not Processing.subhandle
            or kind.process is not Processing.process
        )
        self._run_chain = self._overloaded if is_overloaded else self._chain.run
        self._is_answered_early = not self.wait_subchans and _has_fork(self)
        is_special = self._has_endings or self.special["init"] or self.tracer
        self._is_simple = not (is_overloaded or self._branches() or is_special)
        self._choose_way()

    @property
    def root(self) -> Processing:
        """The channel that this one is a part of, perhaps itself."""
        channel: Processing = self
        while isinstance(channel.parent, Processing):
            channel = channel.parent
        return channel

    def _parked(self, step: ChainStep) -> Step:
        """What is called for a step where the order of each tag is kept."""
        call = step.step()
        if not isinstance(step, BaseNode) or step not in self.steps:
            return call
        path = step.fullpath()
        parking = self.root.parkings.setdefault(path, Parking(path, call))
        parking.call = call
        return parking.step

    def _choose_way(self) -> None:
        """Whether `handle` may take the short way: no store, one lane, only nodes."""
        is_bare = self._recorder is None and self._key is None
        is_going = self._is_open and not self.gate.is_closed
        self._is_plain = is_going and self._is_simple and is_bare

    def _lane_of(self, msg: Message) -> int:
        assert self._key is not None
        return zlib.crc32(str(self._key(msg)).encode()) % len(self._turns)


def _has_fork(channel: ChainBuilder) -> bool:
    branches = [step for step in channel.steps if isinstance(step, Branch)]
    return any(
        isinstance(branch, Fork) or any(map(_has_fork, branch.channels))
        for branch in branches
    )


def _is_drop(found: Message | Stopped) -> TypeGuard[Stopped]:
    return type(found) is Stopped and type(found.error) is Dropped
