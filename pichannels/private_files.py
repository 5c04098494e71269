"""Files that only the user of the instance reads: secrets, users, what was done."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pichannels.errors import PichannelsError
from pichannels.holding import remove, replace

__all__ = ["PrivateDatabase", "make_private_folder", "write_private"]

_FOLDER: Final = 0o700
_FILE: Final = 0o600


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    One that exists stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        make_private_folder(path.parent)
        path.mkdir(_FOLDER, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Put a file in the place of the one that is there, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    make_private_folder(path.parent)
    partial = path.with_name(f"{path.name}-partial")
    remove(partial)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(partial, flags, _FILE), "wb") as file:
        file.write(data)
    replace(partial, path)


class PrivateDatabase:
    """A small SQLite file, opened when it is needed first; its methods are for threads.

    Args:
        path: of the file; the folder is made.
        schema: what makes its tables where they are missing.
        about: what errors call it.
    """

    def __init__(self, path: Path, schema: str, about: str) -> None:
        self._path = path
        self._schema = schema
        self._about = about
        self._lock = threading.Lock()
        self._conn: sqlite3.Connection | None = None

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that a statement gives; what it changes is durable then.

        Raises:
            PichannelsError: the file cannot be read, or written.
        """
        try:
            with self._lock:
                return self._opened().execute(sql, values).fetchall()
        except (sqlite3.Error, OSError) as exc:
            raise PichannelsError(f"{self._about} {self._path}: {exc}") from exc

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._conn is not None:
                self._conn.close()
                self._conn = None

    def _opened(self) -> sqlite3.Connection:
        if self._conn is None:
            make_private_folder(self._path.parent)
            # SQLite gives the files beside it the mode of this one.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, _FILE))
            conn = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False
            )
            try:
                conn.executescript(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    + self._schema
                )
            except sqlite3.Error:
                conn.close()
                raise
            self._conn = conn
        return self._conn
