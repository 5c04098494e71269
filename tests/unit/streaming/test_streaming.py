"""Channels and stores as remote streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from msgstore.file import FileMessageStoreFactory
from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.remote import (
    END,
    START,
    Hub,
    HubServer,
    Link,
    PositionLost,
    connect,
)
from pichannels.states import State
from pichannels.store import MessageStore, MessageStoreFactory
from pichannels.streaming import inbox, replay, tail


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub() as hub:
        yield hub


@pytest.fixture(params=["memory", "websocket"])
async def link(hub: Hub, request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    """Each test runs over both transports."""
    async with AsyncExitStack() as stack:
        target: Hub | str = hub
        if request.param == "websocket":
            target = (await stack.enter_async_context(HubServer(hub))).url
        yield await stack.enter_async_context(connect(target))


class Upper(BaseNode):
    def process(self, msg: Message) -> Message:
        msg.payload = msg.payload.upper()
        return msg


async def test_what_comes_out_of_a_running_channel_is_followed(
    hub: Hub, link: Link
) -> None:
    channel = BaseChannel("boiler")
    channel.add(Upper())
    await channel.start()
    hub.publish("tail/boiler", tail(channel))
    async with link.entities("tail/boiler", start=END, follow=True) as stream:
        sent = Message("text/plain", "a", {"lane": "live"})
        await channel.handle(sent)
        found = await anext(stream)
        assert (found.payload, found.meta, found.uuid) == ("A", sent.meta, sent.uuid)
    await channel.stop()


async def test_a_stalled_reader_never_holds_a_channel(hub: Hub, link: Link) -> None:
    channel = BaseChannel("boiler")
    ring = tail(channel, keep=100)
    await channel.start()
    hub.publish("tail", ring)
    async with link.entities("tail", start=END, follow=True, readahead=10) as stream:
        for number in range(5000):
            await channel.handle(Message(payload=number))
        assert (len(ring), channel.processed) == (100, 5000)
        with pytest.raises(PositionLost) as caught:
            while True:
                await anext(stream)
        assert caught.value.first_available == 4900
        await stream.seek(0, START)
        assert (await anext(stream)).payload == 4900
    await channel.stop()


async def test_without_readers_nothing_is_kept_where_it_is_so_wanted(
    hub: Hub, link: Link
) -> None:
    channel = BaseChannel("boiler")
    ring = tail(channel, always=False)
    await channel.start()
    hub.publish("tail", ring)
    await channel.handle(Message(payload="before"))
    assert len(ring) == 0
    async with link.entities("tail", follow=True) as stream:
        await channel.handle(Message(payload="now"))
        assert (await anext(stream)).payload == "now"
    await channel.stop()


class Strange:
    """Has no codec."""


async def test_what_cannot_travel_is_missing_and_the_channel_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = BaseChannel("boiler")
    ring = tail(channel)
    await channel.start()
    for payload in ("a", lambda: None, Strange, "b"):
        await channel.handle(Message(payload=payload))
    assert (len(ring), channel.processed) == (2, 4)
    assert caplog.text.count("readers miss messages") == 1
    await channel.stop()


# Stores


async def filled(store: MessageStore, count: int = 300) -> MessageStore:
    await store.start()
    for number in range(count):
        await store.store(Message(payload=number))
    return store


@pytest.fixture(params=["memory", "file"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MessageStore]:
    factory: MessageStoreFactory = MemoryMessageStoreFactory()
    if request.param == "file":
        factory = FileMessageStoreFactory(tmp_path, fsync=False)
    made = factory.get_store("s")
    yield await filled(made, 300 if request.param == "memory" else 30)
    await made.stop()


async def test_a_store_is_replayed_in_order(
    hub: Hub, link: Link, store: MessageStore
) -> None:
    hub.publish("replay", replay(store))
    total = await store.total()
    async with link.entities("replay", readahead=7) as stream:
        found = [msg async for msg in stream]
    assert [msg.payload for msg in found] == list(range(total))
    assert {msg.meta["lane"] for msg in found} == {"replay"}
    assert all(msg.meta["replay_of"] != msg.uuid for msg in found)
    stored = await store.search(count=total)
    assert [msg.ticks for msg in found] == [each["message"].ticks for each in stored]


async def test_a_replay_goes_on_at_a_bookmark(
    hub: Hub, link: Link, store: MessageStore
) -> None:
    hub.publish("replay", replay(store, originals=True))
    async with link.entities("replay") as stream:
        items = await stream.receive_items(5)
        while len(items) < 5:
            items += await stream.receive_items(5 - len(items))
    async with link.entities("replay", start=items[2].bookmark) as stream:
        third = await anext(stream)
        assert third.uuid == items[3].value.uuid
        await store.delete(items[2].bookmark.mark)
    with pytest.raises(PositionLost):
        await link.entities("replay", start=items[2].bookmark)


async def test_positions_of_a_replay_are_sought(
    hub: Hub, link: Link, store: MessageStore
) -> None:
    hub.publish("replay", replay(store, originals=True))
    async with link.entities("replay") as stream:
        ends = await stream.ends()
        assert ends.first is not None and ends.end is not None
        middle = ends.first + 17
        await stream.seek(middle)
        assert (await anext(stream)).payload == 17
        await stream.seek(-2, END)
        left = [msg.payload async for msg in stream]
        assert left == [ends.end - ends.first - 2, ends.end - ends.first - 1]


async def test_pruned_messages_are_lost_not_left_out(hub: Hub, link: Link) -> None:
    store = await filled(MemoryMessageStoreFactory().get_store("s"), 900)
    hub.publish("replay", replay(store))
    for number in range(1, 500):
        await store.delete(str(number))
    async with link.entities("replay") as stream:
        assert (await anext(stream)).payload == 499
        assert await stream.seek(0, END) == 901
        with pytest.raises(PositionLost) as caught:
            await stream.seek(100)
        assert caught.value.first_available == 500


async def test_a_position_among_deleted_ones_is_that_of_what_follows(
    hub: Hub, link: Link
) -> None:
    store = await filled(MemoryMessageStoreFactory().get_store("s"))
    hub.publish("replay", replay(store))
    for number in range(100, 200):
        await store.delete(str(number))
    async with link.entities("replay", start=150) as stream:
        assert (await anext(stream)).payload == 199


async def test_a_replay_finds_times_and_follows(hub: Hub, link: Link) -> None:
    store = MemoryMessageStoreFactory().get_store("s")
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async def put(number: int) -> None:
        msg = Message(payload=number)
        msg.timestamp = start + timedelta(seconds=number)
        await store.store(msg)

    for number in range(10):
        await put(number)
    hub.publish("replay", replay(store, poll=0.01, state="pending"))
    at = start + timedelta(seconds=7.5)
    async with link.entities("replay", start=at, follow=True) as stream:
        assert [(await anext(stream)).payload for _ in range(2)] == [8, 9]
        reading = asyncio.create_task(stream.receive())
        await put(10)
        assert [msg.payload for msg in await reading] == [10]


def test_a_replay_sees_to_the_order_itself() -> None:
    store = MemoryMessageStoreFactory().get_store("s")
    with pytest.raises(UsageError, match="order_by"):
        replay(store, order_by="state")


# Inboxes


async def test_what_is_written_to_an_inbox_is_durable_when_it_is_flushed(
    hub: Hub, link: Link, tmp_path: Path
) -> None:
    channel = BaseChannel("hq")
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel.attach(journal=journal)
    await channel.start()
    hub.publish("inbox/hq", inbox(channel))
    async with link.entities("inbox/hq", mode="w") as stream:
        await stream.write(Message(payload=number) for number in range(500))
        assert await stream.flush(durable=True) == 500
    await channel.stop()
    assert channel.processed == 500
    await journal.close()


async def test_what_is_sent_to_an_inbox_again_is_left_out_also_after_a_restart(
    hub: Hub, link: Link, tmp_path: Path
) -> None:
    msg = Message(payload="x")
    found = []
    for sent in ([msg, msg], [msg, Message(payload="y")]):
        channel = BaseChannel("hq")
        journal = Journal(tmp_path / "journal.sqlite")
        await journal.open()
        channel.attach(journal=journal)
        await channel.start()
        hub.publish("hq", source := inbox(channel))
        async with link.entities("hq", mode="w") as stream:
            await stream.write(sent)
        hub.withdraw("hq")
        await channel.stop()
        await journal.close()
        found.append((source.duplicates, channel.processed))
    assert found == [(1, 1), (1, 1)]


async def test_what_an_inbox_cannot_read_holds_nobody_up(
    hub: Hub, link: Link, tmp_path: Path
) -> None:
    channel = BaseChannel("hq")
    channel.add(Upper())
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel.attach(journal=journal)
    await channel.start()
    hub.publish("hq", source := inbox(channel))
    async with link.entities("hq", mode="w") as stream:
        await stream.write(["no message"])
        await stream.write_packed([b"\xc1"])
        await stream.write([Message(payload="x")])
        assert await stream.flush(durable=True) == 3
    await channel.drain()
    await journal.flush()
    found = [(each.state, each.meta.get("node")) for each in await journal.search("hq")]
    assert found == [(State.ERROR, "hq.unpack")] * 2
    assert (source.unreadable, channel.processed) == (2, 1)
    await channel.stop()
    await journal.close()
