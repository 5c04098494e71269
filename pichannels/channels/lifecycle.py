"""The life of a channel: it starts, pauses, stops, and its parts with it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pichannels import clock
from pichannels.channels import kept_pauses
from pichannels.channels.answering import Answering
from pichannels.channels.forking import ForkQueue
from pichannels.channels.gate import Gate
from pichannels.channels.inlet import Inlet
from pichannels.channels.parking import park_again
from pichannels.channels.patience import Patience
from pichannels.channels.processing import Key
from pichannels.channels.recording import JournalRecorder, StoreRecorder
from pichannels.channels.store_start import StoreStart
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import PauseChannel, TryAgain, UsageError
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.lifecycle import Status, check_change
from pichannels.message import Message
from pichannels.persistence import Persistence
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.states import State
from pichannels.store import MessageStore
from pichannels.tracing import Tracer
from pichannels.values import TICKS_PER_SECOND

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel
    from pichannels.piwebasync.limiting import Limiters

__all__ = ["Lifecycle"]

logger: Final = logging.getLogger("pichannels.channels")

GRACE: Final = 1.0
"""Seconds that the parts of an aborted channel have to stop."""

_PAUSE: Final = 1.0
"""Seconds of a pause that nobody has given a length."""


class Lifecycle(Answering):
    """The living half of a channel."""

    message_store: MessageStore | None

    def __init__(
        self,
        parent_channel: BaseChannel | None,
        lanes: int,
        key: Key | None,
        raise_dropped: bool,
        *,
        window: tuple[int, int],
        retry: RetryPolicy | None,
        drain_timeout: float,
        store_only: bool,
    ) -> None:
        gate = Gate(parent_channel.gate if parent_channel else None)
        super().__init__(lanes, key, raise_dropped, gate)
        self.parent = parent_channel
        if parent_channel is not None:
            self.events = parent_channel.events
        self.drain_timeout = drain_timeout
        self.store_only = store_only
        self.has_source_enabled = True
        self.journal: Journal | None = None
        self.limiters: Limiters | None = None
        self._window = window
        self._retry = retry or RetryPolicy(attempts=0)
        self._inlet: Inlet | None = None
        self._fork_queue: ForkQueue | None = None
        self._store_start: StoreStart | None = None
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
        self.gate.listen(self._gate_changed)

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

    @property
    def is_store_waiting(self) -> bool:
        """Whether nothing is processed until a message store of it can be reached."""
        own = self._store_start is not None and self._store_start.is_waiting
        return own or any(each.is_store_waiting for each in self.subchannels())

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
        tracer: Tracer | None = None,
    ) -> None:
        """Join an instance: take what its channels share. Before `start`."""
        self.journal = journal
        self.limiters = limiters or self.limiters
        self.tracer = tracer or self.tracer
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
                tracer=tracer,
            )

    async def start(self) -> None:
        """Start store, nodes and sub-channels, and take messages from now on.

        Messages that an earlier run accepted and did not settle run again first. A
        channel that was paused on command starts paused.

        Raises:
            UsageError: it only stores, and has no journal for that.
            Exception: whatever a part does not start for.
        """
        self._change(Status.STARTING)
        self._patience.renew()
        self._is_ending = False
        self._ended.clear()
        try:
            await self._begin_paused_or_not()
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

    async def _begin_paused_or_not(self) -> None:
        await kept_pauses.restore_sinks(self.journal, self.own_nodes())
        if self.parent is not None:
            return
        if self.store_only and self.journal is None:
            raise UsageError(
                f"channel {self.name!r} only stores, and has no journal for that; run"
                " it in an engine, or call attach(journal=...) before start()"
            )
        is_kept = await kept_pauses.is_kept(self.journal, self._kept_at)
        self.gate.hold(self.store_only or is_kept)

    async def _start_parts(self) -> None:
        await self._start_store()
        for node in self.own_nodes():
            if not node.is_replaced:
                await node.start()
                self._parts.push_async_callback(node.stop)
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
        self._gate_changed()

    async def stop(self) -> None:
        """Take no more messages, finish those in flight, stop the parts.

        What is not settled after `drain_timeout` stays in the journal and runs
        again at the next start. Stopping a stopped channel does nothing.
        """
        await self._stop_by(asyncio.get_running_loop().time() + self.drain_timeout)

    async def restart(self) -> None:
        """`stop`, then `start`."""
        await self.stop()
        await self.start()

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
        with kept_pauses.held_up(self.nodes(), self.gate) as latest:
            await self._end_by(min(deadline, latest))

    async def _end_by(self, deadline: float) -> None:
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

    # Pausing

    async def pause(self) -> None:
        """Process nothing more, but go on receiving, until `resume`.

        Messages that are being processed are finished. Those that come are stored in
        the journal, up to its budget, and `handle` and `run` raise `ChannelPaused`;
        without a journal they are refused so. A channel with a journal remembers it:
        it starts paused, too, after a restart of the instance.

        Raises:
            JournalError: the journal cannot keep it; the channel is paused all the
                same.
            UsageError: a sub-channel; it pauses with its parent.
        """
        self._refuse_part()
        self.gate.hold()
        await kept_pauses.keep(self.journal, self._kept_at, True)

    async def resume(self) -> None:
        """Process what was stored while the channel was paused, and go on.

        Where a node has paused the channel (`PauseChannel`), that goes on.

        Raises:
            JournalError: the journal cannot keep it; the channel goes on all the same.
            UsageError: a sub-channel.
        """
        self._refuse_part()
        self.gate.hold(False)
        await kept_pauses.keep(self.journal, self._kept_at, False)

    async def try_again(self) -> None:
        """Try now what waits for another attempt, and what pauses the channel.

        Returns when all that was accepted is settled, or something has failed once
        more; at once in a channel that is paused on command, or does not run.
        """
        self.gate.end()
        if self._inlet is not None:
            await self._inlet.try_again()

    def _refuse_part(self) -> None:
        if self.parent is not None:
            raise UsageError(f"{self.name!r} runs as a part of {self.root.name!r}")

    @property
    def _kept_at(self) -> str:
        return f"channel:{self.name}"

    def _gate_changed(self) -> None:
        if self._status in (Status.WAITING, Status.PAUSED):
            self._choose_way()
            status = Status.PAUSED if self.gate.is_closed else Status.WAITING
            if status is not self._status:
                self._change(status)

    async def _store_for_later(self, msg: Message) -> bool:
        if self._inlet is None:
            return False
        lane = msg.meta.setdefault("lane", "live")
        await self._inlet.accept(msg, lane=lane if isinstance(lane, str) else "live")
        return True

    def _is_put_back(self, delivery: Delivery, outcome: Outcome) -> bool:
        # What comes by a branch is a part of another message.
        has_way = self.branch is None and self._inlet is not None and self.keeps
        return has_way and isinstance(outcome.error, PauseChannel)

    async def _put_back(self, delivery: Delivery, error: PauseChannel) -> None:
        self._interrupted(error)
        assert self._inlet is not None
        await self._inlet.adopt(delivery.seq)

    def _interrupted(self, error: PauseChannel) -> None:
        # Where it is a part of a message, that tells it for the whole.
        if self.parent is None and self._is_open:
            delay = self._retry.delay(0, error)
            self.gate.close_for(_PAUSE if delay is None else delay)

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
        """Until all messages that came in are settled.

        In a paused channel, until those on their way are; the others are stored.
        """
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
        self.gate.end()
        inlet, self._inlet = self._inlet, None
        try:
            if inlet is not None:
                await inlet.close()
            for node in self.own_nodes():
                node.give_up_pause()
            if self._fork_queue is not None:
                await self._fork_queue.close()
            await self._endings.close()
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
        gate = self.root.gate
        self._store_start = StoreStart(self.name, store, gate, self.events)
        self._parts.push_async_callback(self._store_start.stop)
        await self._store_start.start(may_wait=self.journal is not None)

    def retry_delay(self, delivery: Delivery, outcome: Outcome) -> float | None:
        """Seconds until a message runs again after this; None: it is given up."""
        error = outcome.error
        if outcome.state is not State.ERROR or not isinstance(error, TryAgain):
            return None
        whole = self.root
        assert isinstance(whole, Lifecycle)
        return whole._retry.delay(delivery.attempts, error)

    def _make_inlet(self, journal: Journal) -> Inlet:
        return Inlet(
            self,
            journal,
            lanes=len(self._turns),
            lane_of=self._lane_of,
            window=self._window[0],
            window_bytes=self._window[1],
            retry=self._retry,
            gate=self.gate,
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
