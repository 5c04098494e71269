"""How a fork gets its copies without holding up the main chain."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pichannels.delivery import Delivery, Hold, Outcome
from pichannels.errors import ChannelStopped, Stopped
from pichannels.journal import Ticket
from pichannels.message import Message
from pichannels.states import State

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel

__all__ = ["ForkQueue"]

logger: Final = logging.getLogger("pichannels.channels")

WAITING_AT_MOST: Final = 1000
"""Copies that wait for a fork which is not required; further ones are discarded.

For a required fork the unsettled messages of the parent are the bound.
"""


class ForkQueue:
    """The copies that wait for one fork; a task works while there are any."""

    def __init__(self, channel: BaseChannel, required: bool) -> None:
        self._channel = channel
        self._required = required
        self._waiting: deque[tuple[Message, Hold | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.discarded = 0

    def step(self) -> Callable[[Message], Any]:
        """What the parent's chain calls with each message."""
        return self._store if self._channel.inlet_if_durable() else self._put

    async def _store(self, msg: Message) -> Message:
        """Accept the copy into the fork's own store, which is as good as done."""
        inlet = self._channel.inlet_if_durable()
        if inlet is None:
            return self._put(msg)
        if self._required:
            ticket = await inlet.hand_over(_copy(msg))
            _hold_until_durable(msg, ticket, self._channel)
        elif inlet.is_full:
            self.discarded += 1
        else:
            with self._told():
                await inlet.hand_over(_copy(msg))
        return msg

    def _put(self, msg: Message) -> Message:
        if self._required:
            if self._channel.is_stopped():
                raise ChannelStopped(self._channel.name)
            copy = _copy(msg)
            delivery: Delivery = msg.delivery
            # Callers of the parent, of which this is a part, wait for it or not.
            is_waited_for = self._channel.root.wait_subchans
            hold = delivery.hold() if is_waited_for else delivery.hold_beside()
            self._add(copy, hold)
        elif self._channel.is_stopped() or len(self._waiting) >= WAITING_AT_MOST:
            self.discarded += 1
        else:
            with self._told():
                self._add(_copy(msg), None)
        return msg

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong here is not the main chain's business."""
        try:
            yield
        except Exception as exc:
            self.discarded += 1
            self._tell(exc)

    def _tell(self, error: BaseException) -> None:
        logger.warning("%s: a copy failed: %s", self._channel.name, error)
        self._channel.events.fire(
            "fork.failed", channel=self._channel.name, error=str(error)
        )

    def _add(self, copy: Message, hold: Hold | None) -> None:
        self._waiting.append((copy, hold))
        if self._task is None:
            self._task = asyncio.create_task(
                self._work(), name=f"{self._channel.name}: fork"
            )

    async def _work(self) -> None:
        while self._waiting:
            msg, hold = self._waiting[0]
            await self._run(msg, hold)
            self._waiting.popleft()
        self._task = None

    async def _run(self, msg: Message, hold: Hold | None) -> None:
        delivery = Delivery()
        if hold is not None and hold.delivery.is_accepted:
            # Nobody waits for it, so that it may be tried as the message itself is.
            delivery.is_accepted = True
            delivery.retry = self._channel.retry_delay
            delivery.again = self._runs_again
        try:
            outcome = await self._channel.run_taken(msg, delivery)
        except Exception as exc:
            outcome = Outcome(State.ERROR, msg, exc)
        if outcome.state is State.ERROR:
            assert outcome.error is not None
            self._tell(outcome.error)
            if hold is not None:
                hold.fail(outcome.error, self._channel)
        elif hold is not None:
            if self._channel.history is None and not self._channel.keeps:
                hold.set_aside(outcome.aside)
            hold.release()

    def _runs_again(self, delivery: Delivery, outcome: Outcome) -> bool:
        return self._channel.retry_delay(delivery, outcome) is not None

    async def drain(self) -> None:
        """Until no copy waits."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Work no more; the messages whose copies wait fail."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        waiting, self._waiting = self._waiting, deque()
        for _, hold in waiting:
            if hold is not None:
                hold.fail(ChannelStopped(self._channel.name), self._channel)


def _hold_until_durable(msg: Message, ticket: Ticket, fork: BaseChannel) -> None:
    hold: Hold = msg.delivery.hold()

    def durable(done: asyncio.Future[None]) -> None:
        error = Stopped("gave up waiting") if done.cancelled() else done.exception()
        if error is not None:
            hold.fail(error, fork)
        else:
            hold.release()

    ticket.durable.add_done_callback(durable)


def _copy(msg: Message) -> Message:
    copy = msg.copy()
    copy.delivery = None
    return copy
