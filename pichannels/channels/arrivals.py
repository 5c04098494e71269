"""What other instances send: accepted in order, and each event once in a window.

Whoever sends acknowledges to himself what we have told to be durable. What was on its
way when a link or a process ended comes again, and is known here by itself: samples of
which everything is the same, and other messages by their uuid and contents. That is
kept in the journal in the same commit as the message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from pichannels import codecs
from pichannels.channels.building import ChainBuilder
from pichannels.channels.inlet import Inlet
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    CodecError,
)
from pichannels.journal import Journal, Ticket
from pichannels.manifest import encode_manifest, sample_entries
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.patterns import matching
from pichannels.remote.entities import unpack
from pichannels.values import Sample

__all__ = [
    "PACKED",
    "Arrival",
    "Arrivals",
    "Seen",
    "UnpackStep",
    "let_unpack",
    "let_unpack_all",
]

logger: Final = logging.getLogger("pichannels.channels")

PACKED: Final = "application/x-pichannels-packed"
"""The type of a message that could not be read as it came."""

_DIGEST: Final = 8
_WHILE_PAUSED: Final = 0.25
# A sample may come again on purpose in the other lanes.
_ONCE: Final = ("live", "late", "repair")


class Receiver(Protocol):
    """What is needed of the channel that messages come to."""

    name: str

    @property
    def journal(self) -> Journal | None:
        """Where messages are durable, if there is one."""

    @property
    def is_ending(self) -> bool:
        """Whether it waits for nothing any more."""

    async def handle(self, msg: Message) -> Message: ...

    def way_in(self) -> Inlet:
        """Where messages are accepted.

        Raises:
            ChannelStopped: the channel takes no messages.
        """


class Arrival(NamedTuple):
    """One message on its way in.

    Attributes:
        data: as it was packed by who sends it, or read already.
        bookmark: the place behind it, where it has one.
    """

    data: bytes | Message
    bookmark: str = ""


class UnpackStep(BaseNode):
    """The first node: reads what could not be read when it came.

    So it is a dead letter with its reason, and a redrive reads it once that is mended.

    Raises:
        CodecError: it cannot be read.
    """

    def process(self, msg: Message) -> Message:
        if msg.content_type != PACKED:
            return msg
        found = unpack(msg.payload)
        if not isinstance(found, Message):
            raise CodecError(f"a {type(found).__name__} is no message")
        msg.content_type, msg.payload = found.content_type, found.payload
        msg.meta = {**msg.meta, **found.meta}
        return msg


def let_unpack(channel: ChainBuilder) -> None:
    """See to it that a channel can take what others send: its first node unpacks."""
    if not any(isinstance(step, UnpackStep) for step in channel.steps):
        step = UnpackStep(name="unpack")
        step.is_auto_named = True
        channel.add_first(step)


def let_unpack_all(channels: Iterable[ChainBuilder], names: Iterable[str]) -> None:
    """`let_unpack` for those whose name fits one of these, with `*` and `?`.

    Also where nothing is published: a redrive needs no instance that runs.
    """
    takes_messages = matching(names)
    for channel in channels:
        if takes_messages(channel.name):
            let_unpack(channel)


class Seen:
    """The newest events that have come, in memory and in the journal.

    Each message has a slot in the journal, which is used again when the window has
    moved on.

    Args:
        most: how many events are known.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: set[bytes] = set()
        self._entries: deque[tuple[int, list[bytes]]] = deque()
        self._free: list[int] = []
        self._slots = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, event: bytes) -> bool:
        return event in self._events

    async def restore(self, journal: Journal, namespace: str) -> None:
        """Begin with what an earlier run has kept."""
        found = await journal.saved(namespace)
        for slot, (turn, data) in sorted(found.items(), key=lambda each: each[1][0]):
            events = [data[n : n + _DIGEST] for n in range(0, len(data), _DIGEST)]
            self._turn = max(self._turn, turn)
            self._slots = max(self._slots, int(slot) + 1)
            self._put(int(slot), events)

    def add(self, events: list[bytes]) -> tuple[int, tuple[int, bytes]]:
        """Know these: the slot, and what to keep there."""
        slot = self._free.pop() if self._free else self._slots
        self._slots = max(self._slots, slot + 1)
        self._turn += 1
        self._put(slot, events)
        return slot, (self._turn, b"".join(events))

    def _put(self, slot: int, events: list[bytes]) -> None:
        self._events.update(events)
        self._entries.append((slot, events))
        while len(self._events) > self._most and len(self._entries) > 1:
            old, gone = self._entries.popleft()
            self._events.difference_update(gone)
            self._free.append(old)

    def discard(self, slot: int) -> None:
        """These were not kept."""
        for entry in self._entries:
            if entry[0] == slot:
                self._entries.remove(entry)
                self._events.difference_update(entry[1])
                self._free.append(slot)
                return


class Arrivals:
    """Takes what comes for a channel.

    Args:
        channel: whose messages they are.
        most: how many events are known, to leave out what comes twice.
        way: what the journal calls this way into the channel.

    Attributes:
        messages: how many were accepted.
        duplicates: how many events were left out, as they had come before.
        unreadable: how many messages could not be read, and went to a node that says
            so.
    """

    def __init__(self, channel: Receiver, most: int, way: str = "channel") -> None:
        self._channel = channel
        self._most = most
        self._place = f"{way}:{channel.name}"
        self._seen = Seen(most)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages = 0
        self.duplicates = 0
        self.unreadable = 0

    async def open(self) -> str:
        """Begin: the bookmark behind what came last, if there is one."""
        self._seen = Seen(self._most)
        self._turn = asyncio.Lock()
        journal = self._channel.journal
        if journal is None:
            return ""
        await self._seen.restore(journal, f"{self._place}:seen")
        return str(await journal.restore(self._place, "bookmark", ""))

    async def close(self) -> None:
        """End what is under way; it is accepted as a whole or comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def take(self, arrivals: Sequence[Arrival]) -> None:
        """Accept messages, in order; all of them are durable when it returns.

        Whoever gives up waiting leaves it to end: others who bring the same wait for
        that. Without a journal it returns when they are settled.

        Raises:
            ChannelStopped: the channel takes no messages.
            JournalError: some are not durable.
        """
        task = asyncio.create_task(
            self._take(arrivals), name=f"{self._channel.name}: arrivals"
        )
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.shield(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Who waited for it may have gone.
            task.exception()

    async def _take(self, arrivals: Sequence[Arrival]) -> None:
        async with self._turn:
            journal = self._channel.journal
            if journal is None:
                for each in arrivals:
                    await self._handled(each)
            else:
                await self._accepted(arrivals, journal)

    async def _accepted(self, arrivals: Sequence[Arrival], journal: Journal) -> None:
        waiting: list[tuple[Ticket, int]] = []
        try:
            for each in arrivals:
                accepted = await self._accept(each, journal)
                if accepted is not None:
                    waiting.append(accepted)
            for ticket, _ in waiting:
                await ticket.written()
                self.messages += 1
        except BaseException:
            for ticket, slot in waiting:
                if not ticket.is_done or ticket.error is not None:
                    self._seen.discard(slot)
            raise

    async def _accept(
        self, arrival: Arrival, journal: Journal
    ) -> tuple[Ticket, int] | None:
        msg = self._read(arrival.data)
        events = self._fresh(msg)
        if not events:
            return None
        lane = msg.meta["lane"] = _lane(msg)
        ticket = await self._channel.way_in().hand_over(
            msg, lane=lane, manifest=_manifest(msg.payload)
        )
        # Nothing may come between, so that all of it is in one commit.
        slot, kept = self._seen.add(events)
        journal.note(ticket, f"{self._place}:seen", str(slot), list(kept))
        if arrival.bookmark:
            journal.note(ticket, self._place, "bookmark", arrival.bookmark)
        return ticket, slot

    async def _handled(self, arrival: Arrival) -> None:
        """Process a message now; who sends it waits for that."""
        while True:
            msg = self._read(arrival.data)
            events = self._fresh(msg)
            if not events:
                return
            try:
                await self._channel.handle(msg)
            except ChannelPaused as exc:
                if self._channel.is_ending:
                    raise ChannelStopped(self._channel.name) from exc
                await asyncio.sleep(_WHILE_PAUSED)
                continue
            except ChannelStopped:
                raise
            except Exception as exc:
                # The channel has told it, and the next message comes.
                logger.debug("%s: a message failed: %s", self._channel.name, exc)
            self._seen.add(events)
            self.messages += 1
            return

    def _read(self, data: bytes | Message) -> Message:
        found = data if isinstance(data, Message) else self._unpacked(data)
        found.store_id = found.store_chan_name = None
        return found

    def _unpacked(self, data: bytes) -> Message:
        try:
            found = unpack(data)
        except CodecError as exc:
            return self._unread(data, exc)
        if isinstance(found, Message):
            return found
        error = CodecError(f"a {type(found).__name__} is no message")
        return self._unread(data, error)

    def _unread(self, data: bytes, error: CodecError) -> Message:
        self.unreadable += 1
        logger.warning("%s: a message cannot be read: %s", self._channel.name, error)
        msg = Message(PACKED, data)
        # The same one has the same name, so that it is known when it comes again.
        msg.uuid = blake2b(data, digest_size=16).hexdigest()
        return msg

    def _fresh(self, msg: Message) -> list[bytes]:
        """Leave out what has come before: the events that are new."""
        payload = msg.payload
        if not _is_batch(payload) or _lane(msg) not in _ONCE:
            event = _digest([msg.uuid, msg.content_type, payload, _lane(msg)])
            if event in self._seen:
                self.duplicates += 1
                return []
            return [event]
        events = [_digest(each) for each in payload]
        old = [event in self._seen for event in events]
        if any(old):
            self.duplicates += sum(old)
            pairs = zip(payload, events, old, strict=True)
            left = [(each, event) for each, event, is_old in pairs if not is_old]
            msg.payload = [each for each, _ in left]
            return [event for _, event in left]
        return events


def _is_batch(payload: Any) -> bool:
    return type(payload) is list and bool(payload) and type(payload[0]) is Sample


def _manifest(payload: Any) -> bytes | None:
    """What samples are in it, so that they are found by their tags."""
    if not _is_batch(payload):
        return None
    return encode_manifest(sample_entries(payload))


def _digest(value: Any) -> bytes:
    return blake2b(codecs.encode(value), digest_size=_DIGEST).digest()


def _lane(msg: Message) -> str:
    lane = msg.meta.get("lane")
    return lane if isinstance(lane, str) and lane else "live"
