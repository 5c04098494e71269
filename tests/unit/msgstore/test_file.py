"""What only the file store does: names, crashes, and looking after itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from msgstore._folders import folder_name
from msgstore.file import FileMessageStore, FileMessageStoreFactory
from pichannels.errors import CodecError, SettingsError
from pichannels.message import Message
from pichannels.retention import Retention

PROCESS = Path(__file__).with_name("storing_process.py")
MOMENT = datetime(2026, 3, 1, 17, 4, 5, 250_000, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileMessageStore]:
    made = FileMessageStoreFactory(tmp_path).get_store("boiler")
    await made.start()
    yield made
    await made.stop()


async def keep(store: FileMessageStore, payload: Any = "x") -> str:
    msg = Message(payload=payload)
    msg.timestamp = MOMENT
    id = await store.store(msg)
    assert id is not None
    return id


def files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


async def names(folder: Path) -> list[str]:
    return await asyncio.to_thread(files, folder)


async def test_a_message_is_a_file_in_the_folder_of_its_day(
    store: FileMessageStore, tmp_path: Path
) -> None:
    await keep(store)
    (name,) = await names(tmp_path)
    parts = Path(name).parts
    assert parts[:4] == ("boiler", "2026", "03", "01")
    assert parts[4].startswith("170405.2500000-")
    assert parts[4].endswith(".pending.json")


async def test_people_can_read_it(store: FileMessageStore, tmp_path: Path) -> None:
    await keep(store, {"pressure": 17})
    (name,) = await names(tmp_path)
    found = json.loads(await asyncio.to_thread((tmp_path / name).read_text))
    assert found["payload"] == {"pressure": 17}


async def test_the_state_is_in_the_name_and_facts_beside_it(
    store: FileMessageStore, tmp_path: Path
) -> None:
    id = await keep(store)
    await store.change_message_state(id, "error", {"err_msg": "no"})
    ends = [name.split(".", 2)[2] for name in await names(tmp_path)]
    assert ends == ["error.json", "facts.json"]


async def test_what_a_crash_left_unfinished_is_gone_after_a_start(
    store: FileMessageStore, tmp_path: Path
) -> None:
    await keep(store)
    draft = tmp_path / "boiler" / "drafts" / "170405.json"
    await asyncio.to_thread(draft.write_text, '{"payl')
    again = FileMessageStoreFactory(tmp_path).get_store("boiler")
    await again.start()
    assert (await again.total(), await asyncio.to_thread(draft.exists)) == (1, False)
    await again.stop()


@pytest.mark.parametrize("after", [1, 7, 40])
async def test_a_killed_process_leaves_whole_messages(
    tmp_path: Path, after: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROCESS), str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    told = [(await process.stdout.readline()).decode().split() for _ in range(after)]
    process.kill()
    rest = (await process.stdout.read()).decode()
    await process.wait()
    told += [line.split() for line in rest.splitlines(keepends=True) if "\n" in line]
    store = FileMessageStoreFactory(tmp_path).get_store("boiler")
    await store.start()
    found = {entry["id"]: entry for entry in await store.search(count=10_000)}
    assert all(len(e["message"].payload) == 100_000 for e in found.values())
    for id, state in told:
        assert found[id]["state"] in (state, "processed")
    await store.stop()


async def test_a_message_that_cannot_be_written_leaves_nothing(
    store: FileMessageStore, tmp_path: Path
) -> None:
    await keep(store)
    before = await names(tmp_path)
    day = tmp_path / "boiler" / "2026" / "03" / "02"
    await asyncio.to_thread(day.write_text, "in the way")
    msg = Message(payload="x")
    msg.timestamp = MOMENT.replace(day=2)
    with pytest.raises(OSError):
        await store.store(msg)
    await asyncio.to_thread(day.unlink)
    assert await names(tmp_path) == before


async def test_a_damaged_file_costs_only_itself(
    store: FileMessageStore, tmp_path: Path
) -> None:
    id = await keep(store, "damaged")
    await keep(store, "sound")
    (damaged, _) = await names(tmp_path)
    await asyncio.to_thread((tmp_path / damaged).write_bytes, b'{"payload": "\xff')
    found = await store.search()
    assert "err_msg" in found[0]["meta"]
    assert found[1]["message"].payload == "sound"
    with pytest.raises(CodecError):
        await store.get(id)


async def test_a_search_by_time_and_state_reads_no_other_file(
    store: FileMessageStore, tmp_path: Path
) -> None:
    await keep(store)
    other = Message(payload="later")
    other.timestamp = MOMENT.replace(day=9)
    id = await store.store(other)
    assert id is not None
    await store.change_message_state(id, "processed")
    for name in await names(tmp_path):
        if "pending" in name:
            await asyncio.to_thread((tmp_path / name).write_text, "not looked at")
    conditions: list[dict[str, Any]] = [
        {"start_dt": "2026-03-02"},
        {"state": "processed"},
    ]
    for wanted in conditions:
        (found,) = await store.search(**wanted)
        assert found["message"].payload == "later"


async def test_pruning_removes_files_and_empty_folders(
    store: FileMessageStore, tmp_path: Path
) -> None:
    id = await keep(store)
    await store.change_message_state(id, "processed", {"note": 1})
    msg = Message(payload="now")
    await store.store(msg)
    assert await store.prune(Retention(age=60), dry_run=True) == 1
    assert await store.prune(Retention(age=60)) == 1
    folders = await asyncio.to_thread(os.listdir, tmp_path / "boiler")
    assert sorted(folders) == sorted({"drafts", str(msg.timestamp.year)})
    assert await store.total() == 1


async def test_the_oldest_files_go_when_there_are_too_many_bytes(
    store: FileMessageStore,
) -> None:
    for payload in ("first", "second", "third"):
        id = await keep(store, payload * 100)
        await store.change_message_state(id, "processed")
    assert await store.prune(Retention(age=None, size=1000)) == 2
    (left,) = await store.search()
    assert left["message"].payload.startswith("third")


async def test_the_retention_is_looked_after(tmp_path: Path) -> None:
    factory = FileMessageStoreFactory(
        tmp_path, retention=Retention(age=60), prune_every=0.01, fsync=False
    )
    store = factory.get_store("a")
    await store.start()
    msg = Message(payload="now")
    await store.store(msg)
    await store.change_message_state(await keep(store), "processed")
    async with asyncio.timeout(30):
        while await store.total() > 1:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    (left,) = await store.search()
    await store.stop()
    assert left["message"].payload == "now"


async def test_many_messages_at_once_are_all_kept(store: FileMessageStore) -> None:
    ids = await asyncio.gather(*[keep(store, number) for number in range(50)])
    changes = [store.change_message_state(id, "processed") for id in ids]
    await asyncio.gather(*changes)
    found = await store.search(count=100, state="processed")
    assert [entry["message"].payload for entry in found] == list(range(50))


def test_a_pause_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        FileMessageStoreFactory(tmp_path, prune_every=0)


@pytest.mark.parametrize(
    ("store_id", "name"),
    [
        ("plant.boiler", "plant.boiler"),
        ("a/b", "a%2Fb"),
        ("con", "%63on"),
        ("nul.txt", "%6Eul.txt"),
        ("..", "%2E%2E"),
        ("x.", "x%2E"),
    ],
)
def test_a_folder_has_a_name_that_every_system_takes(store_id: str, name: str) -> None:
    assert folder_name(store_id).partition("~")[0] == name


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_each_store_has_a_folder_of_its_own(first: str, second: str) -> None:
    same = folder_name(first).casefold() == folder_name(second).casefold()
    assert same is (first == second)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_names_of_folders_are_plain(store_id: str) -> None:
    name = folder_name(store_id)
    is_taken: Callable[[str], bool] = set('<>:"/\\|?*').isdisjoint
    assert is_taken(name) and name.isascii() and name.isprintable()
    assert 0 < len(name) < 200 and name[-1] not in ". "
