"""Reading the journal of an instance from another process, for a bounded time.

Each query is short, and no transaction stays open between two of them: a long reader
would keep the write-ahead log from being emptied. What takes too long all the same is
interrupted.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from pichannels import clock
from pichannels.errors import JournalError
from pichannels.journal.schema import connect_reader

__all__ = ["TimedReader", "Timed"]

T = TypeVar("T")

_STEPS: Final = 5_000
"""Instructions of SQLite between two looks at the clock."""
_LOWEST: Final = 19
_LONGEST_QUERY: Final = 2.0
"""Seconds after which a single query is interrupted."""


def _be_nicer() -> None:
    """Let searches wait for the instance, and for who waits for pages."""
    if sys.platform == "linux":
        # Only there a thread has a priority of its own.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)


class Timed:
    """A connection that cannot write, and until when it may be used.

    Args:
        path: of the file.
        seconds: how long.

    Attributes:
        conn: the connection.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        now = clock.monotonic()
        self._end = now + seconds
        self._stop = self._end + _LONGEST_QUERY
        self.conn = connect_reader(path)
        self.conn.set_progress_handler(self.is_too_late, _STEPS)

    @property
    def is_over(self) -> bool:
        """Whether the time is over: what is found by now is the answer."""
        return clock.monotonic() >= self._end

    def allow_query(self) -> None:
        """Let one more query take as long as one may, though the time is over."""
        self._stop = clock.monotonic() + _LONGEST_QUERY

    def is_too_late(self) -> bool:
        """Whether it took so long that there is no answer at all."""
        return clock.monotonic() >= self._stop

    def close(self) -> None:
        """Close the connection."""
        self.conn.close()


class TimedReader:
    """Reads one file, in a few threads of its own.

    Args:
        path: of the file, which need not exist yet.
        threads: how many.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(threads, "pichannels-ui-reader", _be_nicer)

    async def run(self, work: Callable[[Timed], T], seconds: float) -> T:
        """The result of `work`, called in a thread.

        Raises:
            JournalError: the file is not there, cannot be read, or it took too long.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._use, work, seconds)

    def _use(self, work: Callable[[Timed], T], seconds: float) -> T:
        try:
            timed = Timed(self._path, seconds)
            try:
                return work(timed)
            finally:
                timed.close()
        except sqlite3.OperationalError as exc:
            if "interrupted" in str(exc):
                raise JournalError("reading took too long; ask for less") from exc
            raise JournalError(f"{self._path} could not be read: {exc}") from exc
        except sqlite3.Error as exc:
            raise JournalError(f"{self._path} could not be read: {exc}") from exc

    def close(self) -> None:
        """End the threads, when they have done what they do."""
        self._pool.shutdown()
