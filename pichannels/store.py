"""The message store contract: the history of a channel, for search and replay.

A channel asks the factory for one store under its own name, starts it, and then
for each message calls `store`, and `change_message_state` when it is settled.
All methods are called in the event loop; a store that reads or writes files does
so in threads of its own. Backends live in `msgstore/`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pichannels.errors import UsageError
from pichannels.fingerprint import Defined
from pichannels.message import Message
from pichannels.states import Entry, State

__all__ = ["Entry", "MessageStore", "MessageStoreFactory", "State"]


class MessageStore(ABC):
    """The history of the messages of one channel.

    Attributes:
        store_id: which one of its factory's stores this is.
        keeps_nothing: True lets the channel leave the store out of its way.
        shares_journal: True means that `attach` is called with the journal of the
            instance before `start`, and that messages which the journal holds for
            the channel of this name are those of the store.
    """

    store_id: str
    keeps_nothing: bool = False
    shares_journal: bool = False

    def attach(self, journal: Any) -> None:
        """Take the journal of the instance; see `shares_journal`.

        Raises:
            UsageError: this store does not share a journal.
        """
        raise UsageError(f"{type(self).__name__} does not share a journal")

    async def start(self) -> None:
        """Called once before anything else."""
        return

    async def stop(self) -> None:
        """Called when the channel's instance ends; releases what start took."""
        return

    @abstractmethod
    async def store(self, msg: Message) -> str | None:
        """Keep a message in the state pending.

        Returns:
            The id of this message in this store, or None when it keeps nothing.

        Raises:
            CodecError: the message cannot be encoded; nothing was kept.
        """

    @abstractmethod
    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Say what became of a message, with facts about it (such as `err_msg`).

        Raises:
            MessageNotFound: there is no such message.
        """

    @abstractmethod
    async def get(self, id: str) -> Entry:
        """The message with this id.

        Raises:
            MessageNotFound: there is no such message.
        """

    @abstractmethod
    async def search(
        self,
        start: int = 0,
        count: int = 10,
        order_by: str = "timestamp",
        start_dt: datetime | str | None = None,
        end_dt: datetime | str | None = None,
        text: str | None = None,
        rtext: str | None = None,
        state: str | None = None,
    ) -> list[Entry]:
        """Stored messages, oldest first.

        Args:
            start: how many to skip.
            count: how many at most.
            order_by: `timestamp` or `state`; a leading `-` reverses.
            start_dt, end_dt: made at or after, and before (ISO text is UTC
                unless it has an offset).
            text: the payload as text contains it.
            rtext: a regular expression that is found in it.
            state: only messages in this state.

        Raises:
            UsageError: an argument is not of these.
        """

    @abstractmethod
    async def total(self) -> int:
        """How many messages are stored."""

    async def delete(self, id: str) -> None:
        """Forget a message.

        Raises:
            MessageNotFound: there is no such message.
            UsageError: this kind of store cannot delete.
        """
        raise UsageError(f"{type(self).__name__} cannot delete messages")


class MessageStoreFactory(Defined, ABC):
    """Makes the stores of channels that share one configuration."""

    @abstractmethod
    def get_store(self, store_id: str) -> MessageStore:
        """The store for this id; the same one for the same id."""
