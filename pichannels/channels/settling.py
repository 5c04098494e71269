"""What is written when an accepted message is settled: journal, history, ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from pichannels.channels.counts import Counts
from pichannels.channels.recording import (
    Letter,
    Observer,
    StoreRecorder,
    are_samples,
    settle,
)
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelStopped, CodecError, JournalError
from pichannels.journal import Journal, Record, Ticket
from pichannels.message import Message
from pichannels.states import State

__all__ = ["Item", "Processor", "Settling"]

logger: Final = logging.getLogger("pichannels.channels")


class Processor(Protocol):
    """What is needed of the channel."""

    name: str
    counts: Counts

    @property
    def keeps(self) -> bool: ...

    @property
    def history(self) -> StoreRecorder | None: ...

    def is_in_progress(self, seq: int) -> bool: ...

    async def attempt(self, msg: Message, delivery: Delivery) -> Outcome: ...

    def finish(self, delivery: Delivery, outcome: Outcome) -> Outcome: ...


class Item:
    """One accepted message in memory."""

    __slots__ = ("msg", "seq", "size", "ticket")

    def __init__(self, seq: int, msg: Message, size: int, ticket: Ticket | None):
        self.seq = seq
        self.msg = msg
        self.size = size
        self.ticket = ticket


class Settling:
    """The messages in memory, and how they leave it.

    Args:
        channel: who processes them.
        journal: where they are durable.
        observer: who wants to know what becomes of them.
    """

    def __init__(
        self, channel: Processor, journal: Journal, observer: Observer | None
    ) -> None:
        self._channel = channel
        self._counts = channel.counts
        self._journal = journal
        self._observer = observer
        self._items: dict[int, Item] = {}
        self._bytes = 0
        self._is_closed = False
        self._changed = asyncio.Event()
        self._settling: set[asyncio.Task[None]] = set()

    async def _record_of(self, seq: int) -> Record:
        records = await self._journal.unsettled(self._channel.name, seq - 1, 1)
        if not records or records[0].seq != seq:
            raise JournalError(f"message {seq} is no longer in the journal")
        return records[0]

    def _settled(self, item: Item, delivery: Delivery) -> None:
        assert delivery.outcome is not None
        if self._is_closed and isinstance(delivery.failure, ChannelStopped):
            # Nothing has failed: it stays in the journal, and runs again.
            delivery.outcome.message.delivery = item.msg.delivery = None
            return
        self._counts.settled(item.msg)
        outcome = self._channel.finish(delivery, delivery.outcome)
        # Cycles would wait for the collector, which is meant to come rarely.
        outcome.message.delivery = item.msg.delivery = None
        if self._is_closed and outcome.state is State.ERROR:
            # Perhaps it only failed because the channel stops.
            return
        history = self._channel.history
        if history is None and not _is_partly_unknown(delivery):
            self._record(item, delivery, outcome)
            return
        task = asyncio.create_task(
            self._keep(history, item, delivery, outcome),
            name=f"{self._channel.name}: history",
        )
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _keep(
        self,
        history: StoreRecorder | None,
        item: Item,
        delivery: Delivery,
        outcome: Outcome,
    ) -> None:
        manifest = None
        try:
            if _is_partly_unknown(delivery):
                manifest = (await self._record_of(item.seq)).manifest
        except (JournalError, CodecError) as exc:
            # It stays unsettled, and runs again at the next start.
            logger.warning("%s: message %d: %s", self._channel.name, item.seq, exc)
            self._forget(item)
            return
        try:
            settled = None if history is None else history.settle(delivery, outcome)
            if settled is not None:
                await settled
        except Exception:
            logger.exception("%s: message %d", self._channel.name, item.seq)
        self._record(item, delivery, outcome, manifest)

    def _record(
        self,
        item: Item,
        delivery: Delivery,
        outcome: Outcome,
        manifest: bytes | None = None,
    ) -> None:
        name = self._channel.name
        try:
            done = settle(self._journal, name, delivery, outcome, manifest)
            self._observe(item.seq, done.state, done.letters)
        except JournalError as exc:
            logger.warning("%s: message %d: %s", self._channel.name, item.seq, exc)
        self._forget(item)

    def _observe(self, seq: int, state: State, letters: Sequence[Letter] = ()) -> None:
        if self._observer is not None:
            self._observer.settled(seq, state, letters)

    def _forget(self, item: Item) -> None:
        del self._items[item.seq]
        self._bytes -= item.size
        self._changed.set()


def _is_partly_unknown(delivery: Delivery) -> bool:
    """Whether something was set aside that does not tell which tags it has."""
    aside = delivery.aside
    return aside is not None and not all(are_samples(a.message.payload) for a in aside)
