"""The journal: what an instance has accepted, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pichannels import codecs
from pichannels.errors import CodecError, JournalError, JournalLocked
from pichannels.journal import reader
from pichannels.journal.batch import Batch, Report, Settlement, Ticket, conclude
from pichannels.journal.lock import InstanceLock
from pichannels.journal.opening import Known, open_file
from pichannels.journal.query import Query
from pichannels.journal.reader import Reader
from pichannels.journal.records import JournalStatistics, Record
from pichannels.journal.retention import Policy
from pichannels.journal.room import Room
from pichannels.journal.schema import CODES, Durability
from pichannels.journal.search import search
from pichannels.journal.upkeep import back_up, find_problems
from pichannels.journal.writer import Writer
from pichannels.message import Message
from pichannels.persistence import MISSING, Persistence
from pichannels.states import State

__all__ = ["Journal"]

_ROWS: Final = 8_192
_BYTES: Final = 32 * 2**20
_LARGEST: Final = 512 * 2**20
_OVERHEAD: Final = 80
_STANDBY: Final = 0.5
_PATIENCE: Final = 0.02
_WAIT_FOR_WRITER, _WAIT_FOR_DISK = 0.005, 0.001
_MIN, _MAX = -(2**63), 2**63 - 1


class Journal(Persistence):
    """One SQLite file: messages with their states, and what nodes keep.

    All methods are called in the event loop; a thread of the journal writes, in
    commits of all that waits. What is handed over without an `await` in between
    is in one commit.

    Args:
        path: the file; `-lock`, `-owner`, `-wal` and `-shm` are beside it.
        durability: `full` means that what was reported survives a power cut,
            `normal` that it survives the end of the process.
        budget: bytes of messages beyond which no more are taken.
        retention_age: seconds that settled messages are kept.
        retention_bytes: beyond this the oldest settled messages go.
        dead_letter_age: seconds that messages in state error are kept.
        wait: stand by until another instance is gone, instead of refusing.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = "full",
        budget: int = 10 * 2**30,
        retention_age: float = 7 * 86_400,
        retention_bytes: int = 10 * 2**30,
        dead_letter_age: float = 30 * 86_400,
        wait: bool = False,
    ) -> None:
        self.path = Path(path)
        self._durability: Durability = durability
        self._budget = budget
        # History gives way before the intake is refused.
        keep = min(retention_bytes, budget * 9 // 10)
        self._policy = Policy(retention_age, keep, dead_letter_age)
        self._waits = wait
        self._lock = InstanceLock(self.path)
        self._room = Room(lambda: self.is_full)
        self._is_open = False
        self._closing: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._next = 1
        self._channels: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._lanes: set[str] = set()
        self._unsettled: dict[int, int] = {}
        self._unwritten: dict[tuple[str, str], bytes] = {}
        self._batch: Batch | None = None
        self._in_flight: dict[Batch, float] = {}
        self._rows = self._bytes = 0
        self._used = self._file_bytes = 0
        self._is_failing = self._is_watching = False
        self._last_error = ""
        self._commits = self._committed = self._failures = 0
        self._last_commit = self._worst_commit = 0.0

    async def open(self) -> None:
        """Take the lock, check and migrate the file, start the writer.

        Raises:
            JournalLocked: another instance uses it (unless `wait`).
            JournalError: the file is damaged, newer than this program, not a
                journal, or cannot be opened.
        """
        if self._is_open:
            return
        self._reset()
        await self._take_lock()
        self._writer = Writer(self.path, self._durability, self._policy)
        known = await self._open_file()
        self._next = known.last_seq + 1
        self._names = known.channels
        self._channels = {name: id_ for id_, name in known.channels.items()}
        self._unsettled = known.unsettled
        self._used = self._writer.segments.used
        self._reader = Reader(self.path)
        loop = asyncio.get_running_loop()
        self._ended = self._writer.start(loop, self._take_reports)
        self._closing = None
        self._is_open = True

    async def _take_lock(self) -> None:
        while True:
            try:
                return await asyncio.to_thread(self._lock.take)
            except JournalLocked:
                if not self._waits:
                    raise
            await asyncio.sleep(_STANDBY)

    async def _open_file(self) -> Known:
        work = asyncio.to_thread(open_file, self.path, self._durability, self._writer)
        opening = asyncio.create_task(work, name="journal open")
        try:
            return await asyncio.shield(opening)
        except BaseException:
            # A thread cannot be cancelled: it has to end before others come in.
            await asyncio.wait([opening])
            self._writer.discard()
            await asyncio.to_thread(self._lock.release)
            raise

    async def close(self) -> None:
        """Commit all that waits and release the file; again does nothing."""
        if self._closing is None and self._is_open:
            self._is_open = False
            self._closing = asyncio.create_task(self._close(), name="journal close")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._room.close(JournalError(f"{self.path} is closed"))
        self._hand_over()
        self._writer.stop()
        await self._ended
        for saver in self._writer.abandoned:
            conclude(saver, JournalError(f"{self.path} could not be written"))
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._lock.release)

    def append(
        self,
        channel: str,
        msg: Message,
        *,
        lane: str = "live",
        manifest: bytes | None = None,
        keep: bool = True,
    ) -> Ticket:
        """Accept a message; it is durable when the ticket says so.

        Callers await `room()` before, so that what waits stays bounded.

        Args:
            channel: whose message it is.
            lane: what kind of message (live, repair, replay, ...).
            manifest: what `encode_manifest` made of its tags.
            keep: False deletes it as soon as it is settled.

        Raises:
            CodecError: the message cannot be encoded; nothing was taken.
            JournalError: the journal is not open.
        """
        data = msg.encode()
        self._check(msg, lane, len(data))
        batch = self._collect()
        channel_id = self._channels.get(channel) or self._add_channel(channel)
        seq = self._next
        self._next = seq + 1
        size = len(data) + _OVERHEAD + (0 if manifest is None else len(manifest))
        ticket = Ticket(seq, channel_id, size)
        batch.tickets.append(ticket)
        batch.rows += (seq, channel_id, lane, msg.ticks, msg.uuid, keep, size)
        batch.bodies += (seq, data, manifest)
        if manifest is not None:
            batch.manifests.append((seq, msg.ticks, manifest))
        batch.bytes += size
        self._rows += 1
        self._bytes += size
        self._unsettled[channel_id] = self._unsettled.get(channel_id, 0) + 1
        return ticket

    def _check(self, msg: Message, lane: str, size: int) -> None:
        # Whatever SQLite would refuse has to be found here: there it would cost
        # all messages of the same commit.
        if lane not in self._lanes:
            _check_text("lane", lane)
            self._lanes.add(lane)
        uuid, ticks = msg.uuid, msg.ticks
        if type(uuid) is not str or not uuid.isascii():
            _check_text("uuid", uuid)
        if type(ticks) is not int or not _MIN <= ticks <= _MAX:
            raise CodecError(f"timestamp {ticks!r} is out of range")
        if size > _LARGEST:
            raise CodecError(f"a message of {size} bytes is too large to be stored")

    def _add_channel(self, name: str) -> int:
        _check_text("channel", name)
        channel_id = len(self._channels) + 1
        self._channels[name] = channel_id
        self._names[channel_id] = name
        self._collect().channels.append((channel_id, name))
        return channel_id

    def _collect(self) -> Batch:
        if self._batch is None:
            if not self._is_open:
                raise JournalError(f"{self.path} is not open")
            self._batch = Batch()
            asyncio.get_running_loop().call_soon(self._hand_over)
        return self._batch

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            self._in_flight[batch] = time.monotonic()
            self._writer.put(batch)
            if not self._is_watching:
                self._watch()

    def _watch(self) -> None:
        self._is_watching = True
        asyncio.get_running_loop().call_later(_PATIENCE, self._relieve)

    def _relieve(self) -> None:
        # A busy loop gives up the interpreter lock too briefly for the writer to
        # get it. When a commit takes long, the loop waits a little for it.
        self._is_watching = False
        if not self._in_flight:
            return
        if self._lag() >= _PATIENCE:
            wait = _WAIT_FOR_DISK if self._writer.is_syncing else _WAIT_FOR_WRITER
            with contextlib.suppress(queue.Empty):
                self._take_report(self._writer.reports.get(timeout=wait))
        self._watch()

    def _lag(self) -> float:
        oldest = next(iter(self._in_flight.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def _take_reports(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take_report(self._writer.reports.get_nowait())

    def _take_report(self, report: Report) -> None:
        self._used = report.used
        self._file_bytes = report.file_bytes
        self._is_failing = report.is_failing
        for channel_id, count in report.settled.items():
            self._unsettled[channel_id] = self._unsettled.get(channel_id, 0) - count
        if report.tried:
            self._count(report)
        for batch in report.tried:
            self._conclude(batch, report.error)
        if report.written is not None:
            self._take_written(report.written)
        self._room.wake()

    def _count(self, report: Report) -> None:
        self._last_commit = report.seconds
        self._worst_commit = max(self._worst_commit, report.seconds)
        if report.error is None:
            self._last_error = ""
            self._commits += 1
            self._committed += sum(len(batch.tickets) for batch in report.tried)
        else:
            self._last_error = str(report.error)
            self._failures += 1

    def _conclude(self, batch: Batch, error: JournalError | None) -> None:
        del self._in_flight[batch]
        self._rows -= batch.count
        self._bytes -= batch.bytes
        for ticket in batch.tickets:
            if error is not None:
                self._unsettled[ticket.channel_id] -= 1
            ticket.conclude(error)
        for barrier in batch.barriers:
            conclude(barrier, error)

    def _take_written(self, written: Batch) -> None:
        for key, value in written.saved.items():
            if self._unwritten.get(key) is value:
                del self._unwritten[key]
        for saver in written.savers:
            conclude(saver, None)

    @property
    def is_full(self) -> bool:
        """Whether it takes no more just now.

        That is when too much waits to be committed, the disk budget is used up,
        or the last commit failed and none has succeeded since.
        """
        return (
            self._rows >= _ROWS
            or self._bytes >= _BYTES
            or self._used + self._bytes >= self._budget
            or self._is_failing
        )

    async def room(self) -> None:
        """Until it takes more; callers are let in in the order they came.

        Raises:
            JournalError: the journal is not open, or was closed meanwhile.
        """
        if not self._is_open:
            raise JournalError(f"{self.path} is not open")
        await self._room.wait()

    def settle(
        self, seq: int, state: State, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Say what became of a message, in the next commit.

        Args:
            meta: facts about it (err_msg, node, attempts, stack, ...). Facts of
                an earlier call stay when there are none.

        Raises:
            CodecError: `meta` has a value without codec.
            JournalError: the journal is not open.
        """
        data = attempts = None
        if meta is not None:
            data = codecs.encode(dict(meta))
            attempts = meta.get("attempts")
            if type(attempts) is not int or not 0 <= attempts <= _MAX:
                attempts = None
        batch = self._collect()
        before = len(batch.settled)
        batch.settle(seq, Settlement(CODES[state], data, attempts))
        self._rows += len(batch.settled) - before

    def delete(self, seq: int) -> None:
        """Forget a message, in the next commit.

        Raises:
            JournalError: the journal is not open.
        """
        self._collect().deleted.append(seq)
        self._rows += 1

    async def flush(self) -> None:
        """Until all that was handed over before is committed.

        Raises:
            JournalError: it could not be written.
        """
        if self._batch is None and not self._in_flight:
            return
        barrier = asyncio.get_running_loop().create_future()
        self._collect().barriers.append(barrier)
        await barrier

    async def _catch_up(self, wants_tags: bool = False) -> None:
        # Reading works while writing fails; it only sees less.
        if not self._is_open:
            raise JournalError(f"{self.path} is not open")
        try:
            if wants_tags:
                self._collect().wants_tags = True
            await self.flush()
        except JournalError:
            if not self._is_open:
                raise

    async def unsettled(
        self,
        channel: str,
        after: int = 0,
        limit: int = 100,
        max_bytes: int = 8 * 2**20,
    ) -> list[Record]:
        """Messages of a channel that are not settled, oldest first.

        Args:
            after: only those with a higher number.
            limit, max_bytes: how much at most, but at least one.

        Raises:
            JournalError: the journal cannot be read.
        """
        await self._catch_up()
        return await self._reader.run(
            lambda conn: reader.read_unsettled(conn, channel, after, limit, max_bytes)
        )

    @property
    def last_seq(self) -> int:
        """The number of the newest message of any channel; 0 before the first."""
        return self._next - 1

    def count_unsettled(self, channel: str) -> int:
        """How many messages of a channel are not known to be settled."""
        return self._unsettled.get(self._channels.get(channel, 0), 0)

    def save(
        self, namespace: str, key: str, value: Any, settle: Sequence[int] = ()
    ) -> asyncio.Future[None]:
        """Keep a value for `restore`; see `Persistence.save`.

        Args:
            settle: numbers of messages that are processed by this, in the same
                commit.

        Raises:
            CodecError: the value has a type without codec.
            JournalError: the journal is not open.
        """
        _check_text("namespace", namespace)
        _check_text("key", key)
        data = codecs.encode(value)
        if len(data) > _LARGEST:
            raise CodecError(f"a value of {len(data)} bytes is too large to be kept")
        batch = self._collect()
        self._rows += (namespace, key) not in batch.saved
        batch.saved[namespace, key] = self._unwritten[namespace, key] = data
        for seq in settle:
            self.settle(seq, State.PROCESSED)
        saver: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.savers.append(saver)
        return saver

    async def restore(self, namespace: str, key: str, default: Any = MISSING) -> Any:
        """The value kept last, whether it is durable yet or not.

        Raises:
            KeyError: there is none and no default was given.
            JournalError: the journal cannot be read.
        """
        data = self._unwritten.get((namespace, key))
        if data is None:
            data = await self._reader.run(
                lambda conn: reader.read_saved(conn, namespace, key)
            )
        if data is not None:
            return codecs.decode(data)
        if default is MISSING:
            raise KeyError(key)
        return default

    async def get(self, channel: str | None, seq: int) -> Record | None:
        """The message with this number (of that channel), or None.

        Raises:
            JournalError: the journal cannot be read.
        """
        await self._catch_up()
        return await self._reader.run(
            lambda conn: reader.read_record(conn, channel, seq)
        )

    async def search(self, channel: str | None = None, **filters: Any) -> list[Record]:
        """Stored messages of a channel or of all; filters as in `Query.of`.

        To page without `start`, give the `position` of the last record as
        `after`.

        Raises:
            UsageError: a filter is not of its kind.
            JournalError: the journal cannot be read.
        """
        query = Query.of(**filters)
        await self._catch_up(wants_tags=query.tag is not None)
        return await self._reader.run(lambda conn: search(conn, channel, query))

    async def total(self, channel: str) -> int:
        """How many messages of a channel are stored.

        Raises:
            JournalError: the journal cannot be read.
        """
        await self._catch_up()
        return await self._reader.run(lambda conn: reader.read_total(conn, channel))

    async def backup(self, target: Path) -> None:
        """Copy the journal as it is now; the copy is complete or not there.

        Raises:
            JournalError: it cannot be read, or the copy cannot be written.
        """
        await self._catch_up()
        await self._reader.run(lambda conn: back_up(conn, Path(target)))

    async def verify(self) -> list[str]:
        """Read all of it and say in words what is wrong; nothing means sound.

        Raises:
            JournalError: it cannot be read at all.
        """
        await self._catch_up()
        return await self._reader.run(find_problems)

    def statistics(self) -> JournalStatistics:
        """What it does at this moment."""
        return JournalStatistics(
            buffered_rows=self._rows,
            buffered_bytes=self._bytes,
            waiting=len(self._room),
            commits=self._commits,
            rows=self._committed,
            failures=self._failures,
            last_commit=self._last_commit,
            worst_commit=self._worst_commit,
            commit_lag=self._lag(),
            unsettled={self._names[k]: n for k, n in self._unsettled.items() if n},
            used_bytes=self._used,
            budget_bytes=self._budget,
            file_bytes=self._file_bytes,
            is_full=self.is_full,
            last_error=self._last_error,
        )


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except (UnicodeEncodeError, AttributeError) as exc:
        raise CodecError(f"{what} {text!r} cannot be stored: {exc}") from exc
