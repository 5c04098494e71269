"""Channels and their stores as sources and sinks: settled when handlers are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.dataflow import Application, Replay
from pichannels.engine import Engine
from pichannels.errors import Rejected, RetryLater
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.retry import RetryPolicy


class Keep(BaseNode):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def process(self, msg: Message) -> Message:
        if msg.payload == "bad":
            raise Rejected("bad")
        self.kept.append(msg.payload)
        return msg


async def started(channel: BaseChannel) -> None:
    """Until the stream has started the channel."""
    async with asyncio.timeout(10):
        while channel.is_stopped():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def words() -> AsyncIterator[str]:
    for word in ("a", "b", "c"):
        yield word


async def test_a_channel_is_a_source_that_settles_when_sinks_are_done(
    app: Application,
) -> None:
    channel, gate, got = BaseChannel("in"), asyncio.Event(), list[Any]()

    async def sink(value: Any) -> None:
        await gate.wait()
        got.append(value)

    app.handle(channel, sink=[sink])(lambda msg: msg.payload)
    running = asyncio.create_task(app.stream())
    await started(channel)
    handling = asyncio.create_task(channel.handle(Message(payload=1)))
    await asyncio.sleep(0.01)
    assert not handling.done()
    gate.set()
    await handling
    app.stop()
    await asyncio.wait_for(running, 10)
    assert (got, channel.processed, channel.is_stopped()) == ([1], 1, True)


async def test_a_handler_gets_a_copy_of_the_message(app: Application) -> None:
    channel = BaseChannel("in")

    @app.handle(channel)
    def change(msg: Message) -> None:
        msg.payload.append(2)

    running = asyncio.create_task(app.stream())
    await started(channel)
    assert (await channel.handle(Message(payload=[1]))).payload == [1]
    app.stop()
    await running


async def test_what_a_handler_fails_for_fails_in_the_channel(app: Application) -> None:
    channel = BaseChannel("in")

    @app.handle(channel)
    def fails(msg: Message) -> None:
        raise ValueError(msg.payload)

    running = asyncio.create_task(app.stream())
    await started(channel)
    with pytest.raises(ValueError, match="poison"):
        await channel.handle(Message(payload="poison"))
    with pytest.raises(ValueError, match="poison"):
        await running


@pytest.mark.parametrize("has_pipe", [False, True])
async def test_a_message_can_fail_without_ending_the_stream(
    app: Application, has_pipe: bool
) -> None:
    channel, got = BaseChannel("in"), list[Any]()

    async def unchanged(values: AsyncIterable[Message]) -> AsyncIterator[Message]:
        async for msg in values:
            yield msg

    pipes = [unchanged] if has_pipe else []

    @app.handle(channel, pipe=pipes, sink=[got.append], on_error="fail")
    def handler(msg: Message) -> Any:
        return 6 / msg.payload

    running = asyncio.create_task(app.stream())
    await started(channel)
    with pytest.raises(ZeroDivisionError):
        await channel.handle(Message(payload=0))
    await channel.handle(Message(payload=2))
    app.stop()
    await running
    assert (got, channel.failed, channel.processed) == ([3], 1, 1)


async def test_without_a_stream_messages_of_a_source_come_later(
    app: Application,
) -> None:
    channel = BaseChannel("in")
    app.handle(channel)(lambda msg: None)
    await channel.start()
    with pytest.raises(RetryLater, match="no stream"):
        await channel.handle(Message(payload=1))
    await channel.stop()


async def test_stop_lets_a_channel_of_ones_own_drain(app: Application) -> None:
    channel, got = BaseChannel("in", lanes=50, key=lambda msg: msg.payload), list[int]()

    @app.handle(channel, sink=[got.append])
    async def slow(msg: Message) -> int:
        await asyncio.sleep(0.0005)
        return int(msg.payload)

    running = asyncio.create_task(app.stream())
    await started(channel)
    calls = [
        asyncio.create_task(channel.handle(Message(payload=number)))
        for number in range(50)
    ]
    await asyncio.sleep(0.005)
    app.stop()
    await asyncio.wait_for(running, 10)
    await asyncio.gather(*calls)
    assert sorted(got) == list(range(50))


async def test_nothing_that_a_channel_accepted_is_lost_when_a_stream_ends(
    tmp_path: Path,
) -> None:
    """A handler fails, the application begins again: each message is settled."""
    channel = BaseChannel("in", retry=RetryPolicy(attempts=0, initial=0.01))
    app, got = Application(), list[int]()

    @app.handle(channel, sink=[got.append])
    def fails_once(msg: Message) -> Iterator[int]:
        if msg.payload == 20 and not failed.is_set():
            failed.set()
            raise RetryLater("not now")
        yield msg.payload

    failed = asyncio.Event()
    project = Project([channel])
    async with Engine(project, data_dir=tmp_path, control=False):
        first = asyncio.create_task(app.stream())
        await asyncio.sleep(0)
        for number in range(50):
            await channel.accept(Message(payload=number))
        with pytest.raises(RetryLater):
            await first
        assert 20 not in got
        second = asyncio.create_task(app.stream())
        async with asyncio.timeout(10):
            while len(set(got)) < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        app.stop()
        await second
    assert set(got) == set(range(50))


async def test_a_channel_is_a_sink(app: Application) -> None:
    channel, keep = BaseChannel("out"), Keep()
    channel.add(keep)
    await channel.start()
    app.handle(words, sink=[channel])(lambda word: word)
    await app.stream()
    await channel.stop()
    assert keep.kept == ["a", "b", "c"]


async def test_an_accepted_output_is_durable(tmp_path: Path, app: Application) -> None:
    channel, keep = BaseChannel("out"), Keep()
    channel.add(keep)
    async with Engine(Project([channel]), data_dir=tmp_path, control=False):
        app.handle(words, sink=[channel])(
            lambda word: Message(payload=word, meta={"from": "words"})
        )
        await app.stream()
        await channel.drain()
    assert (keep.kept, channel.processed) == (["a", "b", "c"], 3)


async def test_what_a_channel_rejects_is_an_error_of_the_handler(
    app: Application,
) -> None:
    channel = BaseChannel("out")
    channel.add(Keep())
    await channel.start()
    app.handle(words, sink=[channel])(lambda word: "bad")
    with pytest.raises(Rejected):
        await app.stream()
    await channel.stop()


async def test_from_channel_to_channel(app: Application) -> None:
    source, sink, keep = BaseChannel("in"), BaseChannel("out"), Keep()
    sink.add(keep)
    await sink.start()

    async def batches(values: AsyncIterable[Message]) -> AsyncIterator[Message]:
        async for msg in values:
            msg.payload = msg.payload.upper()
            yield msg

    app.handle(source, pipe=[batches], sink=[sink])(lambda msg: msg)
    running = asyncio.create_task(app.stream())
    await started(source)
    await source.handle(Message(payload="a"))
    app.stop()
    await running
    await sink.stop()
    assert keep.kept == ["A"]


# Stores


@pytest.fixture
async def channel() -> AsyncIterator[BaseChannel]:
    """With 250 messages in its store."""
    channel = BaseChannel("kept", message_store_factory=MemoryMessageStoreFactory())
    await channel.start()
    for number in range(250):
        await channel.handle(Message(payload=number))
    yield channel
    await channel.stop()


async def test_a_store_is_replayed_oldest_first(
    app: Application, channel: BaseChannel
) -> None:
    got: list[Message] = []
    assert channel.message_store is not None
    app.handle(channel.message_store, sink=[got.append])(lambda msg: msg)
    await app.stream()
    assert [msg.payload for msg in got] == list(range(250))
    assert all(msg.meta["replay_of"] != msg.uuid for msg in got)


async def test_a_replay_takes_what_a_search_finds(
    app: Application, channel: BaseChannel
) -> None:
    got: list[Any] = []
    store = channel.message_store
    assert store is not None
    for replay in (Replay(store, text="24", count=3), Replay(store, start=245)):
        app.handle(replay, sink=[got.append])(lambda msg: msg.payload)
    await app.stream()
    assert sorted(got) == [24, 124, 224, 245, 246, 247, 248, 249]


async def test_a_replay_goes_on_where_another_one_was(
    app: Application, channel: BaseChannel
) -> None:
    got: list[Message] = []
    store = channel.message_store
    assert store is not None
    app.handle(Replay(store, count=200), sink=[got.append])(lambda msg: msg)
    await app.stream()
    again = Application()
    rest = Replay(store, start_id=got[-1].store_id)
    again.handle(rest, sink=[got.append])(lambda msg: msg)
    await again.stream()
    assert [msg.payload for msg in got] == list(range(250))
