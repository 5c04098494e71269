"""The journal: what an instance has accepted, and what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final, Unpack

from pichannels import codecs
from pichannels.errors import JournalError, JournalLocked
from pichannels.journal import reader
from pichannels.journal.batch import Ticket
from pichannels.journal.intake import Intake
from pichannels.journal.lock import InstanceLock
from pichannels.journal.opening import Known, open_file
from pichannels.journal.reader import Reader
from pichannels.journal.records import JournalStatistics, Record
from pichannels.journal.retention import Policy
from pichannels.journal.schema import CODES, Durability
from pichannels.journal.search import search
from pichannels.journal.upkeep import back_up, find_problems
from pichannels.journal.writer import Writer
from pichannels.message import Message
from pichannels.persistence import MISSING, Persistence
from pichannels.query import Filters, Query
from pichannels.retention import Outline
from pichannels.states import State

__all__ = ["Journal"]

_STANDBY: Final = 0.5

logger: Final = logging.getLogger("pichannels.journal")


class Journal(Persistence):
    """One SQLite file: messages with their states, and what nodes keep.

    All methods are called in the event loop; a thread of the journal writes, in
    commits of all that waits. What is handed over without an `await` in between
    is in one commit. Reading sees all that was handed over before.

    Args:
        path: the file; `-lock`, `-owner`, `-wal` and `-shm` are beside it.
        durability: `full` means that what was reported survives a power cut,
            `normal` that it survives the end of the process.
        budget: bytes of messages beyond which no more are taken.
        retention_age: seconds that settled messages are kept.
        retention_bytes: beyond this the oldest settled messages go.
        dead_letter_age: seconds that messages in state error are kept.
        state_ages: in place of that, all states that have an age of their own, with
            seconds or None for ever; their messages go by it alone, not for the
            bytes.
        wait: stand by until another instance is gone, instead of refusing.
    """

    commits_with_journal = True

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = "full",
        budget: int = 10 * 2**30,
        retention_age: float = 7 * 86_400,
        retention_bytes: int = 10 * 2**30,
        dead_letter_age: float = 30 * 86_400,
        state_ages: Mapping[str, float | None] | None = None,
        wait: bool = False,
    ) -> None:
        self.path = Path(path)
        self._durability: Durability = durability
        self._budget = budget
        # History gives way before the intake is refused.
        keep = min(retention_bytes, budget * 9 // 10)
        ages = {State.ERROR: dead_letter_age} if state_ages is None else state_ages
        self._policy = Policy(
            retention_age,
            keep,
            {CODES[State(s)]: inf if a is None else a for s, a in ages.items()},
        )
        self._waits = wait
        self._lock = InstanceLock(self.path)
        self._intake: Intake | None = None
        self._reader: Reader | None = None
        self._closing: asyncio.Task[None] | None = None
        # Facts of unsettled messages beside those of their outcome.
        self._added: dict[int, dict[str, Any]] = {}
        self._adding = asyncio.Lock()

    async def open(self) -> None:
        """Take the lock, check and migrate the file, start the writer.

        Raises:
            JournalLocked: another instance uses it (unless `wait`).
            JournalError: the file is damaged, newer than this program, not a
                journal, or cannot be opened.
        """
        if self._intake is not None:
            return
        if self._closing is not None:
            await asyncio.shield(self._closing)
        await self._take_lock()
        self._added, self._adding = {}, asyncio.Lock()
        writer = Writer(self.path, self._durability, self._policy)
        known = await self._open_file(writer)
        self._reader = Reader(self.path)
        self._intake = Intake(writer, known, self._budget)
        self._closing = None

    async def _take_lock(self) -> None:
        told = ""
        while True:
            try:
                return await asyncio.to_thread(self._lock.take)
            except JournalLocked as exc:
                if not self._waits:
                    raise
                if exc.owner != told:
                    told = exc.owner
                    logger.info("standing by: %s is in use by %s", self.path, told)
            await asyncio.sleep(_STANDBY)

    async def _open_file(self, writer: Writer) -> Known:
        work = asyncio.to_thread(open_file, self.path, self._durability, writer)
        opening = asyncio.create_task(work, name="journal open")
        try:
            return await asyncio.shield(opening)
        except BaseException:
            # A thread cannot be cancelled: it has to end before others come in.
            await asyncio.wait([opening])
            writer.discard()
            await asyncio.to_thread(self._lock.release)
            raise

    async def close(self) -> None:
        """Commit all that waits and release the file; again does nothing."""
        if self._intake is not None and self._reader is not None:
            closing = self._close(self._intake, self._reader)
            self._closing = asyncio.create_task(closing, name="journal close")
            self._intake = self._reader = None
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self, intake: Intake, reader: Reader) -> None:
        await intake.close()
        await reader.close()
        await asyncio.to_thread(self._lock.release)

    def _opened(self) -> Intake:
        if self._intake is None:
            raise JournalError(f"{self.path} is not open")
        return self._intake

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
        return self._opened().append(channel, msg, lane, manifest, keep)

    @property
    def is_full(self) -> bool:
        """Whether it takes no more just now.

        That is when too much waits to be committed, the disk budget is used up,
        the last commit failed and none has succeeded since, or it is not open.
        """
        return self._intake is None or self._intake.is_full

    async def room(self) -> None:
        """Until it takes more; callers are let in in the order they came.

        Raises:
            JournalError: the journal is not open, or was closed meanwhile.
        """
        await self._opened().wait_for_room()

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
        if self._added and seq in self._added:
            known = self._added[seq]
            meta = {**known, **meta} if meta is not None else None
            if state.is_final:
                del self._added[seq]
        self._opened().settle(seq, state, meta)

    async def add_facts(
        self,
        channel: str,
        seq: int,
        facts: Mapping[str, Any],
        state: State | None = None,
    ) -> bool:
        """Add facts to those that are known of a message, in the next commit.

        Those that are added to an unsettled message stay when it is settled.

        Args:
            state: what became of it; None for what it is.

        Returns:
            Whether there is such a message of this channel.

        Raises:
            CodecError: a fact has no codec.
            JournalError: the journal is not open, or cannot be read.
        """
        async with self._adding:
            record = await self.get(channel, seq)
            if record is None:
                return False
            facts = {**record.meta, **self._added.get(seq, {}), **facts}
            self._opened().settle(seq, state, facts)
        if not (state or record.state).is_final:
            self._added[seq] = dict(facts)
        else:
            self._added.pop(seq, None)
        return True

    def delete(self, seq: int) -> None:
        """Forget a message, in the next commit.

        Raises:
            JournalError: the journal is not open.
        """
        self._opened().delete(seq)

    async def flush(self) -> None:
        """Until all that was handed over before is committed.

        Raises:
            JournalError: it could not be written.
        """
        intake = self._opened()
        if not intake.is_idle:
            await intake.barrier()

    async def _read(self, wants_tags: bool = False) -> Reader:
        intake = self._opened()
        if wants_tags or not intake.is_idle:
            # Reading works while writing fails; it only sees less.
            await asyncio.wait([intake.barrier(wants_tags)])
        if self._reader is None:
            raise JournalError(f"{self.path} is not open")
        return self._reader

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
        return await (await self._read()).run(
            lambda conn: reader.read_unsettled(conn, channel, after, limit, max_bytes)
        )

    @property
    def last_seq(self) -> int:
        """The number of the newest message of any channel; 0 before the first."""
        return self._opened().last_seq

    def count_unsettled(self, channel: str) -> int:
        """How many messages of a channel are not known to be settled.

        Raises:
            JournalError: the journal is not open.
        """
        return self._opened().count_unsettled(channel)

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
        return self._opened().save(namespace, key, value, settle)

    def note(self, ticket: Ticket, namespace: str, key: str, value: Any) -> None:
        """Keep a value together with the message that was appended just now.

        When the message cannot be written, the value is not kept either. `saved` and
        `restore` give it as soon as both are durable.

        Raises:
            CodecError: the value has a type without codec.
            JournalError: the journal is not open.
            UsageError: there was an `await` since, or another message.
        """
        self._opened().note(ticket, namespace, key, value)

    def forget(self, namespace: str, key: str) -> asyncio.Future[None]:
        """Keep a value no longer.

        Returns:
            Done when that is durable; it need not be awaited.

        Raises:
            JournalError: the journal is not open.
        """
        return self._opened().forget(namespace, key)

    async def saved(self, namespace: str) -> dict[str, Any]:
        """All that was kept last in a namespace, by key, durable yet or not.

        Raises:
            JournalError: the journal cannot be read.
        """
        intake = self._opened()
        unwritten = intake.unwritten(namespace)
        assert self._reader is not None
        found: dict[str, bytes | None] = dict(
            await self._reader.run(lambda conn: reader.read_all_saved(conn, namespace))
        )
        # What was written meanwhile is as it was saved before.
        found |= unwritten
        found |= intake.unwritten(namespace)
        return {key: codecs.decode(v) for key, v in found.items() if v is not None}

    async def manifests(self, channel: str) -> list[tuple[int, str, bytes | None]]:
        """Number, lane and manifest of the unsettled messages of a channel.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await (await self._read()).run(
            lambda conn: reader.read_manifests(conn, channel)
        )

    async def restore(self, namespace: str, key: str, default: Any = MISSING) -> Any:
        """The value kept last, whether it is durable yet or not.

        Raises:
            KeyError: there is none and no default was given.
            JournalError: the journal cannot be read.
        """
        unwritten = self._opened().unwritten(namespace)
        data = unwritten.get(key)
        if key not in unwritten and self._reader is not None:
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
        return await (await self._read()).run(
            lambda conn: reader.read_record(conn, channel, seq)
        )

    async def search(
        self, channel: str | None = None, **filters: Unpack[Filters]
    ) -> list[Record]:
        """Stored messages of a channel or of all; filters as in `Query.of`.

        To page without `start`, give the `position` of the last record as
        `after`.

        Raises:
            UsageError: a filter is not of its kind.
            JournalError: the journal cannot be read.
        """
        return await self.find(channel, Query.of(**filters))

    async def find(self, channel: str | None, query: Query) -> list[Record]:
        """What a checked search is after; see `search`.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await (await self._read(wants_tags=query.tag is not None)).run(
            lambda conn: search(conn, channel, query)
        )

    async def total(self, channel: str) -> int:
        """How many messages of a channel are stored.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await (await self._read()).run(
            lambda conn: reader.read_total(conn, channel)
        )

    async def outlines(self, channel: str) -> list[Outline[int]]:
        """What is known of the messages of a channel without reading them.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await (await self._read()).run(
            lambda conn: reader.read_outlines(conn, channel)
        )

    async def backup(self, target: Path) -> None:
        """Copy the journal as it is now; the copy is complete or not there.

        Raises:
            JournalError: it cannot be read, or the copy cannot be written.
        """
        await (await self._read()).run(lambda conn: back_up(conn, Path(target)))

    async def verify(self) -> list[str]:
        """Read all of it and say in words what is wrong; nothing means sound.

        Raises:
            JournalError: it cannot be read at all.
        """
        intake, files = self._opened(), await self._read()
        commits = intake.commits
        problems = await files.run(find_problems)
        counts = await files.run(reader.read_counts)
        if intake.is_idle and intake.commits == commits:
            problems += intake.compare(counts)
        return problems

    def statistics(self) -> JournalStatistics:
        """What it does at this moment.

        Raises:
            JournalError: the journal is not open.
        """
        intake = self._opened()
        return JournalStatistics(
            buffered_rows=intake.rows,
            buffered_bytes=intake.bytes,
            waiting=len(intake.room),
            commits=intake.commits,
            rows=intake.committed,
            failures=intake.failures,
            last_commit=intake.last_commit,
            worst_commit=intake.worst_commit,
            commit_lag=intake.lag,
            unsettled=intake.unsettled_by_channel(),
            used_bytes=intake.used,
            budget_bytes=self._budget,
            file_bytes=intake.file_bytes,
            is_full=intake.is_full,
            last_error=intake.last_error,
            commit_seconds=intake.commit_seconds.spread(),
        )
