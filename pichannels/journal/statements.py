"""The SQL that the writer runs, in as few statements as possible.

Each statement takes the interpreter lock again, and a thread that inserts row
by row beside a busy event loop starves. So rows go in by the hundred, and runs
of numbers are settled by one UPDATE.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from pichannels.journal.batch import Settlement
from pichannels.journal.schema import CODES
from pichannels.states import State

__all__ = [
    "FIRST_FINAL",
    "Selection",
    "delete_messages",
    "insert_rows",
    "save_values",
    "select",
    "settle_messages",
]

FIRST_FINAL: Final = CODES[State.PROCESSED]
_ERROR: Final = CODES[State.ERROR]
_CHUNKS: Final = (256, 32, 4, 1)

MESSAGE_SQL: Final = "INSERT INTO message VALUES "
MESSAGE_ROW: Final = "(?, ?, ?, 0, ?, ?, 0, ?, ?)"
BODY_SQL: Final = "INSERT INTO body VALUES "
BODY_ROW: Final = "(?, ?, ?)"


class Selection(NamedTuple):
    """A condition on `seq` with its parameters."""

    sql: str
    params: tuple[Any, ...]


def select(seqs: Iterable[int]) -> Selection:
    """The condition that holds for these numbers."""
    numbers = sorted(seqs)
    first, last = numbers[0], numbers[-1]
    if last - first == len(numbers) - 1:
        return Selection("seq BETWEEN ? AND ?", (first, last))
    listed = json.dumps(numbers)
    return Selection("seq IN (SELECT value FROM json_each(?))", (listed,))


def insert_rows(
    conn: sqlite3.Connection, sql: str, row: str, values: list[Any], tail: str = ""
) -> None:
    """Insert flat `values`, each `row` (its placeholders) of them a row."""
    width = row.count("?")
    most = conn.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    at = 0
    for size in _CHUNKS:
        if size > most:
            continue
        statement = sql + ", ".join([row] * size) + tail
        while len(values) - at >= size * width:
            conn.execute(statement, values[at : at + size * width])
            at += size * width


def settle_messages(
    conn: sqlite3.Connection, settled: dict[int, Settlement]
) -> tuple[dict[int, int], list[int]]:
    """Write new states.

    Returns:
        How many fewer messages of each channel id are unsettled, and the numbers
        of those that nobody wants kept.
    """
    fewer: dict[int, int] = {}
    loose: list[int] = []
    for code, seqs in _by_code(settled):
        found = _settle_run(conn, code, select(seqs), loose)
        for channel, count in found:
            fewer[channel] = fewer.get(channel, 0) + count
    _write_outcomes(conn, settled)
    _write_attempts(conn, settled)
    return fewer, loose


def _by_code(settled: dict[int, Settlement]) -> Iterator[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for seq, settlement in settled.items():
        if settlement.code is not None:
            groups.setdefault(settlement.code, []).append(seq)
    return iter(groups.items())


def _settle_run(
    conn: sqlite3.Connection, code: int, which: Selection, loose: list[int]
) -> list[tuple[int, int]]:
    is_final = code >= FIRST_FINAL
    crossing = f"state {'<' if is_final else '>='} {FIRST_FINAL}"
    counts = conn.execute(
        f"SELECT channel, sum({crossing}), sum(keep = 0) FROM message"
        f" WHERE {which.sql} GROUP BY channel",
        which.params,
    ).fetchall()
    conn.execute(
        f"UPDATE message SET state = ? WHERE {which.sql}", (code, *which.params)
    )
    if is_final and code != _ERROR and any(row[2] for row in counts):
        loose += _loose_ones(conn, which)
    sign = 1 if is_final else -1
    return [(channel, sign * count) for channel, count, _ in counts]


def _loose_ones(conn: sqlite3.Connection, which: Selection) -> list[int]:
    found = conn.execute(
        f"SELECT seq FROM message WHERE {which.sql} AND keep = 0", which.params
    )
    return [seq for (seq,) in found.fetchall()]


def _write_outcomes(conn: sqlite3.Connection, settled: dict[int, Settlement]) -> None:
    values: list[Any] = []
    for seq, settlement in settled.items():
        if settlement.meta is not None:
            values += (seq, settlement.meta)
    insert_rows(
        conn,
        "INSERT OR REPLACE INTO outcome SELECT column1, column2 FROM (VALUES ",
        "(?, ?)",
        values,
        # A message that was never written has no outcome either.
        ") WHERE column1 IN (SELECT seq FROM message)",
    )


def _write_attempts(conn: sqlite3.Connection, settled: dict[int, Settlement]) -> None:
    groups: dict[int, list[int]] = {}
    for seq, settlement in settled.items():
        if settlement.attempts is not None:
            groups.setdefault(settlement.attempts, []).append(seq)
    for attempts, seqs in groups.items():
        which = select(seqs)
        conn.execute(
            f"UPDATE message SET attempts = ? WHERE {which.sql}",
            (attempts, *which.params),
        )


def delete_messages(conn: sqlite3.Connection, which: Selection) -> dict[int, int]:
    """Delete messages; how many fewer of each channel id are unsettled."""
    fewer = conn.execute(
        "SELECT channel, count(*) FROM message"
        f" WHERE {which.sql} AND state < {FIRST_FINAL} GROUP BY channel",
        which.params,
    ).fetchall()
    for table in ("body", "outcome", "message"):
        conn.execute(f"DELETE FROM {table} WHERE {which.sql}", which.params)
    return dict(fewer)


def save_values(
    conn: sqlite3.Connection, saved: dict[tuple[str, str], bytes | None]
) -> None:
    """Write the values that nodes keep; None deletes one."""
    values: list[Any] = []
    for (namespace, key), value in saved.items():
        if value is not None:
            values += (namespace, key, value)
    insert_rows(conn, "INSERT OR REPLACE INTO saved VALUES ", "(?, ?, ?)", values)
    gone = [place for place, value in saved.items() if value is None]
    if gone:
        conn.executemany("DELETE FROM saved WHERE namespace = ? AND key = ?", gone)
