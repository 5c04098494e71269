"""The channel: a chain of nodes with a store, and the ways into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pichannels.channels.branches import Branch
from pichannels.channels.forking import ForkQueue
from pichannels.channels.inlet import Inlet
from pichannels.channels.lifecycle import Lifecycle
from pichannels.channels.processing import Key
from pichannels.channels.special import PHASES
from pichannels.checks import options_of
from pichannels.errors import ChannelStopped, UsageError, nearest
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.states import Entry, replayed
from pichannels.store import MessageStoreFactory

__all__ = ["BaseChannel"]


class BaseChannel(Lifecycle):
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
        store_only: start paused each time: what comes is stored, and nothing is
            processed before `resume`.
        wait_subchans: whether `handle` and `run` wait for the copies that go into
            forks. If not, they give the result before; the message is settled, and
            its state stored, when the copies have ended. A sub-channel does as its
            parent does.
        verbose_name: for people, in `status`; by default the name.

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
        store_only: bool = False,
        wait_subchans: bool | None = None,
        verbose_name: str | None = None,
        **unknown: object,
    ) -> None:
        for option in unknown:
            hint = nearest(option, options_of(type(self)))
            raise UsageError(f"{type(self).__name__} has no option {option!r}{hint}")
        super().__init__(
            parent_channel,
            lanes,
            key,
            raise_dropped,
            window=(window, window_bytes),
            retry=retry,
            drain_timeout=drain_timeout,
            store_only=store_only,
        )
        self.short_name = name or type(self).__name__
        self.is_auto_named = name is None
        above = f"{parent_channel.name}." if parent_channel else ""
        self.name = above + self.short_name
        self.verbose_name = verbose_name or self.name
        self.keep_order = keep_order
        above_waits = parent_channel.wait_subchans if parent_channel else True
        self.wait_subchans = above_waits if wait_subchans is None else wait_subchans
        self.message_store_factory = message_store_factory
        self.message_store = (
            message_store_factory.get_store(self.name)
            if message_store_factory
            else None
        )
        self.steps: list[BaseNode | Branch] = []
        self.special = {phase: [] for phase in PHASES}

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
        await self.way_in().accept(msg, lane=lane, manifest=manifest)

    def way_in(self) -> Inlet:
        """Where messages are accepted, for sources of our own.

        Raises:
            ChannelStopped: the channel takes no messages.
            UsageError: the channel has no journal.
        """
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
