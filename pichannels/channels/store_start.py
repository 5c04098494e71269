"""The message store of a channel: started with it, or as soon as its server answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from pichannels.channels.gate import Gate
from pichannels.errors import StoreHeld, TryAgain
from pichannels.events import EventBus
from pichannels.retry import RetryPolicy
from pichannels.store import MessageStore

__all__ = ["StoreStart"]

logger: Final = logging.getLogger("pichannels.channels")

_AGAIN: Final = RetryPolicy(attempts=0, initial=1.0, maximum=15.0)


class StoreStart:
    """Starts a store, and stops it.

    While the server of the store is away nothing is processed: what the channel
    accepts waits in the journal.

    Args:
        channel: the name of the one that is told about.
        store: what is started.
        gate: closed until the store works.
        events: where it is told.
    """

    def __init__(
        self, channel: str, store: MessageStore, gate: Gate, events: EventBus
    ) -> None:
        self._channel = channel
        self._store = store
        self._gate = gate
        self._events = events
        self._is_started = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the store is still to be started."""
        return self._task is not None and not self._is_started

    async def start(self, *, may_wait: bool) -> None:
        """Start the store; later, where that may be and its server is away.

        Raises:
            TryAgain: the server is away, and that must not be.
            Exception: whatever else the store does not start for.
        """
        try:
            await self._store.start()
        except TryAgain as exc:
            if not may_wait or isinstance(exc, StoreHeld):
                raise
            self._wait(exc)
        else:
            self._is_started = True

    def _wait(self, error: TryAgain) -> None:
        logger.warning(
            "%s: the message store does not answer (%s). The channel accepts what"
            " comes, keeps it in the journal and processes nothing until the store is"
            " there. Start its server, or look at the settings of the store",
            self._channel,
            error,
        )
        self._events.fire(
            "store.waiting", channel=self._channel, reason=str(error) or repr(error)
        )
        self._gate.close()
        self._task = asyncio.create_task(
            self._try_again(), name=f"{self._channel}: message store"
        )

    async def _try_again(self) -> None:
        for delay in _AGAIN.delays():
            await asyncio.sleep(delay)
            if await self._tried():
                break
        self._is_started = True
        logger.info("%s: the message store is there", self._channel)
        self._events.fire("store.connected", channel=self._channel)
        self._gate.open()

    async def _tried(self) -> bool:
        try:
            await self._store.start()
        except TryAgain as exc:
            logger.debug("%s: no message store yet: %s", self._channel, exc)
            return False
        except Exception as exc:
            # Not before somebody has done something, which may be at any time.
            logger.error("%s: no message store yet: %s", self._channel, exc)
            return False
        return True

    async def stop(self) -> None:
        """Stop the store, or wait for it no longer."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not self._is_started:
                self._gate.open()
        if self._is_started:
            self._is_started = False
            await self._store.stop()
