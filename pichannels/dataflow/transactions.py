"""One at a time for each key: transactions of a cache.

Who would wait for itself, alone or in a ring of several, is told at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from pichannels.errors import TryAgain, UsageError

__all__ = ["Locks", "Transaction", "TransactionBusy", "TransactionDeadlock"]

T = TypeVar("T")
_Key = tuple[str, Any]
"""The name of its type and the key: as in the cache, 1 and True are different keys."""


class TransactionBusy(TryAgain):
    """Another transaction of the key is under way; `async with` waits for it."""

    def __init__(self, key: Any) -> None:
        self.key = key
        super().__init__(
            f"a transaction of {key!r} is under way; wait for it with `async with`"
        )


class TransactionDeadlock(TryAgain):
    """To wait for this key would never end, as its owner waits for us."""

    def __init__(self, key: Any) -> None:
        self.key = key
        super().__init__(
            f"the transaction of {key!r} waits for one that we are in; name all keys"
            " at once, `transaction(a, b)`, or take them in the same order everywhere"
        )


class _Lock:
    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.waiting: deque[tuple[object, asyncio.Future[None]]] = deque()


class Locks:
    """Who is in a transaction of which key."""

    def __init__(self) -> None:
        self._locks: dict[_Key, _Lock] = {}
        self._wanted: dict[object, _Key] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def take_now(self, key: _Key) -> None:
        """Take a key that is free.

        Raises:
            TransactionBusy: it is not.
            UsageError: we have it.
        """
        lock, me = self._locks.get(key), _me()
        if lock is None:
            self._locks[key] = _Lock(me)
            return
        self._refuse_nested(lock, key, me)
        raise TransactionBusy(key[1])

    async def take(self, key: _Key) -> None:
        """Take a key as soon as it is free; who came first gets it first.

        Raises:
            TransactionDeadlock: it would never be.
            UsageError: we have it.
        """
        lock, me = self._locks.get(key), _me()
        if lock is None:
            self._locks[key] = _Lock(me)
            return
        self._refuse_nested(lock, key, me)
        self._refuse_ring(lock, key, me)
        turn = asyncio.get_running_loop().create_future()
        lock.waiting.append((me, turn))
        self._wanted[me] = key
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release(key)
            raise
        finally:
            del self._wanted[me]

    def release(self, key: _Key) -> None:
        """Give the key to who waits for it longest, or nobody."""
        lock = self._locks[key]
        while lock.waiting:
            lock.owner, turn = lock.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._locks[key]

    def _refuse_nested(self, lock: _Lock, key: _Key, me: object) -> None:
        if lock.owner is me:
            raise UsageError(f"we are in a transaction of {key[1]!r} already")

    def _refuse_ring(self, lock: _Lock | None, key: _Key, me: object) -> None:
        seen: set[_Key] = set()
        while lock is not None and lock.owner in self._wanted:
            wanted = self._wanted[lock.owner]
            if wanted in seen:
                return
            seen.add(wanted)
            lock = self._locks.get(wanted)
            if lock is not None and lock.owner is me:
                raise TransactionDeadlock(key[1])


class Transaction(Generic[T]):
    """The time in which we have keys: `with` or `async with`, once.

    It gives what was passed, the cache.
    """

    def __init__(self, locks: Locks, keys: Sequence[Hashable], gives: T) -> None:
        # The same order everywhere, so that two of several keys never wait for each
        # other.
        self._keys: list[_Key] = sorted({(type(key).__name__, key) for key in keys})
        self._locks = locks
        self._gives = gives
        self._held: list[_Key] = []

    def __enter__(self) -> T:
        with _undone(self):
            for key in self._keys:
                self._locks.take_now(key)
                self._held.append(key)
        return self._gives

    async def __aenter__(self) -> T:
        with _undone(self):
            for key in self._keys:
                await self._locks.take(key)
                self._held.append(key)
        return self._gives

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Others may have the keys."""
        while self._held:
            self._locks.release(self._held.pop())


class _undone:
    """Releases what was taken where not all can be."""

    def __init__(self, transaction: Transaction[Any]) -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._transaction.release()


def _me() -> object:
    """The task that runs, or the thread where none does."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task or threading.current_thread()
