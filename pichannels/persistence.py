"""Where nodes keep data between two runs (`save_data`, `restore_data`)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol, runtime_checkable

from pichannels import codecs

__all__ = ["MISSING", "MemoryPersistence", "Persistence"]

MISSING: Any = object()
"""Tells "no default given" from a default of None."""


@runtime_checkable
class Persistence(Protocol):
    """A key-value store with one namespace for each node.

    Attributes:
        commits_with_journal: what is saved and what is settled just after it are
            durable together.
    """

    commits_with_journal: bool

    async def start(self) -> None:
        """Called before the first node starts.

        Raises:
            PichannelsError: nothing can be kept there.
        """
        return

    async def stop(self) -> None:
        """Called after the last node has stopped."""
        return

    def save(self, namespace: str, key: str, value: Any) -> Awaitable[None]:
        """Keep a value; what is returned is done when it is durable.

        The write is on its way when this returns, whether it is awaited or not.

        Raises:
            CodecError: the value has a type without codec.
        """

    async def restore(self, namespace: str, key: str, default: Any = MISSING) -> Any:
        """The value kept last.

        Raises:
            KeyError: there is none and no default was given.
        """


class _Done:
    def __await__(self) -> Any:
        return iter(())


class MemoryPersistence:
    """Keeps data as long as the process runs."""

    # Nothing outlives the process, so that nothing need wait.
    commits_with_journal = True

    def __init__(self) -> None:
        self._data: dict[tuple[str, str], bytes] = {}

    async def start(self) -> None:
        """Does nothing."""

    async def stop(self) -> None:
        """Does nothing; the data stays as long as this object."""

    def save(self, namespace: str, key: str, value: Any) -> Awaitable[None]:
        self._data[namespace, key] = codecs.encode(value)
        return _Done()

    async def restore(self, namespace: str, key: str, default: Any = MISSING) -> Any:
        data = self._data.get((namespace, key))
        if data is not None:
            return codecs.decode(data)
        if default is MISSING:
            raise KeyError(key)
        return default
