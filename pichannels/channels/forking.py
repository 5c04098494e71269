"""How a fork gets its copies without holding up the main chain."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pichannels.delivery import Hold, Outcome
from pichannels.message import Message
from pichannels.states import State

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel
    from pichannels.channels.inlet import Inlet

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
            self._put(msg)
            return msg
        hold = msg.delivery.hold() if self._required else None
        await self._accept(inlet, _copy(msg), hold)
        return msg

    async def _accept(self, inlet: Inlet, msg: Message, hold: Hold | None) -> None:
        ticket = await inlet.hand_over(msg)

        def durable(done: asyncio.Future[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if hold is not None and error is not None:
                hold.fail(error)
            elif hold is not None:
                hold.release()

        ticket.durable.add_done_callback(durable)

    def _put(self, msg: Message) -> Message:
        if not self._required and len(self._waiting) >= WAITING_AT_MOST:
            self.discarded += 1
            return msg
        hold = msg.delivery.hold() if self._required else None
        self._waiting.append((_copy(msg), hold))
        if self._task is None:
            self._task = asyncio.create_task(
                self._work(), name=f"{self._channel.name}: fork"
            )
        return msg

    async def _work(self) -> None:
        try:
            while self._waiting:
                msg, hold = self._waiting.popleft()
                await self._run(msg, hold)
        finally:
            self._task = None

    async def _run(self, msg: Message, hold: Hold | None) -> None:
        try:
            outcome = await self._channel.run(msg)
        except Exception as exc:
            outcome = Outcome(State.ERROR, msg, exc)
        if outcome.state is State.ERROR:
            assert outcome.error is not None
            self._channel.events.fire(
                "fork.failed", channel=self._channel.name, error=str(outcome.error)
            )
            if hold is not None:
                hold.fail(outcome.error, self._channel)
                return
        if hold is not None:
            hold.release()

    async def close(self) -> None:
        """Work no more; the messages whose copies wait stay unsettled."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _copy(msg: Message) -> Message:
    copy = msg.copy()
    copy.delivery = None
    return copy
