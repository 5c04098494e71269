"""Messages out of any store into a file, and from a file into any store."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from msgstore.fake import FakeMessageStore, FakeMessageStoreFactory
from msgstore.file import FileMessageStoreFactory
from msgstore.memory import MemoryMessageStoreFactory
from msgstore.null import NullMessageStoreFactory
from pichannels.errors import CodecError, UsageError
from pichannels.exporting import entries, export, import_, prune, read_entries
from pichannels.message import Message
from pichannels.query import Query
from pichannels.retention import Retention
from pichannels.store import Entry, MessageStore
from pichannels.testing import read_messages

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def a_store() -> FakeMessageStore:
    return FakeMessageStoreFactory().get_store("boiler")


async def keep(
    store: MessageStore, payload: Any, minute: float = 0, state: str = "processed"
) -> str:
    msg = Message(payload=payload)
    msg.timestamp = BEGIN + timedelta(minutes=minute)
    id = await store.store(msg)
    assert id is not None
    if state != "pending":
        await store.change_message_state(id, state)
    return id


async def payloads(store: MessageStore) -> list[Any]:
    return [entry["message"].payload async for entry in entries(store)]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
async def test_a_store_comes_back_whole(tmp_path: Path, name: str) -> None:
    source, target = a_store(), a_store()
    id = await keep(source, {"a": [b"\xff", 1.5, BEGIN]}, 1, "pending")
    await source.change_message_state(id, "error", {"err_msg": "no", "attempts": 2})
    assert await export(source, tmp_path / "new" / name) == 1
    assert await import_(tmp_path / "new" / name, target) == 1
    (before,), (after,) = await source.search(), await target.search()
    assert after["message"].to_dict() == before["message"].to_dict()
    assert (after["state"], after["meta"]) == (before["state"], before["meta"])


async def test_a_name_in_gz_makes_a_compressed_file(tmp_path: Path) -> None:
    store = a_store()
    await keep(store, "x" * 10_000)
    await export(store, tmp_path / "x.jsonl.gz")
    await export(store, tmp_path / "x.jsonl")
    packed = await asyncio.to_thread((tmp_path / "x.jsonl.gz").read_bytes)
    plain = await asyncio.to_thread((tmp_path / "x.jsonl").read_bytes)
    assert (gzip.decompress(packed), len(packed) < 1000) == (plain, True)


async def test_an_exported_file_is_replayed_by_tests(tmp_path: Path) -> None:
    store = a_store()
    for number in range(3):
        await keep(store, number, number)
    await export(store, tmp_path / "x.jsonl.gz", text="1")
    (msg,) = await read_messages(tmp_path / "x.jsonl.gz")
    assert (msg.payload, msg.uuid) == (1, store.stored[1].uuid)


async def test_messages_of_one_instant_all_come_once() -> None:
    store = a_store()
    for number in range(23):
        await keep(store, number, number // 10)
    assert [entry["message"].payload async for entry in entries(store, page=4)] == list(
        range(23)
    )


async def test_entries_can_be_counted_and_filtered() -> None:
    store = a_store()
    for number in range(23):
        await keep(store, number, number, "error" if number % 2 else "processed")
    found = [
        entry["message"].payload
        async for entry in entries(store, page=3, state="error", count=5)
    ]
    assert found == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("wrong", [{"start": 1}, {"order_by": "state"}])
async def test_entries_have_one_order(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="oldest first"):
        [entry async for entry in entries(a_store(), **wrong)]


async def test_what_was_not_settled_does_not_run_where_it_is_imported(
    tmp_path: Path,
) -> None:
    source, target = a_store(), a_store()
    await keep(source, 1, state="pending")
    await export(source, tmp_path / "x.jsonl")
    await import_(tmp_path / "x.jsonl", target)
    (found,) = await target.search()
    assert (found["state"], found["meta"]) == ("dropped", {"imported_state": "pending"})


async def test_a_failed_export_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    store, file = a_store(), tmp_path / "x.jsonl"
    await keep(store, 1)
    await export(store, file)
    before = await asyncio.to_thread(file.read_bytes)
    with pytest.raises(UsageError):
        await export(store, file, state="finished")
    assert await asyncio.to_thread(file.read_bytes) == before
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [file]


@pytest.mark.parametrize("rest", ["{", "[1]", '{"payload": 1, "state": "gone"}'])
async def test_a_line_that_is_no_message_is_told_by_its_number(
    tmp_path: Path, rest: str
) -> None:
    file = tmp_path / "x.jsonl"
    text = f"{Message(payload=1).to_json()}\n\n{rest}\n"
    await asyncio.to_thread(file.write_text, text)
    with pytest.raises(CodecError, match=r"x\.jsonl, line 3: "):
        await import_(file, a_store())


def test_a_compressed_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(f"{Message(payload='x' * 999).to_json()}\n".encode() * 99)
    (tmp_path / "x.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CodecError, match=r"x\.gz"):
        list(read_entries(tmp_path / "x.gz"))


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        await import_(tmp_path / "x.jsonl", a_store())


async def test_large_stores_go_through_a_few_messages_at_a_time(
    tmp_path: Path,
) -> None:
    factory = FileMessageStoreFactory(tmp_path / "m", fsync=False, retention=None)
    store = factory.get_store("a")
    await store.start()
    for number in range(600):
        await keep(store, "x" * 20_000, number)
    target = NullMessageStoreFactory().get_store("a")
    tracemalloc.start()
    await export(store, tmp_path / "x.gz")
    await import_(tmp_path / "x.gz", target)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await store.stop()
    # Twelve million characters in all.
    assert most < 12_000_000


OLD = Retention(age=60, size=None, states={"error": None})


class Minimal(MessageStore):
    """A backend that has the contract and nothing else."""

    store_id = "a"

    def __init__(self) -> None:
        self._kept = MemoryMessageStoreFactory().get_store("a")

    async def store(self, msg: Message) -> str | None:
        return await self._kept.store(msg)

    async def change_message_state(self, *args: Any) -> None:
        await self._kept.change_message_state(*args)

    async def get(self, id: str) -> Entry:
        return await self._kept.get(id)

    async def find(self, query: Query) -> list[Entry]:
        return await self._kept.find(query)

    async def total(self) -> int:
        return await self._kept.total()

    async def delete(self, id: str) -> None:
        await self._kept.delete(id)


@pytest.mark.parametrize("make", [a_store, Minimal])
async def test_a_store_is_pruned(make: Callable[[], MessageStore]) -> None:
    store = make()
    await keep(store, "old")
    await keep(store, "wrong", state="error")
    await keep(store, "open", state="pending")
    assert await prune(store, OLD, dry_run=True) == 1
    assert await prune(store, OLD) == 1
    assert await payloads(store) == ["wrong", "open"]
