"""What became of the messages of a channel: counted, told, waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from pichannels.channels.building import ChainBuilder
from pichannels.channels.counts import Counts
from pichannels.channels.special import state_of
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelStopped, PauseChannel, printable
from pichannels.events import EventBus
from pichannels.message import Message
from pichannels.states import State

__all__ = ["Finishing"]

logger: Final = logging.getLogger("pichannels.channels")


class Finishing(ChainBuilder):
    """The end of processing: from what the chain gave to the final outcome."""

    def __init__(self) -> None:
        self.events: EventBus = EventBus()
        self.processed = 0
        self.dropped = 0
        self.rejected = 0
        self.failed = 0
        self.counts = Counts()
        self._running = 0
        self._is_draining = False
        self._idle = asyncio.Event()
        self._awaited: set[asyncio.Future[None]] = set()

    @property
    def received(self) -> int:
        """How many messages came: those that are settled, and those on their way."""
        settled = self.processed + self.dropped + self.rejected + self.failed
        return settled + self.in_memory

    @property
    def in_memory(self) -> int:
        """How many messages are on their way just now."""
        return self._running

    def _interrupted(self, error: PauseChannel) -> None:
        """Called when a message that pauses the channel does not run again."""
        raise NotImplementedError

    async def _settled(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        """The final outcome, when all that the message led to has ended."""
        delivery.end(outcome)
        if delivery.owed:
            await self._settlement(delivery)
        return self.finish(delivery, outcome)

    async def _settlement(self, delivery: Delivery) -> None:
        """Until nothing is owed any more.

        Raises:
            ChannelStopped: the channel stopped before.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settled(_: Delivery) -> None:
            if not done.done():
                done.set_result(None)

        delivery.on_settled(settled)
        self._awaited.add(done)
        try:
            await done
        finally:
            self._awaited.discard(done)

    def give_up_waiting(self) -> None:
        """Tell those who wait for settlements that the channel has stopped."""
        for done in self._awaited:
            if not done.done():
                done.set_exception(ChannelStopped(self.name))

    def finish(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        """The outcome with what happened after the chain had run; counts it."""
        if outcome.error is None and delivery.error is None:
            self.processed += 1
        else:
            outcome = self._finish_failed(delivery, outcome)
        if delivery.sample_error_count:
            outcome.sample_errors = delivery.sample_error_count
            outcome.aside = delivery.aside or ()
        return outcome

    def _finish_failed(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        error = delivery.error
        if error is not None and outcome.state is not State.ERROR:
            at = delivery.error_at
            outcome = Outcome(state_of(error), outcome.message, error, at)
        self._count(outcome.state)
        if outcome.state is State.ERROR:
            self._tell_failure(outcome)
        # A message that was tried in vain has paused the channel long enough.
        if isinstance(outcome.error, PauseChannel) and delivery.attempts == 1:
            self._interrupted(outcome.error)
        return outcome

    def _count(self, state: State) -> None:
        if state is State.DROPPED:
            self.dropped += 1
        elif state is State.REJECTED:
            self.rejected += 1
        else:
            self.failed += 1

    def _tell_failure(self, outcome: Outcome) -> None:
        error = printable(str(outcome.error))
        logger.error(
            "%s: message failed at %s: %s",
            self.name,
            outcome.node or "the channel",
            error,
            exc_info=outcome.error if logger.isEnabledFor(logging.DEBUG) else None,
            extra=outcome.place(self.name),
        )
        self.events.fire(
            "message.failed",
            channel=self.name,
            node=outcome.node,
            error=error,
        )

    def _leave(self) -> None:
        self._running -= 1
        if self._is_draining and not self._running:
            self._idle.set()

    def note_meta(self, msg: Message, names: Sequence[str]) -> None:
        """Let the store keep these facts of `msg.meta` with the entry message."""
        delivery: Delivery | None = msg.delivery
        if delivery is None:
            return
        if delivery.meta is None:
            delivery.meta = {}
        for name in names:
            if name in msg.meta:
                delivery.meta.setdefault(name, []).append(str(msg.meta[name]))
