"""Forks, whens and cases: who gets what, and what becomes of the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, strategies as st

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.forking import WAITING_AT_MOST
from pichannels.delivery import Outcome
from pichannels.errors import (
    ChannelStopped,
    Dropped,
    EndOfChain,
    Rejected,
    SampleErrors,
    UsageError,
)
from pichannels.events import Event
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.states import State
from pichannels.values import DigitalState, Sample, Tag
from tests.unit.channels.steps import Call, Gate


class Seen(BaseNode):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payloads: list[Any] = []

    def process(self, msg: Message) -> Message:
        payload = msg.payload
        self.payloads.append(list(payload) if isinstance(payload, list) else payload)
        return msg


def add(item: str) -> Call:
    def process(msg: Message) -> Message:
        msg.payload = msg.payload + item
        return msg

    return Call(process)


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


async def run(channel: BaseChannel, *payloads: Any) -> Outcome:
    async with started(channel):
        for payload in payloads:
            outcome = await channel.run(Message(payload=payload))
    return outcome


# Fork


async def test_a_fork_gets_a_copy_at_its_place_and_the_chain_goes_on() -> None:
    channel, forked, end = BaseChannel("boiler"), Seen(), Seen()
    channel.add(add("a"))
    channel.fork().add(add("F"), forked)
    channel.add(add("b"), end)
    outcome = await run(channel, "")
    assert (forked.payloads, end.payloads) == (["aF"], ["ab"])
    assert outcome.message.payload == "ab"


async def test_a_fork_shares_nothing_with_the_chain() -> None:
    channel, forked = BaseChannel("boiler"), Seen()

    def change(msg: Message) -> Message:
        msg.payload.append(2)
        msg.meta["changed"] = True
        return msg

    channel.fork().add(Call(lambda msg: msg.derive([msg.payload, msg.meta])), forked)
    channel.add(Call(change))
    await run(channel, [1])
    assert forked.payloads == [[[1], {}]]


async def test_a_message_is_settled_when_its_fork_is() -> None:
    channel, gate = BaseChannel("boiler"), Gate()
    channel.fork().add(gate)
    async with started(channel):
        running = asyncio.ensure_future(channel.run(Message()))
        await gate.entered.wait()
        assert not running.done()
        gate.open.set()
        assert (await running).state is State.PROCESSED


async def test_the_chain_does_not_wait_for_the_fork_to_take_the_next() -> None:
    channel, gate, end = BaseChannel("boiler"), Gate(), Seen()
    channel.fork().add(gate)
    channel.add(end)
    async with started(channel):
        running = [channel.run(Message(payload=n)) for n in range(3)]
        waiting = asyncio.gather(*running)
        await gate.entered.wait()
        assert end.payloads == [0, 1, 2]
        gate.open.set()
        await waiting


async def test_a_fork_works_in_order() -> None:
    channel, forked = BaseChannel("boiler"), Seen()

    async def wait_less_and_less(msg: Message) -> Message:
        await asyncio.sleep(0.003 - msg.payload / 1000)
        return msg

    channel.fork().add(Call(wait_less_and_less), forked)
    async with started(channel):
        await asyncio.gather(*(channel.run(Message(payload=n)) for n in range(3)))
    assert forked.payloads == [0, 1, 2]


async def test_a_failing_fork_fails_the_message_and_names_the_fork() -> None:
    channel, end, error = BaseChannel("boiler"), Seen(), ValueError("odd")
    channel.fork("copy").add(raising(error))
    channel.add(end)
    events: list[Event] = []
    channel.events.subscribe(events.append)
    outcome = await run(channel, 1)
    assert (outcome.state, outcome.error, outcome.node) == (
        (State.ERROR, error, "boiler.copy")
    )
    assert end.payloads == [1]
    assert "fork.failed" in [event.name for event in events]


@pytest.mark.parametrize("error", [Dropped(), Rejected("no"), EndOfChain()])
async def test_what_a_fork_drops_or_rejects_is_its_own_affair(error: Exception) -> None:
    channel = BaseChannel("boiler")
    fork = channel.fork().add(raising(error))
    outcome = await run(channel, 1)
    assert outcome.state is State.PROCESSED
    assert fork.dropped + fork.rejected + fork.processed == 1


async def test_a_fork_that_is_not_required_never_holds_the_message() -> None:
    channel, gate, forked = BaseChannel("boiler"), Gate(), Seen()
    channel.fork(required=False).add(gate, forked)
    async with started(channel):
        outcome = await channel.run(Message(payload=1))
        assert outcome.state is State.PROCESSED
        gate.open.set()
    assert forked.payloads == [1]


async def test_a_fork_that_is_not_required_never_fails_the_message() -> None:
    channel = BaseChannel("boiler")
    fork = channel.fork(required=False).add(raising(ValueError()))
    outcome = await run(channel, 1, 2)
    assert (outcome.state, fork.failed) == (State.PROCESSED, 2)


async def test_a_copy_that_cannot_be_made_is_the_affair_of_the_fork() -> None:
    channel = BaseChannel("boiler")
    channel.fork(required=False)
    uncopied = asyncio.get_running_loop().create_future()
    assert (await run(channel, uncopied)).state is State.PROCESSED
    channel = BaseChannel("boiler")
    channel.fork()
    assert (await run(channel, uncopied)).state is State.ERROR


async def test_copies_beyond_the_bound_are_discarded_and_counted() -> None:
    channel, gate, forked = BaseChannel("boiler"), Gate(), Seen()
    fork = channel.fork(required=False).add(gate, forked)
    async with started(channel):
        for n in range(WAITING_AT_MOST + 5):
            await channel.handle(Message(payload=n))
        queue = fork._fork_queue
        assert queue and queue.discarded == 5
        gate.open.set()
    assert forked.payloads == list(range(WAITING_AT_MOST))


async def test_a_stopped_fork_fails_the_message_at_once() -> None:
    channel = BaseChannel("boiler")
    fork = channel.fork("copy")
    async with started(channel):
        await fork.stop()
        outcome = await channel.run(Message())
    assert isinstance(outcome.error, ChannelStopped)
    assert outcome.error.channel == "boiler.copy"


async def test_a_stopped_fork_that_is_not_required_costs_its_copies() -> None:
    channel = BaseChannel("boiler")
    fork = channel.fork(required=False)
    async with started(channel):
        await fork.stop()
        assert (await channel.run(Message())).state is State.PROCESSED
        await fork.start()
        await channel.run(Message())
    assert fork.processed == 1


async def test_a_fork_that_does_not_end_ends_with_the_channel() -> None:
    channel, gate = BaseChannel("boiler", drain_timeout=0.02), Gate()
    channel.fork().add(gate)
    await channel.start()
    running = [asyncio.ensure_future(channel.handle(Message())) for _ in range(3)]
    await gate.entered.wait()
    await asyncio.wait_for(channel.stop(), 5)
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [ChannelStopped] * 3


async def test_forks_may_be_forked_again() -> None:
    channel, deep = BaseChannel("boiler"), Seen()
    fork = channel.fork("a").add(add("a"))
    fork.fork("b").add(add("b"), deep)
    await run(channel, "")
    assert deep.payloads == ["ab"]


async def test_an_acknowledgement_in_a_fork_holds_the_message() -> None:
    channel = BaseChannel("boiler")
    ack = asyncio.get_running_loop().create_future()
    channel.fork().add(Call(lambda msg: Pending(msg, ack)))
    async with started(channel):
        running = asyncio.ensure_future(channel.handle(Message()))
        await asyncio.sleep(0.001)
        assert not running.done()
        ack.set_result(None)
        await running


# When


def is_big(msg: Message) -> bool:
    return bool(msg.payload > 10)


async def test_a_when_replaces_the_rest_and_its_result_is_that_of_the_channel() -> None:
    channel, big, rest = BaseChannel("boiler"), Seen(), Seen()
    channel.when(is_big, "big").add(big, Call(lambda msg: msg.derive("big")))
    channel.add(rest)
    async with started(channel):
        results = [await channel.handle(Message(payload=n)) for n in (5, 50)]
    assert [msg.payload for msg in results] == [5, "big"]
    assert (big.payloads, rest.payloads) == ([50], [5])


@pytest.mark.parametrize(
    ("condition", "result"), [(True, "yes"), (False, ""), (1, "yes"), ("", "")]
)
async def test_a_condition_may_be_a_value(condition: Any, result: str) -> None:
    channel = BaseChannel("boiler")
    channel.when(condition).add(add("yes"))
    assert (await run(channel, "")).message.payload == result


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Dropped(), State.DROPPED),
        (Rejected("no"), State.REJECTED),
        (ValueError("odd"), State.ERROR),
        (EndOfChain(), State.PROCESSED),
    ],
)
@pytest.mark.parametrize("kind", ["when", "case"])
async def test_what_happens_in_a_branch_happens_to_the_message(
    error: Exception, state: State, kind: str
) -> None:
    channel = BaseChannel("boiler")
    branch = channel.when(True) if kind == "when" else channel.case(True)[0]
    branch.add(raising(error))
    outcome = await run(channel, 1)
    assert outcome.state is state
    node = "" if state is State.PROCESSED else f"{branch.name}.bad"
    assert outcome.node == node


async def test_a_condition_that_fails_fails_the_message_at_its_branch() -> None:
    channel = BaseChannel("boiler")
    channel.when(is_big, "big")
    outcome = await run(channel, "text")
    assert (outcome.state, outcome.node) == (State.ERROR, "boiler.big")


async def test_branches_count_what_becomes_of_their_messages() -> None:
    channel = BaseChannel("boiler")
    errors = {1: Dropped(), 2: Rejected(), 3: ValueError()}

    def process(msg: Message) -> Message:
        if msg.payload in errors:
            raise errors[msg.payload]
        return msg

    branch = channel.when(True).add(Call(process))
    await run(channel, 0, 1, 2, 3)
    counts = (branch.processed, branch.dropped, branch.rejected, branch.failed)
    assert (branch.received, counts) == (4, (1, 1, 1, 1))


# Case


async def test_the_first_case_that_is_true_works_on_the_message_then_all_go_on() -> (
    None
):
    channel, end = BaseChannel("boiler"), Seen()
    small, big = channel.case(lambda m: len(m.payload) < 3, lambda m: True)
    small.add(add("S"))
    big.add(add("B"))
    channel.add(end)
    await run(channel, "ab", "abc")
    assert end.payloads == ["abS", "abcB"]


async def test_the_node_after_a_case_runs_once_with_and_without_a_match() -> None:
    channel, after = BaseChannel("boiler"), add("x")
    channel.case(lambda m: m.payload == "a")
    channel.add(after)
    async with started(channel):
        results = [await channel.handle(Message(payload=p)) for p in "ab"]
    assert [msg.payload for msg in results] == ["ax", "bx"]
    assert after.processed == 2


async def test_a_case_without_conditions_lets_all_pass() -> None:
    channel = BaseChannel("boiler")
    assert channel.case() == []
    assert (await run(channel, 7)).message.payload == 7


async def test_a_when_in_a_case_ends_the_case_only() -> None:
    channel = BaseChannel("boiler")
    (case,) = channel.case(True)
    case.when(True).add(add("when"))
    case.add(add("case"))
    channel.add(add(" end"))
    assert (await run(channel, "")).message.payload == "when end"


async def test_a_branch_may_give_many_results_of_which_the_last_goes_on() -> None:
    channel, inside, end = BaseChannel("boiler"), Seen(), Seen()
    (case,) = channel.case(True)
    case.add(Call(lambda msg: (msg.derive(p) for p in msg.payload)), inside)
    channel.add(end)
    await run(channel, "abc")
    assert (inside.payloads, end.payloads) == (["a", "b", "c"], ["c"])


# Batches


def batch(*values: Any) -> list[Sample]:
    return [Sample(Tag(f"T{n}"), n, value) for n, value in enumerate(values)]


def values(payloads: list[Any]) -> list[list[Any]]:
    return [[sample.value for sample in payload] for payload in payloads]


def above(limit: float) -> Callable[[Sample], bool]:
    return lambda sample: sample.value > limit


VALUES = st.lists(st.integers(0, 30), min_size=1, max_size=10)


@given(VALUES)
def test_a_case_splits_a_batch_in_order_by_first_match(found: list[int]) -> None:
    channel, end = BaseChannel("boiler"), Seen()
    branches = [Seen(), Seen()]
    for case, seen in zip(
        channel.case(above(20), above(10), each=True), branches, strict=True
    ):
        case.add(seen)
    channel.add(end)
    asyncio.run(run(channel, batch(*found)))
    parts = [
        [v for v in found if v > 20],
        [v for v in found if 10 < v <= 20],
        [v for v in found if v <= 10],
    ]
    assert [values(seen.payloads) for seen in branches] == [
        [part] if part else [] for part in parts[:2]
    ]
    assert values(end.payloads) == [part for part in parts if part]


@given(VALUES)
def test_a_when_takes_the_samples_for_which_it_is_true(found: list[int]) -> None:
    channel, hot, rest = BaseChannel("boiler"), Seen(), Seen()
    channel.when(above(10), each=True).add(hot)
    channel.add(rest)
    outcome = asyncio.run(run(channel, batch(*found)))
    taken, left = [v for v in found if v > 10], [v for v in found if v <= 10]
    assert values(hot.payloads) == ([taken] if taken else [])
    assert values(rest.payloads) == ([left] if left else [])
    assert values([outcome.message.payload]) == [left or taken]


async def test_a_part_says_what_it_is_part_of() -> None:
    channel = BaseChannel("boiler")
    hot = Call(lambda msg: msg)
    hot.record()
    channel.when(above(10), each=True).add(hot)
    msg = Message(payload=batch(5, 50))
    async with started(channel):
        await channel.handle(msg)
    part = hot.last_input()
    assert part and part.meta["part_of"] == msg.uuid


async def test_a_batch_that_goes_one_way_is_not_split() -> None:
    channel = BaseChannel("boiler")
    channel.case(above(10), each=True)
    channel.when(above(100), each=True)
    msg = Message(payload=batch(50, 60))
    async with started(channel):
        result = await channel.handle(msg)
    assert result is msg and "part_of" not in msg.meta


@pytest.mark.parametrize("kind", ["when", "case"])
async def test_a_part_that_fails_does_not_stop_the_others(kind: str) -> None:
    channel, rest, error = BaseChannel("boiler"), Seen(), ValueError("odd")
    if kind == "when":
        branch = channel.when(above(10), "hot", each=True)
    else:
        (branch,) = channel.case(above(10), names=["hot"], each=True)
    branch.add(raising(error))
    channel.add(rest)
    outcome = await run(channel, batch(5, 50))
    assert values(rest.payloads) == [[5]]
    assert (outcome.error, outcome.node) == (error, "boiler.hot.bad")


async def test_a_part_that_is_dropped_leaves_the_others() -> None:
    channel, rest = BaseChannel("boiler"), Seen()
    for case in channel.case(above(20), above(10), each=True):
        case.add(raising(Dropped()))
    channel.add(rest)
    async with started(channel):
        some = await channel.run(Message(payload=batch(5, 15, 25)))
        none = await channel.run(Message(payload=batch(15, 25)))
    assert (some.state, none.state) == (State.PROCESSED, State.DROPPED)
    assert values(rest.payloads) == [[5]]


@pytest.mark.parametrize("kind", ["when", "case"])
async def test_a_sample_that_a_condition_cannot_judge_is_set_aside(kind: str) -> None:
    channel, hot, rest = BaseChannel("boiler"), Seen(), Seen()
    if kind == "when":
        channel.when(above(10), each=True).add(hot)
        channel.add(rest)
    else:
        hots, rests = channel.case(above(10), lambda sample: True, each=True)
        hots.add(hot)
        rests.add(rest)
    bad = DigitalState("Bad Input", 255, True)
    outcome = await run(channel, batch(5, bad, 50))
    assert (values(hot.payloads), values(rest.payloads)) == ([[50]], [[5]])
    assert (outcome.state, outcome.sample_errors) == (State.PROCESSED, 1)


async def test_a_batch_that_no_condition_can_judge_fails() -> None:
    channel = BaseChannel("boiler")
    channel.when(above(10), "hot", each=True)
    outcome = await run(channel, batch("a", "b"))
    assert isinstance(outcome.error, SampleErrors)
    assert (outcome.node, outcome.sample_errors) == ("boiler.hot", 2)


async def test_samples_that_fail_in_a_branch_are_set_aside_once() -> None:
    channel, rest = BaseChannel("boiler"), Seen()

    def refuse_all(msg: Message) -> Message:
        raise SampleErrors(dict.fromkeys(range(len(msg.payload)), "bad"))

    channel.when(above(10), each=True).add(Call(refuse_all))
    channel.add(rest)
    outcome = await run(channel, batch(50, 60, 5, 6))
    assert values(rest.payloads) == [[5, 6]]
    assert (outcome.state, outcome.sample_errors) == (State.PROCESSED, 2)


@pytest.mark.parametrize("payload", ["text", 7, None, {"a": 1}])
async def test_only_a_batch_can_be_split(payload: Any) -> None:
    channel = BaseChannel("boiler")
    channel.when(above(10), "hot", each=True)
    outcome = await run(channel, payload)
    assert (outcome.state, outcome.node) == (State.ERROR, "boiler.hot")
    assert "each=True needs a batch, a list as payload" in str(outcome.error)


# Building


def test_a_case_needs_a_name_for_each_condition() -> None:
    with pytest.raises(UsageError, match="case got 2 conditions but 1 names"):
        BaseChannel("boiler").case(True, False, names=["a"])


def test_a_case_refuses_a_name_twice() -> None:
    with pytest.raises(UsageError, match="name twice"):
        BaseChannel("boiler").case(True, False, names=["a", "a"])


def test_branches_are_numbered_unless_named() -> None:
    channel = BaseChannel("boiler")
    names = [channel.fork().name, channel.fork().name, channel.when(True).name]
    names += [case.name for case in channel.case(True, False)]
    names += [case.name for case in channel.case(True)]
    assert names == [
        "boiler.fork",
        "boiler.fork_2",
        "boiler.when",
        "boiler.case0",
        "boiler.case1",
        "boiler.case0_2",
    ]


# Callers that do not wait for forks


async def test_a_caller_that_does_not_wait_has_the_result_before_forks_end() -> None:
    gate = asyncio.Event()
    ended: list[Any] = []

    async def wait(msg: Message) -> Message:
        await gate.wait()
        ended.append(msg.payload)
        return msg

    channel = BaseChannel("boiler", wait_subchans=False)
    fork = channel.fork("beside").add(Call(wait))
    channel.add(Call(lambda msg: msg.derive("result")))
    async with started(channel):
        result = await asyncio.wait_for(channel.handle(Message(payload="x")), 5)
        before = (result.payload, ended, channel.processed, channel.in_memory)
        assert before == ("result", [], 0, 1)
        gate.set()
        await channel.drain()
    assert (ended, channel.processed, fork.wait_subchans) == (["x"], 1, False)


async def test_a_fork_that_fails_later_is_stored_as_a_failure() -> None:
    store = MemoryMessageStoreFactory()
    channel = BaseChannel("boiler", message_store_factory=store, wait_subchans=False)
    channel.fork("beside").add(raising(ValueError("odd")))
    async with started(channel):
        outcome = await channel.run(Message(payload="x"))
        await channel.drain()
        assert outcome.message.store_id is not None
        entry = await channel.stored(outcome.message.store_id)
    assert (outcome.state, entry["state"]) == (State.PROCESSED, State.ERROR)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_no_fork_is_waited_for(fails: bool) -> None:
    async def acknowledge() -> None:
        if fails:
            raise OSError("lost")

    gate = asyncio.Event()

    async def wait(msg: Message) -> Message:
        await gate.wait()
        return msg

    channel = BaseChannel("boiler", wait_subchans=False)
    channel.fork("beside").add(Call(wait))
    channel.add(Call(lambda msg: Pending(msg, acknowledge())))
    async with started(channel):
        outcome = await asyncio.wait_for(channel.run(Message()), 5)
        gate.set()
    assert outcome.state is (State.ERROR if fails else State.PROCESSED)


async def test_forks_of_branches_are_not_waited_for_either() -> None:
    gate = asyncio.Event()

    async def wait(msg: Message) -> Message:
        await gate.wait()
        return msg

    channel = BaseChannel("boiler", wait_subchans=False)
    channel.when(True, "hot").fork("beside").add(Call(wait))
    async with started(channel):
        await asyncio.wait_for(channel.handle(Message()), 5)
        assert channel.processed == 0
        gate.set()
    assert channel.processed == 1


async def test_a_caller_hears_what_the_chain_raises_at_once() -> None:
    channel = BaseChannel("boiler", wait_subchans=False)
    channel.fork("beside")
    channel.add(raising(Rejected("odd")))
    async with started(channel):
        with pytest.raises(Rejected, match="odd"):
            await channel.handle(Message())


async def test_a_sub_channel_replays_what_its_own_store_keeps() -> None:
    store = MemoryMessageStoreFactory()
    channel = BaseChannel("boiler")
    fork = channel.fork("beside", store).add(add("f"))
    (branch,) = channel.case(True, names=["hot"], message_store_factory=store)
    branch.add(add("b"))
    async with started(channel):
        await channel.handle(Message(payload=""))
        for sub, made in ((fork, "f"), (branch, "b")):
            assert sub.message_store is not None
            (entry,) = await sub.message_store.search()
            again = await sub.replay(entry["id"])
            assert (again.payload, again.store_chan_name) == (made, sub.name)
            assert again.meta["replay_of"] == entry["message"].uuid
