"""Stored messages: out into files, and in from wherever they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.errors import CodecError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.testing import export_messages, read_messages


def payloads(messages: list[Message]) -> list[Any]:
    return [msg.payload for msg in messages]


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    """The data folder of an instance that runs: two channels, three messages."""
    journal = Journal(tmp_path / "journal.sqlite", durability="normal")
    await journal.open()
    for number, channel in enumerate(["boiler", "pump", "boiler"]):
        await journal.append(channel, Message(payload=number)).durable
    yield tmp_path
    await journal.close()


async def test_an_exported_message_comes_back_whole(tmp_path: Path) -> None:
    msg = Message("application/x", (b"\xff", 1), {"lane": "live"})
    msg.add_context("before", msg)
    file = tmp_path / "new" / "x.jsonl"
    assert await asyncio.to_thread(export_messages, [msg], file) == 1
    (found,) = await read_messages(file)
    assert found.to_dict() == msg.to_dict()


async def test_entries_of_a_store_are_exported(tmp_path: Path) -> None:
    store = MemoryMessageStoreFactory().get_store("boiler")
    await store.store(Message(payload=1))
    entries = await store.search()
    await asyncio.to_thread(export_messages, entries, tmp_path / "x.jsonl")
    assert payloads(await read_messages(tmp_path / "x.jsonl")) == [1]


def test_a_failed_export_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    export_messages([Message(payload=1)], file)
    before = file.read_text()
    with pytest.raises(CodecError):
        export_messages([Message(payload=2), Message(payload=object())], file)
    assert file.read_text() == before


async def test_a_line_that_is_no_message_is_told_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    await asyncio.to_thread(file.write_text, f"{Message().to_json()}\n\n[1]\n")
    with pytest.raises(CodecError, match=r"x\.jsonl, line 3: "):
        await read_messages(file)


async def test_a_running_instance_gives_the_messages_of_a_channel(
    data_dir: Path,
) -> None:
    assert payloads(await read_messages(data_dir, "boiler")) == [0, 2]


async def test_a_journal_file_can_be_searched(data_dir: Path) -> None:
    file = data_dir / "journal.sqlite"
    assert payloads(await read_messages(file, ids=[2])) == [1]
    assert payloads(await read_messages(file, "boiler", count=1)) == [0]


async def test_a_store_gives_all_of_its_messages() -> None:
    store = MemoryMessageStoreFactory().get_store("boiler")
    for number in range(30):
        await store.store(Message(payload=number))
    assert payloads(await read_messages(store)) == list(range(30))


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no stored messages at .*x\.jsonl"):
        await read_messages(tmp_path / "x.jsonl")


async def test_an_exported_file_cannot_be_searched(tmp_path: Path) -> None:
    await asyncio.to_thread(export_messages, [Message()], tmp_path / "x.jsonl")
    with pytest.raises(UsageError, match="text: only a store can be searched"):
        await read_messages(tmp_path / "x.jsonl", text="boiler")
