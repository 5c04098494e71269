"""The store that keeps nothing, for channels whose history nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pichannels.errors import MessageNotFound
from pichannels.message import Message
from pichannels.query import Query
from pichannels.store import Entry, MessageStore, MessageStoreFactory

__all__ = ["NullMessageStore", "NullMessageStoreFactory"]


class NullMessageStore(MessageStore):
    """Keeps nothing: `store` gives no id, and no message is ever found."""

    keeps_nothing = True

    def __init__(self, store_id: str) -> None:
        self.store_id = store_id

    async def store(self, msg: Message) -> str | None:
        return None

    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        self._refuse(id)

    async def get(self, id: str) -> Entry:
        self._refuse(id)

    async def find(self, query: Query) -> list[Entry]:
        if query.after_id is not None:
            self._refuse(query.after_id)
        return []

    async def total(self) -> int:
        return 0

    async def delete(self, id: str) -> None:
        self._refuse(id)

    def _refuse(self, id: str) -> NoReturn:
        raise MessageNotFound(self.store_id, id)

    def __repr__(self) -> str:
        return f"NullMessageStore({self.store_id!r})"


class NullMessageStoreFactory(MessageStoreFactory):
    """Makes stores that keep nothing."""

    def __init__(self) -> None:
        self._stores: dict[str, NullMessageStore] = {}

    def get_store(self, store_id: str) -> NullMessageStore:
        """The store for this id; the same one for the same id."""
        if store_id not in self._stores:
            self._stores[store_id] = NullMessageStore(store_id)
        return self._stores[store_id]

    def __repr__(self) -> str:
        return "NullMessageStoreFactory()"
