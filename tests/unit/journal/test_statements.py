"""Rows go in by the hundred, in order, whatever this SQLite allows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from pichannels.journal.statements import insert_rows, select


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """A table of two columns."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("CREATE TABLE pair (seq INTEGER PRIMARY KEY, value)")
    yield conn
    conn.close()


def insert(conn: sqlite3.Connection, count: int) -> int:
    """How many statements it takes."""
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    values = [number for seq in range(count) for number in (seq, seq * seq)]
    insert_rows(conn, "INSERT INTO pair VALUES ", "(?, ?)", values)
    conn.set_trace_callback(None)
    return len(statements)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 255, 256, 257, 1000])
def test_all_rows_are_inserted(conn: sqlite3.Connection, count: int) -> None:
    insert(conn, count)
    rows = conn.execute("SELECT seq, value FROM pair").fetchall()
    assert rows == [(seq, seq * seq) for seq in range(count)]


def test_many_rows_take_few_statements(conn: sqlite3.Connection) -> None:
    assert insert(conn, 1000) <= 20


def test_a_small_limit_of_variables_is_kept(conn: sqlite3.Connection) -> None:
    conn.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 99)
    insert(conn, 500)
    assert conn.execute("SELECT count(*) FROM pair").fetchone() == (500,)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_a_selection_holds_for_its_numbers_and_no_others(seqs: set[int]) -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("CREATE TABLE pair (seq INTEGER PRIMARY KEY, value)")
    insert(conn, 61)
    which = select(seqs)
    rows = conn.execute(f"SELECT seq FROM pair WHERE {which.sql}", which.params)
    assert {seq for (seq,) in rows} == seqs
    conn.close()
