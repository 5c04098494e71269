"""Searching message stores in PostgreSQL, also those that another process writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from msgstore._postgres_batch import Key
from msgstore._postgres_schema import MINUTE, Schema
from msgstore._tags import tags_of
from pichannels import codecs
from pichannels.adapters.postgres import Link, Login
from pichannels.errors import CodecError, NotConnected
from pichannels.journal.schema import CODES, STATES
from pichannels.message import Message
from pichannels.query import Query, plain_words
from pichannels.states import Entry, State

__all__ = ["Reader", "storable"]

_LINKS: Final = 2
_PAGE: Final = 500
_END: Final = 2**63 - 1

_WHOLE: Final = "m.store, m.ticks, m.seq, m.state, m.facts, b.uuid, b.data"
_JOIN: Final = "{s}.message m JOIN {s}.body b USING (store, ticks, seq)"
_READ: Final = f"""\
SELECT {_WHOLE} FROM {_JOIN}
JOIN unnest($1::int4[], $2::int8[], $3::int8[]) WITH ORDINALITY w (store, ticks, seq, n)
 USING (store, ticks, seq)
ORDER BY w.n"""
_STORE: Final = "SELECT id FROM {s}.store WHERE name = $1"
_TOTAL: Final = "SELECT count(*) FROM {s}.message WHERE store = $1"
_STATE: Final = "SELECT state FROM {s}.message WHERE (store, ticks, seq) = ($1, $2, $3)"


class Found(NamedTuple):
    """A stored message, still encoded."""

    key: Key
    state: State
    facts: bytes | None
    uuid: bytes
    data: bytes

    def entry(self, store_id: str) -> Entry:
        """The message as a store gives it.

        Raises:
            CodecError: it cannot be read.
        """
        id = f"{self.key.ticks}-{self.key.seq}"
        uuid = self.uuid.decode("utf-8", "surrogatepass")
        msg = Message.decode(self.data, uuid, self.key.ticks)
        msg.store_id, msg.store_chan_name = id, store_id
        meta = {} if self.facts is None else dict(codecs.decode(self.facts))
        return {"id": id, "state": str(self.state), "message": msg, "meta": meta}

    def any_entry(self, store_id: str) -> Entry:
        """The same; one that cannot be read costs itself, not the search."""
        try:
            return self.entry(store_id)
        except CodecError as exc:
            msg = Message("application/octet-stream", self.data)
            msg.ticks = self.key.ticks
            msg.store_id = id = f"{self.key.ticks}-{self.key.seq}"
            meta = {"err_msg": str(exc)}
            return {"id": id, "state": str(self.state), "message": msg, "meta": meta}


class Reader:
    """A few connections that read; they open when they are used."""

    def __init__(self, login: Login, schema: Schema) -> None:
        self._schema = schema
        self._links = [Link(login) for _ in range(_LINKS)]
        self._free: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for link in self._links:
            self._free.put_nowait(link)

    async def close(self) -> None:
        """Disconnect."""
        for link in self._links:
            await link.close()

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        link = await self._free.get()
        try:
            yield link
        finally:
            self._free.put_nowait(link)

    async def _fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self._link() as link:
            was_open = link.is_open
            try:
                await link.open()
                return await link.fetch(self._schema.sql(sql), *values)
            except NotConnected:
                # The connection may have been lost long ago, while nobody asked.
                if not was_open:
                    raise
            await link.open()
            return await link.fetch(self._schema.sql(sql), *values)

    async def store(self, name: str) -> int | None:
        """The number of a store, or None where nothing was ever stored."""
        rows = await self._fetch(_STORE, name)
        return rows[0][0] if rows else None

    async def total(self, store: int) -> int:
        """How many messages it has."""
        return int((await self._fetch(_TOTAL, store))[0][0])

    async def state(self, key: Key) -> State | None:
        """The state of a message; None where there is none."""
        rows = await self._fetch(_STATE, *key)
        return STATES[rows[0][0]] if rows else None

    async def read(self, keys: Sequence[Key]) -> list[Found]:
        """These messages, as far as they are there, in this order."""
        found: list[Found] = []
        for at in range(0, len(keys), _PAGE):
            part = keys[at : at + _PAGE]
            columns = [[key[n] for key in part] for n in range(len(Key._fields))]
            found += map(_found, await self._fetch(_READ, *columns))
        return found

    async def search(self, store: int, name: str, query: Query) -> list[Entry]:
        """What a query is after, as a store of this name gives it."""
        end = query.start + query.count
        states: list[State | None] = [query.state]
        if query.by_state and query.state is None:
            states = sorted(State, key=str, reverse=query.is_reversed)
        if query.needs_reading or query.tag is not None:
            return await self._fitting(store, name, states, query)
        keys: list[Key] = []
        for state in states:
            if len(keys) >= end:
                break
            rows = _Rows(self._schema, store, state, query)
            keys += await self._keys(rows, end - len(keys))
        found = await self.read(keys[query.start : end])
        return [one.any_entry(name) for one in found]

    async def _keys(self, rows: _Rows, count: int) -> list[Key]:
        sql, values = rows.keys(count)
        return [Key(*row) for row in await self._fetch(sql, *values)]

    async def _fitting(
        self, store: int, name: str, states: list[State | None], query: Query
    ) -> list[Entry]:
        """A page of what has the text, the facts and the tag."""
        found: list[Entry] = []
        end = query.start + query.count
        tag = await self._tag(query)
        for state in states:
            rows = _Rows(self._schema, store, state, query, tag)
            after: Key | None = None
            while len(found) < end:
                sql, values = rows.whole(after)
                page = [_found(row) for row in await self._fetch(sql, *values)]
                entries = await asyncio.to_thread(_entries, page, name, query)
                found += entries
                if len(page) < _PAGE:
                    break
                after = page[-1].key
        return found[query.start : end]

    async def _tag(self, query: Query) -> int | None:
        """The number of the tag that is looked for; -1 where nobody named it."""
        if query.tag is None:
            return None
        rows = await self._fetch("SELECT id FROM {s}.tag WHERE key = $1", query.tag)
        return int(rows[0][0]) if rows else -1


class _Rows:
    """The statement for the messages of a store, in order."""

    def __init__(
        self,
        schema: Schema,
        store: int,
        state: State | None,
        query: Query,
        tag: int | None = None,
    ) -> None:
        self._query = query
        self._values: list[Any] = []
        self._where = [
            f"m.store = {self._mark(store)}",
            f"m.ticks >= {self._mark(query.first)}",
            f"m.ticks < {self._mark(query.end)}",
        ]
        if state is not None:
            # A partial index is used only where its own condition is repeated.
            code = CODES[state]
            aside = "" if state is State.PROCESSED else " AND m.state <> 3"
            self._where.append(f"m.state = {code}{aside}")
        if query.knows is not None:
            # Each condition on facts needs one; most messages have none at all.
            self._where.append("m.facts IS NOT NULL")
        for part in _parts(query):
            self._where.append(f"b.content LIKE {self._mark(_like(part))}")
        if tag is not None:
            self._where.append(
                "EXISTS (SELECT FROM {s}.tag_minute t WHERE t.store = m.store"
                f" AND t.tag = {self._mark(tag)}"
                f" AND t.ticks = m.ticks - (m.ticks % {MINUTE} + {MINUTE}) % {MINUTE}"
                " AND m.seq BETWEEN t.first AND t.last)"
            )

    def _mark(self, value: Any) -> str:
        self._values.append(value)
        return f"${len(self._values)}"

    def keys(self, count: int) -> tuple[str, list[Any]]:
        """Only where they stand, the first so many."""
        after = self._query.after
        return self._sql("m.store, m.ticks, m.seq", "{s}.message m", after, count)

    def whole(self, after: Key | None) -> tuple[str, list[Any]]:
        """A page of whole messages, behind one of them."""
        place = self._query.after if after is None else (after.ticks, after.seq)
        return self._sql(_WHOLE, _JOIN, place, _PAGE)

    def _sql(
        self, columns: str, tables: str, after: tuple[int, int] | None, count: int
    ) -> tuple[str, list[Any]]:
        values, where = list(self._values), list(self._where)
        is_reversed = self._query.is_reversed
        if after is not None:
            values += after
            sign = "<" if is_reversed else ">"
            marks = f"(${len(values) - 1}, ${len(values)})"
            where.append(f"(m.ticks, m.seq) {sign} {marks}")
        order = "DESC" if is_reversed else "ASC"
        values.append(count)
        return (
            f"SELECT {columns} FROM {tables} WHERE {' AND '.join(where)}"
            f" ORDER BY m.ticks {order}, m.seq {order} LIMIT ${len(values)}",
            values,
        )


def _found(row: Sequence[Any]) -> Found:
    store, ticks, seq, state, *rest = row
    return Found(Key(store, ticks, seq), STATES[state], *rest)


def _entries(page: list[Found], name: str, query: Query) -> list[Entry]:
    """Those of a page that fit; called in a thread."""
    entries: list[Entry] = []
    for one in page:
        try:
            entry = one.entry(name)
        except CodecError:
            continue
        if query.tag is not None and query.tag not in tags_of(entry["message"]):
            continue
        if query.fits(entry):
            entries.append(entry)
    return entries


def storable(text: str) -> str:
    """The text with a mark in place of what PostgreSQL cannot keep."""
    if text.isascii() and "\0" not in text:
        return text
    known = text.replace("\0", "\ufffd")
    return known.encode("utf-8", "replace").decode("utf-8")


def _parts(query: Query) -> list[str]:
    """Texts that each message a query is after contains."""
    parts = [] if query.text is None else [query.text]
    if query.pattern is not None:
        parts += plain_words(query.pattern)
    return parts


def _like(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", storable(text))
    return f"%{escaped}%"
