"""The side of the journal that is in the event loop: what waits to be written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pichannels import clock, codecs
from pichannels.errors import CodecError, JournalError, UsageError
from pichannels.journal.batch import Batch, Report, Settlement, Ticket, conclude
from pichannels.journal.opening import Known
from pichannels.journal.room import Room
from pichannels.journal.schema import CODES
from pichannels.journal.writer import Writer
from pichannels.message import Message
from pichannels.metrics import Histogram
from pichannels.states import State

__all__ = ["Intake"]

_ROWS: Final = 8_192
_BYTES: Final = 32 * 2**20
_LARGEST: Final = 512 * 2**20
# What a message takes in the file beside its payload, roughly.
_OVERHEAD: Final = 80
_PATIENCE: Final = 0.02
_WAIT_FOR_WRITER, _WAIT_FOR_DISK = 0.005, 0.001
_MIN, _MAX = -(2**63), 2**63 - 1
_TELL_EVERY: Final = 60.0
"""Seconds between two times that it is told that there is no room, at least."""

logger: Final = logging.getLogger("pichannels.journal")


class Intake:
    """Gathers what is handed over, gives it to the writer, and keeps count.

    What is handed over in one step of the loop goes to the writer as one batch.
    """

    def __init__(self, writer: Writer, known: Known, budget: int) -> None:
        self._writer = writer
        self._budget = budget
        self._loop = asyncio.get_running_loop()
        self._next = known.last_seq + 1
        self._channels = {name: id_ for id_, name in known.channels.items()}
        self._unsettled = known.unsettled
        self._lanes: set[str] = set()
        self._unwritten: dict[tuple[str, str], bytes | None] = {}
        self._batch: Batch | None = None
        self._in_flight: dict[Batch, float] = {}
        self._is_watching = self._is_failing = self._is_closed = False
        self.room = Room(lambda: self.is_full)
        self._tell_at = 0.0
        self.rows = self.bytes = 0
        self.used = writer.segments.used
        self.file_bytes = 0
        self.commits = self.committed = self.failures = 0
        self.last_commit = self.worst_commit = 0.0
        self.commit_seconds = Histogram()
        self.last_error = ""
        self._ended = writer.start(self._loop, self._take_reports)

    async def close(self) -> None:
        """Take no more, and wait until all that was taken has been tried."""
        self._is_closed = True
        self.room.close(self._closed())
        self._hand_over()
        self._writer.stop()
        await self._ended
        for saver in self._writer.abandoned:
            conclude(saver, JournalError(f"{self._writer.path} could not be written"))

    def _closed(self) -> JournalError:
        return JournalError(f"{self._writer.path} is not open")

    @property
    def is_full(self) -> bool:
        """See `Journal.is_full`."""
        return (
            self.rows >= _ROWS
            or self.bytes >= _BYTES
            or self.used + self.bytes >= self._budget
            or self._is_failing
        )

    async def wait_for_room(self) -> None:
        """See `Journal.room`; tells in the log where the budget is used up."""
        if self.used + self.bytes >= self._budget:
            now = clock.monotonic()
            if now >= self._tell_at:
                self._tell_at = now + _TELL_EVERY
                logger.warning(
                    "%s: its budget of %s bytes is used up; nothing more is taken until"
                    " messages are settled",
                    self._writer.path,
                    f"{self._budget:,}",
                )
        await self.room.wait()

    @property
    def is_idle(self) -> bool:
        """Whether everything has been tried."""
        return self._batch is None and not self._in_flight

    @property
    def lag(self) -> float:
        """Seconds that the oldest thing handed over has waited."""
        oldest = next(iter(self._in_flight.values()), None)
        return 0.0 if oldest is None else clock.monotonic() - oldest

    @property
    def last_seq(self) -> int:
        """The highest number given out."""
        return self._next - 1

    def append(
        self, channel: str, msg: Message, lane: str, manifest: bytes | None, keep: bool
    ) -> Ticket:
        """See `Journal.append`."""
        data = msg.encode()
        uuid, ticks = msg.uuid, msg.ticks
        if lane not in self._lanes:
            self._add_lane(lane)
        if type(uuid) is not str or not uuid.isascii():
            _check_text("uuid", uuid)
        if type(ticks) is not int or not _MIN <= ticks <= _MAX:
            raise CodecError(f"timestamp {ticks!r} is out of range")
        size = len(data) + _OVERHEAD + (0 if manifest is None else len(manifest))
        _check_size(size)
        batch = self._batch or self._begin()
        channel_id = self._channels.get(channel) or self._add_channel(channel)
        seq = self._next
        self._next = seq + 1
        ticket = Ticket(seq, channel_id, size)
        batch.tickets.append(ticket)
        batch.rows += (seq, channel_id, lane, ticks, uuid, keep, size)
        batch.bodies += (seq, data, manifest)
        if manifest is not None:
            batch.manifests.append((seq, ticks, manifest))
        batch.bytes += size
        self.rows += 1
        self.bytes += size
        self._unsettled[channel_id] = self._unsettled.get(channel_id, 0) + 1
        return ticket

    def settle(
        self, seq: int, state: State | None, meta: Mapping[str, Any] | None
    ) -> None:
        """See `Journal.settle`; without a state that stays as it is."""
        data = attempts = None
        if meta is not None:
            data = codecs.encode(dict(meta))
            _check_size(len(data))
            attempts = meta.get("attempts")
            if type(attempts) is not int or not 0 <= attempts <= _MAX:
                attempts = None
        code = None if state is None else CODES[state]
        batch = self._batch or self._begin()
        before = len(batch.settled)
        batch.settle(seq, Settlement(code, data, attempts))
        self.rows += len(batch.settled) - before

    def delete(self, seq: int) -> None:
        """See `Journal.delete`."""
        (self._batch or self._begin()).deleted.append(seq)
        self.rows += 1

    def save(
        self, namespace: str, key: str, value: Any, settle: Sequence[int]
    ) -> asyncio.Future[None]:
        """See `Journal.save`."""
        _check_text("namespace", namespace)
        _check_text("key", key)
        data = codecs.encode(value)
        _check_size(len(data))
        return self._keep(namespace, key, data, settle)

    def forget(self, namespace: str, key: str) -> asyncio.Future[None]:
        """See `Journal.forget`."""
        return self._keep(namespace, key, None, ())

    def _keep(
        self, namespace: str, key: str, data: bytes | None, settle: Sequence[int]
    ) -> asyncio.Future[None]:
        batch = self._batch or self._begin()
        self.rows += (namespace, key) not in batch.saved
        self.rows -= batch.noted.pop((namespace, key), None) is not None
        batch.saved[namespace, key] = self._unwritten[namespace, key] = data
        for seq in settle:
            self.settle(seq, State.PROCESSED, None)
        saver: asyncio.Future[None] = self._loop.create_future()
        batch.savers.append(saver)
        return saver

    def note(self, ticket: Ticket, namespace: str, key: str, value: Any) -> None:
        """See `Journal.note`."""
        batch = self._batch
        if batch is None or not batch.tickets or batch.tickets[-1] is not ticket:
            raise UsageError("only the message appended just now takes a note along")
        _check_text("namespace", namespace)
        _check_text("key", key)
        data = codecs.encode(value)
        self.rows += (namespace, key) not in batch.noted
        batch.noted[namespace, key] = data

    def unwritten(self, namespace: str) -> dict[str, bytes | None]:
        """What was saved last, or forgotten (None), while it is not in the file."""
        return {key: v for (n, key), v in self._unwritten.items() if n == namespace}

    def barrier(self, wants_tags: bool = False) -> asyncio.Future[None]:
        """Done when all that was handed over before is written, or could not be."""
        batch = self._batch or self._begin()
        batch.wants_tags |= wants_tags
        barrier: asyncio.Future[None] = self._loop.create_future()
        batch.barriers.append(barrier)
        return barrier

    def count_unsettled(self, channel: str) -> int:
        """See `Journal.count_unsettled`."""
        return self._unsettled.get(self._channels.get(channel, 0), 0)

    def unsettled_by_channel(self) -> dict[str, int]:
        """How many of each channel, without those that have none."""
        counts = {name: self._unsettled.get(i, 0) for name, i in self._channels.items()}
        return {name: count for name, count in counts.items() if count}

    def compare(self, counts: Mapping[int, int]) -> list[str]:
        """Where the unsettled messages of the file are not as many as known here."""
        return [
            f"channel {name!r} has {counts.get(id_, 0)} unsettled messages, but"
            f" {self._unsettled.get(id_, 0)} were counted"
            for name, id_ in self._channels.items()
            if counts.get(id_, 0) != self._unsettled.get(id_, 0)
        ]

    def _add_lane(self, lane: str) -> None:
        _check_text("lane", lane)
        self._lanes.add(lane)

    def _add_channel(self, name: str) -> int:
        # Whatever SQLite would refuse has to be found here: there it would cost
        # all messages of the same commit.
        _check_text("channel", name)
        channel_id = max(self._channels.values(), default=0) + 1
        self._channels[name] = channel_id
        (self._batch or self._begin()).channels.append((channel_id, name))
        return channel_id

    def _begin(self) -> Batch:
        if self._is_closed:
            raise self._closed()
        self._batch = Batch()
        self._loop.call_soon(self._hand_over)
        return self._batch

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            self._in_flight[batch] = clock.monotonic()
            self._writer.put(batch)
            if not self._is_watching:
                self._watch()

    def _watch(self) -> None:
        self._is_watching = True
        self._loop.call_later(_PATIENCE, self._relieve)

    def _relieve(self) -> None:
        # A busy loop gives up the interpreter lock too briefly for the writer to
        # get it. When a commit takes long, the loop waits a little for it.
        self._is_watching = False
        if not self._in_flight:
            return
        if self.lag >= _PATIENCE:
            wait = _WAIT_FOR_DISK if self._writer.is_syncing else _WAIT_FOR_WRITER
            with contextlib.suppress(queue.Empty):
                self._take_report(self._writer.reports.get(timeout=wait))
        self._watch()

    def _take_reports(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take_report(self._writer.reports.get_nowait())

    def _take_report(self, report: Report) -> None:
        self.used = report.used
        self.file_bytes = report.file_bytes
        self._is_failing = report.is_failing
        for channel_id, count in report.settled.items():
            self._unsettled[channel_id] = self._unsettled.get(channel_id, 0) - count
        if report.tried:
            self._count(report)
        for batch in report.tried:
            self._conclude(batch, report.error)
        if report.written is not None:
            self._take_written(report.written)
        self.room.wake()

    def _count(self, report: Report) -> None:
        self.last_commit = report.seconds
        self.commit_seconds.note(report.seconds)
        self.worst_commit = max(self.worst_commit, report.seconds)
        if report.error is None:
            self.last_error = ""
            self.commits += 1
            self.committed += sum(len(batch.tickets) for batch in report.tried)
        else:
            self.last_error = str(report.error)
            self.failures += 1

    def _conclude(self, batch: Batch, error: JournalError | None) -> None:
        del self._in_flight[batch]
        self.rows -= batch.count
        self.bytes -= batch.bytes
        for ticket in batch.tickets:
            if error is not None:
                self._unsettled[ticket.channel_id] -= 1
            ticket.conclude(error)
        for barrier in batch.barriers:
            conclude(barrier, error)

    def _take_written(self, written: Batch) -> None:
        for key, value in written.saved.items():
            if key in self._unwritten and self._unwritten[key] is value:
                del self._unwritten[key]
        for saver in written.savers:
            conclude(saver, None)


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except (UnicodeEncodeError, AttributeError) as exc:
        raise CodecError(f"{what} {text!r} cannot be stored: {exc}") from exc


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise CodecError(f"{size} bytes are too many to be stored at once")
