"""Sinks that write rows to a table of a database, each row once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Final

from nodes._options import at_least, one_of
from nodes._queue import Item, Queueing, StopRequested
from nodes._sql_columns import Columns, Row
from nodes._sql_table import Dialect, Found, Table
from pichannels.errors import MessageError, SampleErrors, SettingsError, TryAgain
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy

__all__ = ["RowRefused", "RowsItem", "SQLSink"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.2, maximum=30.0)
_UPDATED: Final = ("correction", "delete")


class RowRefused(MessageError):
    """The database does not want this row, now or later."""

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        self.reason = reason
        super().__init__(f"table {table!r} refused it: {reason}")


class RowsItem(Item):
    """The rows of one message, and what is needed where one of them is refused.

    Attributes:
        mode: what is done with the rows: `update`, `ignore` or `remove`.
        origin: the message as it came, or None where its payload is no batch.
    """

    __slots__ = ("mode", "origin")

    def __init__(self, msg: Message, rows: list[Row], mode: str) -> None:
        super().__init__(msg, rows, max(1, len(rows)))
        self.mode = mode
        self.origin: Message | None = None
        if self.is_batch and len(rows) == self.count:
            self.origin = _kept(msg)


def _kept(msg: Message) -> Message:
    """The message as it is now, whatever later nodes make of it."""
    kept = Message(msg.content_type, msg.payload, dict(msg.meta))
    kept.ticks = msg.ticks
    kept.store_id, kept.store_chan_name = msg.store_id, msg.store_chan_name
    return kept


class SQLSink(Queueing):
    """Writes the rows of messages that wait, in order, and acknowledges the commit.

    A child implements `connect`, `write` and `disconnect`.

    Attributes:
        dialect: of the database.
    """

    dialect: ClassVar[Dialect]

    @staticmethod
    def time(ticks: int) -> datetime | str:
        """What the database takes as a time; implemented by each sink."""
        raise NotImplementedError

    def __init__(
        self,
        *,
        table: str,
        columns: Mapping[str, Any] | Sequence[str] | None,
        extra: Mapping[str, Any] | None,
        types: Mapping[str, str] | None,
        row: Callable[[Message], Any] | None,
        key: Sequence[str],
        on_conflict: str,
        create: bool,
        batch: int,
        linger: float,
        retry: RetryPolicy | None,
        queue_rows: int,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.limit("queue_rows", queue_rows)
        at_least("batch", batch, 1)
        at_least("linger", linger, 0)
        made = Columns(columns, extra, types, row, time=type(self).time)
        self.table = Table(table, made, self.key_of(key, made), self.dialect)
        self._columns = made
        self._on_conflict = one_of("on_conflict", on_conflict, ("update", "ignore"))
        self._marks_deleted = bool(made.holding("deleted"))
        self._creates = create
        self._batch = batch
        self._linger = linger
        self._policy = retry or _AGAIN
        self._full = asyncio.Event()
        self.commits = 0

    def key_of(self, key: Sequence[str], columns: Columns) -> Sequence[str]:
        """The key that the database needs."""
        return key

    async def connect(self) -> None:
        """Connect, and make and check the table.

        Raises:
            TryAgain: the database is not reachable.
            SettingsError: the table does not fit.
        """
        raise NotImplementedError

    async def write(self, rows: Sequence[Row], mode: str, part: int) -> None:
        """Write rows in one transaction, connecting first where that is needed.

        Raises:
            RowRefused: a row does not fit; nothing is written.
            TryAgain, SettingsError: not now.
        """
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Close what `connect` opened."""
        raise NotImplementedError

    def statistics(self) -> dict[str, int]:
        """Counts of values, of commits and of failed writes."""
        counts = {"queued_rows": self._used, "commits": self.commits}
        return super().statistics() | counts

    async def start(self) -> None:
        """Connect, and make and check the table.

        A database that is away now is tried again when there is something to write.

        Raises:
            SettingsError: the table does not fit, or a secret is missing.
        """
        await super().start()
        self._full = asyncio.Event()
        try:
            await self.connect()
        except TryAgain as exc:
            logger.warning("%s: not connected yet: %s", self.fullpath(), exc)

    async def stop(self) -> None:
        """Write what is queued and disconnect."""
        self._stopping.set()
        self._full.set()
        try:
            await super().stop()
        finally:
            await self.disconnect()

    # Rows

    def encode(self, msg: Message) -> list[Row]:
        return self._columns.rows(msg)

    def item(self, msg: Message) -> RowsItem:
        return RowsItem(msg, self.encode(msg), self._mode_of(msg))

    def _mode_of(self, msg: Message) -> str:
        lane = msg.meta.get("lane", "live")
        if lane == "delete" and not self._marks_deleted:
            return "remove"
        return "update" if lane in _UPDATED else self._on_conflict

    def _put(self, item: Item) -> asyncio.Future[None]:
        ack = super()._put(item)
        if self._used >= self._batch:
            self._full.set()
        return ack

    async def linger(self) -> None:
        """Wait a little for more rows than there are."""
        if not self._linger or self._used >= self._batch or self._stopping.is_set():
            return
        self._full.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger):
                await self._full.wait()

    def take(self) -> list[Item]:
        """Messages that are written alike and together are not too many rows."""
        group = [self._queue.popleft()]
        count = group[0].size
        while self._queue:
            following = self._queue[0]
            count += following.size
            if _mode(following) != _mode(group[0]) or count > self._batch:
                break
            group.append(self._queue.popleft())
        return group

    # Writing

    async def deliver(self, group: Sequence[Item]) -> None:
        rows = [row for item in group for row in item.data]
        owners = [(item, n) for item in group for n in range(len(item.data))]
        refused: dict[Item, dict[int, RowRefused]] = {}
        for place, error in await self._store(rows, _mode(group[0])):
            item, index = owners[place]
            refused.setdefault(item, {})[index] = error
        for item in group:
            if item in refused:
                self._refuse(item, refused[item])
            else:
                self.settle([item])

    def parts(self, rows: Sequence[Row]) -> list[list[int]]:
        """Places of rows that may be written beside each other."""
        return [list(range(len(rows)))]

    async def _store(
        self, rows: Sequence[Row], mode: str
    ) -> list[tuple[int, RowRefused]]:
        """Write all rows but those that do not fit, which are returned."""
        parts = self.parts(rows)
        if len(parts) == 1:
            return await self._store_part(rows, parts[0], mode, 0)
        work = [self._store_part(rows, p, mode, n) for n, p in enumerate(parts)]
        results = await asyncio.gather(*work, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in sorted(errors, key=lambda e: not isinstance(e, StopRequested)):
            raise error
        return [pair for r in results if isinstance(r, list) for pair in r]

    async def _store_part(
        self, rows: Sequence[Row], places: Sequence[int], mode: str, part: int
    ) -> list[tuple[int, RowRefused]]:
        if not places:
            return []
        try:
            await self._repeated([rows[place] for place in places], mode, part)
        except RowRefused as exc:
            if len(places) == 1:
                return [(places[0], exc)]
        else:
            return []
        # One of them does not fit: by halves it is found, and the others are written.
        middle = len(places) // 2
        first = await self._store_part(rows, places[:middle], mode, part)
        return first + await self._store_part(rows, places[middle:], mode, part)

    async def _repeated(self, rows: Sequence[Row], mode: str, part: int) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                await self.write(rows, mode, part)
            except (TryAgain, SettingsError) as exc:
                self.not_written(exc)
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            else:
                self.commits += 1
                return
            await self.pause(delay)

    def _refuse(self, item: Item, causes: Mapping[int, RowRefused]) -> None:
        """Let the samples fail whose rows do not fit, or else the message."""
        assert isinstance(item, RowsItem)
        origin = item.origin
        if len(causes) == len(item.data) == 1:
            self.fail([item], next(iter(causes.values())))
        elif origin is None or len(causes) == item.count:
            self.fail([item], SampleErrors(causes))
        else:
            self.written += item.count - len(causes)
            item.count = len(causes)
            failed = origin.derive([origin.payload[index] for index in causes])
            self.fail([item], SampleErrors(causes, failed=failed))

    # Looking

    def findings(self, target: str, found: Found | None) -> list[Finding]:
        """What `probe` tells about the table; `found` is None where there is none."""
        where = f"{target}: table {self.table.name!r}"
        if found is None and self._creates:
            return [Finding(True, "table", f"{where} will be made")]
        if found is None:
            return [Finding(False, "table", f"{where} is not there")]
        problems = list(self.table.problems(found))
        if not problems:
            return [Finding(True, "table", f"{where} fits")]
        return [Finding(False, "table", f"{where}: {each}") for each in problems]


def _mode(item: Item) -> str:
    assert isinstance(item, RowsItem)
    return item.mode
