"""Searches that users keep by a name, each for itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import msgspec

from pichannels.errors import SettingsError, UsageError
from pichannels.private_files import write_private

__all__ = ["SavedSearches"]

_MOST: Final = 50
_LONGEST: Final = 2000
_NAME: Final = 60

_All = dict[str, dict[str, str]]


class SavedSearches:
    """The searches of all users, in one file; its methods block.

    A search is the part of an address behind the question mark.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def of(self, user: str) -> dict[str, str]:
        """The searches of a user by name, in the order of their names.

        Raises:
            SettingsError: the file is not what this writes.
        """
        with self._lock:
            return dict(sorted(self._read().get(user, {}).items()))

    def save(self, user: str, name: str, query: str) -> None:
        """Keep a search; one of the same name is replaced.

        Raises:
            SettingsError: the file is not what this writes.
            UsageError: the name or the search is none, or there are too many.
        """
        name = name.strip()
        if not 0 < len(name) <= _NAME or not name.isprintable():
            raise UsageError(f"a search has a name of 1 to {_NAME} characters")
        if not query or len(query) > _LONGEST:
            raise UsageError("there is nothing to be kept, or too much")
        with self._lock:
            found = self._read()
            own = found.setdefault(user, {})
            if name not in own and len(own) >= _MOST:
                raise UsageError(f"there are {_MOST} searches; take one away before")
            own[name] = query
            self._write(found)

    def delete(self, user: str, name: str) -> None:
        """Forget a search; nothing where there is none.

        Raises:
            SettingsError: the file is not what this writes.
        """
        with self._lock:
            found = self._read()
            if found.get(user, {}).pop(name, None) is not None:
                self._write(found)

    def _read(self) -> _All:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_All)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as exc:
            raise SettingsError(f"{self._path} cannot be read: {exc}") from exc

    def _write(self, found: _All) -> None:
        # What is searched for may be what payloads hold.
        write_private(self._path, msgspec.json.encode(found))
