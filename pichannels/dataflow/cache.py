"""Values by key on disk, with updates to follow: RocksDB (extra `cache`).

Nothing is forgotten unless it is asked for: a time to live, or a size to keep below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from pichannels import clock
from pichannels.adapters import rocks
from pichannels.dataflow.administration import Administered
from pichannels.dataflow.batches import Batch, Snapshot
from pichannels.dataflow.interfaces import ICache, Key
from pichannels.dataflow.iteration import MISSING, Iterated
from pichannels.dataflow.transactions import Locks, Transaction
from pichannels.errors import PichannelsError, UsageError
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Cache"]


class Cache(Iterated, Administered, ICache):
    """Values by key, in a folder; sink and source.

    Keys are `str`, `int`, `float`, `bytes` or `bool`, values whatever the typed codecs
    can write. `cache[key]` is None where there is no value. Keys come in the order of
    their type and then of themselves (bytes, text, whole numbers, floats, booleans).
    Threads may use it side by side, processes may not.

    Args:
        path: the folder, made if need be.
        options: settings of RocksDB, `rocksdict.Options`; ours by default.
        column_families: names with settings of their own. Families that are there are
            opened in any case.
        access_type: `rocksdict.AccessType`, to read only, for instance.
        target_table_size: bytes on disk beyond which the oldest values are dropped; by
            default none are.
        ttl: whole seconds that values live; by default they live for ever. All values
            of a cache have a time to live, or none.
        sync: whether a write is done when it is on the disk, safe from power failures;
            by default it is safe from crashes of the process.

    Attributes:
        name: of a part of a cache, its column family; empty for the whole.
        keeper: what keeps the updates of a source, or the windows of a pipe, in it.

    Raises:
        CacheError: it cannot be opened.
        SettingsError: rocksdict is not installed, or the cache was made with another
            kind of `ttl`.
    """

    def __init__(
        self,
        path: str,
        options: Any = None,
        column_families: Mapping[str, Any] | None = None,
        access_type: Any = None,
        target_table_size: int | None = None,
        *,
        ttl: int | None = None,
        sync: bool = False,
    ) -> None:
        options = options or rocks.new_options(target_table_size)
        self._join(
            rocks.opened(str(path), options, column_families, access_type, ttl),
            options,
            ttl,
            sync,
        )
        self._path = str(path)
        self.name = ""

    def _join(self, database: Any, options: Any, ttl: int | None, sync: bool) -> None:
        self.db = database
        self._options = options
        self._ttl = ttl
        self._sync = sync
        self._at_once = rocks.without_stalls(sync=sync)
        self._families: dict[str, Cache] = {}
        self._locks = Locks()
        self.keeper: Any = None
        self._slow: asyncio.Lock | None = None
        self._slow_writes = 0
        if sync:
            waiting = rocks.required().WriteOptions()
            waiting.sync = True
            database.set_write_options(waiting)

    # Reading and writing

    def __contains__(self, key: Any) -> bool:
        if self._ttl is not None:
            return self.get(key, MISSING) is not MISSING
        try:
            return key in self.db
        except Exception as exc:
            raise rocks.refusal(exc) from exc

    def __getitem__(self, key: Any) -> Any:
        """The value, or None; for a list of keys the list of values.

        Raises:
            CacheClosed: the cache is closed.
            CodecError: the value was written by something else, such as pickle.
            UsageError: this is no key.
        """
        return self.get(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        self.delete(key)

    def __iter__(self) -> Iterator[Key]:
        return self.keys()

    def get(self, key: Any, default: Any = None, read_opt: Any = None) -> Any:
        """The value, or the default; for a list of keys the list of values.

        Raises:
            CacheClosed: the cache is closed.
            CodecError: the value was written by something else, such as pickle.
            UsageError: this is no key.
        """
        try:
            if self._ttl is None:
                return self.db.get(key, default, read_opt)
            found = self.db.get(key, MISSING, read_opt)
        except PichannelsError:
            raise
        except Exception as exc:
            raise rocks.refusal(exc) from exc
        if isinstance(key, list):
            return [self._living(one, default) for one in found]
        return self._living(found, default)

    def put(self, key: Key, value: Any, ttl: float | None = None) -> None:
        """Keep a value; it is not published.

        Args:
            ttl: seconds that this value lives, where the cache has a time to live.

        Raises:
            CacheClosed: the cache is closed.
            CodecError: the value has a type without codec.
            UsageError: this is no key, or values of this cache live for ever.
        """
        if self._ttl is not None or ttl is not None:
            value = self._seal(value, ttl)
        try:
            self.db[key] = value
        except PichannelsError:
            raise
        except Exception as exc:
            raise rocks.refusal(exc) from exc

    async def __call__(self, key: Any, value: Any, /) -> None:
        """Keep a value and publish it; waits for readers whose queue is full.

        Raises:
            CacheClosed: the cache is closed.
            CodecError: the value has a type without codec.
            UsageError: this is no key.
        """
        await self.store(key, value)
        if self._queues or self.outlets:
            await self.publish((key, value))

    async def store(self, key: Any, value: Any) -> None:
        """Keep a value, which is not published.

        Where the disk cannot keep up a thread waits for it, not the event loop.

        Raises:
            CacheClosed: the cache is closed.
            CodecError: the value has a type without codec.
            UsageError: this is no key.
        """
        sealed = value if self._ttl is None else self._seal(value)
        if self._sync or self._slow is not None:
            await self._in_thread(self.db.put, key, sealed)
            return
        try:
            self.db.put(key, sealed, self._at_once)
        except PichannelsError:
            raise
        except Exception as exc:
            if not rocks.is_stalled(exc):
                raise rocks.refusal(exc) from exc
            await self._in_thread(self.db.put, key, sealed)

    async def store_all(self, values: Mapping[Key, Any]) -> None:
        """Keep several values, all or none, which are not published.

        Where the disk cannot keep up a thread waits for it, not the event loop.

        Raises:
            CacheError: they cannot be kept.
            CodecError: a value has a type without codec.
        """
        if self._sync or self._slow is not None:
            await self._in_thread(self.db.write, self._batch_of(values).raw)
            return
        try:
            self.db.write(self._batch_of(values).raw, self._at_once)
        except PichannelsError:
            raise
        except Exception as exc:
            if not rocks.is_stalled(exc):
                raise rocks.refusal(exc) from exc
            # The one that was refused is used up.
            await self._in_thread(self.db.write, self._batch_of(values).raw)

    def _batch_of(self, values: Mapping[Key, Any]) -> Batch:
        batch = self.batch()
        for key, value in values.items():
            batch[key] = value
        return batch

    async def _in_thread(self, write: Callable[..., Any], *what: Any) -> None:
        # One after the other, and all that come behind, so that the last one stays.
        self._slow = lock = self._slow or asyncio.Lock()
        self._slow_writes += 1
        try:
            async with lock:
                with rocks.translated():
                    await asyncio.to_thread(write, *what)
        finally:
            self._slow_writes -= 1
            if not self._slow_writes:
                self._slow = None

    def delete(self, key: Key) -> None:
        """Forget a value, if there is one."""
        try:
            del self.db[key]
        except Exception as exc:
            raise rocks.refusal(exc) from exc

    def delete_range(self, begin: Key, end: Key) -> None:
        """Forget all from `begin` to just before `end`."""
        with rocks.translated():
            self.db.delete_range(begin, end)

    def key_may_exist(self, key: Key, fetch: bool = False, read_opt: Any = None) -> Any:
        """Whether there may be a value; a quick look that never misses one.

        With `fetch`, that and the value if it is in memory.
        """
        with rocks.translated():
            found = self.db.key_may_exist(key, fetch, read_opt)
        if not fetch or self._ttl is None:
            return found
        return found[0], self._living(found[1], None)

    # Time to live

    def _seal(self, value: Any, ttl: float | None = None) -> Any:
        if self._ttl is None:
            raise UsageError(
                "values of this cache live for ever; make it with Cache(path, ttl=...)"
            )
        if ttl is None:
            ttl = self._ttl
        elif not 0 < ttl <= self._ttl:
            raise UsageError(
                f"ttl is above 0, and at most that of the cache, {self._ttl}"
            )
        return [clock.now() + int(ttl * TICKS_PER_SECOND), value]

    def _living(self, sealed: Any, missing: Any) -> Any:
        if sealed is MISSING or sealed is None or sealed[0] <= clock.now():
            return missing
        return sealed[1]

    def _unseal(self, sealed: Any) -> Any:
        return self._living(sealed, MISSING)

    # Wide columns

    def put_entity(self, key: Key, names: Sequence[Any], values: Sequence[Any]) -> None:
        """Keep values under names, all for one key.

        Raises:
            UsageError: the cache has a time to live, which wide columns do not, or
                there are not as many names as values.
        """
        self._refuse_columns()
        if len(names) != len(values):
            raise UsageError(f"{len(names)} names for {len(values)} values")
        with rocks.translated():
            self.db.put_entity(key, list(names), list(values))

    def get_entity(self, key: Key, default: Any = None, read_opt: Any = None) -> Any:
        """The names with their values, in the order of names, or the default."""
        self._refuse_columns()
        with rocks.translated():
            try:
                return self.db.get_entity(key, default, read_opt)
            except Exception as exc:
                # The library does not give the default.
                if rocks.is_missing(exc):
                    return default
                raise

    # Transactions, batches, snapshots

    def transaction(self, *keys: Key) -> Transaction[Self]:
        """The time in which no other transaction has these keys.

        `async with` waits for them; plain `with` enters at once or raises
        `TransactionBusy`. Reads and writes outside of transactions do not wait, and
        nothing is undone when the block fails: what has to change together goes into a
        batch.

        Raises:
            TransactionBusy: at `with`: another transaction has a key.
            TransactionDeadlock: at `async with`: it waits for one that we are in.
            UsageError: we are in a transaction of such a key already.
        """
        if not keys:
            raise UsageError("a transaction has one key at least")
        return Transaction(self._locks, keys, self)

    def batch(self) -> Batch:
        """An empty batch of changes, for `write`; of a part, for that part."""
        seal = self._seal if self._ttl is not None else None
        return Batch(seal, self._handle, self.name)

    def write(self, batch: Batch) -> None:
        """Make all changes of a batch, or none; they are not published.

        Raises:
            CacheError: they cannot be made.
        """
        if not isinstance(batch, Batch):
            raise UsageError("batches are made by `cache.batch()`")
        with rocks.translated():
            self.db.write(batch.raw)

    def snapshot(self) -> Snapshot:
        """The cache as it is now; release it (`del`) before you close the cache."""
        with rocks.translated():
            cursor = self.db.iter()
        return Snapshot(cursor, None if self._ttl is None else self._unseal, MISSING)

    def _handle(self, family: str) -> Any:
        with rocks.translated():
            return self.db.get_column_family_handle(family)

    # Column families

    def create_column_family(self, name: str, options: Any = None) -> Cache:
        """Make a part with keys of its own: a cache like this one.

        Raises:
            CacheError: there is one of this name.
        """
        with rocks.translated():
            raw = self.db.create_column_family(name, options or self._options)
        return self._family(name, raw)

    def get_column_family(self, name: str) -> Cache:
        """The part of this name; the same object each time.

        Raises:
            CacheError: there is none.
        """
        if name not in self._families:
            with rocks.translated():
                self._family(name, self.db.get_column_family(name))
        return self._families[name]

    def _family(self, name: str, raw: Any) -> Cache:
        family = Cache.__new__(Cache)
        family._join(rocks.safe(raw), self._options, self._ttl, self._sync)
        family._path = self._path
        family.name = name
        self._families[name] = family
        return family

    def get_column_family_handle(self, name: str) -> Any:
        """What rocksdict calls a part.

        Raises:
            CacheError: there is none.
        """
        return self._handle(name)

    def drop_column_family(self, name: str) -> None:
        """Delete a part with all that is in it.

        Raises:
            CacheError: there is none.
        """
        family = self._families.pop(name, None)
        if family is not None:
            family.close()
        with rocks.translated():
            self.db.drop_column_family(name)

    @staticmethod
    def list_cf(path: str) -> list[str]:
        """The names of the parts of a cache; `default` is the cache itself."""
        return rocks.families(str(path))
