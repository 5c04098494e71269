"""Answers to callers before the forks of a channel have ended."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from pichannels.channels.gate import Gate
from pichannels.channels.injecting import Injecting
from pichannels.channels.processing import Key
from pichannels.channels.special import state_of
from pichannels.delivery import Delivery, Outcome
from pichannels.message import Message

__all__ = ["Answering"]

logger: Final = logging.getLogger("pichannels.channels")


class Answering(Injecting):
    """Runs messages whose callers do not wait for copies that go into forks.

    Such a message is settled when its copies are, too; until then it counts as being
    on its way, and where a copy fails it is stored as failed.
    """

    def __init__(
        self, lanes: int, key: Key | None, raise_dropped: bool, gate: Gate
    ) -> None:
        super().__init__(lanes, key, raise_dropped, gate)
        self._ahead: set[asyncio.Task[Outcome]] = set()

    async def _run_ahead(self, msg: Message) -> Outcome:
        early: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        whole = asyncio.create_task(
            self._run_whole(msg, early), name=f"{self.name}: ahead of forks"
        )
        self._ahead.add(whole)
        whole.add_done_callback(self._ended_whole)
        await asyncio.wait([early, whole], return_when=asyncio.FIRST_COMPLETED)
        return early.result() if early.done() else whole.result()

    async def _run_whole(self, msg: Message, early: asyncio.Future[Outcome]) -> Outcome:
        delivery = Delivery()

        def answer(delivery: Delivery) -> None:
            outcome = delivery.outcome
            if outcome is None or early.done() or delivery.owed > delivery.beside:
                return
            if delivery.error is not None and outcome.error is None:
                state, at = state_of(delivery.error), delivery.error_at
                outcome = Outcome(state, outcome.message, delivery.error, at)
            early.set_result(outcome)

        delivery.watch(answer)
        return await self.run_taken(msg, delivery)

    def _ended_whole(self, whole: asyncio.Task[Outcome]) -> None:
        self._ahead.discard(whole)
        if not whole.cancelled() and (error := whole.exception()) is not None:
            # Who has asked may have been answered before.
            logger.debug("%s: a message is not settled: %s", self.name, error)
