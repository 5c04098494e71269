"""Merged channels: whose messages come, in which order, and who hears of the result."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import publish, python, split
from pichannels.channels import BaseChannel
from pichannels.channels.http import HttpChannel
from pichannels.channels.merge import MergeChannel
from pichannels.channels.timer import TimerChannel
from pichannels.config import SettingsProblems
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.errors import (
    ChannelPaused,
    PauseChannel,
    Rejected,
    RetryLater,
    SettingsError,
)
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.project import Project
from pichannels.retry import RetryPolicy


class Sink(BaseNode):
    """Keeps payloads; acknowledges them when it is told to, or at once."""

    def __init__(self, ack: asyncio.Event | None = None) -> None:
        super().__init__()
        self.ack = ack
        self.payloads: list[Any] = []

    def process(self, msg: Message) -> Message | Pending:
        if msg.payload == b"bad":
            raise Rejected("it is bad")
        self.payloads.append(msg.payload)
        return msg if self.ack is None else Pending(msg, self.ack.wait())


def merged(*inputs: BaseChannel, **options: Any) -> tuple[MergeChannel, Sink]:
    channel = MergeChannel("merged", chans=inputs, **options)
    sink = Sink(options.get("ack"))
    channel.add(sink)
    return channel, sink


@asynccontextmanager
async def running(channel: BaseChannel) -> AsyncIterator[None]:
    await channel.start()
    try:
        yield
    finally:
        await channel.stop()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield journal
    await journal.close()


async def settled(journal: Journal, *names: str) -> None:
    async with asyncio.timeout(30):
        while any(map(journal.count_unsettled, names)):  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.005)


async def test_messages_of_all_inputs_come_through_their_own_nodes_first() -> None:
    a, b = BaseChannel("a"), BaseChannel("b")
    channel, sink = merged(a, b)
    b.add(python.Function(str.upper))
    async with running(channel):
        results = [await a.handle(Message(payload="x"))]
        results += [await b.handle(Message(payload="y"))]
        await channel.handle(Message(payload="z"))
    assert sink.payloads == ["x", "Y", "z"]
    assert [each.payload for each in results] == ["x", "Y"]


async def test_one_message_at_a_time_whichever_input_it_is_of() -> None:
    log: list[str] = []

    async def work(payload: str) -> str:
        log.append(f"begin {payload}")
        await asyncio.sleep(0.001)
        log.append(f"end {payload}")
        return payload

    inputs = [BaseChannel(name) for name in "abc"]
    channel = MergeChannel("merged", chans=inputs)
    channel.add(python.Function(work))
    async with running(channel):
        await asyncio.gather(
            *(each.handle(Message(payload=each.name)) for each in inputs)
        )
    expected = [f"{what} {name}" for name in "abc" for what in ("begin", "end")]
    assert (log, channel.processed) == (expected, 3)


@pytest.mark.parametrize("has_store", [False, True])
async def test_http_inputs_answer_with_what_the_merged_channel_makes(
    has_store: bool,
) -> None:
    endpoint = HTTPEndpoint(port=0)
    inputs = [HttpChannel(n, endpoint=endpoint, url=f"/{n}") for n in "ab"]
    store = MemoryMessageStoreFactory() if has_store else None
    channel, sink = merged(*inputs, message_store_factory=store)
    async with running(channel), aiohttp.ClientSession(endpoint.url) as client:
        assert channel.is_ready
        async with client.post("/a", data=b"1") as answer:
            assert (answer.status, await answer.read()) == (200, b"1")
        async with client.post("/b", data=b"bad") as answer:
            assert answer.status == 422
    assert (sink.payloads, inputs[0].processed, inputs[1].rejected) == ([b"1"], 1, 1)
    if channel.message_store is not None:
        assert await channel.message_store.total() == 2


async def test_sources_start_last_and_stop_first(journal: Journal) -> None:
    timer = TimerChannel("timer", interval=0.005, at_once=True)
    channel, sink = merged(timer)
    channel.attach(journal=journal)
    async with running(channel):
        async with asyncio.timeout(30):
            while len(sink.payloads) < 3:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.005)
    assert timer.is_stopped() and timer.next_tick is None
    assert timer.processed == channel.processed == len(sink.payloads)


async def test_what_a_source_that_does_not_start_leaves_is_stopped() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = HTTPEndpoint(port=taken.getsockname()[1])
        timer = TimerChannel("timer", interval=0.001)
        channel, _ = merged(timer, HttpChannel("http", endpoint=endpoint))
        with pytest.raises(Exception, match="in use"):
            await channel.start()
    assert timer.is_stopped() and timer.next_tick is None


@pytest.mark.parametrize("has_store", [False, True])
async def test_accepted_messages_wait_for_sinks_and_not_for_each_other(
    journal: Journal, has_store: bool
) -> None:
    store = SQLiteMessageStoreFactory() if has_store else None
    source, ack = BaseChannel("in"), asyncio.Event()
    channel = MergeChannel("merged", chans=[source], message_store_factory=store)
    sink = Sink(ack)
    channel.add(sink)
    channel.attach(journal=journal)
    async with running(channel):
        for number in range(20):
            await source.accept(Message(payload=number))
        async with asyncio.timeout(30):
            while len(sink.payloads) < 20:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.005)
        assert journal.count_unsettled("in") == 20
        ack.set()
        await settled(journal, "in", "merged")
    assert sink.payloads == list(range(20))


async def test_what_an_input_had_accepted_runs_again_after_a_crash(
    journal: Journal,
) -> None:
    for is_crash in (True, False):
        source = BaseChannel("in")
        channel, sink = merged(source)
        sink.ack = asyncio.Event()
        channel.attach(journal=journal)
        await channel.start()
        if is_crash:
            await source.accept(Message(payload="kept"))
            await channel.abort()
            continue
        sink.ack.set()
        await settled(journal, "in")
        await channel.stop()
    assert sink.payloads == ["kept"]


async def test_what_a_crash_interrupts_runs_again_once_also_with_a_history(
    journal: Journal,
) -> None:
    for is_crash in (True, False):
        source = BaseChannel("in")
        channel, sink = merged(
            source, message_store_factory=SQLiteMessageStoreFactory()
        )
        sink.ack = asyncio.Event()
        channel.attach(journal=journal)
        await channel.start()
        if is_crash:
            await source.accept(Message(payload="kept"))
            async with asyncio.timeout(30):
                while not journal.count_unsettled("merged"):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await channel.abort()
            continue
        sink.ack.set()
        await settled(journal, "in", "merged")
        await channel.stop()
    assert sink.payloads == ["kept"]
    assert await journal.total("merged") == 1


async def test_parts_of_what_a_crash_interrupts_run_again_with_the_whole_alone(
    journal: Journal,
) -> None:
    """The first part is settled, the second on its way, the third has yet to come."""
    sinks = []
    for is_crash in (True, False):
        source = BaseChannel("in")
        source.add(split.Items())
        channel, sink = merged(
            source, message_store_factory=SQLiteMessageStoreFactory()
        )
        sinks.append(sink)
        gate = Second()
        if is_crash:
            channel.steps.insert(0, gate)
        channel.attach(journal=journal)
        await channel.start()
        if is_crash:
            await source.accept(Message(payload=["a", "b", "c"]))
            await gate.reached.wait()
            await journal.flush()
            await channel.abort()
            continue
        await settled(journal, "in", "merged")
        await channel.stop()
    assert [sink.payloads for sink in sinks] == [["a"], ["a", "b", "c"]]


class Second(BaseNode):
    """Lets one message pass, and no other."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self._count = 0

    async def process(self, msg: Message) -> Message:
        self._count += 1
        if self._count > 1:
            self.reached.set()
            await asyncio.Event().wait()
        return msg


@pytest.mark.parametrize("error", [RetryLater("soon"), PauseChannel("soon")])
async def test_what_goes_through_at_last_leaves_no_failure(
    journal: Journal, error: Exception
) -> None:
    source = BaseChannel(
        "in",
        message_store_factory=SQLiteMessageStoreFactory(),
        retry=RetryPolicy(initial=0.01, jitter=0),
    )
    channel, sink = merged(source, message_store_factory=SQLiteMessageStoreFactory())
    failures: list[object] = []
    tries = iter([error, error, None])

    def flaky(payload: object) -> object:
        if failed := next(tries):
            raise failed
        return payload

    channel.steps.insert(0, python.Function(flaky))
    channel.add_fail_nodes(python.MessageFunction(failures.append))
    channel.attach(journal=journal)
    async with running(channel):
        await source.accept(Message(payload="late"))
        await settled(journal, "in", "merged")
        assert (source.failed, channel.failed, failures) == (0, 0, [])
        for each in (source, channel):
            assert each.message_store is not None
            (entry,) = await each.message_store.search()
            assert entry["state"] == "processed"
    assert sink.payloads == ["late"]


async def test_what_pauses_a_merged_channel_is_stored_for_who_waits(
    journal: Journal,
) -> None:
    source = BaseChannel("in", message_store_factory=SQLiteMessageStoreFactory())
    channel, sink = merged(source, retry=RetryPolicy(initial=0.01, jitter=0))
    tries = iter([PauseChannel("soon"), None])

    def flaky(payload: object) -> object:
        if failed := next(tries):
            raise failed
        return payload

    channel.steps.insert(0, python.Function(flaky))
    channel.attach(journal=journal)
    async with running(channel):
        with pytest.raises(ChannelPaused):
            await source.handle(Message(payload="late"))
        await settled(journal, "in")
    assert sink.payloads == ["late"]


async def test_an_input_fails_with_the_merged_channel(journal: Journal) -> None:
    def fail(msg: Message) -> None:
        raise ValueError("too much")

    source = BaseChannel("in")
    channel = MergeChannel("merged", chans=[source])
    channel.add(publish.Call(fail))
    channel.attach(journal=journal)
    async with running(channel):
        await source.accept(Message(payload="x"))
        await settled(journal, "in")
    assert (source.failed, channel.failed) == (1, 1)


def test_the_project_knows_the_inputs_and_lists_them_nowhere_else() -> None:
    a, b = BaseChannel("a"), BaseChannel("b")
    channel, _ = merged(a, b)
    project = Project([channel])
    assert [each.name for each in project.all_channels()] == ["merged", "a", "b"]
    assert "a (BaseChannel), b (BaseChannel)" in "\n".join(channel.graph())
    with pytest.raises(SettingsProblems, match="is a sub-channel"):
        Project([channel, a])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [([], "there are none"), (["a"], "only channels"), (5, "this is no list")],
)
def test_what_cannot_be_merged_is_told(inputs: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        MergeChannel("merged", chans=inputs)


def test_a_channel_is_merged_once() -> None:
    source = BaseChannel("a")
    merged(source)
    with pytest.raises(SettingsError, match="a part of 'merged' already"):
        merged(source)


def test_endpoints_of_inputs_are_compared_with_all_others() -> None:
    inputs = [HttpChannel(n, endpoint=HTTPEndpoint(port=9), url="/x") for n in "ab"]
    with pytest.raises(SettingsProblems, match="channel 'a' has"):
        Project([merged(inputs[0])[0], inputs[1]])


def test_pictures_show_the_nodes_of_the_inputs() -> None:
    source = BaseChannel("in").add(python.Function(str, name="text"))
    channel, _ = merged(source, BaseChannel("other"))
    assert list(channel.graph())[1:4] == ["|=/ input in", "|  |- text", "|<-'"]
    arrows = [line for line in channel.graph_dot() if "->" in line]
    assert '"in" -> "in.text";' in arrows
    assert {'"in.text" -> "merged";', '"other" -> "merged";'} < set(arrows)
