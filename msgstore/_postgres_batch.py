"""What waits to be written to PostgreSQL, and the statements that write it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from msgstore._postgres_schema import DAY, MINUTE
from pichannels.errors import PichannelsError

__all__ = ["KNOWN", "Batch", "Change", "Key", "Row", "columns", "fail"]

Step = tuple[str, tuple[Any, ...]]

_AT_ONCE: Final = 2000

_INSERT_MESSAGE: Final = """\
INSERT INTO {s}.message (store, ticks, seq, state, size)
SELECT store, ticks, seq, 0, size
FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[]) r (store, ticks, seq, size)
ON CONFLICT DO NOTHING"""
_INSERT_BODY: Final = """\
INSERT INTO {s}.body (store, ticks, seq, uuid, data, content)
SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::bytea[], $5::bytea[],
 $6::text[])
ON CONFLICT DO NOTHING"""
_UPDATE: Final = """\
UPDATE {s}.message m
SET state = coalesce(c.state, m.state), facts = coalesce(c.facts, m.facts)
FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int2[], $5::bytea[])
 c (store, ticks, seq, state, facts)
WHERE (m.store, m.ticks, m.seq) = (c.store, c.ticks, c.seq)"""
_DELETE: Final = """\
DELETE FROM {s}.%s m USING unnest($1::int4[], $2::int8[], $3::int8[])
 d (store, ticks, seq)
WHERE (m.store, m.ticks, m.seq) = (d.store, d.ticks, d.seq)"""
_TAGS: Final = """\
INSERT INTO {s}.tag (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"""
_TAG_MINUTES: Final = """\
INSERT INTO {s}.tag_minute AS known (store, tag, ticks, first, last)
SELECT n.store, t.id, n.ticks, n.first, n.last
FROM unnest($1::int4[], $2::text[], $3::int8[], $4::int8[], $5::int8[])
 n (store, key, ticks, first, last) JOIN {s}.tag t ON t.key = n.key
ON CONFLICT (store, tag, ticks) DO UPDATE
SET first = least(known.first, excluded.first),
 last = greatest(known.last, excluded.last)"""
KNOWN: Final = """\
SELECT m.store, m.ticks, m.seq, m.facts
FROM {s}.message m JOIN unnest($1::int4[], $2::int8[], $3::int8[]) c (store, ticks, seq)
 ON (m.store, m.ticks, m.seq) = (c.store, c.ticks, c.seq)
WHERE m.facts IS NOT NULL"""


class Key(NamedTuple):
    """Which message of which store."""

    store: int
    ticks: int
    seq: int


class Row(NamedTuple):
    """A message, encoded.

    Attributes:
        content: its payload as text, without what PostgreSQL cannot keep.
        tags: keys of the tags that it names.
    """

    key: Key
    uuid: bytes
    data: bytes
    content: str
    tags: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.data)


class Change(NamedTuple):
    """A new state, or None; facts to add, each of them encoded."""

    state: int | None
    facts: dict[str, msgspec.Raw]


class Batch:
    """What waits to be written, and who waits for it."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.changes: dict[Key, Change] = {}
        self.deleted: list[Key] = []
        self.waiting: dict[Key, asyncio.Future[None]] = {}
        self.barriers: list[asyncio.Future[None]] = []
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.changes or self.deleted or self.barriers)

    @property
    def count(self) -> int:
        """How many things it holds."""
        return len(self.rows) + len(self.changes) + len(self.deleted)

    def add(self, row: Row) -> asyncio.Future[None]:
        """Take up a message; done when it is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.rows[row.key] = row
        self.waiting[row.key] = done
        self.bytes += row.size
        return done

    def change(self, key: Key, change: Change) -> None:
        """Take up what became of a message; facts add to those before."""
        before = self.changes.get(key)
        if before is not None:
            state = before.state if change.state is None else change.state
            change = Change(state, {**before.facts, **change.facts})
        self.changes[key] = change

    def remove(self, key: Key) -> None:
        """Leave out a message."""
        row = self.rows.pop(key, None)
        self.bytes -= 0 if row is None else row.size
        self.changes.pop(key, None)

    def part(self, key: Key) -> Batch:
        """What is to be written of one message."""
        alone = Batch()
        for name in ("rows", "changes", "waiting"):
            mine: dict[Key, Any] = getattr(self, name)
            if key in mine:
                getattr(alone, name)[key] = mine[key]
        return alone

    def forget(self, part: Batch) -> None:
        """A part of it is done with."""
        for key in (*part.rows, *part.changes, *part.waiting):
            self.remove(key)
            self.waiting.pop(key, None)

    def append(self, newer: Batch) -> None:
        """Take up what came after it."""
        self.rows |= newer.rows
        self.waiting |= newer.waiting
        self.deleted += newer.deleted
        self.barriers += newer.barriers
        self.bytes += newer.bytes
        for key, change in newer.changes.items():
            self.change(key, change)

    def of(self, store: int) -> list[Key]:
        """The messages of a store that something is to be written of."""
        keys = {*self.rows, *self.changes, *self.deleted}
        return [key for key in keys if key.store == store]

    def refuse(self, error: PichannelsError) -> None:
        """Tell senders that their messages were not kept."""
        for key, done in self.waiting.items():
            self.remove(key)
            fail(done, error)
        self.waiting = {}

    def conclude(self) -> None:
        """Tell all who wait that it is committed."""
        for done in (*self.waiting.values(), *self.barriers):
            if not done.done():
                done.set_result(None)

    def days(self) -> set[int]:
        """The days of its messages, as ticks."""
        return {key.ticks // DAY * DAY for key in self.rows}

    def steps(self, facts: list[bytes | None]) -> Iterator[Step]:
        """The statements that write it, with `{s}` for the schema.

        Args:
            facts: for each change.
        """
        rows = list(self.rows.values())
        for at in range(0, len(rows), _AT_ONCE):
            yield from _inserts(rows[at : at + _AT_ONCE])
        yield from _tag_steps(rows)
        if self.changes:
            states = [change.state for change in self.changes.values()]
            yield _UPDATE, (*columns(self.changes), states, facts)
        if self.deleted:
            for table in ("message", "body"):
                yield _DELETE % table, columns(self.deleted)


def _inserts(rows: list[Row]) -> Iterator[Step]:
    keys = columns(row.key for row in rows)
    yield _INSERT_MESSAGE, (*keys, [row.size for row in rows])
    yield (
        _INSERT_BODY,
        (
            *keys,
            [row.uuid for row in rows],
            [row.data for row in rows],
            [row.content for row in rows],
        ),
    )


def _tag_steps(rows: list[Row]) -> Iterator[Step]:
    runs: dict[tuple[int, str, int], list[int]] = {}
    for row in rows:
        store, ticks, seq = row.key
        for tag in row.tags:
            run = runs.setdefault((store, tag, ticks // MINUTE * MINUTE), [seq, seq])
            run[0], run[1] = min(run[0], seq), max(run[1], seq)
    if not runs:
        return
    # In order, so that two processes never wait for each other.
    yield _TAGS, (sorted({tag for _, tag, _ in runs}),)
    values = [(*place, *run) for place, run in runs.items()]
    yield _TAG_MINUTES, tuple(list(column) for column in zip(*values, strict=True))


def columns(keys: Iterable[Key]) -> tuple[list[int], ...]:
    """Keys as three columns."""
    found = list(keys)
    return (
        [key.store for key in found],
        [key.ticks for key in found],
        [key.seq for key in found],
    )


def fail(future: asyncio.Future[None], error: BaseException) -> None:
    """Set the error unless the waiting one has given up."""
    if not future.done():
        future.set_exception(error)
        # Not everybody waits for every write; that is no error of its own.
        future.exception()
