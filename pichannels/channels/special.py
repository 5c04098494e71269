"""Special nodes: those before the chain of a channel, and those at its end.

Init nodes run before the others, as a part of the chain. When the chain has run, end
nodes do, each list in order: `join` where it went well, `drop`, `reject` or `fail`
where it did not, and `final` always. What they return is not used; what they raise
takes the place of what became of the message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pichannels.channels.chain import Chain
from pichannels.channels.traced import make_chain
from pichannels.delivery import Delivery, Hold, Outcome
from pichannels.errors import Dropped, Rejected
from pichannels.message import Message
from pichannels.node import BaseNode, Step
from pichannels.states import State
from pichannels.tallies import Tally
from pichannels.tracing import Tracer

__all__ = ["END_PHASES", "PHASES", "Endings", "Entry", "state_of"]

logger: Final = logging.getLogger("pichannels.channels")

END_PHASES: Final = ("join", "drop", "reject", "fail", "final")
PHASES: Final = ("init", *END_PHASES)
"""The lists of special nodes, in the order in which they run."""

_AFTER: Final = {
    State.PROCESSED: "join",
    State.DROPPED: "drop",
    State.REJECTED: "reject",
    State.ERROR: "fail",
}


def state_of(exc: BaseException) -> State:
    """What becomes of a message for which a node raises this."""
    if isinstance(exc, Dropped):
        return State.DROPPED
    return State.REJECTED if isinstance(exc, Rejected) else State.ERROR


class Entry:
    """Stands behind the init nodes and keeps the message that comes there.

    Args:
        channel: the full name of the channel.
    """

    def __init__(self, channel: str) -> None:
        self.name = "(entry)"
        self.tally = Tally()
        self.position = 0
        self._channel = channel

    def fullpath(self) -> str:
        return f"{self._channel}.{self.name}"

    def step(self) -> Step:
        return self.keep

    def keep(self, msg: Message) -> Message:
        """Keep a copy; the message goes on."""
        delivery: Delivery = msg.delivery
        if delivery.entries is None:
            delivery.entries = {}
        delivery.entries[self._channel] = msg.copy()
        return msg


class Endings:
    """What runs in one channel when its chain has run.

    Args:
        channel: its full name.
        nodes: the special nodes, by phase.
        tracer: makes spans of what they do.
    """

    def __init__(
        self,
        channel: str,
        nodes: Mapping[str, Sequence[BaseNode]],
        tracer: Tracer | None = None,
    ) -> None:
        self.entry = Entry(channel)
        self._channel = channel
        self._chains = {
            name: make_chain(f"{channel}: {name}", nodes[name], tracer=tracer)
            for name in END_PHASES
            if nodes[name]
        }
        self._later: set[asyncio.Task[None]] = set()

    @property
    def is_needed(self) -> bool:
        """Whether there are any end nodes."""
        return bool(self._chains)

    async def run(self, outcome: Outcome, delivery: Delivery) -> Outcome:
        """What became of the message after the end nodes.

        Where something is still owed for it, such as an acknowledgement, they run
        when it is known what comes of that.
        """
        if outcome.state is State.PROCESSED and delivery.owed > 1:
            hold = delivery.hold_to_the_last(lambda: self._begin(outcome, hold))
            return outcome
        return await self.run_now(outcome, delivery)

    async def run_now(self, outcome: Outcome, delivery: Delivery) -> Outcome:
        """What became of the message after the end nodes, whatever is owed for it."""
        entry = (delivery.entries or {}).pop(self._channel, outcome.message)
        if _runs_again(outcome, delivery):
            return outcome
        if outcome.state is State.PROCESSED:
            result = outcome.message.copy() if "join" in self._chains else entry
            outcome = await self._run("join", result, outcome, delivery)
            if _runs_again(outcome, delivery):
                return outcome
        if outcome.state is not State.PROCESSED:
            phase = _AFTER[outcome.state]
            outcome = await self._run(phase, entry.copy(), outcome, delivery)
        return await self._run("final", entry, outcome, delivery)

    async def run_from(
        self, phase: str, start: int, msg: Message, delivery: Delivery
    ) -> Outcome:
        """What becomes of a message in one list, from a node on, and the final ones."""
        entry = msg.copy()
        outcome = Outcome(State.PROCESSED, msg)
        outcome = await self._run(phase, msg.copy(), outcome, delivery, start)
        if phase == "final":
            return outcome
        return await self._run("final", entry, outcome, delivery)

    async def _run(
        self,
        phase: str,
        msg: Message,
        outcome: Outcome,
        delivery: Delivery,
        start: int = 0,
    ) -> Outcome:
        chain = self._chains.get(phase)
        if chain is None:
            return outcome
        part = _Ending(delivery, outcome)
        if delivery.trace is not None:
            msg.meta = {**msg.meta, **delivery.trace}
        try:
            await chain.run(msg, part, start)
        except Exception as exc:
            exc.__context__ = exc.__context__ or outcome.error
            logger.warning("%s: %s: %s", part.failed_at, outcome.state, exc)
            outcome = Outcome(state_of(exc), outcome.message, exc, part.failed_at)
        part.give_to(delivery, outcome)
        return outcome

    def _begin(self, outcome: Outcome, hold: Hold) -> None:
        task = asyncio.create_task(
            self._run_later(outcome, hold), name=f"{self._channel}: end nodes"
        )
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _run_later(self, outcome: Outcome, hold: Hold) -> None:
        delivery = hold.delivery
        error = delivery.error
        if error is not None:
            state, at = state_of(error), delivery.error_at
            outcome = Outcome(state, outcome.message, error, at)
        ended = await self.run_now(outcome, delivery)
        if ended.error is not None and ended.error is not error:
            delivery.error, delivery.error_at = ended.error, ended.node
        hold.release()

    def chains(self) -> Iterable[Chain]:
        """Those of the end nodes."""
        return self._chains.values()

    async def close(self) -> None:
        """End what runs; the messages stay unsettled."""
        tasks = list(self._later)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _runs_again(outcome: Outcome, delivery: Delivery) -> bool:
    again = delivery.again
    return again is not None and again(delivery, outcome)


class _Ending(Delivery):
    """The settlement of what end nodes get; it tells them what has happened."""

    def __init__(self, whole: Delivery, outcome: Outcome) -> None:
        super().__init__()
        self.seq = whole.seq
        self.attempts = whole.attempts
        self.is_redrive = whole.is_redrive
        self.meta = whole.meta
        self.cause = outcome.error
        self.result = outcome.message if outcome.error is None else None

    def give_to(self, whole: Delivery, outcome: Outcome) -> None:
        """Let the whole wait for what is owed here, and have what was found here."""
        whole.meta = self.meta
        for aside in self.aside or ():
            whole.set_aside(aside.node, aside.causes, len(aside.causes), aside.message)
        self.end(outcome)
        if self.is_settled:
            return
        hold = whole.hold()

        def settled(_: Delivery) -> None:
            if self.error is not None:
                whole.fail(self.error)
                whole.error_at = whole.error_at or self.error_at
            hold.release()

        self.on_settled(settled)
