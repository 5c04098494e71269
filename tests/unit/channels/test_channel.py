"""The channel: its life, the ways into it, its turns, and what its store keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.turn import Turn
from pichannels.delivery import Hold
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    Dropped,
    MessageNotFound,
    NodeResultError,
    Rejected,
    SampleErrors,
    UsageError,
)
from pichannels.events import Event, EventBus
from pichannels.journal import Journal
from pichannels.lifecycle import Status
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.persistence import MemoryPersistence
from pichannels.retry import RetryPolicy
from pichannels.states import State
from pichannels.values import Sample, Tag
from tests.unit.channels.steps import Call, Gate


class Life(BaseNode):
    """Writes down when it is started and stopped."""

    def __init__(self, log: list[str], name: str, *failing: str) -> None:
        super().__init__(name=name)
        self.log = log
        self.failing = failing

    async def start(self) -> None:
        self.log.append(f"start {self.name}")
        if "start" in self.failing:
            raise OSError(f"{self.name} does not start")

    async def stop(self) -> None:
        self.log.append(f"stop {self.name}")
        if "stop" in self.failing:
            raise OSError(f"{self.name} does not stop")

    def process(self, msg: Message) -> Message:
        return msg


class Pause(BaseNode):
    """Writes down when it begins and ends, with a step of the loop in between."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    async def process(self, msg: Message) -> Message:
        self.log.append(f"{msg.payload} in")
        await asyncio.sleep(0)
        self.log.append(f"{msg.payload} out")
        return msg


class Echo(BaseNode):
    def process(self, msg: Message) -> Message:
        return msg


def raising(error: Exception) -> Call:
    def process(msg: Message) -> Message:
        raise error

    return Call(process, name="bad")


@asynccontextmanager
async def started(channel: BaseChannel) -> AsyncIterator[BaseChannel]:
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


# Names and options


def test_a_channel_is_named_by_its_class_unless_told() -> None:
    channel = BaseChannel()
    assert (channel.name, channel.is_auto_named) == ("BaseChannel", True)
    assert BaseChannel("boiler").name == "boiler"


def test_a_sub_channel_carries_the_name_of_its_parent() -> None:
    fork = BaseChannel("boiler").fork("copy")
    assert (fork.name, fork.short_name) == ("boiler.copy", "copy")
    assert fork.when(True, "big").fullpath() == "boiler.copy.big"


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no option 'windw'; did you mean 'window'"):
        BaseChannel("boiler", windw=5)


@pytest.mark.parametrize("lanes", [0, -1, 2])
def test_lanes_without_a_key_are_refused(lanes: int) -> None:
    with pytest.raises(UsageError, match="lanes is 1, or more together with key="):
        BaseChannel("boiler", lanes=lanes)


def test_nodes_are_added_in_order_and_lists_are_taken_apart() -> None:
    channel, nodes = BaseChannel("boiler"), [Echo(name=n) for n in "abcd"]
    same = channel.add(nodes[0], [nodes[1], (nodes[2], None)]).append(nodes[3])
    assert same is channel and list(channel.nodes()) == nodes


def test_a_name_given_twice_is_refused_and_an_automatic_one_numbered() -> None:
    channel = BaseChannel("boiler").add(Echo(), Echo(), Echo(name="echo"))
    assert [step.name for step in channel.steps] == ["Echo", "Echo_2", "echo"]
    with pytest.raises(UsageError, match="has two steps named 'echo'"):
        channel.add(Echo(name="echo"))
    with pytest.raises(UsageError, match="has two steps named 'echo'"):
        channel.fork("echo")


def test_a_node_belongs_to_one_channel() -> None:
    node = Echo()
    BaseChannel("boiler").add(node)
    with pytest.raises(UsageError, match=r"'boiler\.Echo' is in a channel already"):
        BaseChannel("other").add(node)


@pytest.mark.parametrize("thing", [print, "node", 7, Echo])
def test_what_is_no_node_is_refused(thing: object) -> None:
    with pytest.raises(UsageError, match=r"is no node; a function goes into nodes\."):
        BaseChannel("boiler").add(thing)


def test_nodes_are_found_by_name_and_by_path_in_all_branches() -> None:
    channel = BaseChannel("boiler").add(Echo(name="a"))
    deep = Echo(name="b")
    channel.fork("copy").case(True, names=["x"])[0].add(deep)
    assert channel.get_node("b") is deep is channel.get_node("boiler.copy.x.b")
    assert channel.get_node("nowhere") is None


# Life


async def test_a_channel_goes_through_its_states_and_tells_them() -> None:
    channel, told = BaseChannel("boiler"), list[Event]()
    channel.events.subscribe(told.append)
    statuses = [channel.status]
    async with started(channel):
        statuses.append(channel.status)
    statuses.append(channel.status)
    assert statuses == [Status.STOPPED, Status.WAITING, Status.STOPPED]
    changes = [(e.facts["channel"], e.facts["old"], e.facts["new"]) for e in told]
    assert changes == [
        ("boiler", "stopped", "starting"),
        ("boiler", "starting", "waiting"),
        ("boiler", "waiting", "stopping"),
        ("boiler", "stopping", "stopped"),
    ]


async def test_a_busy_channel_is_processing() -> None:
    channel, gate = BaseChannel("boiler"), Gate()
    channel.add(gate)
    async with started(channel):
        running = asyncio.ensure_future(channel.handle(Message()))
        await gate.entered.wait()
        assert channel.status is Status.PROCESSING and not channel.is_stopped()
        gate.open.set()
        await running


async def test_branches_tell_on_the_bus_of_their_parent() -> None:
    channel, told = BaseChannel("boiler"), list[Event]()
    channel.fork("copy")
    channel.events.subscribe(told.append)
    async with started(channel):
        pass
    assert {e.facts["channel"] for e in told} == {"boiler", "boiler.copy"}


async def test_nodes_and_branches_start_in_order_and_stop_in_reverse() -> None:
    log: list[str] = []
    channel = BaseChannel("boiler").add(Life(log, "a"), Life(log, "b"))
    channel.fork().add(Life(log, "c"))
    async with started(channel):
        log.append("run")
    starts, stops = ["start a", "start b", "start c"], ["stop c", "stop b", "stop a"]
    assert log == [*starts, "run", *stops]


async def test_a_node_that_does_not_start_stops_those_that_did() -> None:
    log: list[str] = []
    channel = BaseChannel("boiler")
    channel.add(Life(log, "a"), Life(log, "b", "start"), Life(log, "c"))
    with pytest.raises(OSError, match="b does not start"):
        await channel.start()
    assert log == ["start a", "start b", "stop a"]
    assert channel.status is Status.STOPPED


async def test_a_node_that_does_not_stop_keeps_no_other_from_it() -> None:
    log: list[str] = []
    channel = BaseChannel("boiler")
    channel.add(Life(log, "a"), Life(log, "b", "stop"), Life(log, "c", "stop"))
    await channel.start()
    with pytest.raises(OSError, match="does not stop"):
        await channel.stop()
    assert log[3:] == ["stop c", "stop b", "stop a"]
    assert channel.status is Status.STOPPED


async def test_a_mocked_node_is_not_started() -> None:
    log: list[str] = []
    node = Life(log, "a", "start")
    node.mock(output=Message(payload=1))
    async with started(BaseChannel("boiler").add(node)) as channel:
        assert (await channel.handle(Message())).payload == 1
    assert log == []


class Source(BaseChannel):
    def __init__(self, *failing: str) -> None:
        super().__init__("source")
        self.failing = failing
        self.log: list[str] = []

    async def start_source(self) -> None:
        self.log.append(f"start {self.status.label}")
        if "start" in self.failing:
            raise OSError("the port is taken")

    async def stop_source(self) -> None:
        self.log.append(f"stop {self.status.label}")
        if "stop" in self.failing:
            raise OSError("the port is gone")


async def test_the_source_runs_while_the_channel_takes_messages() -> None:
    async with started(Source()) as channel:
        pass
    assert isinstance(channel, Source) and channel.log == [
        "start waiting",
        "stop waiting",
    ]


async def test_a_source_can_be_left_out() -> None:
    channel = Source()
    channel.has_source_enabled = False
    async with started(channel):
        await channel.handle(Message())
    assert channel.log == []


async def test_a_source_that_does_not_start_leaves_the_channel_stopped() -> None:
    channel, log = Source("start"), list[str]()
    channel.add(Life(log, "a"))
    with pytest.raises(OSError, match="the port is taken"):
        await channel.start()
    assert channel.is_stopped() and log == ["start a", "stop a"]
    with pytest.raises(ChannelStopped):
        await channel.handle(Message())


async def test_a_source_that_does_not_stop_does_not_keep_the_channel_open() -> None:
    channel = Source("stop")
    await channel.start()
    with pytest.raises(OSError, match="the port is gone"):
        await channel.stop()
    assert channel.status is Status.STOPPED


async def test_starting_twice_is_refused_and_stopping_twice_does_nothing() -> None:
    channel = BaseChannel("boiler")
    await channel.start()
    with pytest.raises(UsageError, match="waiting cannot become starting"):
        await channel.start()
    await channel.stop()
    await channel.stop()
    assert channel.is_stopped()


async def test_a_channel_can_start_again() -> None:
    channel = BaseChannel("boiler").add(Echo())
    channel.fork().add(Echo())
    for _ in range(2):
        async with started(channel):
            assert (await channel.handle(Message(payload=7))).payload == 7
    assert channel.processed == 2


async def test_stop_finishes_what_is_in_flight_and_refuses_the_rest() -> None:
    channel, gate = BaseChannel("boiler"), Gate()
    channel.add(gate)
    await channel.start()
    running = [asyncio.ensure_future(channel.handle(Message())) for _ in range(3)]
    await gate.entered.wait()
    stopping = asyncio.ensure_future(channel.stop())
    await asyncio.sleep(0)
    with pytest.raises(ChannelStopped, match="'boiler' is stopped"):
        await channel.handle(Message())
    gate.open.set()
    await stopping
    assert channel.processed == 3
    await asyncio.gather(*running)


async def test_stop_gives_up_after_the_drain_timeout(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel, gate = BaseChannel("boiler", drain_timeout=0.02), Gate()
    channel.add(gate)
    await channel.start()
    running = asyncio.ensure_future(channel.handle(Message()))
    await gate.entered.wait()
    await channel.stop()
    assert "not settled in time; 1 messages" in caplog.text
    gate.open.set()
    await running


async def test_branches_have_no_time_of_their_own_to_stop() -> None:
    channel, gate = BaseChannel("boiler", drain_timeout=0.05), Gate()
    for _ in range(20):
        channel.fork(required=False).add(gate := Gate())
    async with started(channel):
        await channel.handle(Message())
        await gate.entered.wait()
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 0.5


@pytest.mark.parametrize("way", ["handle", "run", "inject", "accept"])
async def test_a_stopped_channel_takes_no_message(way: str) -> None:
    channel = BaseChannel("boiler", message_store_factory=MemoryMessageStoreFactory())
    with pytest.raises(ChannelStopped):
        await getattr(channel, way)(Message())
    assert channel.message_store is not None
    assert await channel.message_store.total() == 0


# handle, run, inject


async def test_handle_raises_what_a_node_raised() -> None:
    error = ValueError("odd")
    async with started(BaseChannel("boiler").add(raising(error))) as channel:
        with pytest.raises(ValueError) as caught:
            await channel.handle(Message())
    assert caught.value is error


async def test_handle_raises_a_rejection() -> None:
    async with started(BaseChannel("boiler").add(raising(Rejected("no")))) as channel:
        with pytest.raises(Rejected):
            await channel.handle(Message())


async def test_a_dropped_message_comes_back_as_it_was() -> None:
    channel, msg = BaseChannel("boiler").add(raising(Dropped())), Message()
    async with started(channel):
        assert await channel.handle(msg) is msg


async def test_a_channel_may_raise_drops() -> None:
    channel = BaseChannel("boiler", raise_dropped=True).add(raising(Dropped("quiet")))
    async with started(channel):
        with pytest.raises(Dropped, match="quiet"):
            await channel.handle(Message())


async def test_a_channel_counts_what_becomes_of_its_messages() -> None:
    errors = {1: Dropped(), 2: Rejected(), 3: ValueError()}

    def process(msg: Message) -> Message:
        if msg.payload in errors:
            raise errors[msg.payload]
        return msg

    async with started(BaseChannel("boiler").add(Call(process))) as channel:
        for n in range(4):
            await channel.run(Message(payload=n))
    counts = (channel.processed, channel.dropped, channel.rejected, channel.failed)
    assert (channel.received, counts) == (4, (1, 1, 1, 1))


async def test_a_failure_is_told_with_its_node() -> None:
    channel, told = BaseChannel("boiler").add(raising(ValueError("odd"))), list[Event]()
    async with started(channel):
        channel.events.subscribe(told.append)
        await channel.run(Message())
        facts = [e.facts for e in told if e.name == "message.failed"]
    assert facts == [{"channel": "boiler", "node": "boiler.bad", "error": "odd"}]


async def test_handle_tells_of_samples_that_were_set_aside() -> None:
    def check(msg: Message) -> Message:
        raise SampleErrors({0: "bad"})

    samples = [Sample(Tag("a"), n, n) for n in range(2)]
    async with started(BaseChannel("boiler").add(Call(check))) as channel:
        result = await channel.handle(Message(payload=list(samples)))
        outcome = await channel.run(Message(payload=list(samples)))
    assert result.payload == samples[1:] and outcome.sample_errors == 1


async def test_inject_begins_at_a_node_and_stores_nothing() -> None:
    stores = MemoryMessageStoreFactory()
    channel = BaseChannel("boiler", message_store_factory=stores)
    for letter in "abc":
        channel.add(Call(lambda m, x=letter: m.derive(m.payload + x), name=letter))  # type: ignore[misc]
    async with started(channel):
        results = [
            (await channel.inject(Message(payload=""), name)).payload
            for name in (None, "a", "b", "c")
        ]
        assert channel.message_store and await channel.message_store.total() == 0
    assert results == ["abc", "abc", "bc", "c"]


async def test_inject_may_begin_at_a_branch() -> None:
    channel = BaseChannel("boiler").add(raising(ValueError()))
    channel.when(True, "big").add(Call(lambda m: m.derive("big")))
    async with started(channel):
        assert (await channel.inject(Message(), "big")).payload == "big"


async def test_inject_refuses_an_unknown_node() -> None:
    channel = BaseChannel("boiler").add(Echo(name="filter"))
    channel.fork("copy").add(Echo(name="deep"))
    async with started(channel):
        with pytest.raises(UsageError, match="no node 'fliter'; did you mean 'filter'"):
            await channel.inject(Message(), "fliter")


async def test_inject_may_begin_in_a_sub_channel() -> None:
    channel = BaseChannel("boiler").add(raising(ValueError()))
    (branch,) = channel.case(True, names=["hot"])
    branch.add(raising(ValueError()), Call(lambda m: m.derive(1), name="deep"))
    channel.add(Call(lambda m: m.derive(m.payload + 1)))
    async with started(channel):
        for name in ("deep", "boiler.hot.deep"):
            assert (await channel.inject(Message(), name)).payload == 2
        assert (await branch.inject(Message(), "deep")).payload == 1


async def test_inject_waits_for_its_turn() -> None:
    channel, node = BaseChannel("boiler"), Pause()
    channel.add(node)
    async with started(channel):
        await asyncio.gather(
            channel.handle(Message(payload="a")),
            channel.inject(Message(payload="b"), "Pause"),
        )
    assert node.log == ["a in", "a out", "b in", "b out"]


async def test_inject_raises_what_handle_would() -> None:
    channel = BaseChannel("boiler").add(raising(Dropped()))
    channel.when(True, "worse").add(raising(ValueError("odd")))
    async with started(channel):
        msg = Message()
        assert await channel.inject(msg) is msg
        with pytest.raises(ValueError, match="odd"):
            await channel.inject(Message(), "worse")


def test_handle_and_wait_runs_a_channel_without_a_loop() -> None:
    log: list[str] = []
    channel = BaseChannel("boiler").add(Life(log, "a"), Call(lambda m: m.derive(7)))
    assert channel.handle_and_wait(Message()).payload == 7
    assert channel.handle_and_wait(Message()).payload == 7
    assert log == ["start a", "stop a"] * 2


async def test_handle_and_wait_refuses_a_running_loop() -> None:
    with pytest.raises(UsageError, match=r"use `await channel\.handle\(msg\)`"):
        BaseChannel("boiler").handle_and_wait(Message())


async def test_subhandle_and_process_may_be_overloaded() -> None:
    class Around(BaseChannel):
        async def subhandle(self, msg: Message) -> Message:
            result = await super().subhandle(msg.derive(msg.payload + "s"))
            return result.derive(result.payload + "S")

        async def process(self, msg: Message) -> Message:
            result = await super().process(msg.derive(msg.payload + "p"))
            return result.derive(result.payload + "P")

    channel = Around("boiler").add(Call(lambda m: m.derive(m.payload + "-")))
    async with started(channel):
        assert (await channel.handle(Message(payload=""))).payload == "sp-PS"


@pytest.mark.parametrize("wrong", [None, 7])
async def test_an_overloaded_process_has_to_give_a_message(wrong: Any) -> None:
    class Odd(BaseChannel):
        async def process(self, msg: Message) -> Message:
            result: Message = wrong
            return result

    async with started(Odd("boiler")) as channel:
        with pytest.raises(NodeResultError):
            await channel.handle(Message())


async def test_an_overloaded_process_has_to_go_on_with_the_message() -> None:
    class Odd(BaseChannel):
        async def subhandle(self, msg: Message) -> Message:
            return await super().subhandle(Message(payload="anew"))

    async with started(Odd("boiler").add(Echo())) as channel:
        with pytest.raises(UsageError, match=r"make it with msg\.derive\(payload\)"):
            await channel.handle(Message())


async def test_steps_may_be_added_and_mocked_while_the_channel_runs() -> None:
    node = Echo()
    async with started(BaseChannel("boiler").add(node)) as channel:
        channel.add(Call(lambda m: m.derive([m.payload])))
        node.mock(output=Message(payload="mocked"))
        assert (await channel.handle(Message())).payload == ["mocked"]


# Turns


async def test_one_message_is_processed_at_a_time_in_the_order_of_coming() -> None:
    channel, node = BaseChannel("boiler"), Pause()
    channel.add(node)
    async with started(channel):
        await asyncio.gather(*(channel.handle(Message(payload=n)) for n in range(4)))
    assert node.log == [f"{n} {w}" for n in range(4) for w in ("in", "out")]


async def test_a_caller_that_gives_up_leaves_its_turn_to_the_next() -> None:
    channel, gate = BaseChannel("boiler"), Gate()
    channel.add(gate)
    async with started(channel):
        tasks = [asyncio.ensure_future(channel.handle(Message())) for _ in range(4)]
        await gate.entered.wait()
        tasks[0].cancel()
        tasks[2].cancel()
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [isinstance(result, Message) for result in results]
    assert kinds == [False, True, False, True]


async def test_a_caller_that_gives_up_just_as_its_turn_comes_passes_it_on() -> None:
    channel, gate = BaseChannel("boiler"), Gate()
    channel.add(gate)
    async with started(channel):
        first = asyncio.ensure_future(channel.handle(Message()))
        await gate.entered.wait()
        second, third = (
            asyncio.ensure_future(channel.handle(Message())) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.add_done_callback(lambda _: second.cancel())
        gate.open.set()
        await asyncio.wait([first, second, third])
    assert isinstance(third.result(), Message)


async def test_a_turn_that_is_given_to_one_who_left_goes_to_the_next() -> None:
    turn = Turn()
    turn.busy = True
    leaving, next_one = (asyncio.ensure_future(turn.wait()) for _ in range(2))
    await asyncio.sleep(0)
    turn.done()
    leaving.cancel()
    await asyncio.wait_for(next_one, 10)
    assert leaving.cancelled() and turn.busy


async def test_lanes_process_at_the_same_time_and_keep_the_order_of_each_key() -> None:
    def lane(msg: Message) -> str:
        return str(msg.payload[0])

    channel, node = BaseChannel("boiler", lanes=8, key=lane), Pause()
    channel.add(node)
    payloads = [f"{key}{n}" for n in range(3) for key in "abcdef"]
    async with started(channel):
        await asyncio.gather(*(channel.handle(Message(payload=p)) for p in payloads))
    assert node.log.index("b0 in") < node.log.index("a2 out")
    for key in "abcdef":
        order = [entry for entry in node.log if entry.startswith(key)]
        assert order == [f"{key}{n} {w}" for n in range(3) for w in ("in", "out")]


async def test_a_key_that_fails_costs_its_message_alone() -> None:
    def lane(msg: Message) -> str:
        return str(msg.meta["tag"])

    channel = BaseChannel("boiler", lanes=2, key=lane).add(Echo())
    async with started(channel):
        bad = await channel.run(Message())
        good = await channel.run(Message(meta={"tag": "a"}))
    assert (bad.state, good.state) == (State.ERROR, State.PROCESSED)
    assert (bad.node, repr(bad.error)) == ("boiler", "KeyError('tag')")


# Held messages


class Window(BaseNode):
    """Gives every second message, with the one before inside."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.held: list[tuple[Hold, Any]] = []

    def process(self, msg: Message) -> Message:
        if not self.held:
            self.held.append((self.hold(msg), msg.payload))
            raise Dropped("held")
        ((hold, payload),) = self.held
        self.held.clear()
        output = msg.derive([payload, msg.payload])
        hold.settle_with(output)
        return output


async def test_a_held_message_is_settled_with_the_one_that_contains_it() -> None:
    async with started(BaseChannel("boiler").add(Window())) as channel:
        first = asyncio.ensure_future(channel.run(Message(payload=1)))
        await asyncio.sleep(0.001)
        assert not first.done()
        second = await channel.handle(Message(payload=2))
        assert second.payload == [1, 2]
        assert (await asyncio.wait_for(first, 10)).state is State.DROPPED


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("disk full"), State.ERROR), (Rejected("no"), State.REJECTED)],
)
async def test_a_held_message_fails_with_the_one_that_contains_it(
    error: Exception, state: State
) -> None:
    channel = BaseChannel("boiler").add(Window(), raising(error))
    async with started(channel):
        outcomes = await asyncio.gather(
            channel.run(Message(payload=1)), channel.run(Message(payload=2))
        )
    assert [(o.state, o.error) for o in outcomes] == [(state, error)] * 2


# Stores


@asynccontextmanager
async def stored(*nodes: BaseNode, **options: Any) -> AsyncIterator[BaseChannel]:
    channel = BaseChannel(
        "boiler", message_store_factory=MemoryMessageStoreFactory(), **options
    )
    async with started(channel.add(*nodes)):
        yield channel


async def entry(channel: BaseChannel, state: str | None = None) -> Any:
    assert channel.message_store is not None
    (found,) = await channel.message_store.search(state=state)
    return found


async def test_a_message_is_stored_before_its_first_node() -> None:
    seen: list[Any] = []

    def look(msg: Message) -> Message:
        seen.append((msg.store_id is not None, msg.store_chan_name))
        return msg

    async with stored(Call(look)) as channel:
        await channel.handle(Message())
    assert seen == [(True, "boiler")]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "processed"),
        (Dropped("quiet"), "dropped"),
        (Rejected("no"), "rejected"),
        (ValueError("odd"), "error"),
    ],
)
async def test_the_store_says_what_became_of_a_message(
    error: Exception | None, state: str
) -> None:
    async with stored(raising(error) if error else Echo()) as channel:
        await channel.run(Message(payload="as it came"))
        found = await entry(channel)
    assert (found["state"], found["message"].payload) == (state, "as it came")
    if error is not None:
        assert found["meta"]["err_msg"] == str(error)
        assert (found["meta"]["error"], found["meta"]["node"]) == (
            (type(error).__name__, "boiler.bad")
        )
        assert ("stack" in found["meta"]) == (state == "error")


async def test_the_store_describes_samples_that_were_set_aside() -> None:
    def check(msg: Message) -> Message:
        raise SampleErrors({0: ValueError("bad")})

    async with stored(Call(check, name="check")) as channel:
        await channel.run(Message(payload=[Sample(Tag("T"), n, n) for n in range(2)]))
        found = await entry(channel, "processed")
    assert found["meta"]["sample_error_count"] == 1
    assert found["meta"]["sample_errors"] == [
        {"sample": "[0] T 1970-01-01T00:00:00Z", "cause": "bad", "node": "boiler.check"}
    ]


async def test_the_store_keeps_the_meta_that_nodes_name() -> None:
    def anew(msg: Message) -> Message:
        return Message(meta={"site": "A", "line": 3})

    async with stored(Call(anew, store_meta=["site", "line", "none"])) as channel:
        await channel.run(Message())
        found = await entry(channel)
    assert found["meta"] == {"site": ["A"], "line": ["3"]}


async def test_a_node_with_meta_to_store_works_outside_of_a_run() -> None:
    node = Call(lambda m: m, store_meta=["site"])
    BaseChannel("boiler").add(node)
    assert (await node.handle(Message(meta={"site": "A"}))).meta == {"site": "A"}


async def test_a_message_that_cannot_be_stored_is_refused_before_any_node() -> None:
    node = Pause()
    async with stored(node) as channel:
        with pytest.raises(CodecError):
            await channel.handle(Message(payload=object()))
    assert node.log == [] and channel.received == 0


async def test_a_replay_is_a_new_message_that_names_the_original() -> None:
    async with stored(Echo()) as channel:
        msg = Message("text/plain", "abc", {"a": 1})
        await channel.handle(msg)
        first = await entry(channel)
        again = await channel.replay(first["id"])
        assert channel.message_store and await channel.message_store.total() == 2
        twice = await channel.replay(str(again.store_id))
    assert (again.payload, again.content_type) == ("abc", "text/plain")
    assert again.uuid != msg.uuid and again.meta["lane"] == "replay"
    assert again.meta["replay_of"] == twice.meta["replay_of"] == msg.uuid


async def test_replay_needs_a_store_and_a_message() -> None:
    async with started(BaseChannel("boiler")) as channel:
        with pytest.raises(UsageError, match="has no message store"):
            await channel.replay("1")
    async with stored() as channel:
        with pytest.raises(MessageNotFound):
            await channel.replay("nothing")


@pytest.mark.parametrize("kind", ["when", "case"])
async def test_a_branch_with_a_store_keeps_what_comes_its_way(kind: str) -> None:
    channel, factory = BaseChannel("boiler"), MemoryMessageStoreFactory()
    if kind == "when":
        branch = channel.when(True, message_store_factory=factory)
    else:
        (branch,) = channel.case(True, message_store_factory=factory)
    branch.add(Call(lambda m: m.derive(m.payload + "!")))
    async with started(channel):
        assert (await channel.handle(Message(payload="a"))).payload == "a!"
        found = await entry(branch)
    assert (found["state"], found["message"].payload) == ("processed", "a")


@pytest.mark.parametrize("error", [Dropped(), Rejected(), ValueError(), CodecError()])
async def test_what_happens_in_a_branch_with_a_store_happens_to_the_message(
    error: Exception,
) -> None:
    channel = BaseChannel("boiler")
    branch = channel.when(True, message_store_factory=MemoryMessageStoreFactory())
    branch.add(raising(error))
    async with started(channel):
        outcome = await asyncio.wait_for(channel.run(Message()), 1)
    assert (outcome.error, outcome.node) == (error, "boiler.when.bad")


async def test_a_message_that_a_branch_cannot_store_fails_and_hangs_nothing() -> None:
    channel = BaseChannel("boiler")
    channel.when(True, message_store_factory=MemoryMessageStoreFactory())
    async with started(channel):
        outcome = await asyncio.wait_for(channel.run(Message(payload=object())), 1)
    assert isinstance(outcome.error, CodecError)


async def test_samples_set_aside_in_a_branch_with_a_store_are_counted_once() -> None:
    def refuse(msg: Message) -> Message:
        raise SampleErrors({n: "bad" for n, s in enumerate(msg.payload) if s.value < 9})

    channel = BaseChannel("boiler")
    factory = MemoryMessageStoreFactory()
    branch = channel.when(
        lambda s: s.value > 1, each=True, message_store_factory=factory
    )
    branch.add(Call(refuse))
    samples = [Sample(Tag("T"), n, v) for n, v in enumerate((0, 1, 2, 3))]
    async with started(channel):
        some = await channel.run(Message(payload=list(samples)))
        rest = await channel.run(Message(payload=samples[2:]))
    assert (some.state, some.sample_errors) == (State.PROCESSED, 2)
    assert [s.value for s in some.message.payload] == [0, 1]
    assert (rest.state, rest.sample_errors) == (State.ERROR, 2)


# An instance


async def test_attach_reaches_nodes_and_branches() -> None:
    channel, bus, kept = BaseChannel("boiler"), EventBus(), MemoryPersistence()
    node = Echo()
    fork = channel.fork().add(node)
    channel.attach(events=bus, persistence=kept)
    assert channel.events is fork.events is bus and node.persistence is kept


async def test_a_store_that_shares_the_journal_needs_one() -> None:
    channel = BaseChannel("boiler", message_store_factory=SQLiteMessageStoreFactory())
    with pytest.raises(UsageError, match="run the channel in an engine, or give the"):
        await channel.start()
    assert channel.is_stopped()


async def test_a_store_that_shares_the_journal_keeps_the_messages(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    channel = BaseChannel("boiler", message_store_factory=SQLiteMessageStoreFactory())
    channel.add(Call(lambda m: m.derive(1 / m.payload), name="invert"))
    channel.attach(journal=journal)
    async with started(channel):
        await channel.handle(Message(payload=2))
        await channel.run(Message(payload=0))
        assert channel.message_store is not None
        found = await channel.message_store.search()
    assert [e["state"] for e in found] == ["processed", "error"]
    assert found[1]["meta"]["node"] == "boiler.invert"
    await journal.close()


async def test_accepting_needs_a_journal() -> None:
    async with started(BaseChannel("boiler")) as channel:
        with pytest.raises(UsageError, match=r"call attach\(journal=\.\.\.\) before"):
            await channel.accept(Message())


# Pictures


def pictured() -> BaseChannel:
    channel = BaseChannel("boiler").add(Echo(name="a"))
    channel.fork("copy").add(Echo(name="b"))
    channel.when(True, "big").add(Echo(name="c"))
    x, _ = channel.case(True, False, names=["x", "y"], each=True)
    x.add(Echo(name="d"))
    return channel.add(Echo(name='say "e"'))


def test_the_graph_as_text() -> None:
    assert list(pictured().graph(prefix="  ")) == [
        "  boiler (BaseChannel)",
        "  |- a",
        "  |=\\ fork copy",
        "  |  |- b",
        "  |  `-> end",
        "  |=\\ when big",
        "  |  |- c",
        "  |  `-> out",
        "  |?\\ case 0 x (each sample)",
        "  |  |- d",
        "  |<-'",
        "  |?\\ case 1 y (each sample)",
        "  |<-'",
        '  |- say "e"',
        "  `-> out",
    ]


def test_the_graph_as_dot_leads_every_way_to_its_end() -> None:
    arrows = [line.rstrip(";") for line in pictured().graph(dot=True) if "->" in line]
    assert arrows == [
        '"boiler" -> "boiler.a"',
        '"boiler.a" -> "boiler.copy"',
        '"boiler.copy" -> "boiler.copy:start"',
        '"boiler.copy:start" -> "boiler.copy.b"',
        '"boiler.copy" -> "boiler.big"',
        '"boiler.big" -> "boiler.big:start"',
        '"boiler.big:start" -> "boiler.big.c"',
        '"boiler.big.c" -> "boiler:out"',
        '"boiler.big" -> "boiler.x"',
        '"boiler.x" -> "boiler.x:start"',
        '"boiler.x:start" -> "boiler.x.d"',
        '"boiler.x.d" -> "boiler.x:joined"',
        '"boiler.x" -> "boiler.y:start"',
        '"boiler.y:start" -> "boiler.x:joined"',
        '"boiler.x" -> "boiler.x:joined" [style=dashed, label=else]',
        '"boiler.x:joined" -> "boiler.say \\"e\\""',
        '"boiler.say \\"e\\"" -> "boiler:out"',
    ]


def test_the_graph_as_dot_may_lead_to_a_given_end() -> None:
    lines = list(BaseChannel("boiler").add(Echo(name="a")).graph_dot("all"))
    assert lines[-1] == '"boiler.a" -> "all";'


def test_a_node_may_be_called_like_an_end() -> None:
    lines = list(BaseChannel("boiler").add(Echo(name="out")).graph_dot())
    assert '"boiler.out" -> "boiler:out";' in lines


def test_a_channel_shows_its_state() -> None:
    channel = BaseChannel("boiler", retry=RetryPolicy())
    assert repr(channel) == "<BaseChannel boiler stopped>"
    assert channel.is_ready and channel.statistics() == {}
