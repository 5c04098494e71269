"""What only the store for tests does."""

from __future__ import annotations

import pytest

from msgstore.fake import FakeMessageStoreFactory
from pichannels.message import Message


async def test_it_tells_what_was_asked_of_it() -> None:
    store = FakeMessageStoreFactory().get_store("a")
    id = await store.store(Message(payload=1))
    assert id is not None
    await store.change_message_state(id, "error", {"err_msg": "no"})
    assert [msg.payload for msg in store.stored] == [1]
    assert store.changes == [(id, "error", {"err_msg": "no"})]


async def test_it_fails_on_demand() -> None:
    store = FakeMessageStoreFactory().get_store("a")
    store.fail(OSError("full"), times=2)
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            await store.store(Message())
    assert (await store.store(Message()), await store.total()) == ("1", 1)
