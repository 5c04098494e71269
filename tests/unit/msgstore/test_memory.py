"""What only the memory store does: forgetting."""

from __future__ import annotations

import pytest

from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from pichannels.errors import MessageNotFound, UsageError
from pichannels.message import Message
from pichannels.retention import Retention
from pichannels.testing import ManualClock


async def keep(store: MemoryMessageStore, count: int) -> list[str]:
    return [str(await store.store(Message(payload=number))) for number in range(count)]


async def test_what_was_settled_first_goes_first() -> None:
    store = MemoryMessageStoreFactory(limit=3).get_store("a")
    first, second, third = await keep(store, 3)
    await store.change_message_state(second, "processed")
    await store.change_message_state(first, "processed")
    await keep(store, 1)
    with pytest.raises(MessageNotFound):
        await store.get(second)
    assert (await store.get(first))["id"] == first
    assert (await store.get(third))["id"] == third


async def test_what_is_not_settled_is_never_forgotten() -> None:
    store = MemoryMessageStoreFactory(limit=3).get_store("a")
    ids = await keep(store, 5)
    assert await store.total() == 5
    for id in ids:
        await store.change_message_state(id, "processed")
    assert await store.total() == 3


async def test_what_is_taken_up_again_is_not_forgotten() -> None:
    store = MemoryMessageStoreFactory(limit=1).get_store("a")
    (first,) = await keep(store, 1)
    await store.change_message_state(first, "error")
    await store.change_message_state(first, "pending")
    await keep(store, 1)
    assert (await store.get(first))["state"] == "pending"


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(UsageError):
        MemoryMessageStoreFactory(limit=0)


async def test_the_size_of_the_retention_bounds_memory() -> None:
    retention = Retention(size=1000)
    store = MemoryMessageStoreFactory(retention=retention).get_store("a")
    for _ in range(10):
        id = await store.store(Message(payload="x" * 300))
        assert id is not None
        await store.change_message_state(id, "processed")
    assert await store.total() == 3


async def test_what_is_too_old_goes_while_messages_come() -> None:
    with ManualClock() as clock:
        store = MemoryMessageStoreFactory(retention=Retention(age=60)).get_store("a")
        for id in await keep(store, 3):
            await store.change_message_state(id, "processed")
        clock.advance(120)
        await keep(store, 1)
        assert await store.total() == 1


async def test_pruning_deletes_what_is_not_to_be_kept() -> None:
    with ManualClock() as clock:
        store = MemoryMessageStoreFactory().get_store("a")
        first, second = await keep(store, 2)
        await store.change_message_state(first, "processed")
        clock.advance(120)
        assert await store.prune(Retention(age=60), dry_run=True) == 1
        assert await store.prune(Retention(age=60)) == 1
        assert [entry["id"] for entry in await store.search()] == [second]
