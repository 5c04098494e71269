"""What only the SQLite store does: files, and sharing the journal."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.errors import CodecError, SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.retention import Retention
from pichannels.states import State


async def test_a_shared_store_finds_what_the_journal_accepted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    store = SQLiteMessageStoreFactory().get_store("a")
    store.attach(journal)
    ticket = journal.append("a", Message(payload="x"))
    journal.settle(ticket.seq, State.ERROR, {"err_msg": "no"})
    entry = await store.get(str(ticket.seq))
    assert (entry["message"].payload, entry["meta"]) == ("x", {"err_msg": "no"})
    await journal.close()


async def test_a_shared_store_needs_a_journal() -> None:
    store = SQLiteMessageStoreFactory().get_store("a")
    assert store.shares_journal
    with pytest.raises(UsageError, match="attach"):
        await store.start()


async def test_a_store_with_a_file_takes_no_journal(tmp_path: Path) -> None:
    store = SQLiteMessageStoreFactory(tmp_path / "h.db").get_store("a")
    with pytest.raises(UsageError, match="of its own"):
        store.attach(Journal(tmp_path / "journal.db"))


async def test_stores_of_one_factory_share_its_file(tmp_path: Path) -> None:
    factory = SQLiteMessageStoreFactory(tmp_path / "h.db")
    stores = [factory.get_store(name) for name in "abc"]
    await asyncio.gather(*(store.start() for store in stores))
    await stores[0].stop()
    assert await stores[1].store(Message()) == "1"
    await asyncio.gather(*(store.stop() for store in stores[1:]))


def test_a_factory_works_in_one_event_loop_after_another(tmp_path: Path) -> None:
    factory = SQLiteMessageStoreFactory(tmp_path / "h.db")
    stores = [factory.get_store(name) for name in "abc"]

    async def use() -> int:
        await asyncio.gather(*(store.start() for store in stores))
        await stores[0].store(Message())
        total = await stores[0].total()
        await asyncio.gather(*(store.stop() for store in stores))
        return total

    assert [asyncio.run(use()), asyncio.run(use())] == [1, 2]


async def test_a_store_starts_while_the_last_one_is_stopping(tmp_path: Path) -> None:
    factory = SQLiteMessageStoreFactory(tmp_path / "h.db")
    first, second = factory.get_store("a"), factory.get_store("b")
    await first.start()
    await asyncio.gather(first.stop(), second.start())
    assert await second.store(Message()) == "1"
    await second.stop()


async def test_history_outlives_the_process(tmp_path: Path) -> None:
    for expected in (1, 2):
        store = SQLiteMessageStoreFactory(tmp_path / "h.db").get_store("a")
        await store.start()
        await store.store(Message())
        assert await store.total() == expected
        await store.stop()


async def test_one_unreadable_message_costs_only_itself(tmp_path: Path) -> None:
    factory = SQLiteMessageStoreFactory(tmp_path / "h.db")
    store = factory.get_store("a")
    await store.start()
    ids = [await store.store(Message(payload=word)) for word in ("x", "y")]
    await store.stop()
    await asyncio.to_thread(spoil, tmp_path / "h.db")
    await store.start()
    found = await store.search()
    assert [entry["id"] for entry in found] == ids
    assert "cannot be read" in found[0]["meta"]["err_msg"]
    assert [entry["id"] for entry in await store.search(text="y")] == ids[1:]
    with pytest.raises(CodecError):
        await store.get("1")
    await store.stop()


def spoil(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("UPDATE body SET data = x'c1' WHERE seq = 1")
    conn.commit()
    conn.close()


async def test_pruning_deletes_by_age_size_and_state(tmp_path: Path) -> None:
    store = SQLiteMessageStoreFactory(tmp_path / "h.db").get_store("a")
    await store.start()
    for number, state in enumerate(["processed", "dropped", "error", "processed"]):
        msg = Message(payload="x" * 1000)
        msg.ticks = number
        id = await store.store(msg)
        assert id is not None
        await store.change_message_state(id, state)
    retention = Retention(age=None, size=2500, states={"dropped": 1, "error": None})
    assert await store.prune(retention, dry_run=True) == 2
    assert await store.prune(retention) == 2
    assert [entry["state"] for entry in await store.search()] == ["error", "processed"]
    await store.stop()


def test_a_shared_journal_has_a_retention_of_its_own() -> None:
    with pytest.raises(SettingsError, match="path of its own"):
        SQLiteMessageStoreFactory(retention=Retention())
