"""What only the PostgreSQL store does: leases, outages, partitions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped,unused-ignore]
import pytest

from msgstore.postgres import PostgreSQLMessageStore, PostgreSQLMessageStoreFactory
from nodes.publish import Call
from pichannels import clock
from pichannels.adapters.postgres import Refused
from pichannels.channels import BaseChannel
from pichannels.engine import Engine
from pichannels.errors import NotConnected, SettingsError, StoreHeld, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.project import Project
from pichannels.query import plain_words
from pichannels.retention import DAY, Retention
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import TICKS_PER_SECOND, Sample, Tag, parse_ticks
from tests.servers.postgres import PostgresServer

NUMBERS = count(1)
END = "SELECT pg_terminate_backend(pid) FROM"


@asynccontextmanager
async def opened(
    server: PostgresServer, store_id: str = "a", **options: Any
) -> AsyncIterator[PostgreSQLMessageStore]:
    """A started store, by default in a schema of its own."""
    options.setdefault("schema", f"store {next(NUMBERS)}")
    factory = PostgreSQLMessageStoreFactory(server.url(), **options)
    store = factory.get_store(store_id)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def run(server: PostgresServer, sql: str) -> list[tuple[Any, ...]]:
    """Look at the database, or change it, from outside."""
    connection = await asyncpg.connect(server.url())
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def keep(store: PostgreSQLMessageStore, payload: Any, ticks: int = 0) -> str:
    msg = Message(payload=payload)
    msg.ticks = ticks or clock.now()
    id = await store.store(msg)
    assert id is not None
    return id


async def payloads(store: PostgreSQLMessageStore) -> list[Any]:
    return [entry["message"].payload for entry in await store.search(count=100)]


# Outages


async def test_nothing_is_lost_when_the_server_restarts(
    postgres: PostgresServer,
) -> None:
    async with opened(postgres) as store:
        ids = [await keep(store, number) for number in range(5)]
        storing = [asyncio.create_task(keep(store, n)) for n in range(5, 25)]
        await asyncio.to_thread(postgres.kill)
        settling = [store.change_message_state(id, "processed") for id in ids]
        await asyncio.gather(*settling)
        storing += [asyncio.create_task(keep(store, n)) for n in range(25, 30)]
        await asyncio.to_thread(postgres.start)
        await asyncio.gather(*storing)
        assert sorted(await payloads(store)) == list(range(30))
        assert len(await store.search(state="processed")) == 5


async def test_a_sender_is_told_when_the_server_stays_away(
    postgres: PostgresServer,
) -> None:
    async with opened(postgres, patience=0.05) as store:
        id = await keep(store, "kept")
        await asyncio.to_thread(postgres.kill)
        await store.change_message_state(id, "error", {"err_msg": "no"})
        with pytest.raises(NotConnected):
            await keep(store, "refused")
        await asyncio.to_thread(postgres.start)
        await keep(store, "later")
        assert await payloads(store) == ["kept", "later"]
        entry = await store.get(id)
        assert (entry["state"], entry["meta"]) == ("error", {"err_msg": "no"})


async def test_a_server_that_is_away_is_told_at_the_start(
    postgres: PostgresServer,
) -> None:
    postgres.stop()
    with pytest.raises(NotConnected, match="127.0.0.1"):
        async with opened(postgres):
            pass


async def test_a_store_that_could_not_start_says_so_when_it_is_asked(
    postgres: PostgresServer,
) -> None:
    postgres.stop()
    factory = PostgreSQLMessageStoreFactory(postgres.url(), schema="later")
    store = factory.get_store("a")
    with pytest.raises(NotConnected):
        await store.start()
    with pytest.raises(NotConnected, match=str(postgres.port)):
        await store.total()
    await store.stop()


async def test_an_instance_starts_without_the_server_and_connects_later(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.stop()
    factory = PostgreSQLMessageStoreFactory(postgres.url(), schema="late")
    channels = [BaseChannel(name, message_store_factory=factory) for name in "ab"]
    async with Engine(Project(channels), data_dir=tmp_path, control=False) as engine:
        events = engine.events.follow()
        for channel in channels:
            await channel.accept(Message(payload=channel.name))
        assert {each.state for each in engine.status().channels} == {"store waiting"}
        await asyncio.to_thread(postgres.start)
        while not engine.status().is_ready:
            await anext(events)
        for channel in channels:
            await channel.drain()
            assert await payloads(factory.get_store(channel.name)) == [channel.name]


async def test_a_channel_goes_through_a_restart_of_its_store(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    seen: list[Any] = []
    factory = PostgreSQLMessageStoreFactory(
        postgres.url(), schema="restarted", patience=0.05
    )
    retry = RetryPolicy(attempts=0, initial=0.05, maximum=0.2)
    channel = BaseChannel("a", message_store_factory=factory, retry=retry)
    channel.add(Call(seen.append, what="payload"))
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel.attach(journal=journal)
    await channel.start()
    for number in range(20):
        if number == 5:
            await asyncio.to_thread(postgres.kill)
        await channel.accept(Message(payload=number))
    await asyncio.to_thread(postgres.start)
    await channel.drain()
    store = factory.get_store("a")
    kept = await store.search(count=100, state="processed")
    assert sorted(entry["message"].payload for entry in kept) == list(range(20))
    assert sorted(seen) == list(range(20))
    await channel.stop()
    await journal.close()


async def test_what_the_server_refuses_costs_only_itself(
    postgres: PostgresServer,
) -> None:
    async with opened(postgres, schema="strict") as store:
        await keep(store, "x")
        await run(postgres, "ALTER TABLE strict.body ADD CHECK (content <> 'poison')")
        words = ["a", "poison", "b"]
        found = await asyncio.gather(
            *(keep(store, word) for word in words), return_exceptions=True
        )
        assert isinstance(found[1], Refused)
        assert await payloads(store) == ["x", "a", "b"]


async def test_many_messages_share_a_commit(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="batched") as store:
        await asyncio.gather(*(keep(store, number) for number in range(500)))
    rows = await run(postgres, "SELECT count(DISTINCT xmin::text) FROM batched.body")
    assert rows[0][0] < 100


# The lease


async def test_one_process_writes_and_others_read(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="lease") as first:
        id = await keep(first, "x")
        async with opened(postgres, schema="lease") as second:
            assert await payloads(second) == ["x"]
            assert (await second.get(id))["state"] == "pending"
            with pytest.raises(StoreHeld, match="written by process"):
                await keep(second, "y")
            with pytest.raises(StoreHeld):
                await second.change_message_state(id, "processed")
            await first.stop()
            await keep(second, "y")
            assert await payloads(second) == ["x", "y"]


async def test_reading_takes_no_lease(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="reads") as first:
        assert await first.total() == 0
        async with opened(postgres, schema="reads") as second:
            await keep(second, "x")
        assert await payloads(first) == ["x"]


async def test_a_lease_that_another_took_is_lost(postgres: PostgresServer) -> None:
    async with (
        opened(postgres, schema="taken", patience=0.05) as first,
        opened(postgres, schema="taken") as second,
    ):
        id = await keep(first, "x")
        await run(postgres, f"{END} pg_locks WHERE locktype = 'advisory'")
        await keep(second, "y")
        with pytest.raises(StoreHeld):
            await keep(first, "z")
        with pytest.raises(StoreHeld):
            await first.change_message_state(id, "processed")
        assert await payloads(first) == ["x", "y"]


async def test_a_lost_connection_keeps_the_lease(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="again") as store:
        await keep(store, "x")
        await run(
            postgres, f"{END} pg_stat_activity WHERE application_name = 'pichannels'"
        )
        await keep(store, "y")
        assert await payloads(store) == ["x", "y"]


# Days


NOW = parse_ticks("2026-03-10T12:00:00Z")


def days_ago(days: float) -> int:
    return clock.now() - int(days * DAY) * TICKS_PER_SECOND


async def days_of(server: PostgresServer, schema: str) -> int:
    rows = await run(
        server,
        "SELECT count(*) FROM pg_class WHERE relname ~ '^message_[0-9]+$'"
        f" AND relnamespace = '{schema}'::regnamespace AND relkind = 'r'",
    )
    return int(rows[0][0])


async def test_old_days_are_dropped_as_a_whole(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="old") as store:
        for days in (40, 20, 10, 0):
            id = await keep(store, days, days_ago(days))
            await store.change_message_state(id, "processed")
        assert await days_of(postgres, "old") == 4
        retention = Retention(age=15 * DAY)
        assert await store.prune(retention, dry_run=True) == 2
        assert await store.prune(retention) == 2
        assert (await days_of(postgres, "old"), await payloads(store)) == (2, [10, 0])
        await keep(store, 20, days_ago(20))
        assert await payloads(store) == [20, 10, 0]


async def test_a_day_stays_for_what_is_kept_of_it(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="kept") as store:
        old = days_ago(20)
        for state in ("processed", "pending", "error", "dropped"):
            id = await keep(store, state, old)
            await store.change_message_state(id, state)
        assert await store.prune(Retention(age=15 * DAY)) == 2
        assert await payloads(store) == ["pending", "error"]
        rows = await run(postgres, "SELECT count(*) FROM kept.body")
        assert rows[0][0] == 2


async def test_a_day_stays_for_a_store_of_another_process(
    postgres: PostgresServer,
) -> None:
    async with (
        opened(postgres, "a", schema="shared") as first,
        opened(postgres, "b", schema="shared") as second,
    ):
        for store in (first, second):
            id = await keep(store, "x", days_ago(20))
            await store.change_message_state(id, "processed")
        assert await first.prune(Retention(age=15 * DAY)) == 1
        assert (await payloads(first), await payloads(second)) == ([], ["x"])


async def test_the_oldest_go_beyond_a_size(postgres: PostgresServer) -> None:
    async with opened(postgres) as store:
        for number, state in enumerate(["processed", "pending", "error", "processed"]):
            id = await keep(store, f"{number}{'x' * 1000}", days_ago(3 - number))
            await store.change_message_state(id, state)
        retention = Retention(age=None, size=3500, states={"error": None})
        assert await store.prune(retention, dry_run=True) == 1
        assert await store.prune(retention) == 1
        assert [text[0] for text in await payloads(store)] == ["1", "2", "3"]


async def test_pruning_goes_on_by_itself(postgres: PostgresServer) -> None:
    often: dict[str, Any] = {"retention": Retention(age=DAY), "prune_every": 0.05}
    async with opened(postgres, **often) as store:
        for text, days in (("x", 3), ("y", 0)):
            id = await keep(store, text, days_ago(days))
            await store.change_message_state(id, "processed")
        async with asyncio.timeout(10):
            while await store.total() > 1:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
        assert await payloads(store) == ["y"]


async def test_any_time_can_be_stored(postgres: PostgresServer) -> None:
    times = ["1970-01-01T00:00:01Z", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z"]
    async with opened(postgres) as store:
        for time in reversed(times):
            await keep(store, time, parse_ticks(time))
        assert await payloads(store) == times
        found = await store.search(start_dt=times[1], end_dt=times[2])
        assert [entry["message"].payload for entry in found] == [times[1]]


# Texts and tables


@pytest.mark.parametrize("text", ["50% of_it", "back\\slash", "nul\0here", "Größe"])
async def test_odd_texts_are_found(postgres: PostgresServer, text: str) -> None:
    async with opened(postgres, f"odd {text!a}", schema="odd") as store:
        id = await keep(store, f"before {text} after")
        await keep(store, "50x of it, back slash, nul?here, Grosse")
        assert [entry["id"] for entry in await store.search(text=text)] == [id]


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("load 17", ["load 17"]),
        ("^load.*bar$", ["load", "bar"]),
        ("load.17", ["load"]),
        ("loads?", []),
        ("load|bar", []),
        ("(?i)load", []),
        (r"\d+", []),
        ("lo", []),
    ],
)
def test_plain_parts_of_patterns_are_known(pattern: str, parts: list[str]) -> None:
    assert plain_words(pattern) == parts


async def test_texts_have_an_index(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="indexed"):
        rows = await run(postgres, "SELECT to_regclass('indexed.body_content')::text")
    async with opened(postgres, schema="plain", text_index=False):
        rows += await run(postgres, "SELECT to_regclass('plain.body_content')::text")
    assert rows == [("indexed.body_content",), (None,)]


async def test_a_tag_with_an_endless_name_costs_no_message(
    postgres: PostgresServer,
) -> None:
    async with opened(postgres) as store:
        await keep(store, [Sample(Tag("x" * 5000), 1, 2), Sample(Tag("y"), 1, 2)])
        assert len(await store.search(tag="y")) == 1


async def test_many_may_make_the_tables_at_once(postgres: PostgresServer) -> None:
    async def one(name: str) -> int:
        async with opened(postgres, name, schema="racing") as store:
            await keep(store, name)
            return await store.total()

    assert await asyncio.gather(*map(one, "abcd")) == [1] * 4


async def test_tables_of_a_newer_version_are_left_alone(
    postgres: PostgresServer,
) -> None:
    async with opened(postgres, schema="newer"):
        await run(postgres, "INSERT INTO newer.migration (number) VALUES (99)")
    with pytest.raises(SettingsError, match="version 99, but this program knows only"):
        async with opened(postgres, schema="newer"):
            pass


async def test_people_can_look_at_the_history(postgres: PostgresServer) -> None:
    async with opened(postgres, schema="looked_at") as store:
        await keep(store, "warm", NOW)
    rows = await run(
        postgres, "SELECT store, state, made::text, content FROM looked_at.history"
    )
    assert rows == [("a", "pending", "2026-03-10 12:00:00+00", "warm")]


# Settings


async def test_the_url_may_be_a_secret(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTORY", postgres.url())
    factory = PostgreSQLMessageStoreFactory(Secret.env("HISTORY"), schema="secret")
    store = factory.get_store("a")
    await store.start()
    await keep(store, "x")
    await store.stop()
    assert "127.0.0.1" not in repr(factory)


async def test_a_database_that_is_not_there_is_told(postgres: PostgresServer) -> None:
    store = PostgreSQLMessageStoreFactory(postgres.url("nowhere")).get_store("a")
    with pytest.raises(SettingsError, match="nowhere"):
        await store.start()


async def test_a_store_that_is_not_started_says_so(postgres: PostgresServer) -> None:
    store = PostgreSQLMessageStoreFactory(postgres.url()).get_store("a")
    with pytest.raises(UsageError, match="not started"):
        await store.search()


@pytest.mark.parametrize(
    "wrong",
    [{"url": "http://h/d"}, {"patience": 0}, {"schema": ""}, {"schema": "x" * 64}],
)
def test_wrong_arguments_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        PostgreSQLMessageStoreFactory(**{"url": "postgresql://h/d", **wrong})


def test_a_repr_holds_no_login() -> None:
    factory = PostgreSQLMessageStoreFactory("postgresql://me:hidden@host/plant")
    assert repr(factory) == "PostgreSQLMessageStoreFactory('postgresql://host/plant')"
