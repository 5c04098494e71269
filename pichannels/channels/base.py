"""The channel: a chain of nodes with a store, and the ways into it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pichannels import clock
from pichannels.channels.branches import Branch
from pichannels.channels.forking import ForkQueue
from pichannels.channels.inlet import Inlet
from pichannels.channels.parking import park_again
from pichannels.channels.patience import Patience
from pichannels.channels.processing import Key, Processing
from pichannels.channels.recording import JournalRecorder, StoreRecorder
from pichannels.checks import options_of
from pichannels.errors import ChannelStopped, UsageError, nearest
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.lifecycle import Status, check_change
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.persistence import Persistence
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.states import Entry, replayed
from pichannels.store import MessageStore, MessageStoreFactory
from pichannels.values import TICKS_PER_SECOND

if TYPE_CHECKING:
    from pichannels.piwebasync.limiting import Limiters

__all__ = ["BaseChannel"]

logger: Final = logging.getLogger("pichannels.channels")

GRACE: Final = 1.0
"""Seconds that the parts of an aborted channel have to stop."""


class BaseChannel(Processing):
    """A chain of nodes that messages run through; other channels add a source.

    Args:
        name: unique in the project; commands and tests find the channel by it.
        parent_channel: for sub-channels only; `fork`, `when` and `case` set it.
        loop: None, or the running event loop.
        message_store_factory: makes the store that keeps the messages; without one
            nothing is kept beyond what the journal needs.
        lanes: how many messages may be processed at the same time. One lane keeps
            the order of all messages, and a node that takes 20 ms then gives 50
            messages a second.
        key: with more lanes, a function of the message: messages with equal keys
            stay in order.
        window: how many accepted messages may be unsettled in memory.
        window_bytes: how many bytes of them.
        retry: when an accepted message runs again after `RetryLater` and the like.
        drain_timeout: seconds that `stop` waits for messages in flight.
        raise_dropped: let `handle` raise `Dropped` instead of returning the message.
        keep_order: park the tag of a sample that fails for good at that node, so that
            nothing of it follows before a redrive has settled it; see `parking`.

    Raises:
        UsageError: an option that the channel does not have.
    """

    def __init__(
        self,
        name: str | None = None,
        parent_channel: BaseChannel | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        message_store_factory: MessageStoreFactory | None = None,
        *,
        lanes: int = 1,
        key: Key | None = None,
        window: int = 5000,
        window_bytes: int = 8 * 2**20,
        retry: RetryPolicy | None = None,
        drain_timeout: float = 10.0,
        raise_dropped: bool = False,
        keep_order: bool = False,
        **unknown: object,
    ) -> None:
        for option in unknown:
            hint = nearest(option, options_of(type(self)))
            raise UsageError(f"{type(self).__name__} has no option {option!r}{hint}")
        super().__init__(lanes, key, raise_dropped)
        self.parent = parent_channel
        if parent_channel is not None:
            self.events = parent_channel.events
        self.short_name = name or type(self).__name__
        self.is_auto_named = name is None
        above = f"{parent_channel.name}." if parent_channel else ""
        self.name = above + self.short_name
        self.keep_order = keep_order
        self.drain_timeout = drain_timeout
        self.has_source_enabled = True
        self.message_store_factory = message_store_factory
        self.message_store: MessageStore | None = (
            message_store_factory.get_store(self.name)
            if message_store_factory
            else None
        )
        self.journal: Journal | None = None
        self.limiters: Limiters | None = None
        self.steps: list[BaseNode | Branch] = []
        self._window = (window, window_bytes)
        self._retry = retry or RetryPolicy(attempts=0)
        self._inlet: Inlet | None = None
        self._fork_queue: ForkQueue | None = None
        self._parts = AsyncExitStack()
        self._deadline = 0.0
        # All of a channel ends together.
        self._patience: Patience = (
            parent_channel._patience if parent_channel else Patience()
        )
        self._is_ending = False
        self._ended = asyncio.Event()
        self._ended.set()
        self._status = Status.STOPPED

    # Lifecycle

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

    def make_sub_channel(
        self, name: str, factory: MessageStoreFactory | None
    ) -> BaseChannel:
        """A channel whose parent is this one."""
        return BaseChannel(
            name,
            self,
            message_store_factory=factory,
            drain_timeout=self.drain_timeout,
        )

    # Ways in

    async def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> None:
        """Take the message over: returns as soon as it is durable in the journal.

        It is processed in its turn, and again after a crash, until it is settled.

        Args:
            msg: belongs to the channel from now on.
            lane: `live late repair correction delete replay`, for `meta["lane"]`.
            manifest: what samples are in it (`pichannels.journal.encode_manifest`).

        Raises:
            ChannelStopped: the channel takes no messages.
            CodecError: the message cannot be encoded; it was not accepted.
            JournalError: it could not be made durable; it was not accepted.
            UsageError: the channel has no journal.
        """
        msg.meta["lane"] = lane
        await self._way_in().accept(msg, lane=lane, manifest=manifest)

    def _way_in(self) -> Inlet:
        if not self._is_open:
            raise ChannelStopped(self.name)
        if self._inlet is None:
            raise UsageError(
                f"channel {self.name!r} has no journal to accept messages into; run"
                " it in an engine, or call attach(journal=...) before start()"
            )
        return self._inlet

    def handle_and_wait(self, msg: Message) -> Message:
        """`handle` for code without an event loop; mainly for tests.

        Raises:
            UsageError: an event loop is running; await `handle` there.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise UsageError(
                "an event loop is running: use `await channel.handle(msg)`"
            )
        return asyncio.run(self._start_and_handle(msg))

    async def _start_and_handle(self, msg: Message) -> Message:
        if not self.is_stopped():
            return await self.handle(msg)
        await self.start()
        try:
            return await self.handle(msg)
        finally:
            await self.stop()

    async def replay(self, msg_id: str) -> Message:
        """Process a stored message again, as a new message marked as a replay.

        Raises:
            MessageNotFound: the store has no such message.
            UsageError: the channel has no store.
        """
        return await self.handle(replayed(await self.stored(msg_id)))

    async def stored(self, msg_id: str) -> Entry:
        """The message with this id in the channel's store.

        Raises:
            MessageNotFound: the store has no such message.
            UsageError: the channel has no store.
        """
        if self.message_store is None:
            raise UsageError(f"channel {self.name!r} has no message store")
        return await self.message_store.get(msg_id)

    def fullpath(self) -> str:
        """The dotted name, as nodes have one."""
        return self.name

    def fork_off(self, required: bool) -> Callable[[Message], Any]:
        """What the chain of the parent calls to give this fork its copies."""
        if self._fork_queue is None:
            self._fork_queue = ForkQueue(self, required)
        return self._fork_queue.step()

    def inlet_if_durable(self) -> Inlet | None:
        """The way in, where an accepted copy is as good as processed."""
        return self._inlet if self.keeps else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.status.label}>"
