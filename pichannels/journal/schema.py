"""The schema of a journal file: its version, and how older files are brought up.

The version is SQLite's `user_version`: the number of the last migration that
was applied. Each migration is one numbered `.sql` file and one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from pichannels.errors import JournalError
from pichannels.states import State

__all__ = [
    "CODES",
    "STATES",
    "Durability",
    "connect_reader",
    "connect_writer",
    "load_migrations",
    "migrate",
]

Durability = Literal["full", "normal"]

STATES: Final = (
    State.PENDING,
    State.PROCESSING,
    State.WAIT_RETRY,
    State.PROCESSED,
    State.DROPPED,
    State.ERROR,
    State.REJECTED,
)
"""What the codes in the file mean; the first three are unsettled."""
CODES: Final = {state: code for code, state in enumerate(STATES)}

# "PIch" as a number: tells a journal from any other SQLite file.
_APPLICATION_ID: Final = 0x50496368


def load_migrations() -> list[str]:
    """The SQL of all migrations, in order; the first makes version 1."""
    folder = resources.files("pichannels.journal") / "migrations"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return [file.read_text("utf-8") for file in sorted(files, key=lambda f: f.name)]


def connect_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """The one connection that writes, without implicit transactions."""
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA busy_timeout = 10000")
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute(f"PRAGMA synchronous = {durability.upper()}")
        conn.execute("PRAGMA temp_store = MEMORY")
        conn.execute("PRAGMA journal_size_limit = 67108864")
    except sqlite3.Error:
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    conn = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    conn.execute("PRAGMA busy_timeout = 10000")
    conn.execute("PRAGMA temp_store = MEMORY")
    return conn


def migrate(
    conn: sqlite3.Connection, path: Path, migrations: Sequence[str] | None = None
) -> int:
    """Bring the file up to the last of `migrations`; the version it had before.

    Raises:
        JournalError: the file is newer than this program, is no journal, or a
            migration failed (the file then keeps the version before it).
    """
    steps = load_migrations() if migrations is None else migrations
    version = _version(conn, path)
    if version > len(steps):
        raise JournalError(
            f"{path} has schema version {version}, but this program knows only"
            f" {len(steps)}; upgrade pichannels, or give it another DATA_DIR"
        )
    for number, sql in enumerate(steps[version:], version + 1):
        _apply(conn, path, number, sql)
    return version


def _version(conn: sqlite3.Connection, path: Path) -> int:
    (application,) = conn.execute("PRAGMA application_id").fetchone()
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION_ID and tables:
        raise JournalError(f"{path} is a database of another program, no journal")
    return int(version)


def _apply(conn: sqlite3.Connection, path: Path, number: int, sql: str) -> None:
    try:
        conn.executescript(
            f"BEGIN IMMEDIATE;\n{sql}\n"
            f"PRAGMA application_id = {_APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )
    except sqlite3.Error as exc:
        if conn.in_transaction:
            conn.rollback()
        raise JournalError(f"{path}: migration {number} failed: {exc}") from exc
