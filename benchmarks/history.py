"""A journal that holds very many messages, written without running them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pichannels import clock, codecs
from pichannels.journal.schema import CODES, connect_writer, migrate
from pichannels.journal.tags import MINUTE
from pichannels.manifest import ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND

__all__ = ["CHANNEL", "TAGS", "fill"]

CHANNEL: Final = "history"
TAGS: Final = tuple(f"F1DPhistory{number:04d}" for number in range(100))
"""The WebIDs that the messages name, each its own in turn."""

_DAYS: Final = 5
_FAILED: Final = 500
"""One of so many is a dead letter."""
_SEGMENT: Final = 10_000
_PAYLOADS: Final = 1000


def fill(path: Path, count: int, failed: int = _FAILED) -> None:
    """Make a journal with so many settled messages of the last days.

    Args:
        path: of the file.
        count: how many messages.
        failed: one of so many is a dead letter.
    """
    conn = connect_writer(path, "normal")
    try:
        migrate(conn, path)
        span = _DAYS * 86_400 * TICKS_PER_SECOND
        start = clock.now() - span - MINUTE
        step = span // count
        conn.execute("BEGIN")
        conn.execute("INSERT INTO channel VALUES (1, ?)", (CHANNEL,))
        _fill_messages(conn, count, start, step, failed)
        _fill_tags(conn, count, start, step)
        _fill_segments(conn, count, start, step)
        conn.execute("COMMIT")
    finally:
        conn.close()


def _fill_messages(
    conn: sqlite3.Connection, count: int, start: int, step: int, failed: int
) -> None:
    bodies = [_body(number) for number in range(_PAYLOADS)]
    size = len(bodies[0])
    good, bad = CODES[State.PROCESSED], CODES[State.ERROR]

    def rows() -> Iterator[tuple[Any, ...]]:
        for seq in range(1, count + 1):
            state = good if seq % failed else bad
            yield seq, 1, "live", state, start + seq * step, f"{seq:032x}", 1, 1, size

    conn.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    manifests = [encode_manifest([ManifestEntry(tag, start, start, 1)]) for tag in TAGS]
    named = zip(
        range(1, count + 1), itertools.cycle(bodies), itertools.cycle(manifests)
    )
    conn.executemany("INSERT INTO body VALUES (?, ?, ?)", named)
    facts = codecs.encode({"err_msg": "ValueError: too high", "node": "history.check"})
    outcomes = ((seq, facts) for seq in range(failed, count + 1, failed))
    conn.executemany("INSERT INTO outcome VALUES (?, ?)", outcomes)


def _body(number: int) -> bytes:
    payload = f'{{"tag": "TI-{number % len(TAGS):04d}", "reading": {number / 10}}}'
    return Message("application/json", payload, {"area": f"A{number % 7}"}).encode()


def _fill_tags(conn: sqlite3.Connection, count: int, start: int, step: int) -> None:
    conn.executemany("INSERT INTO tag VALUES (?, ?)", enumerate(TAGS, 1))
    minutes: dict[int, tuple[int, int]] = {}
    for seq in range(1, count + 1):
        minute = (start + seq * step) // MINUTE
        minutes[minute] = (minutes.get(minute, (seq, seq))[0], seq)
    runs = [
        (tag, minute, *run)
        for tag in range(1, len(TAGS) + 1)
        for minute, run in minutes.items()
    ]
    conn.executemany("INSERT INTO tag_minute VALUES (?, ?, ?, ?)", runs)
    conn.execute("INSERT INTO setting VALUES ('tags_through', ?)", (count,))


def _fill_segments(conn: sqlite3.Connection, count: int, start: int, step: int) -> None:
    size = len(_body(0))
    firsts = range(1, count + 1, _SEGMENT)
    lasts = [min(first + _SEGMENT - 1, count) for first in firsts]
    rows = [
        (
            first,
            last,
            last - first + 1,
            (last - first + 1) * size,
            start + first * step,
            start + last * step,
        )
        for first, last in zip(firsts, lasts, strict=True)
    ]
    conn.executemany("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)", rows)
