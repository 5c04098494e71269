"""The keys of a cache in order, with what belongs to them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Final

from pichannels.adapters import rocks
from pichannels.dataflow.interfaces import Key
from pichannels.dataflow.scanning import scanned
from pichannels.errors import UsageError

__all__ = ["MISSING", "Iterated"]

MISSING: Final = object()
"""Stands for no value where None may be one."""


def _first(pair: Any) -> Any:
    return pair[0]


def _itself(key: Any) -> Any:
    return key


class Iterated:
    """The methods of a cache that iterate."""

    db: Any
    _ttl: int | None

    @abstractmethod
    def _unseal(self, sealed: Any) -> Any:
        """The value, or MISSING where its time is over."""

    def _refuse_columns(self) -> None:
        if self._ttl is not None:
            raise UsageError("wide columns have no time to live")

    def keys(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        read_opt: Any = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[Key]:
        """Keys in order; what is written meanwhile is not among them.

        Args:
            backwards: from the last one.
            from_key: begin at this key, or where it would be.
            read_opt: `rocksdict.ReadOptions`.
            prefix: only keys of this type that begin with it.

        Raises:
            UsageError: `prefix` is neither text nor bytes.
        """
        if self._ttl is not None:
            found = self.items(backwards, from_key, read_opt, prefix)
            return (key for key, _ in found)
        return self._scan("keys", _itself, backwards, from_key, read_opt, prefix)

    def values(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        read_opt: Any = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[Any]:
        """Values in the order of their keys; see `keys`."""
        if self._ttl is not None or prefix is not None:
            found = self.items(backwards, from_key, read_opt, prefix)
            return (value for _, value in found)
        return self._scan("values", _itself, backwards, from_key, read_opt, None)

    def items(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        read_opt: Any = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[tuple[Key, Any]]:
        """Keys with their values; see `keys`."""
        found = self._scan("items", _first, backwards, from_key, read_opt, prefix)
        return found if self._ttl is None else self._living_items(found)

    def columns(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        read_opt: Any = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[list[tuple[Any, Any]]]:
        """Wide columns in the order of their keys; see `keys`."""
        found = self.entities(backwards, from_key, read_opt, prefix)
        return (columns for _, columns in found)

    def entities(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        read_opt: Any = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[tuple[Key, list[tuple[Any, Any]]]]:
        """Keys with their wide columns; see `keys`. Plain values have the name ""."""
        self._refuse_columns()
        return self._scan("entities", _first, backwards, from_key, read_opt, prefix)

    def iter(self, read_opt: Any = None) -> Any:
        """A cursor of RocksDB: `seek`, `valid`, `key`, `value`, `next`, `prev`."""
        if self._ttl is not None:
            raise UsageError("a cursor shows how values with a time to live are kept")
        with rocks.translated():
            return self.db.iter(read_opt)

    def _scan(self, name: str, key_of: Any, *how: Any) -> Iterator[Any]:
        with rocks.translated():
            return scanned(getattr(self.db, name), key_of, *how)

    def _living_items(self, found: Iterator[Any]) -> Iterator[tuple[Key, Any]]:
        for key, sealed in found:
            value = self._unseal(sealed)
            if value is not MISSING:
                yield key, value
