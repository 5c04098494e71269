"""The way in for messages that are accepted now and processed soon.

`accept` returns when the message is durable in the journal. A bounded number waits
in memory; what does not fit stays in the journal alone and is read from there when
its turn comes, as is everything that a crash left unsettled. So a stalled sink costs
disk, not memory, and intake goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from pichannels.channels.recording import facts_of
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import CodecError, JournalError, TryAgain
from pichannels.journal import Journal, Ticket
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.states import State

__all__ = ["Inlet"]

logger: Final = logging.getLogger("pichannels.channels")

LOADED_AT_ONCE: Final = 1000
"""How many spilled messages are read from the journal in one go."""


class Processor(Protocol):
    """What the inlet needs of its channel."""

    name: str

    @property
    def keeps(self) -> bool: ...

    async def attempt(self, msg: Message, delivery: Delivery) -> Outcome: ...

    def finish(self, delivery: Delivery, outcome: Outcome) -> Outcome: ...


class _Item:
    """One accepted message in memory."""

    __slots__ = ("msg", "seq", "size", "ticket")

    def __init__(self, seq: int, msg: Message, size: int, ticket: Ticket | None):
        self.seq = seq
        self.msg = msg
        self.size = size
        self.ticket = ticket


class Inlet:
    """Accepted messages of one channel, from the journal to settlement.

    Args:
        channel: who processes them.
        journal: where they are durable.
        lanes: how many are processed at the same time.
        key: for more than one lane, what must stay in order among itself.
        window: how many may be in memory, unsettled.
        window_bytes: how many bytes of them.
        retry: what to do when a node asks to try again.
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
    ) -> None:
        self._channel = channel
        self._journal = journal
        self._lane_of = lane_of
        self._lanes: list[deque[_Item]] = [deque() for _ in range(lanes)]
        self._window = window
        self._window_bytes = window_bytes
        self._retry = retry
        self._count = 0
        self._bytes = 0
        self._newest = 0
        self._loaded = 0
        self._spilled = False
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def in_memory(self) -> int:
        """How many unsettled messages are held in memory."""
        return self._count

    @property
    def _is_half_full(self) -> bool:
        return self._count > self._window // 2 or self._bytes > self._window_bytes // 2

    def recover(self) -> None:
        """Process what an earlier run left unsettled, before anything new."""
        left = self._journal.count_unsettled(self._channel.name)
        if left:
            logger.info("%s: %d messages to run again", self._channel.name, left)
            self._newest = self._journal.last_seq
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
        await ticket.durable
        return ticket.seq

    async def hand_over(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> Ticket:
        """`accept` without waiting until it is durable; the ticket tells."""
        if self._journal.is_full:
            await self._journal.room()
        name = self._channel.name
        ticket = self._journal.append(
            name, msg, lane=lane, manifest=manifest, keep=self._channel.keeps
        )
        msg.store_id = str(ticket.seq)
        msg.store_chan_name = name
        self._newest = ticket.seq
        has_room = self._count < self._window and (
            self._count == 0 or self._bytes + ticket.size <= self._window_bytes
        )
        if self._spilled or not has_room:
            self._spilled = True
        else:
            self._put(_Item(ticket.seq, msg, ticket.size, ticket))
        self._wake()
        return ticket

    def _put(self, item: _Item) -> None:
        self._count += 1
        self._bytes += item.size
        self._loaded = item.seq
        lane = self._lane_of(item.msg) if len(self._lanes) > 1 else 0
        self._lanes[lane].append(item)

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
        """Until nothing is unsettled, in memory or in the journal."""
        while self._count or self._spilled:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stop processing; what is unsettled stays in the journal."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self) -> None:
        """Bring spilled messages back as room returns."""
        while True:
            while not self._spilled or self._is_half_full:
                self._changed.clear()
                await self._changed.wait()
            await self._load_some()
            self._changed.set()

    async def _load_some(self) -> None:
        newest = self._newest
        records = await self._journal.unsettled(
            self._channel.name,
            self._loaded,
            min(LOADED_AT_ONCE, self._window),
            max(self._window_bytes // 2, 1),
        )
        for record in records:
            if record.seq > newest:
                break
            try:
                msg = record.message()
            except CodecError as exc:
                self._loaded = record.seq
                self._journal.settle(record.seq, State.ERROR, {"err_msg": str(exc)})
                continue
            self._put(_Item(record.seq, msg, len(record.data), None))
        if not records:
            # What is newer than the last commit is not to be read yet; and what
            # could not be committed never will be.
            await self._journal.flush()
            if self._loaded >= newest or not await self._journal.unsettled(
                self._channel.name, self._loaded, 1
            ):
                self._loaded = max(self._loaded, newest)
                self._spilled = self._loaded < self._newest

    async def _work(self, lane: deque[_Item]) -> None:
        while True:
            while not lane:
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
                self._forget(item)

    async def _process(self, item: _Item) -> None:
        delivery = Delivery()
        delivery.seq = item.seq
        delivery.attempts = 0
        msg = item.msg
        while True:
            delivery.attempts += 1
            outcome = await self._channel.attempt(msg, delivery)
            error = outcome.error
            if outcome.state is not State.ERROR or not isinstance(error, TryAgain):
                break
            delay = self._retry.delay(delivery.attempts, error)
            if delay is None:
                break
            logger.warning(
                "%s: message %d again in %.2f s: %s",
                self._channel.name,
                item.seq,
                delay,
                error,
            )
            await asyncio.sleep(delay)
            msg = await self._original(item)
            delivery.failed_at = ""
        delivery.outcome = outcome
        delivery.on_settled(lambda delivery: self._settled(item, delivery))
        delivery.release()

    async def _original(self, item: _Item) -> Message:
        """The message as it was accepted: nodes may have changed the one in hand."""
        records = await self._journal.unsettled(self._channel.name, item.seq - 1, 1)
        if not records or records[0].seq != item.seq:
            raise JournalError(f"message {item.seq} is no longer in the journal")
        return records[0].message()

    def _settled(self, item: _Item, delivery: Delivery) -> None:
        assert delivery.outcome is not None
        outcome = self._channel.finish(delivery, delivery.outcome)
        self._journal.settle(item.seq, outcome.state, facts_of(delivery, outcome))
        self._forget(item)

    def _forget(self, item: _Item) -> None:
        self._count -= 1
        self._bytes -= item.size
        self._changed.set()
