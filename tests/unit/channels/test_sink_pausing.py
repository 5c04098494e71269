"""One sink that is paused: messages wait for it, the others go on, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nodes._queue import Item, QueueingSink
from pichannels.channels import BaseChannel
from pichannels.channels.kept_pauses import pause_sink
from pichannels.errors import ChannelStopped, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from tests.unit.channels.steps import Call, Gate


class Given(BaseNode):
    """A sink that remembers what it got."""

    is_sink: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payloads: list[Any] = []
        self.came = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.payloads.append(msg.payload)
        self.came.set()
        return msg


class Written(QueueingSink):
    """A sink that writes in the background."""

    def __init__(self, **options: Any) -> None:
        super().__init__(queue_bytes=1000, **options)
        self.payloads: list[Any] = []

    def encode(self, msg: Message) -> Any:
        return str(msg.payload)

    async def deliver(self, group: Sequence[Item]) -> None:
        self.payloads += [item.data for item in group]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


@asynccontextmanager
async def started(
    journal: Journal | None, *nodes: BaseNode
) -> AsyncIterator[BaseChannel]:
    # So long that a test would fail which waits for it.
    channel = BaseChannel("boiler", drain_timeout=50.0)
    channel.add(*nodes)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


async def put(channel: BaseChannel, *payloads: Any) -> None:
    for payload in payloads:
        await channel.accept(Message(payload=payload))


@pytest.mark.parametrize("kind", [Given, Written])
async def test_what_waits_for_a_sink_comes_in_order_when_it_goes_on(
    kind: type[Given] | type[Written], journal: Journal
) -> None:
    sink = kind()
    async with started(journal, sink) as channel:
        await pause_sink(channel, sink)
        await put(channel, "a", "b", "c")
        before = (list(sink.payloads), journal.count_unsettled("boiler"))
        await pause_sink(channel, sink, on=False)
        await channel.drain()
        await journal.flush()
        left = journal.count_unsettled("boiler")
    assert (before, sink.payloads, left) == (([], 3), ["a", "b", "c"], 0)


async def test_other_sinks_go_on(journal: Journal) -> None:
    paused, other = Written(name="paused"), Given(name="other")
    async with started(journal, paused, other) as channel:
        await pause_sink(channel, paused)
        await put(channel, "a")
        await other.came.wait()
        assert (paused.payloads, other.payloads) == ([], ["a"])
        await pause_sink(channel, paused, on=False)


@pytest.mark.parametrize("kind", [Given, Written])
async def test_a_sink_stays_paused_over_a_restart_and_misses_nothing(
    kind: type[Given] | type[Written], journal: Journal
) -> None:
    old, new = kind(name="sink"), kind(name="sink")
    async with started(journal, old) as channel:
        await pause_sink(channel, old)
        await put(channel, "a", "b")
    async with started(journal, new) as channel:
        await put(channel, "c")
        was_paused = new.is_paused
        await pause_sink(channel, new, on=False)
        await channel.drain()
    assert (old.payloads, was_paused, new.payloads) == ([], True, ["a", "b", "c"])


async def test_a_message_on_its_way_waits_as_well() -> None:
    door, passed, sink = Gate(), asyncio.Event(), Given()

    def tell(msg: Message) -> Message:
        passed.set()
        return msg

    async with started(None, door, Call(tell), sink) as channel:
        running = asyncio.create_task(channel.run(Message(payload="a")))
        await door.entered.wait()
        await pause_sink(channel, sink)
        door.open.set()
        await passed.wait()
        assert sink.payloads == []
        await pause_sink(channel, sink, on=False)
        await running
    assert sink.payloads == ["a"]


async def test_who_waits_for_a_result_is_told_when_the_channel_stops() -> None:
    sink = Given()
    async with started(None, sink) as channel:
        await pause_sink(channel, sink)
        running = asyncio.create_task(channel.run(Message(payload="a")))
        await asyncio.sleep(0)
    assert isinstance((await running).error, ChannelStopped)


async def test_only_sinks_are_paused() -> None:
    node = Gate()
    async with started(None, node) as channel:
        with pytest.raises(UsageError, match="is no sink"):
            await pause_sink(channel, node)
