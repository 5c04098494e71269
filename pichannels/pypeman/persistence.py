"""Data that is kept between two runs, for code that asks for it by itself.

What nodes keep with `save_data` is in the journal, or where the setting `PERSISTENCE`
says; this is for other code. Values are kept by typed codecs, not by pickle.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from pichannels.errors import SettingsError
from pichannels.persistence import MISSING, MemoryPersistence
from pichannels.pypeman.conf import settings
from pichannels.pypeman.registry import current
from pichannels.saved import SQLitePersistence

__all__ = ["SENTINEL", "MemoryBackend", "SqliteBackend", "get_backend"]

SENTINEL = MISSING


class MemoryBackend(MemoryPersistence):
    """Keeps data as long as the process runs."""

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def store(self, namespace: str, key: str, value: Any) -> None:
        """Keep a value.

        Raises:
            CodecError: the value has a type without codec.
        """
        await self.save(namespace, key, value)

    async def get(self, namespace: str, key: str, default: Any = SENTINEL) -> Any:
        """The value kept last.

        Raises:
            KeyError: there is none and no default was given.
        """
        return await self.restore(namespace, key, default)


class SqliteBackend(SQLitePersistence):
    """Keeps data in a file of SQLite.

    Args:
        path: the file.
        thread_pool: not used; the file has a thread of its own.
    """

    def __init__(self, path: str | os.PathLike[str], thread_pool: Any = None) -> None:
        super().__init__(path)

    async def start(self) -> None:
        """Open the file.

        Raises:
            JournalError: it cannot be opened, or is of another program.
        """
        await self.open()

    async def store(self, namespace: str, key: str, value: Any) -> None:
        """Keep a value; it is on the disk when this returns.

        Raises:
            CodecError: the value has a type without codec.
        """
        await self.save(namespace, key, value)

    async def get(self, namespace: str, key: str, default: Any = SENTINEL) -> Any:
        """The value kept last.

        Raises:
            KeyError: there is none and no default was given.
        """
        return await self.restore(namespace, key, default)


async def get_backend() -> Any:
    """What `PERSISTENCE_BACKEND` names, with `PERSISTENCE_CONFIG`; one for a project.

    Raises:
        SettingsError: it is not said, or there is no such class.
    """
    registry = current()
    if registry.backend is None:
        registry.backend = _made(getattr(settings, "PERSISTENCE_BACKEND", None))
        await registry.backend.start()
    return registry.backend


def _made(name: str | None) -> Any:
    allowed = "'pichannels.pypeman.persistence.SqliteBackend', or another class"
    if not name:
        raise SettingsError("missing", key="PERSISTENCE_BACKEND", allowed=allowed)
    module, _, kind = name.rpartition(".")
    if module.partition(".")[0] == "pypeman":
        module = f"pichannels.{module}"
    try:
        made = getattr(import_module(module), kind)
    except (ImportError, AttributeError, ValueError) as exc:
        raise SettingsError(
            "no such class", key="PERSISTENCE_BACKEND", found=name, allowed=allowed
        ) from exc
    return made(**getattr(settings, "PERSISTENCE_CONFIG", {}))
