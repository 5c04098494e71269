"""The way in for messages that are accepted now and processed soon.

`accept` returns when the message is durable in the journal. A bounded number waits
in memory; what does not fit stays in the journal alone and is read from there when
its turn comes, as is everything that a crash left unsettled. So a stalled sink costs
disk, not memory, and intake goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from pichannels.channels.gate import Gate
from pichannels.channels.recording import Observer, facts_of
from pichannels.channels.settling import Item, Processor, Settling
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    JournalError,
    PauseChannel,
    TryAgain,
)
from pichannels.journal import Journal, Record, Ticket
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.states import State

__all__ = ["Inlet"]

logger: Final = logging.getLogger("pichannels.channels")

LOADED_AT_ONCE: Final = 1000
"""How many spilled messages are read from the journal in one go."""
WAIT_FOR_JOURNAL: Final = 0.5
"""Seconds before a journal that could not be read is read again."""


class Inlet(Settling):
    """Accepted messages of one channel, from the journal to settlement.

    Args:
        channel: who processes them.
        journal: where they are durable.
        lanes: how many are processed at the same time.
        lane_of: for more than one lane, the number of the lane of a message.
        window: how many may be in memory, unsettled.
        window_bytes: how many bytes of them.
        retry: what to do when a node asks to try again.
        gate: closed while nothing is to be processed.
        observer: who wants to know what becomes of the messages.
    """

    def __init__(
        self,
        channel: Processor,
        journal: Journal,
        *,
        lane_of: Callable[[Message], int],
        lanes: int,
        window: int,
        window_bytes: int,
        retry: RetryPolicy,
        gate: Gate | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(channel, journal, observer)
        self._lane_of = lane_of
        self._lanes: list[deque[Item]] = [deque() for _ in range(lanes)]
        self._window = window
        self._window_bytes = window_bytes
        self._retry = retry
        self._gate = gate or Gate()
        self._newest = 0
        self._loaded = 0
        # Up to here messages are those of an earlier run.
        self._left_up_to = 0
        self._spilled = False
        self._tasks: list[asyncio.Task[None]] = []
        # How many wait to run again.
        self._resting = 0
        self._hurried = asyncio.Event()
        self._end_listening = self._gate.listen(self._changed.set)

    @property
    def in_memory(self) -> int:
        """How many unsettled messages are held in memory."""
        return len(self._items)

    @property
    def oldest(self) -> int | None:
        """When the oldest of them was made, in ticks; None without any."""
        for item in self._items.values():
            return item.msg.ticks
        return None

    @property
    def is_full(self) -> bool:
        """Whether `hand_over` has to wait."""
        return self._journal.is_full

    @property
    def _is_half_full(self) -> bool:
        count = len(self._items)
        return count > self._window // 2 or self._bytes > self._window_bytes // 2

    def recover(self) -> None:
        """Process what an earlier run left unsettled, before anything new."""
        left = self._journal.count_unsettled(self._channel.name)
        if left:
            logger.info("%s: %d messages to run again", self._channel.name, left)
            self._newest = self._left_up_to = self._journal.last_seq
            self._spilled = True
            self._wake()

    async def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> int:
        """Make the message durable; it is processed in its turn.

        Returns:
            Its number in the journal.

        Raises:
            CodecError: the message cannot be encoded.
            JournalError: it could not be made durable; it was not accepted.
        """
        ticket = await self.hand_over(msg, lane=lane, manifest=manifest)
        # Whoever gives up waiting must not take the result from others.
        try:
            await ticket.written()
        except JournalError:
            if self._observer is not None:
                self._observer.withdrawn(ticket.seq)
            raise
        return ticket.seq

    async def hand_over(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> Ticket:
        """`accept` without waiting until it is durable; the ticket tells."""
        if self._journal.is_full:
            await self._journal.room()
        if self._is_closed:
            raise ChannelStopped(self._channel.name)
        name = self._channel.name
        ticket = self._journal.append(
            name, msg, lane=lane, manifest=manifest, keep=self._channel.keeps
        )
        if self._observer is not None:
            self._observer.accepted(ticket.seq, lane, manifest)
        msg.store_id = str(ticket.seq)
        msg.store_chan_name = name
        self._newest = ticket.seq
        self._counts.bytes += ticket.size
        has_room = len(self._items) < self._window and (
            not self._items or self._bytes + ticket.size <= self._window_bytes
        )
        if self._spilled or not has_room:
            self._spilled = True
        else:
            self._put(Item(ticket.seq, msg, ticket.size, ticket))
        self._wake()
        return ticket

    def _put(self, item: Item) -> None:
        self._items[item.seq] = item
        self._bytes += item.size
        self._loaded = item.seq
        self._lanes[self._lane(item.msg)].append(item)

    def _lane(self, msg: Message) -> int:
        if len(self._lanes) == 1:
            return 0
        try:
            return self._lane_of(msg)
        except Exception:
            # The attempt meets the same error, and there it costs this message.
            return 0

    def _wake(self) -> None:
        self._changed.set()
        if not self._tasks:
            name = self._channel.name
            self._tasks = [
                asyncio.create_task(self._work(lane), name=f"{name}: lane {number}")
                for number, lane in enumerate(self._lanes)
            ]
            self._tasks.append(
                asyncio.create_task(self._load(), name=f"{name}: loader")
            )

    async def drain(self) -> None:
        """Until nothing is unsettled, in memory or in the journal.

        While the gate is closed, until nothing is being processed.
        """
        while self._is_busy:
            self._changed.clear()
            await self._changed.wait()

    @property
    def _is_busy(self) -> bool:
        if not self._gate.is_closed:
            return bool(self._items) or self._spilled
        return len(self._items) > sum(map(len, self._lanes)) + self._resting

    async def try_again(self) -> None:
        """Let what waits for another attempt have it now.

        Returns when all is settled, or one has failed once more.
        """
        hurried, self._hurried = self._hurried, asyncio.Event()
        hurried.set()
        before = self._counts.retries
        while (self._items or self._spilled) and not self._gate.is_held:
            self._changed.clear()
            await self._changed.wait()
            if self._counts.retries > before or self._is_closed:
                return

    async def close(self) -> None:
        """Stop processing; what is unsettled stays in the journal."""
        self._is_closed = True
        self._end_listening()
        tasks, self._tasks = [*self._tasks, *self._settling], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self) -> None:
        """Bring spilled messages back as room returns."""
        while True:
            while not self._spilled or self._is_half_full:
                self._changed.clear()
                await self._changed.wait()
            try:
                await self._load_some()
            except JournalError as exc:
                logger.error("%s: %s", self._channel.name, exc)
                await asyncio.sleep(WAIT_FOR_JOURNAL)
            self._changed.set()

    async def _load_some(self) -> None:
        newest = self._newest
        # What is handed over later is not to be read yet. Reading sees all that
        # was handed over before; what could not be committed never will be there.
        records = [
            record
            for record in await self._journal.unsettled(
                self._channel.name,
                self._loaded,
                max(min(LOADED_AT_ONCE, self._window - len(self._items)), 1),
                max(self._window_bytes // 2, 1),
            )
            if record.seq <= newest
        ]
        for record in records:
            self._loaded = record.seq
            is_taken = record.seq in self._items
            if not is_taken and not self._channel.is_in_progress(record.seq):
                self._take(record)
        if not records:
            self._loaded = newest
            self._spilled = newest < self._newest

    async def adopt(self, seq: int) -> None:
        """Let a message of the journal that nobody works on any more run next.

        Raises:
            JournalError: the journal cannot be read.
        """
        record = await self._record_of(seq)
        item = Item(seq, record.message(), len(record.data), None)
        self._items[seq] = item
        self._bytes += item.size
        self._lanes[self._lane(item.msg)].appendleft(item)
        self._wake()

    def _take(self, record: Record) -> None:
        try:
            msg = record.message()
        except CodecError as exc:
            delivery = Delivery()
            outcome = Outcome(State.ERROR, Message(), exc)
            outcome = self._channel.finish(delivery, outcome)
            facts = facts_of(delivery, outcome)
            self._journal.settle(record.seq, outcome.state, facts)
            self._observe(record.seq, outcome.state)
        else:
            self._put(Item(record.seq, msg, len(record.data), None))

    async def _work(self, lane: deque[Item]) -> None:
        while True:
            while not lane or self._gate.is_closed:
                self._changed.clear()
                await self._changed.wait()
            item = lane.popleft()
            ticket = item.ticket
            if ticket is not None and not ticket.is_done:
                await asyncio.wait([ticket.durable])
            if ticket is not None and ticket.error is not None:
                self._forget(item)
                continue
            try:
                await self._process(item)
            except Exception as exc:
                # A fault of ours must cost this message, not the lane.
                logger.exception("%s: message %d", self._channel.name, item.seq)
                self._journal.settle(item.seq, State.ERROR, {"err_msg": repr(exc)})
                self._observe(item.seq, State.ERROR)
                self._forget(item)

    async def _process(self, item: Item) -> None:
        delivery = Delivery()
        delivery.seq = item.seq
        delivery.is_accepted = True
        delivery.again = self._runs_again
        if item.seq <= self._left_up_to:
            delivery.is_rerun = True
        has_closed = False
        try:
            outcome = await self._attempt(item, delivery)
            while (delay := self._delay(delivery, outcome)) is not None:
                self._counts.retries += 1
                self._tell_again(item, delay, outcome)
                if isinstance(outcome.error, PauseChannel) and not has_closed:
                    has_closed = True
                    self._gate.close()
                await self._rest(delay)
                delivery.attempts += 1
                delivery.failed_at = ""
                outcome = await self._attempt(item, delivery)
        finally:
            if has_closed:
                self._gate.open()
        delivery.on_settled(lambda delivery: self._settled(item, delivery))
        delivery.end(outcome)

    def _delay(self, delivery: Delivery, outcome: Outcome) -> float | None:
        """Seconds until the message runs again, or None."""
        error = outcome.error
        if outcome.state is not State.ERROR or not isinstance(error, TryAgain):
            return None
        return self._retry.delay(delivery.attempts, error)

    def _runs_again(self, delivery: Delivery, outcome: Outcome) -> bool:
        return self._delay(delivery, outcome) is not None

    def _tell_again(self, item: Item, delay: float, outcome: Outcome) -> None:
        name, error = self._channel.name, outcome.error
        text, told = "%s: message %d again in %.2f s: %s", outcome.place(name)
        logger.warning(text, name, item.seq, delay, error, extra=told)

    async def _rest(self, delay: float) -> None:
        """Wait before another attempt, and as long as the channel is held."""
        self._resting += 1
        self._changed.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), delay)
            while self._gate.is_held:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._resting -= 1

    async def _attempt(self, item: Item, delivery: Delivery) -> Outcome:
        try:
            if delivery.attempts > 1:
                item.msg = await self._original(item)
            history = self._channel.history
            if history is not None and delivery.store_id is None:
                await history.admit(item.msg, delivery)
        except Exception as exc:
            return Outcome(State.ERROR, item.msg, exc)
        return await self._channel.attempt(item.msg, delivery)

    async def _original(self, item: Item) -> Message:
        """The message as it was accepted: nodes may have changed the one in hand."""
        return (await self._record_of(item.seq)).message()
