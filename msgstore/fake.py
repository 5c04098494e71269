"""The store for tests: keeps all, tells what was asked of it, and fails on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgstore.memory import MemoryMessageStore
from pichannels.message import Message
from pichannels.store import MessageStoreFactory

__all__ = ["Change", "FakeMessageStore", "FakeMessageStoreFactory"]

_ALL: Final = 2**62


class Change(NamedTuple):
    """A call of `change_message_state`."""

    id: str
    state: str
    meta: dict[str, Any]


class FakeMessageStore(MemoryMessageStore):
    """A store in memory that a test can look into.

    Attributes:
        stored: copies of the messages that were stored, in order.
        changes: the calls of `change_message_state`, in order.
    """

    def __init__(self, store_id: str) -> None:
        super().__init__(store_id, _ALL, None)
        self.stored: list[Message] = []
        self.changes: list[Change] = []
        self._failures: list[BaseException] = []

    def fail(self, error: BaseException, times: int = 1) -> None:
        """Let the next calls of `store` and `change_message_state` raise this."""
        self._failures += [error] * times

    def _check(self) -> None:
        if self._failures:
            raise self._failures.pop(0)

    async def store(self, msg: Message) -> str | None:
        self._check()
        id = await super().store(msg)
        self.stored.append(msg.copy())
        return id

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        self._check()
        await super().change_message_state(id, new_state, meta)
        self.changes.append(Change(id, str(new_state), dict(meta or {})))

    def __repr__(self) -> str:
        return f"FakeMessageStore({self.store_id!r})"


class FakeMessageStoreFactory(MessageStoreFactory):
    """Makes stores for tests."""

    def __init__(self) -> None:
        self._stores: dict[str, FakeMessageStore] = {}

    def get_store(self, store_id: str) -> FakeMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            self._stores[store_id] = FakeMessageStore(store_id)
        return self._stores[store_id]

    def __repr__(self) -> str:
        return "FakeMessageStoreFactory()"
