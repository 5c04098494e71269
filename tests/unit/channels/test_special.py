"""Special nodes: init nodes before the chain, end nodes by what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import (
    ChannelPaused,
    Dropped,
    PauseChannel,
    Rejected,
    RetryLater,
    UsageError,
)
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.states import State
from tests.unit.channels.steps import Call


class Note(BaseNode):
    """Writes down what comes, and adds to it."""

    def __init__(self, log: list[Any], name: str) -> None:
        super().__init__(name=name)
        self.log = log

    def process(self, msg: Message) -> Message:
        self.log.append((self.name, msg.payload))
        return msg.derive(f"{msg.payload}{self.name[0]}")


def raising(*errors: Exception, name: str = "raising") -> Call:
    """Raises the errors one after the other, the last one for ever."""
    left = list(errors)

    def fail(msg: Message) -> Any:
        msg.payload = "spoilt"
        raise left.pop(0) if len(left) > 1 else left[0]

    return Call(fail, name=name)


def watched(*nodes: BaseNode, **options: Any) -> tuple[BaseChannel, list[Any]]:
    """A channel with a note of each kind of end node."""
    log: list[Any] = []
    channel = BaseChannel("boiler", **options).add(*nodes)
    channel.add_join_nodes(Note(log, "join"))
    channel.add_drop_nodes(Note(log, "drop"))
    channel.add_reject_nodes(Note(log, "reject"))
    channel.add_fail_nodes(Note(log, "fail"))
    channel.add_final_nodes(Note(log, "final"))
    return channel, log


@asynccontextmanager
async def started(
    channel: BaseChannel, journal: Journal | None = None
) -> AsyncIterator[BaseChannel]:
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


async def ran(channel: BaseChannel, payload: Any = "x") -> Outcome:
    async with started(channel):
        return await asyncio.wait_for(channel.run(Message(payload=payload)), 5)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


# Which nodes run, and what they get


@pytest.mark.parametrize(
    ("node", "log", "state"),
    [
        (Note([], "a"), [("join", "xa"), ("final", "x")], State.PROCESSED),
        (raising(Dropped()), [("drop", "x"), ("final", "x")], State.DROPPED),
        (raising(Rejected()), [("reject", "x"), ("final", "x")], State.REJECTED),
        (raising(ValueError()), [("fail", "x"), ("final", "x")], State.ERROR),
    ],
    ids=["join", "drop", "reject", "fail"],
)
async def test_end_nodes_run_by_the_outcome(
    node: BaseNode, log: list[Any], state: State
) -> None:
    channel, seen = watched(node)
    outcome = await ran(channel)
    assert (seen, outcome.state) == (log, state)


async def test_end_nodes_do_not_change_the_result() -> None:
    channel, _ = watched(Note([], "a"))
    assert (await ran(channel)).message.payload == "xa"


async def test_a_list_runs_in_order_and_may_be_added_to() -> None:
    log: list[Any] = []
    channel = BaseChannel("boiler")
    channel.add_final_nodes([Note(log, "a"), Note(log, "b")])
    channel.add_final_nodes(Note(log, "c"))
    await ran(channel)
    assert log == [("a", "x"), ("b", "xa"), ("c", "xab")]


async def test_init_nodes_run_first_and_replace_the_entry_message() -> None:
    log: list[Any] = []
    channel, ended = watched(Note(log, "main"))
    channel.add_init_nodes(Note(log, "init"))
    outcome = await ran(channel)
    assert log == [("init", "x"), ("main", "xi")]
    assert (ended[-1], outcome.message.payload) == (("final", "xi"), "xim")


async def test_init_nodes_that_fail_let_fail_nodes_run() -> None:
    log: list[Any] = []
    channel, ended = watched(Note(log, "main"))
    channel.add_init_nodes(raising(ValueError("odd"), name="init"))
    outcome = await ran(channel)
    assert (log, ended) == ([], [("fail", "x"), ("final", "x")])
    assert outcome.node == "boiler.init"


async def test_nodes_know_what_was_raised_and_what_came_out() -> None:
    seen: list[Any] = []

    def look(msg: Message) -> Message:
        result = msg.chan_rslt and msg.chan_rslt.payload
        seen.append((repr(msg.chan_exc), result, "odd" in msg.chan_exc_traceback))
        return msg

    for node in (raising(ValueError("odd")), Note([], "a")):
        channel = BaseChannel("boiler").add(node)
        await ran(channel.add_final_nodes(Call(look)))
    assert seen == [("ValueError('odd')", None, True), ("None", "xa", False)]


async def test_messages_elsewhere_know_nothing_of_that() -> None:
    msg = Message()
    assert (msg.chan_exc, msg.chan_exc_traceback, msg.chan_rslt) == (None, "", None)


async def test_a_join_node_that_raises_lets_the_others_run() -> None:
    channel, log = watched(Note([], "a"))
    channel.add_join_nodes(raising(Rejected("late"), name="last"))
    outcome = await ran(channel)
    assert log == [("join", "xa"), ("reject", "x"), ("final", "x")]
    assert (outcome.state, outcome.node) == (State.REJECTED, "boiler.last")


@pytest.mark.parametrize("phase", ["fail", "final"])
async def test_what_an_end_node_raises_takes_the_place(phase: str) -> None:
    channel, log = watched(raising(ValueError("first")))
    channel._add([raising(OSError("second"), name="z")], channel.special[phase])
    outcome = await ran(channel)
    assert log == [("fail", "x"), ("final", "x")]
    assert isinstance(outcome.error, OSError)
    assert isinstance(outcome.error.__context__, ValueError)


async def test_parts_of_a_message_end_once() -> None:
    def split(msg: Message) -> Iterator[Message]:
        yield from (msg.derive(each) for each in msg.payload)

    channel, log = watched(Call(split), Note([], "a"))
    await ran(channel, "xy")
    assert log == [("join", "ya"), ("final", "xy")]


async def test_a_bare_channel_handles_as_it_runs() -> None:
    channel, log = watched(raising(Dropped()))
    async with started(channel):
        msg = Message(payload="x")
        assert await channel.handle(msg) is msg
    assert log == [("drop", "x"), ("final", "x")]


async def test_what_comes_meanwhile_waits_for_the_end_nodes() -> None:
    log: list[Any] = []

    async def slowly(msg: Message) -> Message:
        await asyncio.sleep(0)
        return msg

    channel = BaseChannel("boiler").add(Note(log, "in"))
    channel.add_final_nodes(Call(slowly), Note(log, "end"))
    async with started(channel):
        await asyncio.gather(*(channel.run(Message(payload=p)) for p in "ab"))
    assert log == [("in", "a"), ("end", "a"), ("in", "b"), ("end", "b")]


# What is known only later


@pytest.mark.parametrize("fails", [False, True])
async def test_end_nodes_wait_for_acknowledgements(fails: bool) -> None:
    ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sent = asyncio.Event()

    def send(msg: Message) -> Pending:
        sent.set()
        return Pending(msg, ack)

    channel, log = watched(Call(send))
    async with started(channel):
        running = asyncio.create_task(channel.run(Message(payload="x")))
        await sent.wait()
        before = list(log)
        if fails:
            ack.set_exception(OSError("lost"))
        else:
            ack.set_result(None)
        outcome = await asyncio.wait_for(running, 10)
    assert (before, log[0][0], log[1:]) == (
        [],
        "fail" if fails else "join",
        [("final", "x")],
    )
    assert outcome.state is (State.ERROR if fails else State.PROCESSED)


async def test_a_fork_that_fails_lets_fail_nodes_run() -> None:
    channel, log = watched()
    channel.fork("beside").add(raising(ValueError("there")))
    outcome = await ran(channel)
    assert (log, outcome.state) == ([("fail", "x"), ("final", "x")], State.ERROR)


async def test_what_an_end_node_sends_is_waited_for() -> None:
    ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    channel = BaseChannel("boiler")
    channel.add_fail_nodes(Call(lambda m: Pending(m, ack), name="alarm"))
    async with started(channel.add(raising(ValueError("odd")))):
        running = asyncio.create_task(channel.run(Message()))
        await asyncio.sleep(0.01)
        assert not running.done()
        ack.set_result(None)
        assert str((await running).error) == "odd"


# Sub-channels


async def test_the_end_nodes_of_branches_run_in_order() -> None:
    log: list[Any] = []
    channel = BaseChannel("boiler")
    fork = channel.fork("beside").add_init_nodes(Note(log, "init"))
    fork.add_join_nodes(Note(log, "1"), Note(log, "2")).add_final_nodes(Note(log, "3"))
    (branch,) = channel.case(True, names=["hot"])
    branch.add(raising(Rejected())).add_reject_nodes(Note(log, "4"))
    channel.add_reject_nodes(Note(log, "5"))
    outcome = await ran(channel)
    assert [name for name, _ in log if name in "45"] == ["4", "5"]
    assert [n for n, _ in log if n not in "45"] == ["init", "1", "2", "3"]
    assert outcome.state is State.REJECTED and branch.rejected == 1


async def test_a_branch_with_end_nodes_gives_its_result() -> None:
    log: list[Any] = []
    channel = BaseChannel("boiler")
    channel.when(True, "hot").add(Note([], "a")).add_final_nodes(Note(log, "z"))
    assert (await ran(channel)).message.payload == "xa" and log == [("z", "x")]


# Trying again


def ending(channel: BaseChannel) -> asyncio.Event:
    """Set by the last of the final nodes."""
    ended = asyncio.Event()

    def end(msg: Message) -> Message:
        ended.set()
        return msg

    channel.add_final_nodes(Call(end))
    return ended


async def test_end_nodes_wait_until_a_message_is_given_up_or_goes_through(
    journal: Journal,
) -> None:
    errors = RetryLater(delay=0), PauseChannel(delay=0), ValueError("for good")
    channel, log = watched(raising(*errors))
    async with started(channel, journal):
        ended = ending(channel)
        await channel.accept(Message(payload="x"))
        await ended.wait()
    assert log == [("fail", "x"), ("final", "x")]


async def test_a_message_that_is_put_back_has_not_ended(journal: Journal) -> None:
    store = SQLiteMessageStoreFactory()
    channel, log = watched(
        raising(PauseChannel(delay=0.01), Dropped()), message_store_factory=store
    )
    async with started(channel, journal):
        ended = ending(channel)
        with pytest.raises(ChannelPaused):
            await channel.handle(Message(payload="x"))
        assert log == []
        await ended.wait()
    assert log == [("drop", "x"), ("final", "x")]


# Injecting, and what is shown


@pytest.mark.parametrize(
    ("start", "log"),
    [
        (None, ["i", "m", "join", "final"]),
        ("_initial", ["m", "join", "final"]),
        ("m", ["m", "join", "final"]),
        ("fail", ["fail", "final"]),
        ("final", ["final"]),
    ],
)
async def test_inject_begins_at_any_node(start: str | None, log: list[str]) -> None:
    channel, seen = watched()
    channel.add_init_nodes(Note(seen, "i")).add(Note(seen, "m"))
    async with started(channel):
        await channel.inject(Message(payload="x"), start)
        names = [name for name, _ in seen]
        await channel.inject(Message(payload="x"), start, call_endnodes=False)
    assert names == log


async def test_inject_corrects_the_state_of_a_stored_message() -> None:
    store = MemoryMessageStoreFactory()
    failing = raising(ValueError(), ValueError())
    channel = BaseChannel("boiler", message_store_factory=store).add(failing)
    async with started(channel):
        msg = Message(payload="x")
        await channel.run(msg)
        failing.mock(output=Message())
        for correct in (False, True):
            await channel.inject(msg.copy(), set_state=correct)
            assert msg.store_id is not None
            state = (await channel.stored(msg.store_id))["state"]
            assert state == (State.PROCESSED if correct else State.ERROR)


async def test_special_nodes_live_as_others_do(journal: Journal) -> None:
    log: list[str] = []

    class Life(BaseNode):
        async def start(self) -> None:
            log.append(f"start {self.fullpath()}")

        async def stop(self) -> None:
            log.append("stop")

    node = Life(name="alarm")
    channel = BaseChannel("boiler").add_fail_nodes(node)
    async with started(channel, journal):
        assert channel.get_node("alarm") is node and node.persistence is journal
        with pytest.raises(UsageError, match="two steps named 'alarm'"):
            channel.add(Life(name="alarm"))
    assert log == ["start boiler.alarm", "stop"]


def test_special_nodes_are_drawn() -> None:
    channel, _ = watched()
    channel.add_init_nodes(Note([], "check"))
    assert list(channel.graph()) == [
        "boiler (BaseChannel)",
        "|- check (init)",
        *(f"|~ {p}: {p}" for p in ("join", "drop", "reject", "fail", "final")),
        "`-> out",
    ]
    dot = "\n".join(channel.graph_dot())
    assert '"boiler" -> "boiler.fail" [style=dashed, label=fail];' in dot
    assert '"boiler" -> "boiler.check";' in dot
