"""The thread that writes: it commits what waits, all of it at once.

The loop hands over batches; whatever has gathered while one commit ran is the
next commit. When nothing waits, and now and then when something does, the thread
closes segments, writes the tag index and deletes what is too old.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pichannels import clock
from pichannels.errors import JournalError
from pichannels.journal.batch import Batch, Report, conclude
from pichannels.journal.retention import CHUNK, Policy, Retention
from pichannels.journal.schema import Durability, connect_writer
from pichannels.journal.segments import Segment, Segments
from pichannels.journal.statements import (
    BODY_ROW,
    BODY_SQL,
    MESSAGE_ROW,
    MESSAGE_SQL,
    delete_messages,
    insert_rows,
    save_values,
    select,
    settle_messages,
)
from pichannels.journal.tags import TagIndex

__all__ = ["Writer"]

logger = logging.getLogger("pichannels.journal")

_IDLE: Final = 1.0
_IDLE_OVER: Final = 0.1
_CHORES_EVERY: Final = 0.05
_RETRY_FIRST, _RETRY_LAST = 0.1, 2.0
_SEGMENT: Final = 64 * 2**20


class Writer:
    """Owns the connection that writes, and the thread that uses it.

    Attributes:
        reports: one for each commit, to be taken in the loop, which is told.
        is_syncing: the thread waits for the disk and not for the interpreter.
        segments: the sizes of what is stored.
    """

    def __init__(self, path: Path, durability: Durability, policy: Policy) -> None:
        self.path = path
        self._durability: Durability = durability
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.is_syncing = False
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._conn: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self.segments = Segments(min(_SEGMENT, max(policy.bytes // 8, 1)))
        self._tags = TagIndex()
        self._retention = Retention(policy, self.segments, self._tags)
        # What could not be written and must not be given up.
        self._carry: Batch | None = None
        self._wait = _RETRY_FIRST
        self._is_ill = False
        self._chores_at = 0.0
        self._has_chores = False
        self._fresh = 0
        self._file_bytes = 0

    def load(self, conn: sqlite3.Connection) -> int:
        """Take over an opened, migrated file; the highest number given out."""
        self._conn = conn
        self._tags.load(conn)
        return self.segments.load(conn)

    def start(
        self, loop: asyncio.AbstractEventLoop, notify: Callable[[], None]
    ) -> asyncio.Future[None]:
        """Start the thread; the future is done when it has ended.

        `notify` is called in the loop when there are reports.
        """
        ended = loop.create_future()
        self._thread = threading.Thread(
            target=self._run,
            args=(loop, notify, ended),
            name="pichannels-journal",
            daemon=True,
        )
        self._thread.start()
        return ended

    def put(self, batch: Batch) -> None:
        """Hand over a batch; called in the loop."""
        self._queue.put(batch)

    def stop(self) -> None:
        """End the thread when all that was handed over has been tried."""
        self._queue.put(None)

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        notify: Callable[[], None],
        ended: asyncio.Future[None],
    ) -> None:
        def tell(report: Report) -> bool:
            self.reports.put(report)
            return _call(loop, notify)

        self._work(tell)
        _call(loop, lambda: conclude(ended, None))

    def _work(self, tell: Callable[[Report], bool]) -> None:
        is_running = True
        while is_running:
            batches, is_running = self._take()
            if batches or self._carry is not None:
                is_running &= tell(self._commit(batches))
            if self._is_time_for_chores(is_idle=not batches):
                self._do_chores()
                is_running &= tell(self._report_chores())
        self._end()

    def _take(self) -> tuple[list[Batch], bool]:
        batches: list[Batch] = []
        try:
            item = self._queue.get(timeout=self._patience())
            while item is not None:
                batches.append(item)
                item = self._queue.get_nowait()
        except queue.Empty:
            return batches, True
        return batches, False

    def _patience(self) -> float:
        if self._carry is not None:
            return self._wait
        if self._has_chores:
            return 0.0
        return _IDLE_OVER if self._retention.is_over else _IDLE

    def _commit(self, batches: list[Batch]) -> Report:
        begun = clock.monotonic()
        self.is_syncing = False
        work = self._gather(batches)
        mark = self.segments.mark()
        fewer: dict[int, int] = {}
        error = None
        try:
            fewer = self._write(work)
        except Exception as exc:
            # Whatever it was, the file is as it was before, and the journal
            # has to go on.
            error = self._recover(exc)
            self.segments.restore(mark)
            self._fail(work)
        else:
            self._succeed(work)
        return Report(
            batches,
            None if error else work,
            error,
            fewer,
            self.segments.used,
            self._file_bytes,
            clock.monotonic() - begun,
            self._carry is not None,
        )

    def _gather(self, batches: list[Batch]) -> Batch:
        if self._carry is None and len(batches) == 1:
            return batches[0]
        work = Batch()
        for batch in [self._carry, *batches]:
            if batch is not None:
                work.merge(batch)
        return work

    def _fail(self, work: Batch) -> None:
        self._carry = Batch()
        self._carry.merge_lasting(work)
        self._wait = min(self._wait * 2, _RETRY_LAST)

    def _succeed(self, work: Batch) -> None:
        if self._is_ill:
            self._is_ill = False
            logger.warning("%s can be written again", self.path)
        self._carry = None
        self._retention.settlements += len(work.settled)
        if work.tickets:
            self._wait = _RETRY_FIRST
            self._fresh += len(work.tickets)
            self._tags.gather(work.manifests, work.tickets[-1].seq)
        if work.wants_tags:
            self._try(self._tags.write)

    def _try(self, chore: Callable[[sqlite3.Connection], None]) -> None:
        try:
            chore(self._connection())
        except Exception as exc:
            self._recover(exc)

    def _write(self, work: Batch) -> dict[int, int]:
        conn = self._connection()
        conn.execute("BEGIN IMMEDIATE")
        if self._carry is not None:
            # After a failure there has to be a write to learn whether it is over.
            self.segments.write_last(conn)
        for channel in work.channels:
            conn.execute("INSERT OR IGNORE INTO channel VALUES (?, ?)", channel)
        if work.tickets:
            self._insert(conn, work)
        save_values(conn, {**work.saved, **work.noted})
        fewer, loose = settle_messages(conn, work.settled)
        parts: list[tuple[Segment, int, int]] = []
        if gone := loose + work.deleted:
            which = select(gone)
            parts = self.segments.measure(conn, which)
            self.segments.write_shrunk(conn, parts)
            for id_, count in delete_messages(conn, which).items():
                fewer[id_] = fewer.get(id_, 0) + count
        self.is_syncing = True
        conn.execute("COMMIT")
        self.segments.shrink(parts)
        return fewer

    def _insert(self, conn: sqlite3.Connection, work: Batch) -> None:
        insert_rows(conn, MESSAGE_SQL, MESSAGE_ROW, work.rows)
        insert_rows(conn, BODY_SQL, BODY_ROW, work.bodies)
        first, last = work.tickets[0].seq, work.tickets[-1].seq
        self.segments.extend(first, last, len(work.tickets), work.bytes)

    def _is_time_for_chores(self, is_idle: bool) -> bool:
        now = clock.monotonic()
        if not is_idle and now - self._chores_at < _CHORES_EVERY:
            return False
        self._chores_at = now
        return (
            self._has_chores
            or self.segments.is_due()
            or self._tags.is_due()
            or self._retention.is_due()
        )

    def _do_chores(self) -> None:
        self._has_chores = False
        if self._tags.is_due():
            self._try(self._tags.write)
        self._try(self._retention.close_segment)
        self._try(self._prune)

    def _prune(self, conn: sqlite3.Connection) -> None:
        # Under load twice as much is deleted as has come in since.
        steps = 1 + 2 * self._fresh // CHUNK
        self._fresh = 0
        for _ in range(steps):
            if not self._retention.step(conn):
                return
        self._has_chores = True

    def _report_chores(self) -> Report:
        with contextlib.suppress(OSError):
            self._file_bytes = self.path.stat().st_size
        return Report(
            [],
            None,
            None,
            {},
            self.segments.used,
            self._file_bytes,
            0.0,
            self._carry is not None,
        )

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None:
            self._conn = connect_writer(self.path, self._durability)
        return self._conn

    def _recover(self, exc: Exception) -> JournalError:
        """Take back the transaction; a connection that cannot is replaced."""
        error = JournalError(f"{self.path} could not be written: {exc}")
        error.__cause__ = exc
        # Told once and not at each try.
        logger.log(logging.DEBUG if self._is_ill else logging.ERROR, "%s", error)
        self._is_ill = True
        try:
            if self._conn is not None and self._conn.in_transaction:
                self._conn.rollback()
        except sqlite3.Error:
            self._close_connection()
        return error

    @property
    def abandoned(self) -> list[asyncio.Future[None]]:
        """Who still waits for a saved value after the thread has ended."""
        return [] if self._carry is None else self._carry.savers

    def discard(self) -> None:
        """Close the connection of a writer that was never started."""
        self._close_connection()

    def _end(self) -> None:
        self._try(self._tags.write)
        self._try(self._retention.close_segment)
        if self._carry is not None:
            logger.error("%s: settlements could not be written", self.path)
        self._close_connection()

    def _close_connection(self) -> None:
        if self._conn is not None:
            with contextlib.suppress(sqlite3.Error):
                self._conn.close()
            self._conn = None


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> bool:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        # The loop is closed already: nobody waits for the result.
        return False
    return True
