"""Many changes of a cache as one, and a cache as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pichannels.adapters.rocks import new_batch, translated
from pichannels.dataflow.interfaces import Key
from pichannels.dataflow.scanning import scanned

__all__ = ["Batch", "Snapshot"]

Seal = Callable[[Any], Any]
Unseal = Callable[[Any], Any]


def _first(pair: Any) -> Any:
    return pair[0]


class Batch:
    """Changes that `cache.write` makes together, all or none; see `cache.batch`."""

    def __init__(
        self, seal: Seal | None, handle_of: Callable[[str], Any], own: str = ""
    ) -> None:
        self._seal = seal
        self._handle_of = handle_of
        self.raw = new_batch()
        if own:
            # What names no family is the whole's otherwise, also when a part writes it.
            self.raw.set_default_column_family(handle_of(own))

    def __len__(self) -> int:
        return int(self.raw.len())

    def __setitem__(self, key: Key, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Key) -> None:
        self.delete(key)

    def put(self, key: Key, value: Any, column_family: str | None = None) -> None:
        """Keep a value, in a column family if one is named.

        Raises:
            CacheError: there is no such family.
            CodecError: the value has a type without codec.
        """
        if self._seal is not None:
            value = self._seal(value)
        with translated():
            self.raw.put(key, value, self._family(column_family))

    def delete(self, key: Key, column_family: str | None = None) -> None:
        """Forget a value.

        Raises:
            CacheError: there is no such family.
        """
        with translated():
            self.raw.delete(key, self._family(column_family))

    def delete_range(
        self, begin: Key, end: Key, column_family: str | None = None
    ) -> None:
        """Forget all from `begin` to just before `end`.

        Raises:
            CacheError: there is no such family.
        """
        with translated():
            self.raw.delete_range(begin, end, self._family(column_family))

    def put_entity(self, key: Key, names: Sequence[Any], values: Sequence[Any]) -> None:
        """Keep wide columns."""
        with translated():
            self.raw.put_entity(key, list(names), list(values))

    def clear(self) -> None:
        """Forget the changes."""
        self.raw.clear()

    def _family(self, name: str | None) -> Any:
        return None if name is None else self._handle_of(name)


class Snapshot:
    """A cache as it was when this was made, whatever is written since."""

    def __init__(self, cursor: Any, unseal: Unseal | None, missing: object) -> None:
        # What a cursor of RocksDB sees stays as it was when the cursor was made, in all
        # directions. (Iterators of rocksdict's own snapshots see what is new.)
        self._cursor = cursor
        self._mover: object = None
        self._unseal = unseal
        self._missing = missing

    def __getitem__(self, key: Key) -> Any:
        """The value, or None where there is none."""
        return self.get(key)

    def __contains__(self, key: Key) -> bool:
        return self.get(key, self._missing) is not self._missing

    def get(self, key: Key, default: Any = None) -> Any:
        """The value, or the default where there is none."""
        found, value = next(self.items(from_key=key), (None, None))
        return value if type(found) is type(key) and found == key else default

    def _scan(
        self, backwards: bool, from_key: Key | None, read_opt: None
    ) -> Iterator[tuple[Key, Any]]:
        cursor, me = self._cursor, object()
        seek = cursor.seek_for_prev if backwards else cursor.seek
        move = cursor.prev if backwards else cursor.next
        with translated():
            if from_key is not None:
                seek(from_key)
            elif backwards:
                cursor.seek_to_last()
            else:
                cursor.seek_to_first()
            self._mover = me
            while cursor.valid():
                key = cursor.key()
                yield key, cursor.value()
                if self._mover is not me:
                    # Another iteration has moved the one cursor.
                    seek(key)
                    self._mover = me
                move()

    def items(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[tuple[Key, Any]]:
        """Keys with their values, in order."""
        found = scanned(self._scan, _first, backwards, from_key, None, prefix)
        return self._living(found) if self._unseal else found

    def keys(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[Key]:
        """Keys in order."""
        return (key for key, _ in self.items(backwards, from_key, prefix))

    def values(
        self,
        backwards: bool = False,
        from_key: Key | None = None,
        prefix: str | bytes | None = None,
    ) -> Iterator[Any]:
        """Values in the order of their keys."""
        return (value for _, value in self.items(backwards, from_key, prefix))

    def _living(self, found: Iterator[tuple[Key, Any]]) -> Iterator[tuple[Key, Any]]:
        assert self._unseal is not None
        for key, sealed in found:
            value = self._unseal(sealed)
            if value is not self._missing:
                yield key, value
