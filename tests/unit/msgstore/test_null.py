"""The null store keeps nothing and says so."""

from __future__ import annotations

import pytest

from msgstore.null import NullMessageStoreFactory
from pichannels.errors import MessageNotFound, UsageError
from pichannels.message import Message


async def test_storing_gives_no_id_and_keeps_nothing() -> None:
    store = NullMessageStoreFactory().get_store("a")
    assert await store.store(Message(payload=object())) is None
    assert (await store.total(), await store.search()) == (0, [])


async def test_nothing_is_ever_found() -> None:
    store = NullMessageStoreFactory().get_store("a")
    with pytest.raises(MessageNotFound):
        await store.get("1")
    with pytest.raises(MessageNotFound):
        await store.change_message_state("1", "processed")
    with pytest.raises(MessageNotFound):
        await store.delete("1")


async def test_wrong_arguments_are_told_here_too() -> None:
    with pytest.raises(UsageError):
        await NullMessageStoreFactory().get_store("a").search(order_by="size")


def test_the_same_store_for_the_same_id() -> None:
    factory = NullMessageStoreFactory()
    assert factory.get_store("a") is factory.get_store("a")
