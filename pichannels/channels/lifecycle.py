"""The life of a channel: it starts, pauses, stops, and its parts with it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pichannels import clock
from pichannels.channels.forking import ForkQueue
from pichannels.channels.injecting import Injecting
from pichannels.channels.inlet import Inlet
from pichannels.channels.parking import park_again
from pichannels.channels.patience import Patience
from pichannels.channels.processing import Key
from pichannels.channels.recording import JournalRecorder, StoreRecorder
from pichannels.errors import UsageError
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.lifecycle import Status, check_change
from pichannels.node import BaseNode
from pichannels.persistence import Persistence
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.store import MessageStore
from pichannels.values import TICKS_PER_SECOND

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel
    from pichannels.piwebasync.limiting import Limiters

__all__ = ["Lifecycle"]

logger: Final = logging.getLogger("pichannels.channels")

GRACE: Final = 1.0
"""Seconds that the parts of an aborted channel have to stop."""


class Lifecycle(Injecting):
    """The living half of a channel."""

    message_store: MessageStore | None

    def __init__(
        self,
        parent: BaseChannel | None,
        lanes: int,
        key: Key | None,
        raise_dropped: bool,
        *,
        window: tuple[int, int],
        retry: RetryPolicy | None,
        drain_timeout: float,
    ) -> None:
        super().__init__(lanes, key, raise_dropped)
        self.parent = parent
        if parent is not None:
            self.events = parent.events
        self.drain_timeout = drain_timeout
        self.has_source_enabled = True
        self.journal: Journal | None = None
        self.limiters: Limiters | None = None
        self._window = window
        self._retry = retry or RetryPolicy(attempts=0)
        self._inlet: Inlet | None = None
        self._fork_queue: ForkQueue | None = None
        self._parts = AsyncExitStack()
        self._deadline = 0.0
        # All of a channel ends together.
        self._patience: Patience = parent._patience if parent else Patience()
        self._is_ending = False
        self._ended = asyncio.Event()
        self._ended.set()
        self._status = Status.STOPPED

    @property
    def status(self) -> Status:
        """What the channel is doing."""
        if self._status is Status.WAITING and self._running:
            return Status.PROCESSING
        return self._status

    @property
    def is_ready(self) -> bool:
        """Whether the source, if there is one, is connected."""
        return True

    def statistics(self) -> dict[str, Any]:
        """Facts about the source, for status and metrics."""
        return {}

    @property
    def in_memory(self) -> int:
        """How many messages are on their way just now."""
        return self._running + (self._inlet.in_memory if self._inlet else 0)

    @property
    def lag(self) -> float:
        """How old, in seconds, the oldest accepted message on its way is."""
        oldest = self._inlet.oldest if self._inlet else None
        if oldest is None:
            return 0.0
        return max((clock.now() - oldest) / TICKS_PER_SECOND, 0.0)

    @property
    def discarded(self) -> int:
        """How many copies a fork that is not required had no room for."""
        return self._fork_queue.discarded if self._fork_queue else 0

    async def probe(self) -> list[Finding]:
        """Look whether the source can be reached, and takes us; nothing is read."""
        return []

    def is_stopped(self) -> bool:
        """Whether the channel is stopping or stopped."""
        return self._status in (Status.STOPPING, Status.STOPPED)

    def attach(
        self,
        *,
        journal: Journal | None = None,
        events: EventBus | None = None,
        persistence: Persistence | None = None,
        limiters: Limiters | None = None,
    ) -> None:
        """Join an instance: take what its channels share. Before `start`."""
        self.journal = journal
        self.limiters = limiters or self.limiters
        self.events = events or self.events
        kept = persistence or journal
        for node in self.nodes():
            if kept is not None:
                node.persistence = kept
        for channel in self.subchannels():
            channel.attach(
                journal=journal,
                events=events,
                persistence=persistence,
                limiters=limiters,
            )

    async def start(self) -> None:
        """Start store, nodes and sub-channels, and take messages from now on.

        Messages that an earlier run accepted and did not settle run again first.
        """
        self._change(Status.STARTING)
        self._patience.renew()
        self._is_ending = False
        self._ended.clear()
        try:
            await self._start_parts()
            self._change(Status.WAITING)
            self._open()
            if self.has_source_enabled:
                await self.start_source()
        except BaseException:
            self._is_open = self._is_plain = False
            self._change(Status.STOPPING)
            await self._stop_parts()
            raise

    async def _start_parts(self) -> None:
        await self._start_store()
        for step in self.steps:
            if isinstance(step, BaseNode) and not step.is_replaced:
                await step.start()
                self._parts.push_async_callback(step.stop)
        for channel in self.subchannels():
            await channel.start()
            self._parts.push_async_callback(self._stop_sub_channel, channel)
        self._compile()
        if self.keep_order and self.journal is not None:
            await park_again(self.parkings, self.journal)

    def _open(self) -> None:
        self._is_open = True
        self._choose_way()
        if self.journal is not None:
            self._inlet = self._make_inlet(self.journal)
            self._inlet.recover()

    async def stop(self) -> None:
        """Take no more messages, finish those in flight, stop the parts.

        What is not settled after `drain_timeout` stays in the journal and runs
        again at the next start. Stopping a stopped channel does nothing.
        """
        await self._stop_by(asyncio.get_running_loop().time() + self.drain_timeout)

    async def abort(self) -> None:
        """Stop at once, also where a `stop` is under way: nothing is drained.

        What is accepted and not settled runs again at the next start. Parts that
        do not stop within a second are left. Cancelling `stop` does the same. Who
        starts a channel cancels that instead.
        """
        if self._status in (Status.STOPPED, Status.STARTING):
            return
        self._patience.end()
        await self._stop_by(0.0)
        await self._ended.wait()

    async def _stop_by(self, deadline: float) -> None:
        if self._is_ending or self.is_stopped():
            return
        self._is_ending = True
        self._deadline = deadline
        try:
            if self.has_source_enabled:
                async with self._patience.step(None):
                    await self.stop_source()
        finally:
            self._is_open = self._is_plain = False
            self._change(Status.STOPPING)
            try:
                await self._drain_by(deadline)
            finally:
                await self._stop_parts()

    async def _drain_by(self, deadline: float) -> None:
        async with self._patience.step(deadline) as limit:
            await self.drain()
        if limit.expired():
            logger.warning(
                "%s: not settled in time; %d messages run again at the next start",
                self.name,
                self._inlet.in_memory if self._inlet else self._running,
            )

    async def _stop_sub_channel(self, channel: BaseChannel) -> None:
        # All of a channel has one limit, so that branches do not add up.
        await channel._stop_by(self._deadline)

    async def start_source(self) -> None:
        """Called at the end of `start`; begin here to receive messages."""
        return

    async def stop_source(self) -> None:
        """Called at the beginning of `stop`; receive no more messages."""
        return

    async def take_source_from(self, old: BaseChannel) -> bool:
        """Go on with the running source of a channel that this one replaces.

        Called before `old` is stopped. Where it is possible, nothing that comes
        between that and the start of this channel is missed.

        Returns:
            False where this channel has to begin anew.
        """
        return False

    async def drain(self) -> None:
        """Until all messages that came in are settled."""
        if self._fork_queue is not None:
            await self._fork_queue.drain()
        self._is_draining = True
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        self._is_draining = False
        if self._inlet is not None:
            await self._inlet.drain()

    async def _stop_parts(self) -> None:
        """Stop all that was started, in reverse; one that fails stops no other."""
        try:
            async with self._patience.step(None, GRACE) as limit:
                await self._close_parts()
            if limit.expired():
                logger.warning("%s: some parts did not stop in time", self.name)
        finally:
            self.give_up_waiting()
            self._change(Status.STOPPED)
            self._ended.set()

    async def _close_parts(self) -> None:
        inlet, self._inlet = self._inlet, None
        try:
            if inlet is not None:
                await inlet.close()
            if self._fork_queue is not None:
                await self._fork_queue.close()
        finally:
            await self._parts.aclose()

    async def _start_store(self) -> None:
        store = self.message_store
        if store is None:
            return
        if store.shares_journal:
            if self.journal is None:
                raise UsageError(
                    f"the store of channel {self.name!r} shares the journal; run the"
                    " channel in an engine, or give the store a path of its own"
                )
            store.attach(self.journal)
            self._recorder = JournalRecorder(self.name, self.journal)
        elif not store.keeps_nothing:
            self._recorder = StoreRecorder(self.name, store)
        await store.start()
        self._parts.push_async_callback(store.stop)

    def _make_inlet(self, journal: Journal) -> Inlet:
        return Inlet(
            self,
            journal,
            lanes=len(self._turns),
            lane_of=self._lane_of,
            window=self._window[0],
            window_bytes=self._window[1],
            retry=self._retry,
            observer=self.observer,
        )

    @property
    def keeps(self) -> bool:
        """Whether the journal is also the history of this channel."""
        return isinstance(self._recorder, JournalRecorder)

    @property
    def history(self) -> StoreRecorder | None:
        """Where messages are kept beside the journal, if they are."""
        recorder = self._recorder
        return recorder if isinstance(recorder, StoreRecorder) else None

    def is_in_progress(self, seq: int) -> bool:
        """Whether `run` works on this message of the journal."""
        recorder = self._recorder
        return isinstance(recorder, JournalRecorder) and seq in recorder.in_progress

    def _change(self, status: Status) -> None:
        old = self._status
        check_change(old, status)
        self._status = status
        self.events.fire(
            "channel.state", channel=self.name, old=old.label, new=status.label
        )
