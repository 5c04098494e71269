"""What RocksDB offers beside keys and values: files, options, facts, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pichannels.adapters import rocks
from pichannels.dataflow.interfaces import Key

__all__ = ["Administered"]


class Administered:
    """The methods of a cache that look after its files. Most of them block."""

    db: Any
    _path: str
    _families: dict[str, Any]

    def path(self) -> str:
        """The folder."""
        return self._path

    def flush(self, wait: bool = True) -> None:
        """Write what is in memory to files; blocks, so call it in a thread."""
        with rocks.translated():
            self.db.flush(wait)

    def flush_wal(self, sync: bool = True) -> None:
        """Make all that was written safe from power failures; blocks."""
        with rocks.translated():
            self.db.flush_wal(sync)

    def compact_range(self, begin: Key | None = None, end: Key | None = None) -> None:
        """Give back the space of what was deleted or has outlived its time; blocks."""
        with rocks.translated():
            self.db.compact_range(begin, end)

    def property_value(self, name: str) -> str | None:
        """A fact that RocksDB knows, such as `rocksdb.stats`."""
        with rocks.translated():
            found: str | None = self.db.property_value(name)
        return found

    def property_int_value(self, name: str) -> int | None:
        """A number that RocksDB knows, such as `rocksdb.estimate-num-keys`."""
        with rocks.translated():
            found: int | None = self.db.property_int_value(name)
        return found

    def latest_sequence_number(self) -> int:
        """How many changes there have been."""
        with rocks.translated():
            return int(self.db.latest_sequence_number())

    def live_files(self) -> list[dict[str, Any]]:
        """Facts about the files that hold the values."""
        with rocks.translated():
            return list(self.db.live_files())

    def ingest_external_file(self, paths: Sequence[str], opts: Any = None) -> None:
        """Take over files that `rocksdict.SstFileWriter` has written; blocks.

        Its `set_dumps` has to be `pichannels.codecs.encode`.
        """
        opts = opts or rocks.required().IngestExternalFileOptions()
        with rocks.translated():
            self.db.ingest_external_file(list(paths), opts)

    def set_options(self, options: Mapping[str, str]) -> None:
        """Change settings of RocksDB while it runs."""
        with rocks.translated():
            self.db.set_options(dict(options))

    def set_read_options(self, read_opt: Any) -> None:
        """Read so from now on: `rocksdict.ReadOptions`."""
        with rocks.translated():
            self.db.set_read_options(read_opt)

    def set_write_options(self, write_opt: Any) -> None:
        """Write so from now on: `rocksdict.WriteOptions`.

        Not `await cache(key, value)`, which has its own.
        """
        with rocks.translated():
            self.db.set_write_options(write_opt)

    def cancel_all_background(self, wait: bool = True) -> None:
        """Stop to rewrite files; blocks until that has stopped."""
        with rocks.translated():
            self.db.cancel_all_background(wait)

    def try_catch_up_with_primary(self) -> None:
        """See what was written by the process whose cache this one follows.

        For `access_type=rocksdict.AccessType.secondary(path)`.
        """
        with rocks.translated():
            self.db.try_catch_up_with_primary()

    def close(self) -> None:
        """Close it with its parts; it may be opened again then. Blocks.

        Iterators and snapshots that are still there keep the folder locked.
        """
        for family in self._families.values():
            family.close()
        self._families.clear()
        try:
            self.db.close()
        except Exception as exc:
            refusal = rocks.refusal(exc)
            if not isinstance(refusal, rocks.CacheClosed):
                raise refusal from exc

    @staticmethod
    def repair(path: str) -> None:
        """Save what can be saved of a cache whose files are damaged; blocks."""
        rocks.repair(str(path))

    @staticmethod
    def destroy(path: str) -> None:
        """Delete a cache that nobody has open.

        Raises:
            CacheError: somebody has.
        """
        rocks.destroy(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)
