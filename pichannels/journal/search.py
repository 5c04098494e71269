"""Searching the journal: pages of positions first, records for what is shown."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

from pichannels import codecs
from pichannels.errors import CodecError
from pichannels.journal.reader import read_records
from pichannels.journal.records import Record
from pichannels.journal.schema import CODES, STATES
from pichannels.journal.statements import FIRST_FINAL
from pichannels.journal.tags import MINUTE
from pichannels.manifest import decode_manifest
from pichannels.message import Message
from pichannels.query import Query, payload_text
from pichannels.states import State

__all__ = ["search"]

Position = tuple[int, int]

_PAGE: Final = 500
_PROCESSED: Final = CODES[State.PROCESSED]


def search(conn: sqlite3.Connection, channel: str | None, query: Query) -> list[Record]:
    """The records that a query is after, a page at a time."""
    channels = _channel_ids(conn, channel)
    if query.ids is not None or query.tag is not None:
        positions = _sorted_positions(conn, channels, query)
    else:
        positions = _streamed_positions(conn, channels, query)
    end = query.start + query.count
    seqs = [seq for _, seq in itertools.islice(positions, query.start, end)]
    return read_records(conn, seqs)


def _channel_ids(conn: sqlite3.Connection, channel: str | None) -> list[int]:
    where, params = ("", ()) if channel is None else (" WHERE name = ?", (channel,))
    found = conn.execute(f"SELECT id FROM channel{where}", params).fetchall()
    return [id_ for (id_,) in found]


def _streamed_positions(
    conn: sqlite3.Connection, channels: list[int], query: Query
) -> Iterator[Position]:
    # Each channel (and state) has an index in the order of time: they are merged,
    # so that only what is shown, and skipped, is read.
    states: list[State | None] = [query.state]
    if query.by_state and query.state is None:
        states = sorted(State, key=str, reverse=query.is_reversed)
    for state in states:
        yield from heapq.merge(
            *(
                _matching(conn, query, _scan(conn, id_, state, query))
                for id_ in channels
            ),
            reverse=query.is_reversed,
        )


def _scan(
    conn: sqlite3.Connection, channel: int, state: State | None, query: Query
) -> Iterator[list[Position]]:
    sql = _scan_sql(state, query)
    # One bound of the time range is where to go on from page to page.
    if query.is_reversed:
        after, bound = min((query.end, 0), query.after or (query.end, 0)), query.first
    else:
        after, bound = max((query.first, 0), query.after or (query.first, 0)), query.end
    size = min(_PAGE, query.start + query.count)
    if query.needs_reading:
        size = _PAGE
    while True:
        page = conn.execute(sql, (channel, *after, bound, size)).fetchall()
        yield page
        if len(page) < size:
            return
        after, size = page[-1], _PAGE


def _scan_sql(state: State | None, query: Query) -> str:
    index, is_state = "message_time", ""
    if state is not None:
        code = CODES[state]
        is_state = f" AND state = {code}"
        # A partial index is used only where its own condition is repeated.
        if code < _PROCESSED:
            index, is_state = "message_open", f"{is_state} AND state < {FIRST_FINAL}"
        elif code > _PROCESSED:
            index, is_state = "message_aside", f"{is_state} AND state > {_PROCESSED}"
    order, bounds = "ASC", "(ticks, seq) > (?, ?) AND ticks < ?"
    if query.is_reversed:
        order, bounds = "DESC", "(ticks, seq) < (?, ?) AND ticks >= ?"
    return (
        f"SELECT ticks, seq FROM message INDEXED BY {index}"
        f" WHERE channel = ? AND {bounds}{is_state}"
        f" ORDER BY ticks {order}, seq {order} LIMIT ?"
    )


def _matching(
    conn: sqlite3.Connection,
    query: Query,
    pages: Iterator[list[Position]],
) -> Iterator[Position]:
    for page in pages:
        if not query.needs_reading:
            yield from page
        else:
            found = _fitting(conn, [seq for _, seq in page], query)
            yield from (position for position in page if position[1] in found)


def _fitting(conn: sqlite3.Connection, seqs: list[int], query: Query) -> set[int]:
    """Which of these have the facts, the text and the tag that are looked for."""
    if query.knows is not None:
        seqs = _known(conn, seqs, query.knows)
        if query.matches is None and query.tag is None:
            return set(seqs)
    rows = conn.execute(
        "SELECT seq, data, manifest FROM body"
        " WHERE seq IN (SELECT value FROM json_each(?))",
        (json.dumps(seqs),),
    ).fetchall()
    return {
        seq
        for seq, data, manifest in rows
        if _names_tag(manifest, query.tag) and _has_text(data, query.matches)
    }


def _known(
    conn: sqlite3.Connection, seqs: list[int], knows: Callable[[Any], bool]
) -> list[int]:
    rows = conn.execute(
        "SELECT seq, meta FROM outcome WHERE seq IN (SELECT value FROM json_each(?))",
        (json.dumps(seqs),),
    ).fetchall()
    return [seq for seq, meta in rows if knows(_facts(meta))]


def _facts(data: bytes) -> dict[str, Any]:
    try:
        return dict(codecs.decode(data))
    except CodecError:
        return {}


def _has_text(data: bytes, matches: Callable[[str], bool] | None) -> bool:
    if matches is None:
        return True
    try:
        return matches(payload_text(Message.decode(data, "", 0).payload))
    except CodecError:
        # One that cannot be read costs itself, not the search.
        return False


def _names_tag(manifest: bytes | None, tag: str | None) -> bool:
    if tag is None:
        return True
    try:
        entries = [] if manifest is None else decode_manifest(manifest)
    except CodecError:
        return False
    return any(entry.key == tag for entry in entries)


def _sorted_positions(
    conn: sqlite3.Connection, channels: list[int], query: Query
) -> Iterator[Position]:
    names = set(channels)
    found: list[tuple[str, int, int]] = []
    for part in _candidates(conn, query):
        wanted = [row for row in part if row[3] in names and _is_wanted(row, query)]
        if query.tag is not None or query.needs_reading:
            fit = _fitting(conn, [row[1] for row in wanted], query)
            wanted = [row for row in wanted if row[1] in fit]
        for ticks, seq, code, _ in wanted:
            found.append((str(STATES[code]) if query.by_state else "", ticks, seq))
    found.sort(reverse=query.is_reversed)
    return ((ticks, seq) for _, ticks, seq in found)


def _is_wanted(row: tuple[int, int, int, int], query: Query) -> bool:
    ticks, seq, code, _ = row
    if query.after is not None:
        behind = (
            (ticks, seq) < query.after
            if query.is_reversed
            else ((ticks, seq) > query.after)
        )
        if not behind:
            return False
    return (
        query.first <= ticks < query.end
        and (query.state is None or CODES[query.state] == code)
        and (query.ids is None or seq in query.ids)
    )


def _candidates(
    conn: sqlite3.Connection, query: Query
) -> Iterator[list[tuple[int, int, int, int]]]:
    columns = "SELECT ticks, seq, state, channel FROM message WHERE"
    if query.ids is not None:
        numbers = sorted(query.ids)
        for at in range(0, len(numbers), _PAGE):
            part = numbers[at : at + _PAGE]
            marks = ", ".join("?" * len(part))
            yield conn.execute(f"{columns} seq IN ({marks})", part).fetchall()
        return
    for first, last in _runs_of_tag(conn, query):
        while page := conn.execute(
            f"{columns} seq BETWEEN ? AND ? ORDER BY seq LIMIT {_PAGE}", (first, last)
        ).fetchall():
            yield page
            first = page[-1][1] + 1


def _runs_of_tag(conn: sqlite3.Connection, query: Query) -> list[tuple[int, int]]:
    # Runs of neighbouring minutes overlap; each message must be met once.
    runs: list[tuple[int, int]] = []
    rows = conn.execute(
        "SELECT first, last FROM tag_minute"
        " WHERE tag = (SELECT id FROM tag WHERE key = ?) AND minute BETWEEN ? AND ?"
        " ORDER BY first",
        (query.tag, query.first // MINUTE, query.end // MINUTE),
    )
    for first, last in rows.fetchall():
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return runs
