"""What every message store does, whichever backend it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from msgstore.fake import FakeMessageStoreFactory
from msgstore.file import FileMessageStoreFactory
from msgstore.memory import MemoryMessageStoreFactory
from msgstore.postgres import PostgreSQLMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.errors import CodecError, MessageNotFound, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.store import Entry, MessageStore, MessageStoreFactory, State
from pichannels.values import Sample, Tag
from tests.servers.postgres import PostgresServer

COUNT = count(1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


class Backend(NamedTuple):
    """A factory, and the journal of the instance for stores that share it.

    What a database holds is for all tests: there names begin in a way of their own.
    """

    factory: MessageStoreFactory
    journal: Journal | None = None
    prefix: str = ""

    async def started(self, store_id: str) -> MessageStore:
        store = self.factory.get_store(self.prefix + store_id)
        if self.journal is not None:
            store.attach(self.journal)
        await store.start()
        return store


async def memory(tmp_path: Path) -> AsyncIterator[Backend]:
    yield Backend(MemoryMessageStoreFactory())


async def own_file(tmp_path: Path) -> AsyncIterator[Backend]:
    yield Backend(SQLiteMessageStoreFactory(tmp_path / "history.db"))


async def shared_journal(tmp_path: Path) -> AsyncIterator[Backend]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield Backend(SQLiteMessageStoreFactory(), journal)
    await journal.close()


async def files(tmp_path: Path) -> AsyncIterator[Backend]:
    yield Backend(FileMessageStoreFactory(tmp_path / "messages", fsync=False))


async def fake(tmp_path: Path) -> AsyncIterator[Backend]:
    yield Backend(FakeMessageStoreFactory())


async def postgres_tables(server: PostgresServer) -> AsyncIterator[Backend]:
    factory = PostgreSQLMessageStoreFactory(server.url())
    yield Backend(factory, prefix=f"conformance {next(COUNT)}: ")


BACKENDS = (memory, own_file, shared_journal, files, fake, postgres_tables)


@pytest.fixture(params=BACKENDS, ids=lambda backend: str(backend.__name__))
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Backend]:
    """Each backend in turn."""
    make: Callable[[Any], AsyncIterator[Backend]] = request.param
    where = tmp_path
    if make is postgres_tables:
        where = request.getfixturevalue("postgres")
    async for made in make(where):
        yield made


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[MessageStore]:
    """A started, empty store."""
    store = await backend.started("plant.boiler")
    yield store
    await store.stop()


async def keep(store: MessageStore, payload: Any, minute: int = 0) -> str:
    """Store a message that was made `minute` minutes after the beginning."""
    msg = Message(payload=payload)
    msg.timestamp = BEGIN + timedelta(minutes=minute)
    id = await store.store(msg)
    assert id is not None
    return id


def payloads(entries: list[Entry]) -> list[Any]:
    return [entry["message"].payload for entry in entries]


async def test_a_stored_message_comes_back_whole(store: MessageStore) -> None:
    msg = Message("text/csv", {"a": [1, b"x", BEGIN]}, {"source": "test"})
    msg.add_context("before", Message(payload="old"))
    id = await store.store(msg)
    assert id is not None
    back = (await store.get(id))["message"]
    expected = {**msg.to_dict(), "store_id": id, "store_chan_name": store.store_id}
    assert back.to_dict() == expected


async def test_a_stored_message_is_pending(store: MessageStore) -> None:
    entry = await store.get(await keep(store, "x"))
    assert (entry["state"], entry["meta"]) == ("pending", {})


async def test_what_is_done_to_the_message_later_is_not_stored(
    store: MessageStore,
) -> None:
    msg = Message(payload=["before"])
    id = await store.store(msg)
    assert id is not None
    msg.payload.append("after")
    assert (await store.get(id))["message"].payload == ["before"]


async def test_what_is_done_to_a_found_message_is_not_stored(
    store: MessageStore,
) -> None:
    id = await keep(store, ["before"])
    (await store.get(id))["message"].payload.append("after")
    assert (await store.get(id))["message"].payload == ["before"]


async def test_the_same_message_twice_is_two_entries(store: MessageStore) -> None:
    msg = Message(payload="x")
    assert await store.store(msg) != await store.store(msg)
    assert await store.total() == 2


@pytest.mark.parametrize("state", list(State))
async def test_a_state_is_kept(store: MessageStore, state: State) -> None:
    id = await keep(store, "x")
    await store.change_message_state(id, state)
    assert (await store.get(id))["state"] == state


async def test_facts_about_the_outcome_are_kept(store: MessageStore) -> None:
    id = await keep(store, "x")
    await store.change_message_state(id, "error", {"err_msg": "no", "attempts": 2})
    assert (await store.get(id))["meta"] == {"err_msg": "no", "attempts": 2}


async def test_facts_stay_when_a_later_state_brings_none(store: MessageStore) -> None:
    id = await keep(store, "x")
    await store.change_message_state(id, "wait_retry", {"err_msg": "no"})
    await store.change_message_state(id, "processed")
    assert (await store.get(id))["meta"] == {"err_msg": "no"}


async def test_an_unknown_state_is_refused(store: MessageStore) -> None:
    with pytest.raises(UsageError, match="no state"):
        await store.change_message_state(await keep(store, "x"), "finished")


@pytest.mark.parametrize("id", ["999", "nonsense", "", "-1", "1.0", "²", "9" * 30])
async def test_an_unknown_id_is_not_found(store: MessageStore, id: str) -> None:
    with pytest.raises(MessageNotFound):
        await store.get(id)
    with pytest.raises(MessageNotFound):
        await store.change_message_state(id, "processed")
    with pytest.raises(MessageNotFound):
        await store.delete(id)


async def test_a_deleted_message_is_gone(store: MessageStore) -> None:
    id = await keep(store, "x")
    await keep(store, "y")
    await store.delete(id)
    assert (await store.total(), payloads(await store.search())) == (1, ["y"])
    with pytest.raises(MessageNotFound):
        await store.get(id)


async def test_a_message_without_codec_is_refused(store: MessageStore) -> None:
    with pytest.raises(CodecError):
        await store.store(Message(payload=object()))
    assert await store.total() == 0


async def test_search_gives_the_oldest_ten_first(store: MessageStore) -> None:
    for minute in reversed(range(12)):
        await keep(store, minute, minute)
    assert payloads(await store.search()) == list(range(10))


async def test_search_skips_and_counts(store: MessageStore) -> None:
    for minute in range(6):
        await keep(store, minute, minute)
    assert payloads(await store.search(start=2, count=3)) == [2, 3, 4]
    assert await store.search(start=6) == []
    assert await store.search(count=0) == []


async def test_search_turns_the_order_round(store: MessageStore) -> None:
    for minute in range(4):
        await keep(store, minute, minute)
    found = await store.search(order_by="-timestamp", count=3)
    assert payloads(found) == [3, 2, 1]


async def test_messages_of_one_instant_stay_in_order(store: MessageStore) -> None:
    for number in range(4):
        await keep(store, number)
    assert payloads(await store.search()) == [0, 1, 2, 3]
    assert payloads(await store.search(order_by="-timestamp")) == [3, 2, 1, 0]


async def test_search_orders_by_state_then_time(store: MessageStore) -> None:
    states = ["rejected", "processed", "error", "pending", "processed"]
    for minute, state in enumerate(states):
        id = await keep(store, minute, minute)
        await store.change_message_state(id, state)
    assert payloads(await store.search(order_by="state")) == [2, 3, 1, 4, 0]
    assert payloads(await store.search(order_by="-state")) == [0, 4, 1, 3, 2]
    assert payloads(await store.search(order_by="state", start=1, count=2)) == [3, 1]


async def test_the_end_of_a_time_range_is_exclusive(store: MessageStore) -> None:
    for minute in range(5):
        await keep(store, minute, minute)
    found = await store.search(
        start_dt=BEGIN + timedelta(minutes=1), end_dt=BEGIN + timedelta(minutes=3)
    )
    assert payloads(found) == [1, 2]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-01T00:03:00Z",
        "2026-03-01T00:03:00",
        "2026-03-01T01:03:00+01:00",
        datetime(2026, 3, 1, 0, 3),
    ],
)
async def test_times_are_utc_unless_they_say_otherwise(
    store: MessageStore, moment: datetime | str
) -> None:
    for minute in range(5):
        await keep(store, minute, minute)
    assert payloads(await store.search(start_dt=moment)) == [3, 4]


@pytest.mark.parametrize("payload", ["pressure 17 bar", b"pressure \xff17 bar"])
async def test_text_is_found_in_text_and_bytes(
    store: MessageStore, payload: object
) -> None:
    await keep(store, "temperature")
    await keep(store, payload)
    assert payloads(await store.search(text="17 ba")) == [payload]


async def test_text_is_found_in_other_payloads(store: MessageStore) -> None:
    await keep(store, {"tag": "SINUSOID"})
    await keep(store, [1, 2, 3])
    assert payloads(await store.search(text="SINUS")) == [{"tag": "SINUSOID"}]


async def test_a_pattern_is_found_anywhere(store: MessageStore) -> None:
    await keep(store, "hello world")
    await keep(store, "hello")
    assert payloads(await store.search(rtext=r"w.rl")) == ["hello world"]
    assert payloads(await store.search(rtext=r"^hello$")) == ["hello"]


async def test_skipping_counts_what_matches(store: MessageStore) -> None:
    for minute in range(20):
        await keep(store, f"{'even' if minute % 2 == 0 else 'odd'} {minute}", minute)
    found = await store.search(text="odd", start=2, count=2)
    assert payloads(found) == ["odd 5", "odd 7"]


@pytest.mark.parametrize("state", ["pending", "processed", "error"])
async def test_search_by_state(store: MessageStore, state: str) -> None:
    for minute, known in enumerate(["processed", "error", "pending"] * 2):
        id = await keep(store, known, minute)
        await store.change_message_state(id, known)
    assert payloads(await store.search(state=state)) == [state, state]


async def test_filters_work_together(store: MessageStore) -> None:
    for minute in range(10):
        id = await keep(store, f"x{minute % 2}", minute)
        if minute > 4:
            await store.change_message_state(id, "processed")
    found = await store.search(
        text="x1", state="processed", end_dt=BEGIN + timedelta(minutes=8)
    )
    assert [entry["message"].timestamp.minute for entry in found] == [5, 7]


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_by": "payload"},
        {"order_by": ""},
        {"state": "finished"},
        {"start_dt": "yesterday"},
        {"end_dt": "2026-13-01"},
        {"rtext": "("},
        {"start": -1},
        {"count": -1},
        {"order_by": "state", "start_id": "1"},
        {"order_by": "meta_"},
        {"group_by": "timestamp"},
        {"meta": {"rtext_tag": "("}},
        {"meta": {"start_load": "much"}},
    ],
)
async def test_wrong_arguments_are_told(
    store: MessageStore, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        await store.search(**wrong)


async def test_search_goes_on_behind_a_message(store: MessageStore) -> None:
    minutes = [0, 1, 1, 1, 2]
    ids = [await keep(store, number, minutes[number]) for number in range(5)]
    found = await store.search(start_id=ids[2], start=1)
    assert payloads(found) == [4]
    found = await store.search(start_id=ids[2], order_by="-timestamp")
    assert payloads(found) == [1, 0]


async def test_an_unknown_message_to_go_on_behind_is_told(store: MessageStore) -> None:
    with pytest.raises(MessageNotFound):
        await store.search(start_id="999")


async def with_facts(store: MessageStore) -> None:
    loads: list[Any] = [7, ["12", "3"], 12, None]
    for minute, load in enumerate(loads):
        id = await keep(store, minute, minute)
        if load is not None:
            facts = {"load": load, "unit": f"K{minute}"}
            await store.change_message_state(id, "processed", facts)


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ({"load": 12}, [1, 2]),
        ({"exact_load": "12"}, [1, 2]),
        ({"text_unit": "K"}, [0, 1, 2]),
        ({"rtext_unit": "[02]$"}, [0, 2]),
        ({"start_load": 5, "end_load": 7}, [0, 1]),
        ({"start_load": 5, "end_load": 3}, [1]),
        ({"end_load": 5, "unit": "K1"}, [1]),
        ({"end_load": 5, "unit": "K2"}, []),
    ],
)
async def test_search_by_facts(
    store: MessageStore, meta: dict[str, Any], found: list[int]
) -> None:
    await with_facts(store)
    assert payloads(await store.search(meta=meta)) == found


async def test_a_page_of_what_has_the_facts_is_full(store: MessageStore) -> None:
    await with_facts(store)
    query: dict[str, Any] = {"meta": {"text_unit": "K"}, "state": "processed"}
    found = await store.search(1, 2, order_by="-timestamp", **query)
    assert payloads(found) == [1, 0]


async def test_search_orders_by_a_fact(store: MessageStore) -> None:
    await with_facts(store)
    assert payloads(await store.search(order_by="meta_load")) == [3, 1, 2, 0]
    assert payloads(await store.search(1, 2, "-meta_load")) == [2, 1]


async def test_status_is_another_word_for_state(store: MessageStore) -> None:
    await store.change_message_state(await keep(store, "x"), "processed")
    await keep(store, "y")
    assert payloads(await store.search(order_by="status")) == ["y", "x"]


async def test_search_gives_groups(store: MessageStore) -> None:
    await with_facts(store)
    groups = await store.search(group_by="state")
    assert {state: payloads(g) for state, g in groups.items()} == {
        "processed": [0, 1, 2],
        "pending": [3],
    }
    groups = await store.search(group_by="meta_load", count=3)
    assert {load: payloads(g) for load, g in groups.items()} == {"7": [0], "12": [1, 2]}


async def test_facts_are_added_and_replaced_by_name(store: MessageStore) -> None:
    id = await keep(store, "x")
    await store.add_message_meta_infos(id, "urls", ["a"])
    await store.update_message_meta_infos(id, {"urls": ["a", "b"], "size": 1})
    await store.change_message_state(id, "error", {"err_msg": "no"})
    await store.add_message_meta_infos(id, "seen", True)
    entry = await store.get(id)
    facts = {"urls": ["a", "b"], "size": 1, "err_msg": "no", "seen": True}
    assert (entry["state"], entry["meta"]) == ("error", facts)
    assert await store.get_message_meta_infos(id) == facts
    assert await store.get_message_meta_infos(id, "size") == 1
    assert await store.get_message_meta_infos(id, "other") is None


async def test_facts_of_unknown_messages_are_refused(store: MessageStore) -> None:
    with pytest.raises(MessageNotFound):
        await store.add_message_meta_infos("999", "size", 1)
    with pytest.raises(MessageNotFound):
        await store.add_sub_message_state("999", "a", "processed")


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (["processing", "processed", "processed"], "processed"),
        (["error", "processed", "rejected"], "error"),
        (["rejected", "processed"], "rejected"),
        (["processed", "dropped"], "processed"),
        (["wait_retry", "pending"], "pending"),
    ],
)
async def test_a_message_takes_the_worst_state_of_its_parts(
    store: MessageStore, states: list[str], worst: str
) -> None:
    id = await keep(store, "x")
    await asyncio.gather(
        *(store.add_sub_message_state(id, state, state) for state in states)
    )
    await store.set_state_to_worst_sub_state(id)
    assert await store.get_message_state(id) == worst
    history = await store.get_message_meta_infos(id, "submessages_state_history")
    assert sorted(one["sub_id"] for one in history) == sorted(states)


async def test_states_of_parts_are_checked(store: MessageStore) -> None:
    id = await keep(store, "x")
    with pytest.raises(UsageError, match="no state"):
        await store.add_sub_message_state(id, "a", "finished")
    with pytest.raises(UsageError, match="no states of parts"):
        await store.set_state_to_worst_sub_state(id)


async def test_a_message_is_looked_into(store: MessageStore) -> None:
    id = await keep(store, ["x" * 2000])
    assert (await store.get_msg_content(id)).payload == ["x" * 2000]
    assert len((await store.get_preview_str(id)).payload) == 1000
    assert await store.is_txt_in_msg(id, "['x") and await store.is_regex_in_msg(
        id, "x.]"
    )
    assert [e["id"] for e in await store.get_many([id, id])] == [id, id]


async def test_search_goes_over_many_messages(store: MessageStore) -> None:
    for number in range(1300):
        await keep(store, number, number)
    found = await store.search(start=1290, count=5)
    assert payloads(found) == [1290, 1291, 1292, 1293, 1294]
    last = await store.search(order_by="-timestamp", rtext="^7$")
    assert payloads(last) == [7]


async def test_stores_of_two_channels_share_nothing(backend: Backend) -> None:
    first, second = await backend.started("a"), await backend.started("b")
    id = await keep(first, "x")
    assert (await first.total(), await second.total()) == (1, 0)
    with pytest.raises(MessageNotFound):
        await second.get(id)
    await first.stop()
    await second.stop()


async def test_a_factory_gives_the_same_store_for_the_same_id(
    backend: Backend,
) -> None:
    assert backend.factory.get_store("a") is backend.factory.get_store("a")
    assert backend.factory.get_store("a") is not backend.factory.get_store("b")


async def test_a_store_can_be_stopped_and_started_again(backend: Backend) -> None:
    store = await backend.started("a")
    await keep(store, "x")
    await store.stop()
    again = await backend.started("a")
    assert payloads(await again.search()) == ["x"]
    await again.stop()


async def test_a_repr_names_the_class(backend: Backend) -> None:
    name = type(backend.factory).__name__
    assert repr(backend.factory).startswith(f"{name}(")


async def test_messages_are_found_by_tag(store: MessageStore) -> None:
    if not store.indexes_tags:
        with pytest.raises(UsageError, match="no index of tags"):
            await store.search(tag="F1")
        return
    frame = b'{"Items": [{"WebId": "F1", "Items": [{"Timestamp": "%s", "Value": 1}]}]}'
    pi = Message(payload=frame % b"2026-03-01T00:00:00Z", meta={"server": "plant"})
    tags = [Tag("a", web_id="F1"), Tag("b", web_id="F2"), Tag("c")]
    for payload in ([Sample(tag, 1, 2) for tag in tags], "F1"):
        await store.store(Message(payload=payload))
    await store.store(pi)
    found = await store.search(tag="F1")
    assert [type(payload) for payload in payloads(found)] == [bytes, list]
    assert len(await store.search(tag="c")) == 1
    assert await store.search(tag="F1", state="error") == []
    assert await store.search(tag="F3") == []
