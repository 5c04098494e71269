"""Searching a journal for a bounded time: what is found by then, and where to go on."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from pichannels import clock, codecs
from pichannels.control.arguments import ticks_of
from pichannels.control.fitting import (
    MOST,
    MessagesWanted,
    failed_so,
    message_test,
    near_event,
    near_uuid,
)
from pichannels.control.frames import EventId, event_id_of, key_of, names
from pichannels.control.masking import Mask
from pichannels.errors import CodecError, JournalError, UsageError
from pichannels.journal.reader import read_records
from pichannels.journal.records import Record
from pichannels.journal.schema import CODES
from pichannels.journal.tags import MINUTE
from pichannels.message import Message
from pichannels.states import State
from pichannels.ui.reading import Timed

__all__ = ["MOST", "MessagesWanted", "Page", "is_known", "search_journal"]

_PAGE: Final = 500
_FIRST_BATCH: Final = 16
_QUICK, _SLOW = 0.05, 0.25
"""Seconds for a batch of payloads: then the next one is larger, or smaller."""
_FIRST, _LAST = -(2**62), 2**62
_UNINDEXED: Final = 100_000
"""Messages that the index of tags may not have yet, at most."""
_PROCESSED: Final = CODES[State.PROCESSED]


class Page(NamedTuple):
    """What was found.

    Attributes:
        records: those that fit.
        next: where to go on, or None where there is no more.
        is_complete: False where the time was over before the page was full.
        scanned: how many messages were looked at.
    """

    records: list[Record]
    next: str | None
    is_complete: bool
    scanned: int


class _Row(NamedTuple):
    """A message on the way through the index of time."""

    ticks: int
    seq: int
    state: int
    lane: str
    attempts: int


class _Search(NamedTuple):
    """A checked `MessagesWanted`."""

    first: int
    end: int
    after: tuple[int, int]
    state: int | None
    wanted: MessagesWanted
    fits: Callable[[Message], bool] | None
    is_reversed: bool
    mask: Mask | None


def search_journal(
    timed: Timed, wanted: MessagesWanted, mask: Mask | None = None
) -> Page:
    """A page of messages in the order of time.

    Args:
        mask: hides what must not be found, either.

    Raises:
        UsageError: a condition is not of its kind.
    """
    if wanted.event_id is not None:
        wanted = _of_event(timed, wanted, event_id_of(wanted.event_id))
    search = _checked(near_uuid(wanted), mask)
    channels = _channels(timed, wanted.channel)
    if wanted.tag is None:
        rows: Iterator[_Row] = heapq.merge(
            *(_of_channel(timed, one, search) for one in channels),
            reverse=search.is_reversed,
        )
    else:
        rows = _of_tag(timed, set(channels), search)
    return _page(timed, rows, search)


def _of_event(timed: Timed, wanted: MessagesWanted, event: EventId) -> MessagesWanted:
    """The same as a search by tag, from the time of an event on."""
    tag = key_of(timed.conn, event, wanted.tag or event.key)
    return msgspec.structs.replace(near_event(wanted, event), tag=tag)


def _checked(wanted: MessagesWanted, mask: Mask | None) -> _Search:
    first = _FIRST if wanted.start is None else ticks_of("start", wanted.start)
    end = _LAST if wanted.end is None else ticks_of("end", wanted.end)
    is_reversed = not wanted.oldest_first
    begin = (min(end, _LAST), 0) if is_reversed else (max(first, _FIRST), -1)
    after = begin if wanted.cursor is None else _position(wanted.cursor)
    state = None
    if wanted.state is not None:
        try:
            state = CODES[State(wanted.state)]
        except ValueError as exc:
            known = ", ".join(map(str, State))
            raise UsageError(f"state is one of {known}, not {wanted.state!r}") from exc
    if wanted.json_value is not None and wanted.json_path is None:
        raise UsageError("json_value is for a json_path")
    fits = message_test(wanted, mask)
    return _Search(first, end, after, state, wanted, fits, is_reversed, mask)


def _position(cursor: str) -> tuple[int, int]:
    ticks, _, seq = cursor.partition(".")
    try:
        found = int(ticks), int(seq)
    except ValueError as exc:
        raise UsageError(f"cursor {cursor!r} is of no page before") from exc
    if max(map(abs, found)) > _LAST:
        raise UsageError(f"cursor {cursor!r} is of no page before")
    return found


# Where to look


def _channels(timed: Timed, name: str | None) -> list[int]:
    if name is None:
        rows = timed.conn.execute("SELECT id FROM channel").fetchall()
    else:
        rows = timed.conn.execute(
            "SELECT id FROM channel WHERE name = ?", (name,)
        ).fetchall()
    return [id_ for (id_,) in rows]


def is_known(timed: Timed, channel: str) -> bool:
    """Whether a journal has, or had, messages of a channel of this name."""
    return bool(_channels(timed, channel))


def _of_channel(timed: Timed, channel: int, search: _Search) -> Iterator[_Row]:
    sql = _sql(search)
    after, bound = search.after, search.first if search.is_reversed else search.end
    # The first page is all that most searches show of a channel.
    size = min(search.wanted.count + 1, _PAGE)
    while True:
        rows = timed.conn.execute(sql, (channel, *after, bound, size)).fetchall()
        yield from map(_Row._make, rows)
        if len(rows) < size:
            return
        after, size = rows[-1][:2], _PAGE


def _sql(search: _Search) -> str:
    index, condition = "message_time", ""
    if search.state is not None and search.state > _PROCESSED:
        # A partial index is used only where its own condition is repeated.
        index = "message_aside"
        condition = f" AND state = {search.state} AND state > {_PROCESSED}"
    order, bounds = "ASC", "(ticks, seq) > (?, ?) AND ticks < ?"
    if search.is_reversed:
        order, bounds = "DESC", "(ticks, seq) < (?, ?) AND ticks >= ?"
    return (
        f"SELECT ticks, seq, state, lane, attempts FROM message INDEXED BY {index}"
        f" WHERE channel = ? AND {bounds}{condition}"
        f" ORDER BY ticks {order}, seq {order} LIMIT ?"
    )


def _of_tag(timed: Timed, channels: set[int], search: _Search) -> Iterator[_Row]:
    """The messages that the index of tags names, a minute at a time, in order."""
    minutes = _minutes(timed, search)
    recent = _recent(timed, channels, search)
    parts = {minute: rows for minute, rows in recent.items() if minute not in minutes}
    for minute in sorted({*minutes, *parts}, reverse=search.is_reversed):
        rows = set(recent.get(minute, ()))
        if minute in minutes:
            rows |= set(_of_minute(timed, channels, minute, minutes[minute], search))
        yield from sorted(rows, reverse=search.is_reversed)


def _minutes(timed: Timed, search: _Search) -> dict[int, tuple[int, int]]:
    lowest, highest = search.first, search.end
    if search.is_reversed:
        highest = min(highest, search.after[0])
    else:
        lowest = max(lowest, search.after[0])
    rows = timed.conn.execute(
        "SELECT minute, first, last FROM tag_minute"
        " WHERE tag = (SELECT id FROM tag WHERE key = ?) AND minute BETWEEN ? AND ?",
        (search.wanted.tag, lowest // MINUTE, highest // MINUTE),
    )
    return {minute: (first, last) for minute, first, last in rows.fetchall()}


def _of_minute(
    timed: Timed,
    channels: set[int],
    minute: int,
    run: tuple[int, int],
    search: _Search,
) -> Iterator[_Row]:
    first, last = run
    while not timed.is_over:
        rows = timed.conn.execute(
            "SELECT ticks, seq, state, lane, attempts, channel FROM message"
            f" WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT {_PAGE}",
            (first, last),
        ).fetchall()
        for *values, channel in rows:
            row = _Row(*values)
            if row.ticks // MINUTE == minute and channel in channels:
                if _is_behind(row, search):
                    yield row
        if len(rows) < _PAGE:
            return
        first = rows[-1][1] + 1


def _recent(timed: Timed, channels: set[int], search: _Search) -> dict[int, list[_Row]]:
    """What the index does not have yet: about the present minute."""
    rows = timed.conn.execute(
        "SELECT ticks, seq, state, lane, attempts, channel FROM message WHERE seq >"
        " (SELECT coalesce(max(value), 0) FROM setting WHERE name = 'tags_through')"
        f" ORDER BY seq DESC LIMIT {_UNINDEXED}"
    ).fetchall()
    found: dict[int, list[_Row]] = {}
    for *values, channel in rows:
        row = _Row(*values)
        if channel in channels and _is_behind(row, search):
            found.setdefault(row.ticks // MINUTE, []).append(row)
    return found


def _is_behind(row: _Row, search: _Search) -> bool:
    if not search.first <= row.ticks < search.end:
        return False
    place = (row.ticks, row.seq)
    return place < search.after if search.is_reversed else place > search.after


# What fits


def _page(timed: Timed, rows: Iterator[_Row], search: _Search) -> Page:
    count = search.wanted.count
    found: list[_Row] = []
    scanned = 0
    last: _Row | None = None
    size = _batch(search, count)
    try:
        while batch := list(itertools.islice(rows, size)):
            begun = clock.monotonic()
            found += _fitting(timed, batch, search)
            scanned += len(batch)
            last = batch[-1]
            if search.fits is not None:
                size = _next_batch(size, clock.monotonic() - begun)
            else:
                size = min(_PAGE, size * 4)
            if len(found) > count or timed.is_over:
                break
    except (sqlite3.OperationalError, JournalError):
        # A query that was cut off takes nothing from what was found before it.
        if last is None or not timed.is_over:
            raise
    is_over = timed.is_over and len(found) <= count
    place = None
    if len(found) > count:
        place = found[count - 1]
    elif is_over and last is not None:
        place = last
    timed.allow_query()
    records = read_records(timed.conn, [row.seq for row in found[:count]])
    cursor = None if place is None else f"{place.ticks}.{place.seq}"
    return Page(records, cursor, not is_over, scanned)


def _next_batch(size: int, seconds: float) -> int:
    """How many to look into next: payloads may be small, or of megabytes."""
    if seconds > _SLOW:
        return max(1, size // 4)
    return min(_PAGE, size * 2) if seconds < _QUICK else size


def _batch(search: _Search, count: int) -> int:
    if search.fits is not None:
        return _FIRST_BATCH
    wanted = search.wanted
    narrow = (
        *(wanted.node, wanted.error, wanted.error_class),
        *(wanted.lane, wanted.attempts, wanted.uuid),
    )
    return _PAGE if any(narrow) or search.state is not None else count + 1


def _fitting(timed: Timed, rows: list[_Row], search: _Search) -> list[_Row]:
    wanted, state = search.wanted, search.state
    rows = [
        row
        for row in rows
        if (state is None or row.state == state)
        and (wanted.lane is None or row.lane == wanted.lane)
        and (wanted.attempts is None or row.attempts >= wanted.attempts)
    ]
    if wanted.uuid is not None:
        called = set(_called(timed, rows, wanted.uuid))
        rows = [row for row in rows if row.seq in called]
    if wanted.node or wanted.error or wanted.error_class:
        known = _outcomes(timed, rows)
        rows = [row for row in rows if _has_failed_so(known.get(row.seq), search)]
    if wanted.tag is None and search.fits is None:
        return rows
    good = set(_bodies(timed, rows, search))
    return [row for row in rows if row.seq in good]


def _numbers(rows: list[_Row]) -> tuple[str]:
    return (json.dumps([row.seq for row in rows]),)


def _called(timed: Timed, rows: list[_Row], uuid: str) -> Iterator[int]:
    found = timed.conn.execute(
        "SELECT seq FROM message"
        " WHERE seq IN (SELECT value FROM json_each(?)) AND uuid = ?",
        (*_numbers(rows), uuid),
    )
    return (seq for (seq,) in found.fetchall())


def _outcomes(timed: Timed, rows: list[_Row]) -> dict[int, bytes]:
    found = timed.conn.execute(
        "SELECT seq, meta FROM outcome WHERE seq IN (SELECT value FROM json_each(?))",
        _numbers(rows),
    )
    return dict(found.fetchall())


def _has_failed_so(outcome: bytes | None, search: _Search) -> bool:
    if outcome is None:
        return False
    try:
        facts = dict(codecs.decode(outcome))
    except CodecError:
        return False
    return failed_so(facts, search.wanted, search.mask)


def _bodies(timed: Timed, rows: list[_Row], search: _Search) -> Iterator[int]:
    tag = search.wanted.tag
    id = search.wanted.event_id
    event = None if id is None else event_id_of(id)
    # Payloads may be large, and a tag needs none of them.
    data = "data" if search.fits is not None else "NULL"
    found = timed.conn.execute(
        f"SELECT seq, {data}, manifest FROM body"
        " WHERE seq IN (SELECT value FROM json_each(?))",
        _numbers(rows),
    )
    for seq, data, manifest in found.fetchall():
        if tag is not None and not names(manifest, tag, event):
            continue
        if search.fits is None or _fits(data, search.fits):
            yield seq
        if timed.is_too_late():
            raise JournalError("reading took too long; ask for less")


def _fits(data: bytes, fits: Callable[[Message], bool]) -> bool:
    try:
        return fits(Message.decode(data, "", 0))
    except CodecError:
        # One that cannot be read costs itself, not the search.
        return False
