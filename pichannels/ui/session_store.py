"""Sessions in a file, so that they last over restarts of the pages."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from pichannels import clock
from pichannels.errors import PichannelsError
from pichannels.private_files import PrivateDatabase

__all__ = ["KeptSession", "SessionStore"]

logger: Final = logging.getLogger("pichannels.ui")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS session (
    hash TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    password TEXT NOT NULL,
    ends INTEGER NOT NULL
) WITHOUT ROWID;
"""


class KeptSession(NamedTuple):
    """One session; who reads the file cannot use it.

    Attributes:
        hash: of what the cookie holds.
        user: its name.
        password: a hash of what is kept of the password that it was opened with.
        ends: ticks.
    """

    hash: str
    user: str
    password: str
    ends: int


class SessionStore:
    """The file; its methods are for threads.

    What cannot be kept is told in the log: then one logs in again after a restart.

    Args:
        path: of the file; the folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = PrivateDatabase(path, _SCHEMA, "the sessions in")

    def load(self) -> list[KeptSession]:
        """Those that are not over, the ones that end last at the end."""
        if not self._path.exists():
            return []
        sql = "SELECT hash, user, password, ends FROM session WHERE ends > ?"
        rows = self._run(f"{sql} ORDER BY ends", (clock.now(),))
        self._file.close()
        return [KeptSession(*row) for row in rows]

    def save(self, one: KeptSession) -> None:
        """Keep one, and forget those that are over."""
        self._run("DELETE FROM session WHERE ends <= ?", (clock.now(),))
        self._run("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?)", tuple(one))

    def delete(self, hashes: Iterable[str]) -> None:
        """Forget some."""
        self._run("DELETE FROM session WHERE hash = ?", *((each,) for each in hashes))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _run(self, sql: str, *rows: tuple[object, ...]) -> list[Any]:
        found: list[Any] = []
        try:
            for row in rows:
                found += self._file.run(sql, row)
        except PichannelsError as exc:
            logger.error("sessions are not kept: %s", exc)
        return found
