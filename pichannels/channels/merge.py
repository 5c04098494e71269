"""The channel whose sources are other channels: one chain for what comes to several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple

from pichannels.channels.base import BaseChannel
from pichannels.channels.gate import Gate
from pichannels.channels.recording import JournalRecorder, Recorder
from pichannels.delivery import Delivery, Hold, Outcome
from pichannels.errors import PauseChannel, SettingsError
from pichannels.journal import Journal, Record
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.states import State

__all__ = ["MergeChannel"]

_WHOLE: Final = "part_of"
"""The fact that says by its number which message of an input a message came of."""


class _Into(BaseNode):
    """The last step of an input."""

    def __init__(self, channel: MergeChannel) -> None:
        super().__init__(name=channel.short_name)
        self._into = channel

    async def process(self, msg: Message) -> Message:
        return await self._into.follow(msg)


class MergeChannel(BaseChannel):
    """Runs the messages of several channels through one chain, one at a time.

    Each input keeps its source, its name and its place in the journal, and may have
    nodes of its own, which come first. What the merge channel makes of a message is
    the answer of the input: an `HttpChannel` answers with it. Inputs start after the
    merge channel and stop before it; they are not listed in the project themselves.

    What a crash interrupts is run again by the input, as a whole: where its nodes
    make several messages of one, those that were settled come again too, with the same
    event ids.

    Args:
        args: the name, and what every channel takes.
        chans: the channels whose messages come here.
        kwargs: those of every channel.

    Raises:
        SettingsError: there are no inputs, or one cannot be one.
    """

    def __init__(self, *args: Any, chans: Sequence[BaseChannel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.inputs: list[BaseChannel] = list(_several(chans))
        self._opened = asyncio.Event()
        self._settling: set[asyncio.Task[None]] = set()
        if not self.inputs:
            raise SettingsError("there are none", key="chans", allowed="channels")
        for each in self.inputs:
            _check_input(each)
            self._join(each)

    def _join(self, channel: BaseChannel) -> None:
        channel.parent = self
        channel.events = self.events
        channel.has_source_enabled = False
        channel.gate = Gate(self.gate)
        channel.gate.listen(channel._gate_changed)
        channel._patience = self._patience

    @property
    def origin(self) -> str:
        return ", ".join(f"{each.name}{_in_brackets(each)}" for each in self.inputs)

    @property
    def is_ready(self) -> bool:
        """Whether all inputs are."""
        return all(each.is_ready for each in self.inputs)

    def statistics(self) -> dict[str, Any]:
        """How many inputs there are; each has statistics of its own."""
        return {"inputs": len(self.inputs)}

    def subchannels(self) -> list[BaseChannel]:
        """The sub-channels of all branches, and the inputs."""
        return [*super().subchannels(), *self.inputs]

    async def start(self) -> None:
        self._opened = asyncio.Event()
        for each in self.inputs:
            # Only now: nodes may be added up to here.
            if not any(isinstance(step, _Into) for step in each.steps):
                each.add(_Into(self))
        if self.journal is not None:
            await self._forget_interrupted(self.journal)
        await super().start()

    async def _forget_interrupted(self, journal: Journal) -> None:
        """Leave what was interrupted to its input, which runs all of it again.

        The input may have made several messages of one, each of which is here.
        """
        own: dict[int | str, list[int]] = {}
        async for record in _unsettled(journal, self.name):
            whole = record.meta.get(_WHOLE, record.uuid)
            own.setdefault(whole, []).append(record.seq)
        last = max((seq for found in own.values() for seq in found), default=0)
        for each in self.inputs:
            async for record in _unsettled(journal, each.name):
                if not own or record.seq > last:
                    break
                for whole in (record.seq, record.uuid):
                    for seq in own.pop(whole, ()):
                        journal.delete(seq)

    def _open(self) -> None:
        super()._open()
        self._parts.push_async_callback(self._end_settling)
        # What an earlier run left in the inputs may go on now.
        self._opened.set()

    async def start_source(self) -> None:
        try:
            for each in self.inputs:
                await each.start_source()
                each.has_source_enabled = True
        except BaseException:
            await self.stop_source()
            raise

    async def stop_source(self) -> None:
        running = [each for each in self.inputs if each.has_source_enabled]
        for each in running:
            each.has_source_enabled = False
        stopping = [each.stop_source() for each in running]
        for failed in await asyncio.gather(*stopping, return_exceptions=True):
            if failed is not None:
                raise failed

    async def _close_parts(self) -> None:
        # First, as what they give still needs the parts of this channel.
        for each in self.inputs:
            await self._stop_sub_channel(each)
        await super()._close_parts()

    async def drain(self) -> None:
        for each in self.inputs:
            await each.drain()
        await super().drain()

    async def _end_settling(self) -> None:
        await asyncio.gather(*self._settling, return_exceptions=True)

    # Messages

    async def follow(self, msg: Message) -> Message:
        """Run a message of an input through the chain, in turn: its result.

        Raises whatever a node raises.
        """
        await self._opened.wait()
        parent: Delivery = msg.delivery
        self._running += 1
        try:
            outcome = await self._run_one(msg, parent)
        finally:
            self._leave()
            msg.delivery = parent
        if outcome.error is not None:
            parent.noted = outcome.error
            parent.failed_at = outcome.node
            raise outcome.error
        outcome.message.delivery = parent
        return outcome.message

    async def _run_one(self, msg: Message, parent: Delivery) -> Outcome:
        if self._recorder is None:
            outcome = await self.attempt(msg, parent)
            if _runs_again(parent, outcome):
                self._pause_for(outcome)
            elif outcome.error is None:
                self.processed += 1
            else:
                self._count(outcome.state)
            return outcome
        record = _Record(self._recorder, Delivery(), parent, parent.hold())
        record.delivery.again = lambda _, outcome: _runs_again(parent, outcome)
        try:
            await self._admit(record, msg)
            outcome = await self.attempt(msg, record.delivery)
            if _runs_again(parent, outcome):
                await self._withdraw(record)
        except BaseException:
            record.recorder.leave(record.delivery)
            record.hold.release()
            raise
        if _runs_again(parent, outcome):
            record.recorder.leave(record.delivery)
            record.hold.release()
            self._pause_for(outcome)
            return outcome
        # The input goes on with the next one while sinks have yet to acknowledge.
        record.delivery.on_settled(lambda delivery: self._record(record, outcome))
        record.delivery.end(outcome)
        return outcome

    async def _admit(self, record: _Record, msg: Message) -> None:
        recorder, journal = record.recorder, self.journal
        is_durable = record.parent.seq > 0
        if not is_durable or journal is None or type(recorder) is not JournalRecorder:
            return await recorder.admit(msg, record.delivery)
        if journal.is_full:
            await journal.room()
        # The input has it already: nobody need wait until it is written once more.
        ticket = journal.append(self.name, msg)
        # In the same commit: after a crash it is known who runs it again.
        journal.settle(ticket.seq, State.PROCESSING, {_WHOLE: record.parent.seq})
        record.delivery.seq = ticket.seq
        recorder.in_progress.add(ticket.seq)
        msg.store_id = str(ticket.seq)
        msg.store_chan_name = self.name

    async def _withdraw(self, record: _Record) -> None:
        """Keep nothing of an attempt: the input has the message, and tries again."""
        delivery = record.delivery
        if delivery.seq and self.journal is not None:
            self.journal.delete(delivery.seq)
        elif delivery.store_id is not None and self.message_store is not None:
            await self.message_store.delete(delivery.store_id)

    def _pause_for(self, outcome: Outcome) -> None:
        if isinstance(outcome.error, PauseChannel):
            self._interrupted(outcome.error)

    def _record(self, record: _Record, outcome: Outcome) -> None:
        final = self.finish(record.delivery, outcome)
        if final.sample_errors:
            # What they were is said in the store of this channel.
            record.parent.set_aside(self.name, {}, final.sample_errors)
        if final.state in (State.ERROR, State.REJECTED) and final.error is not None:
            record.parent.fail(final.error, self)
        settled = record.recorder.settle(record.delivery, final)
        record.recorder.leave(record.delivery)
        if settled is None:
            return record.hold.release()

        async def keep() -> None:
            try:
                await settled
            finally:
                record.hold.release()

        task = asyncio.create_task(keep(), name=f"{self.name}: history")
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


class _Record(NamedTuple):
    """What is noted of a message: here, and for the input that it came from."""

    recorder: Recorder
    delivery: Delivery
    parent: Delivery
    hold: Hold


async def _unsettled(journal: Journal, channel: str) -> AsyncIterator[Record]:
    """What is unsettled of a channel, oldest first."""
    after = 0
    while journal.count_unsettled(channel):
        records = await journal.unsettled(channel, after)
        if not records:
            return
        for record in records:
            yield record
        after = records[-1].seq


def _runs_again(parent: Delivery, outcome: Outcome) -> bool:
    """Whether an input runs the message again after this."""
    if outcome.error is None or parent.again is None:
        return False
    return parent.again(parent, outcome)


def _in_brackets(channel: BaseChannel) -> str:
    where = channel.origin or type(channel).__name__
    return f" ({where})"


def _several(found: Any) -> Sequence[BaseChannel]:
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise SettingsError(
            "this is no list",
            key="chans",
            found=type(found).__name__,
            allowed="a list of channels",
        )
    return found


def _check_input(channel: Any) -> None:
    if not isinstance(channel, BaseChannel):
        raise SettingsError(
            "only channels can be merged",
            key="chans",
            found=type(channel).__name__,
            allowed="channels",
        )
    if channel.parent is not None:
        raise SettingsError(
            f"channel {channel.name!r} is a part of {channel.parent.name!r} already",
            key="chans",
        )
