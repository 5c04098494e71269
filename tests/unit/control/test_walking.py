"""Searches find the same in every store, in pages, in a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from msgstore.file import FileMessageStoreFactory
from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from msgstore.postgres import PostgreSQLMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.control.walking import Search, walk
from pichannels.errors import NotConnected, UsageError
from pichannels.message import Message
from pichannels.project import Project
from pichannels.store import Entry, MessageStore, MessageStoreFactory
from pichannels.values import TICKS_PER_SECOND, Sample, Tag, parse_ticks
from tests.servers.postgres import PostgresServer

START = parse_ticks("2026-03-01T00:00:00Z")
WEB_ID = "F1DPUpo8Dw1vPk-aQSp9XBuOYABwAAAAU0lNU1JWXFVOSVQxLlRJMTAxLlBW"
TAG = Tag("TI101", r"\\SIMSRV\UNIT1.TI101.PV", WEB_ID, "SIMSRV", "7", "degC")
SAMPLE = Sample(TAG, START, 21.5)
PAYLOADS = (
    '{"pump": {"speed": 7}, "secret": "s3cret"}',
    '{"pump": {"speed": 9}}',
    "plain text",
    "poison one",
    [SAMPLE],
)
FACTS = {
    "node": "a.check",
    "error": "ValueError",
    "err_msg": "poison one is bad",
    "attempts": 3,
}
CONDITIONS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "time": ({"start": "2026-03-01T00:00:01Z", "end": "2026-03-01T00:00:03Z"}, [1, 2]),
    "state": ({"state": "error"}, [3]),
    "text": ({"text": "one"}, [3]),
    "regex": ({"regex": "^p.+ (text|two)$"}, [2]),
    "JSON path": ({"json_path": "$.pump.speed"}, [0, 1]),
    "JSON value": ({"json_path": "$..speed", "json_value": "9"}, [1]),
    "lane": ({"lane": "replay"}, [1]),
    "live lane": ({"lane": "live"}, [0, 2, 3, 4]),
    "meta": ({"meta": "line=4"}, [1]),
    "node": ({"node": "check"}, [3]),
    "part of a node": ({"node": "heck"}, []),
    "error": ({"error": "is bad"}, [3]),
    "class": ({"error_class": "ValueError"}, [3]),
    "attempts": ({"attempts": 3}, [3]),
    "more attempts": ({"attempts": 4}, []),
    "tag by name": ({"tag": "ti101"}, [4]),
    "tag by path": ({"tag": TAG.path}, [4]),
    "tag by WebID": ({"tag": WEB_ID}, [4]),
    "other tag": ({"tag": "F1DPother"}, []),
    "event": ({"event_id": SAMPLE.event_id}, [4]),
    "together": ({"error": "one", "text": "one", "attempts": 1, "node": "check"}, [3]),
    "masked text": ({"text": "s3cret", "mask_fields": ["secret"]}, []),
    "masked error": ({"error": "bad", "mask_texts": ["b.d"]}, []),
    "masked value": (
        {"json_path": "$.secret", "json_value": "s3cret", "mask_fields": ["secret"]},
        [],
    ),
}


@pytest.fixture(params=["memory", "file", "sqlite", "postgres"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> MessageStoreFactory:
    """Of stores of each kind that is not the journal."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return PostgreSQLMessageStoreFactory(server.url(), schema="walking")
    if request.param == "sqlite":
        return SQLiteMessageStoreFactory(tmp_path / "history.sqlite")
    if request.param == "file":
        return FileMessageStoreFactory(tmp_path / "files", fsync=False)
    return MemoryMessageStoreFactory()


@contextlib.asynccontextmanager
async def stored(*stores: tuple[str, MessageStoreFactory]) -> AsyncIterator[Project]:
    """A project of channels with these stores, which are started."""
    project = Project([BaseChannel(n, message_store_factory=f) for n, f in stores])
    async with contextlib.AsyncExitStack() as stack:
        for store in stores_of(project):
            with contextlib.suppress(NotConnected):
                await store.start()
            stack.push_async_callback(store.stop)
        yield project


def stores_of(project: Project) -> list[MessageStore]:
    return [c.message_store for c in project.channels if c.message_store is not None]


async def keep(store: MessageStore, payload: Any, second: int = 0, **meta: Any) -> str:
    msg = Message(payload=payload, meta=meta)
    msg.ticks = START + second * TICKS_PER_SECOND
    id = await store.store(msg)
    assert id is not None
    await store.change_message_state(id, "processed")
    return id


async def seen(project: Project, **conditions: Any) -> list[str]:
    """What is found, a page after the other."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await walk(project, Search(**conditions, cursor=cursor))
        found += [row["payload"] for row in page.messages]
        if page.next is None:
            return found
        cursor = page.next


async def test_each_condition_works_in_each_store(factory: MessageStoreFactory) -> None:
    async with stored(("a", factory)) as project:
        (store,) = stores_of(project)
        metas: list[dict[str, Any]] = [{}, {"lane": "replay", "line": 4}, {}, {}, {}]
        ids = [
            await keep(store, payload, second, **metas[second])
            for second, payload in enumerate(PAYLOADS)
        ]
        await store.change_message_state(ids[3], "error", FACTS)
        found = {}
        for name, (conditions, _) in CONDITIONS.items():
            asked = Search(**conditions, oldest_first=True, seconds=60)
            page = await walk(project, asked)
            assert page.complete
            found[name] = [ids.index(row["id"]) for row in page.messages]
        uuid = (await store.get(ids[2]))["message"].uuid
        called = await walk(project, Search(uuid=uuid, start="2026-03-01", seconds=60))
    assert [row["id"] for row in called.messages] == [ids[2]]
    assert found == {name: places for name, (_, places) in CONDITIONS.items()}


async def test_several_stores_are_searched_in_the_order_of_time(
    tmp_path: Path,
) -> None:
    files = FileMessageStoreFactory(tmp_path, fsync=False)
    memory = MemoryMessageStoreFactory()
    async with stored(("b", memory), ("a", files), ("c", memory)) as project:
        for number in range(30):
            # Three at a time were made in the same instant.
            store = stores_of(project)[number % 3]
            await keep(store, f"{number:02}", number // 3)
        newest = await seen(project, count=4, regex="[0-9]+")
        oldest = await seen(project, count=4, oldest_first=True)
    assert sorted(newest) == sorted(oldest) == [f"{n:02}" for n in range(30)]
    assert [int(each) // 3 for each in oldest] == [n // 3 for n in range(30)]
    assert [int(each) // 3 for each in newest] == [n // 3 for n in range(29, -1, -1)]


async def test_what_takes_too_long_goes_on_with_the_next_page() -> None:
    async with stored(("a", MemoryMessageStoreFactory())) as project:
        (store,) = stores_of(project)
        for number in range(40):
            await keep(store, f"value {number}", number)
        wanted = Search(text="value 3", oldest_first=True, seconds=1e-6)
        first = await walk(project, wanted)
        rest = await seen(
            project, text="value 3", oldest_first=True, seconds=1e-6, count=3
        )
    assert (first.complete, first.scanned) == (False, 16)
    assert rest == ["value 3", *(f"value {number}" for number in range(30, 40))]


async def test_pages_go_on_behind_what_was_deleted() -> None:
    async with stored(("a", MemoryMessageStoreFactory())) as project:
        (store,) = stores_of(project)
        ids = [await keep(store, str(number), number) for number in range(5)]
        page = await walk(project, Search(count=2))
        await store.delete(ids[3])
        rest = await walk(project, Search(count=2, cursor=page.next))
    assert [row["payload"] for row in rest.messages] == ["2", "1"]


class Stuck(MemoryMessageStore):
    """Its index of texts never finds anything."""

    indexes_texts = True

    async def find(self, query: Any) -> list[Entry]:
        if query.text is not None:
            await asyncio.Event().wait()
        return await super().find(query)


class StuckFactory(MessageStoreFactory):
    def get_store(self, store_id: str) -> MessageStore:
        return Stuck(store_id, 100)


async def test_a_store_that_finds_nothing_in_time_is_looked_through() -> None:
    async with stored(("a", StuckFactory())) as project:
        await keep(stores_of(project)[0], "needle")
        page = await walk(project, Search(text="needle", seconds=0.05))
    assert [row["payload"] for row in page.messages] == ["needle"]


async def test_a_store_that_is_away_is_told() -> None:
    away = PostgreSQLMessageStoreFactory("postgresql://x@127.0.0.1:1/x")
    async with stored(("a", MemoryMessageStoreFactory()), ("pg", away)) as project:
        await keep(stores_of(project)[0], "here")
        page = await walk(project, Search())
        with pytest.raises(NotConnected):
            await walk(project, Search(channel="pg"))
    assert [row["payload"] for row in page.messages] == ["here"]
    (missing,) = page.missing
    assert missing.startswith("pg: postgresql://127.0.0.1:1/x is not connected: [")


async def test_what_is_masked_is_not_shown() -> None:
    async with stored(("a", MemoryMessageStoreFactory())) as project:
        await keep(stores_of(project)[0], {"pump": {"secret": "s3cret"}})
        wanted = Search(mask_fields=["pump.secret"])
        (row,) = (await walk(project, wanted)).messages
    assert "s3cret" not in str(row)


@pytest.mark.parametrize(
    "wanted",
    [
        Search(cursor="skip20"),
        Search(json_value="1"),
        Search(regex="(", count=1),
        Search(uuid="12"),
    ],
    ids=["cursor", "json_value", "regex", "uuid"],
)
async def test_wrong_conditions_are_told(wanted: Search) -> None:
    async with stored(("a", MemoryMessageStoreFactory())) as project:
        with pytest.raises(
            UsageError, match=r"cursor|json_path|regular expression|hex"
        ):
            await walk(project, wanted)
