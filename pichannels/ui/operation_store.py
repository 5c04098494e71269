"""Operations in a file, so that what was cut is known after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.errors import JournalLocked
from pichannels.journal.lock import InstanceLock
from pichannels.private_files import PrivateDatabase

__all__ = ["Kept", "OperationStore"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS operation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    told BLOB NOT NULL,
    arguments BLOB NOT NULL
);
"""
_SAVE: Final = """
INSERT INTO operation (id, told, arguments) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET told = excluded.told
"""


class Kept(NamedTuple):
    """One operation as JSON, and what it was given."""

    told: bytes
    arguments: dict[str, Any]


class OperationStore:
    """The file of the last operations; its methods are for threads.

    Args:
        path: of the file; the folder is made.
        most: how many are kept.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._owner = InstanceLock(path)
        self._file = PrivateDatabase(path, _SCHEMA, "the operations in")

    def save(self, id: str, told: bytes, arguments: dict[str, Any]) -> None:
        """Keep one as it is now; it is durable when this returns.

        Raises:
            PichannelsError: it cannot be written.
        """
        given = msgspec.json.encode(arguments, enc_hook=str)
        self._file.run(_SAVE, (id, told, given))
        self._file.run(
            "DELETE FROM operation WHERE number <="
            " (SELECT max(number) FROM operation) - ?",
            (self._most,),
        )

    def load(self) -> list[Kept]:
        """All that are kept, the oldest first.

        Raises:
            PichannelsError: the file cannot be read.
        """
        if not self._path.exists():
            return []
        rows = self._file.run("SELECT told, arguments FROM operation ORDER BY number")
        return [Kept(told, msgspec.json.decode(given)) for told, given in rows]

    def claim(self) -> bool:
        """Whether no other process has operations in this file that go on.

        Until `close` none of them gets it.

        Raises:
            PichannelsError: that cannot be found out.
        """
        try:
            self._owner.take()
        except JournalLocked:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._owner.release()
        self._file.close()
