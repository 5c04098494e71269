"""The lock that lets only one instance use a journal.

It is an exclusive transaction on a small SQLite file beside the journal, held as
long as the instance lives: the system releases it when the process dies, and it
works wherever SQLite does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from pathlib import Path

from pichannels import clock
from pichannels.errors import JournalError, JournalLocked
from pichannels.private_files import make_private_folder
from pichannels.values import format_ticks

__all__ = ["InstanceLock", "this_process"]


class InstanceLock:
    """Held by the instance that uses the journal at `path`.

    Files: `<path>-lock`, and `<path>-owner` with the holder's process id, host
    and start as text. `take` and `release` block; call them in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name(f"{path.name}-lock")
        self._owner_path = path.with_name(f"{path.name}-owner")
        self._conn: sqlite3.Connection | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            JournalLocked: another instance has it; names that one.
            JournalError: the lock file cannot be made.
        """
        conn = None
        try:
            # What is stored is for the user of the instance alone.
            make_private_folder(self._path.parent)
            conn = sqlite3.connect(
                self._lock_path,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
            )
            # Nothing is ever written to it, so it needs no file for undoing.
            conn.execute("PRAGMA journal_mode = MEMORY")
            conn.execute("BEGIN EXCLUSIVE")
            self._owner_path.write_text(f"{this_process()}\n", "utf-8")
        except (sqlite3.Error, OSError) as exc:
            if conn is not None:
                conn.close()
            raise self._explain(exc) from exc
        self._conn = conn

    def release(self) -> None:
        """Let the next instance have it; does nothing when it is not held."""
        if self._conn is None:
            return
        with contextlib.suppress(OSError):
            self._owner_path.unlink()
        self._conn.close()
        self._conn = None

    def _explain(self, exc: Exception) -> JournalError:
        code = getattr(exc, "sqlite_errorcode", None)
        if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
            return JournalLocked(str(self._path), self._owner())
        return JournalError(f"{self._lock_path} cannot be locked: {exc}")

    def _owner(self) -> str:
        try:
            return self._owner_path.read_text("utf-8").strip()
        except OSError:
            return ""


def this_process() -> str:
    """Who has a lock or a lease, in words."""
    since = format_ticks(clock.now())
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"
