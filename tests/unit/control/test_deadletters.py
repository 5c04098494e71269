"""Dead letters: what fails for good is kept, and runs again when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.file import FileMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.control import deadletters
from pichannels.control.deadletters import Chosen, Listed
from pichannels.engine import Engine
from pichannels.errors import CodecError, MessageNotFound, SampleErrors, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.project import Project
from pichannels.values import Sample, Tag


class Sink(BaseNode):
    """Keeps what it gets; refuses the values that `bad` holds."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.bad: set[Any] = set()
        self.got: list[Any] = []

    def process(self, msg: Message) -> Any:
        values = [getattr(item, "value", item) for item in msg.payload]
        failed = {n: f"no {v}" for n, v in enumerate(values) if v in self.bad}
        self.got += [value for value in values if value not in self.bad]
        if failed:
            raise SampleErrors(failed)
        return msg


class LateSink(Sink):
    """Tells by its acknowledgement which samples it refuses."""

    def process(self, msg: Message) -> Any:
        ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed = {n: "late" for n, s in enumerate(msg.payload) if s.value in self.bad}
        self.got += [s.value for s in msg.payload if s.value not in self.bad]
        if failed:
            aside = msg.derive([msg.payload[n] for n in failed])
            ack.set_exception(SampleErrors(failed, failed=aside))
        else:
            ack.set_result(None)
        return Pending(msg, ack)


class Failing(BaseNode):
    """Fails until it is mended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_mended = False

    def process(self, msg: Message) -> Message:
        if not self.is_mended:
            raise ValueError(f"{msg.payload!r} is odd")
        return msg


def batch(*values: Any) -> Message:
    return Message(
        "application/x", [Sample(Tag("T"), n, v) for n, v in enumerate(values)]
    )


@asynccontextmanager
async def running(channel: BaseChannel, folder: Path) -> AsyncIterator[Engine]:
    engine = Engine(Project([channel]), data_dir=folder, control=False, sources=False)
    async with engine:
        yield engine


async def accept(engine: Engine, channel: BaseChannel, *messages: Message) -> None:
    """Accept the messages and wait until nothing is unsettled."""
    for msg in messages:
        await channel.accept(msg)
    await channel.drain()
    await engine.journal.flush()


async def letters(engine: Engine, **wanted: Any) -> list[dict[str, Any]]:
    return await deadletters.list_letters(engine.journal, Listed(**wanted))


async def redrive(engine: Engine, **wanted: Any) -> deadletters.RedriveReport:
    return await deadletters.redrive(engine.project, engine.journal, Chosen(**wanted))


async def test_a_message_that_fails_is_a_dead_letter_with_its_cause(
    tmp_path: Path,
) -> None:
    channel = BaseChannel("boiler").add(Failing(name="bad"))
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload="x"))
        (letter,) = await letters(engine)
        shown = await deadletters.show_letter(engine.journal, letter["id"])
    assert (letter["node"], letter["error"]) == ("boiler.bad", "'x' is odd")
    assert "ValueError: 'x' is odd" in shown["outcome"]["stack"]
    assert shown["message"]["payload"] == "x"


async def test_a_redriven_message_settles_and_is_no_dead_letter_any_more(
    tmp_path: Path,
) -> None:
    failing, sink = Failing(), Sink()
    channel = BaseChannel("boiler").add(failing, sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, *[Message(payload=[n]) for n in range(5)])
        failing.is_mended = True
        report = await redrive(engine, channel="boiler")
        left = await letters(engine)
    assert (report.selected, report.settled, sink.got) == (5, 5, [0, 1, 2, 3, 4])
    assert left == []


async def test_what_fails_again_stays_with_one_attempt_more(tmp_path: Path) -> None:
    channel = BaseChannel("boiler").add(Failing())
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload="x"))
        report = await redrive(engine, channel="boiler")
        (letter,) = await letters(engine)
    assert (report.failed, letter["attempts"]) == (1, 2)
    assert report.failures[0]["error"] == "'x' is odd"


@pytest.mark.parametrize("kind", [Sink, LateSink])
async def test_only_the_samples_that_failed_are_set_aside_and_run_again(
    tmp_path: Path, kind: Callable[..., Sink]
) -> None:
    sink, seen = kind(name="sink"), Sink(name="seen")
    channel = BaseChannel("boiler").add(seen, sink)
    sink.bad = {1, 3}
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1, 2, 3))
        (letter,) = await letters(engine)
        assert (letter["samples"], letter["node"]) == (2, "boiler.sink")
        sink.bad = set()
        report = await redrive(engine, ids=[letter["id"]])
        assert await letters(engine) == []
    assert (sink.got, report.settled) == ([0, 2, 1, 3], 1)
    assert seen.got == [0, 1, 2, 3]


async def test_of_samples_that_run_again_only_the_bad_ones_stay(tmp_path: Path) -> None:
    sink = Sink(name="sink")
    sink.bad = {1, 3}
    channel = BaseChannel("boiler").add(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1, 2, 3))
        sink.bad = {3}
        await redrive(engine, channel="boiler")
        (letter,) = await letters(engine)
        sink.bad = set()
        await redrive(engine, channel="boiler")
        assert await letters(engine) == []
    assert (sink.got, letter["samples"]) == ([0, 2, 1, 3], 1)


async def test_samples_of_a_case_go_on_behind_it(tmp_path: Path) -> None:
    inner, behind = Sink(name="inner"), Sink(name="behind")
    inner.bad = {1}
    channel = BaseChannel("boiler")
    channel.case(True)[0].add(inner)
    channel.add(behind)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1))
        inner.bad = set()
        await redrive(engine, channel="boiler")
    assert (inner.got, behind.got) == ([0, 1], [0, 1])


async def test_samples_that_fail_in_a_fork_are_kept(tmp_path: Path) -> None:
    inner = Sink(name="inner")
    inner.bad = {1}
    channel = BaseChannel("boiler")
    channel.fork("beside").add(inner)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1))
        (letter,) = await letters(engine)
        inner.bad = set()
        report = await redrive(engine, node="inner")
    assert (letter["node"], report.settled) == ("boiler.beside.inner", 1)
    assert inner.got == [0, 1]


async def test_a_message_that_fails_as_a_whole_is_one_dead_letter(
    tmp_path: Path,
) -> None:
    first, failing = Sink(name="first"), Failing(name="second")
    first.bad = {1}
    channel = BaseChannel("boiler").add(first, failing)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1))
        found = await letters(engine)
    assert [letter["node"] for letter in found] == ["boiler.second"]


async def test_with_a_store_of_files_dead_letters_are_kept_as_well(
    tmp_path: Path,
) -> None:
    failing = Failing()
    channel = BaseChannel(
        "boiler", message_store_factory=FileMessageStoreFactory(str(tmp_path / "files"))
    ).add(failing)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload="x"))
        failing.is_mended = True
        report = await redrive(engine, channel="boiler")
    assert report.settled == 1


async def test_an_edited_letter_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    sink = Sink()
    sink.bad = {"bad"}
    channel = BaseChannel("boiler").add(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload=["bad"]))
        (old,) = await letters(engine)
        new = await deadletters.edit(engine.journal, old["id"], {"payload": ["good"]})
        assert [one["id"] for one in await letters(engine)] == [new["id"]]
        await redrive(engine, ids=[new["id"]])
    assert sink.got == ["good"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"uuid": "x"}, UsageError),
        ({"content_type": 3}, UsageError),
        ({"meta": 3}, CodecError),
    ],
)
async def test_an_edit_that_makes_no_message_changes_nothing(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    channel = BaseChannel("boiler").add(Failing())
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload="x"))
        (letter,) = await letters(engine)
        with pytest.raises(error):
            await deadletters.edit(engine.journal, letter["id"], changes)
        assert [one["id"] for one in await letters(engine)] == [letter["id"]]


async def test_discarded_letters_count_as_dropped_with_the_reason(
    tmp_path: Path,
) -> None:
    channel = BaseChannel(
        "boiler", message_store_factory=SQLiteMessageStoreFactory()
    ).add(Failing())
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload="x"))
        (letter,) = await letters(engine)
        await deadletters.discard(
            engine.project, engine.journal, Chosen(ids=[letter["id"]]), reason="known"
        )
        record = await engine.journal.get("boiler", int(letter["id"]))
    assert record is not None
    assert (record.state, record.meta["discarded_because"]) == ("dropped", "known")


async def test_letters_are_chosen_by_node_and_cause(tmp_path: Path) -> None:
    channels = [BaseChannel(name).add(Failing(name="bad")) for name in ("a", "b")]
    project = Project(channels)
    engine = Engine(project, data_dir=tmp_path, control=False, sources=False)
    async with engine:
        for number, channel in enumerate(channels):
            await accept(engine, channel, Message(payload=number))
        by_node = await letters(engine, node="b.bad")
        by_cause = await letters(engine, error="0 is odd")
    assert [one["channel"] for one in by_node] == ["b"]
    assert [one["channel"] for one in by_cause] == ["a"]


async def test_of_many_letters_all_run_in_order(tmp_path: Path) -> None:
    failing, sink = Failing(), Sink()
    channel = BaseChannel("boiler").add(failing, sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, *[Message(payload=[n]) for n in range(250)])
        failing.is_mended = True
        report = await redrive(engine, channel="boiler")
    assert (report.settled, sink.got) == (250, list(range(250)))


async def test_a_node_that_is_gone_is_told_and_the_letter_stays(tmp_path: Path) -> None:
    sink = Sink(name="sink")
    sink.bad = {1}
    channel = BaseChannel("boiler").add(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, batch(0, 1))
    other = BaseChannel("boiler").add(Sink(name="other"))
    async with running(other, tmp_path) as engine:
        report = await redrive(engine, channel="boiler")
        assert len(await letters(engine)) == 1
    assert "has no node 'sink'" in report.failures[0]["error"]


async def test_what_was_processed_is_no_dead_letter(tmp_path: Path) -> None:
    channel = BaseChannel("boiler").add(Sink())
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, Message(payload=[1]))
        with pytest.raises(MessageNotFound):
            await deadletters.show_letter(engine.journal, "1")


async def test_all_letters_of_all_channels_are_not_run_by_mistake(
    tmp_path: Path,
) -> None:
    async with running(BaseChannel("boiler"), tmp_path) as engine:
        with pytest.raises(UsageError, match="say which dead letters"):
            await redrive(engine)


# Where the order of each tag is kept


def of(**values: Any) -> Message:
    """A batch with one sample for each tag."""
    return Message(payload=[Sample(Tag(t), 0, v) for t, v in values.items()])


def ordered(*nodes: BaseNode) -> BaseChannel:
    return BaseChannel("boiler", keep_order=True).add(*nodes)


@pytest.mark.parametrize("kind", [Sink, LateSink])
async def test_nothing_of_a_tag_passes_a_sample_that_has_failed(
    tmp_path: Path, kind: Callable[..., Sink]
) -> None:
    sink = kind(name="sink")
    sink.bad = {1}
    channel = ordered(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=1, B=10), of(A=2, B=20), of(A=3))
        assert sink.got == [10, 20]
        sink.bad = set()
        report = await redrive(engine, channel="boiler")
        await accept(engine, channel, of(A=4))
    assert (sink.got, report.settled) == ([10, 20, 1, 2, 3, 4], 3)


async def test_what_fails_again_holds_up_what_is_behind_it(tmp_path: Path) -> None:
    sink = Sink(name="sink")
    sink.bad = {1, 10}
    channel = ordered(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=1, B=10), of(A=2), of(B=20))
        sink.bad = {1}
        report = await redrive(engine, channel="boiler")
        assert sink.got == [10, 20]
        sink.bad = set()
        await redrive(engine, channel="boiler")
        assert await letters(engine) == []
    assert (sink.got, report.failed) == ([10, 20, 1, 2], 2)


async def test_tags_are_parked_again_after_a_restart(tmp_path: Path) -> None:
    sink = Sink(name="sink")
    sink.bad = {1}
    channel = ordered(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=1))
    again = Sink(name="sink")
    channel = ordered(again)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=2, B=20))
        assert again.got == [20]
        await redrive(engine, channel="boiler")
    assert again.got == [20, 1, 2]


async def test_a_node_that_fails_as_a_whole_parks_all_tags_of_the_batch(
    tmp_path: Path,
) -> None:
    failing, sink = Failing(name="bad"), Sink()
    channel = ordered(failing, sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=1, B=10))
        failing.is_mended = True
        await accept(engine, channel, of(A=2, C=5))
        assert sink.got == [5]
        await redrive(engine, node="bad")
        await accept(engine, channel, of(B=30))
    assert sink.got == [5, 1, 10, 2, 30]


async def test_tags_of_discarded_letters_go_on(tmp_path: Path) -> None:
    sink = Sink(name="sink")
    sink.bad = {1}
    channel = ordered(sink)
    async with running(channel, tmp_path) as engine:
        await accept(engine, channel, of(A=1))
        await deadletters.discard(
            engine.project, engine.journal, Chosen(channel="boiler")
        )
        await accept(engine, channel, of(A=2))
    assert sink.got == [2]


class SlowSink(BaseNode):
    """Acknowledges when it is told to."""

    def __init__(self) -> None:
        super().__init__(name="slow")
        self.acks: asyncio.Queue[tuple[Any, asyncio.Future[None]]] = asyncio.Queue()

    def process(self, msg: Message) -> Pending:
        ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.acks.put_nowait(([sample.value for sample in msg.payload], ack))
        return Pending(msg, ack)


async def test_of_each_tag_one_message_is_unacknowledged(tmp_path: Path) -> None:
    sink = SlowSink()
    channel = ordered(sink)
    async with running(channel, tmp_path):
        for msg in (of(A=1), of(B=10), of(A=2)):
            await channel.accept(msg)
        first, first_ack = await sink.acks.get()
        second, second_ack = await sink.acks.get()
        assert (first, second, sink.acks.empty()) == ([1], [10], True)
        first_ack.set_result(None)
        third, third_ack = await sink.acks.get()
        second_ack.set_result(None)
        third_ack.set_result(None)
        await channel.drain()
    assert third == [2]
