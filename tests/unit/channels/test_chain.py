"""What a step may give and raise, and what the chain makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import (
    Dropped,
    EndOfChain,
    NodeResultError,
    Rejected,
    RetryLater,
    SampleErrors,
)
from pichannels.message import Message
from pichannels.node import BaseNode, Pending, ThreadNode
from pichannels.states import State
from pichannels.values import Sample, Tag
from tests.unit.channels.steps import Call


class Seen(BaseNode):
    """Remembers what came."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payloads: list[Any] = []

    def process(self, msg: Message) -> Message:
        payload = msg.payload
        self.payloads.append(list(payload) if isinstance(payload, list) else payload)
        return msg


class Kind(Message):
    """A message of a class of the user's own."""


def add(text: str) -> Call:
    def process(msg: Message) -> Message:
        msg.payload += text
        return msg

    return Call(process)


def raising(error: Exception, **options: Any) -> Call:
    def process(msg: Message) -> Message:
        raise error

    return Call(process, **options)


def each(msg: Message) -> Iterator[Message]:
    for item in msg.payload:
        yield msg.derive(item)


async def each_later(msg: Message) -> AsyncIterator[Message]:
    for item in msg.payload:
        await asyncio.sleep(0)
        yield msg.derive(item)


async def run(*nodes: BaseNode, payload: Any = "") -> Outcome:
    channel = BaseChannel("boiler")
    channel.add(*nodes)
    await channel.start()
    try:
        return await channel.run(Message(payload=payload))
    finally:
        await channel.stop()


def fail_for(**errors: Exception) -> Call:
    """Raises the error that is given for the payload."""

    def process(msg: Message) -> Message:
        if msg.payload in errors:
            raise errors[msg.payload]
        return msg

    return Call(process, name="picky")


# Results


async def test_each_step_gets_what_the_one_before_gave() -> None:
    outcome = await run(add("a"), add("b"), add("c"))
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "abc")


async def test_a_chain_without_steps_gives_the_message_back() -> None:
    outcome = await run(payload=7)
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, 7)


async def later(msg: Message) -> Message:
    await asyncio.sleep(0)
    return msg.derive("later")


class InThread(ThreadNode):
    def process(self, msg: Message) -> Message:
        return msg.derive("thread")


@pytest.mark.parametrize(
    ("node", "payload"),
    [
        (Call(later), "later"),
        (Call(lambda msg: asyncio.ensure_future(later(msg))), "later"),
        (InThread(), "thread"),
        (Call(lambda msg: Kind(payload="kind")), "kind"),
        (Call(lambda msg: Message(payload="new")), "new"),
        (Call(lambda msg: iter([Message(payload="only")])), "only"),
    ],
)
async def test_a_result_may_be_async_or_of_another_class(
    node: BaseNode, payload: str
) -> None:
    outcome = await run(node, add("!"))
    assert outcome.message.payload == payload + "!"
    assert type(outcome.message) is Message


async def test_a_message_of_another_class_keeps_its_identity() -> None:
    kind = Kind(payload="kind")
    outcome = await run(Call(lambda msg: kind))
    assert outcome.message.uuid == kind.uuid


@pytest.mark.parametrize("wrong", [None, 7, "text", [Message()], {}, Pending(7, None)])  # type: ignore[arg-type]
async def test_any_other_result_is_an_error_that_names_the_node(wrong: Any) -> None:
    outcome = await run(Call(lambda msg: wrong, name="odd"), Seen())
    assert outcome.state is State.ERROR and outcome.node == "boiler.odd"


async def test_no_result_is_told_with_what_to_write() -> None:
    outcome = await run(Call(lambda msg: None, name="odd"))
    assert isinstance(outcome.error, NodeResultError)
    assert "end process() with `return msg`" in str(outcome.error)


async def test_steps_count_what_they_have_processed() -> None:
    seen, failing = Seen(), raising(ValueError())
    await run(seen, failing)
    assert (seen.processed, failing.processed) == (1, 0)


# What raising means


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Dropped("quiet"), State.DROPPED),
        (Rejected("no header"), State.REJECTED),
        (RetryLater("busy"), State.ERROR),
        (ValueError("odd"), State.ERROR),
    ],
)
async def test_an_error_ends_the_chain(error: Exception, state: State) -> None:
    after = Seen()
    outcome = await run(raising(error, name="bad"), after)
    assert (outcome.state, outcome.error, outcome.node) == (state, error, "boiler.bad")
    assert after.payloads == []


async def test_the_end_of_the_chain_gives_the_message_before_the_node() -> None:
    after = Seen()
    outcome = await run(add("a"), raising(EndOfChain()), after)
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "a")
    assert after.payloads == []


async def test_a_result_that_fails_while_it_is_awaited_names_its_node() -> None:
    async def fail(msg: Message) -> Message:
        raise ValueError

    outcome = await run(Call(fail, name="bad"))
    assert outcome.node == "boiler.bad"


# Many results


@pytest.mark.parametrize("split", [each, each_later])
async def test_the_rest_of_the_chain_runs_for_each_result_in_order(
    split: Callable[[Message], Any],
) -> None:
    seen = Seen()
    outcome = await run(Call(split), add("!"), seen, payload=["a", "b", "c"])
    assert seen.payloads == ["a!", "b!", "c!"]
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "c!")


@pytest.mark.parametrize("split", [each, each_later])
async def test_one_result_runs_to_the_end_before_the_next_is_made(
    split: Callable[[Message], Any],
) -> None:
    log: list[str] = []

    def make(msg: Message) -> Iterator[Message]:
        for part in msg.payload:
            log.append(f"make {part}")
            yield msg.derive(part)

    def use(msg: Message) -> Message:
        log.append(f"use {msg.payload}")
        return msg

    await run(Call(make), Call(use), payload="ab")
    assert log == ["make a", "use a", "make b", "use b"]


@pytest.mark.parametrize("split", [each, each_later])
async def test_no_results_are_a_drop(split: Callable[[Message], Any]) -> None:
    after = Seen()
    outcome = await run(Call(split, name="split"), after, payload=[])
    assert (outcome.state, outcome.node) == (State.DROPPED, "boiler.split")
    assert after.payloads == []


async def test_the_last_step_may_give_many_results_too() -> None:
    outcome = await run(Call(each), payload=["a", "b"])
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "b")


async def test_results_may_be_split_again() -> None:
    seen = Seen()
    await run(Call(each), Call(each), seen, payload=["ab", "cd"])
    assert seen.payloads == ["a", "b", "c", "d"]


async def test_a_part_that_fails_does_not_stop_the_others() -> None:
    seen, error = Seen(), ValueError("b is bad")
    outcome = await run(Call(each), fail_for(b=error), seen, payload=["a", "b", "c"])
    assert seen.payloads == ["a", "c"]
    assert (outcome.state, outcome.error, outcome.node) == (
        (State.ERROR, error, "boiler.picky")
    )


async def test_a_part_that_is_no_message_does_not_stop_the_others() -> None:
    seen = Seen()
    parts = [Message(payload="a"), None, Message(payload="c")]
    outcome = await run(Call(lambda msg: iter(parts), name="split"), seen)
    assert seen.payloads == ["a", "c"] and outcome.node == "boiler.split"


async def test_a_part_cannot_be_many_messages_itself() -> None:
    def nested(msg: Message) -> Iterator[Any]:
        yield each(msg)
        yield msg.derive("b")

    seen = Seen()
    outcome = await run(Call(nested, name="split"), seen, payload=["a"])
    assert seen.payloads == ["b"] and isinstance(outcome.error, NodeResultError)


async def test_parts_that_are_dropped_leave_the_result_of_the_last_other() -> None:
    nodes = [Call(each), fail_for(b=Dropped(), c=Dropped())]
    outcome = await run(*nodes, payload=["a", "b", "c"])
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "a")


async def test_the_message_is_dropped_when_all_parts_are() -> None:
    nodes = [Call(each), fail_for(a=Dropped("quiet"), b=Dropped())]
    outcome = await run(*nodes, payload=["a", "b"])
    assert (outcome.state, outcome.node) == (State.DROPPED, "boiler.picky")


async def test_the_node_of_the_failure_is_told_and_not_that_of_a_drop() -> None:
    nodes = [Call(each), fail_for(a=Dropped()), fail_for_b := fail_for(b=ValueError())]
    fail_for_b.name, fail_for_b.is_auto_named = "second", False
    outcome = await run(*nodes, payload=["a", "b"])
    assert (outcome.state, outcome.node) == (State.ERROR, "boiler.second")


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
async def test_the_gravest_failure_of_the_parts_is_told(order: str) -> None:
    errors = {"a": Rejected("no"), "b": ValueError("odd"), "c": RetryLater("busy")}
    outcome = await run(Call(each), fail_for(**errors), payload=list(order))
    assert outcome.error is errors["c"]
    outcome = await run(Call(each), fail_for(**errors), payload=order.replace("c", ""))
    assert (outcome.state, outcome.error) == (State.ERROR, errors["b"])


def ending_with(error: Exception) -> Call:
    def process(msg: Message) -> Iterator[Message]:
        yield msg.derive("a")
        yield msg.derive("b")
        raise error

    return Call(process, name="split")


async def test_a_step_that_fails_after_some_results_keeps_what_came_of_them() -> None:
    seen, error = Seen(), ValueError("halfway")
    outcome = await run(ending_with(error), seen)
    assert seen.payloads == ["a", "b"]
    assert (outcome.error, outcome.node) == (error, "boiler.split")


@pytest.mark.parametrize("error", [Dropped(), EndOfChain()])
async def test_a_step_may_end_its_results_by_an_instruction(error: Exception) -> None:
    outcome = await run(ending_with(error))
    assert (outcome.state, outcome.message.payload) == (State.PROCESSED, "b")


async def test_a_generator_is_closed_when_the_channel_is_left() -> None:
    closed = asyncio.Event()
    waiting = asyncio.Event()

    async def endless(msg: Message) -> AsyncIterator[Message]:
        try:
            while True:
                yield msg
        finally:
            closed.set()

    async def wait(msg: Message) -> Message:
        waiting.set()
        await asyncio.Event().wait()
        return msg

    running = asyncio.ensure_future(run(Call(endless), Call(wait)))
    await waiting.wait()
    running.cancel()
    await asyncio.wait([running])
    assert closed.is_set()


# Pending


async def test_the_chain_goes_on_before_the_acknowledgement() -> None:
    ack = asyncio.get_running_loop().create_future()

    def confirm(msg: Message) -> Message:
        ack.set_result(None)
        return msg

    outcome = await run(Call(lambda msg: Pending(msg, ack)), Call(confirm))
    assert outcome.state is State.PROCESSED


async def test_a_message_is_settled_after_all_acknowledgements() -> None:
    acks = [asyncio.get_running_loop().create_future() for _ in range(3)]
    pending = iter(acks)

    def publish(msg: Message) -> Pending:
        return Pending(msg, next(pending))

    running = asyncio.ensure_future(run(Call(each), Call(publish), payload=["a"] * 3))
    for ack in acks:
        await asyncio.sleep(0.001)
        assert not running.done()
        ack.set_result(None)
    assert (await running).state is State.PROCESSED


async def test_a_failed_acknowledgement_fails_the_message_at_its_node() -> None:
    ack = asyncio.get_running_loop().create_future()
    error = OSError("gone")
    ack.set_exception(error)
    outcome = await run(Call(lambda msg: Pending(msg, ack), name="publish"), Seen())
    assert (outcome.state, outcome.error, outcome.node) == (
        (State.ERROR, error, "boiler.publish")
    )


async def test_a_failed_acknowledgement_does_not_hide_where_the_chain_failed() -> None:
    ack = asyncio.get_running_loop().create_future()
    ack.set_exception(OSError("gone"))
    error = ValueError()
    pending = Call(lambda msg: Pending(msg, ack))

    async def fail(msg: Message) -> Message:
        await asyncio.sleep(0)
        raise error

    outcome = await run(pending, Call(fail, name="bad"))
    assert (outcome.error, outcome.node) == (error, "boiler.bad")


async def test_a_failure_waits_for_acknowledgements_too() -> None:
    ack = asyncio.get_running_loop().create_future()
    nodes = [Call(lambda msg: Pending(msg, ack)), raising(ValueError())]
    running = asyncio.ensure_future(run(*nodes))
    await asyncio.sleep(0.001)
    assert not running.done()
    ack.set_result(None)
    assert (await running).state is State.ERROR


async def test_an_acknowledgement_that_is_none_is_an_error_and_hangs_nothing() -> None:
    outcome = await run(Call(lambda msg: Pending(msg, None)))  # type: ignore[arg-type]
    assert outcome.state is State.ERROR


# Samples


def batch(*values: Any) -> list[Sample]:
    return [Sample(Tag(f"T{n}"), n, value) for n, value in enumerate(values)]


def bad_samples(msg: Message) -> Message:
    causes = {n: "bad" for n, s in enumerate(msg.payload) if s.value == "bad"}
    if causes:
        raise SampleErrors(causes)
    return msg


def values(payload: Any) -> list[Any]:
    return [sample.value for sample in payload]


@given(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=8))
def test_failed_samples_are_set_aside_and_the_others_go_on(found: list[str]) -> None:
    seen = Seen()
    nodes = [Call(bad_samples, name="check"), seen]
    outcome = asyncio.run(run(*nodes, payload=batch(*found)))
    good, bad = found.count("good"), found.count("bad")
    assert [values(p) for p in seen.payloads] == ([["good"] * good] if good else [])
    assert outcome.sample_errors == bad
    assert outcome.state is (State.PROCESSED if good else State.ERROR)


async def test_a_batch_of_failed_samples_fails_at_its_node() -> None:
    outcome = await run(Call(bad_samples, name="check"), payload=batch("bad"))
    assert isinstance(outcome.error, SampleErrors)
    assert (outcome.node, outcome.sample_errors) == ("boiler.check", 1)


async def test_the_node_may_give_the_message_that_goes_on() -> None:
    def check(msg: Message) -> Message:
        raise SampleErrors({0: "bad"}, Message(payload="rest"))

    seen = Seen()
    ack = asyncio.get_running_loop().create_future()
    ack.set_result(None)
    outcome = await run(Call(check), Call(lambda msg: Pending(msg, ack)), seen)
    assert seen.payloads == ["rest"] and outcome.sample_errors == 1


async def test_sample_errors_of_what_is_no_batch_fail_the_message() -> None:
    error = SampleErrors({0: "bad"})
    outcome = await run(raising(error), payload="text")
    assert (outcome.state, outcome.error) == (State.ERROR, error)


async def test_failed_samples_of_parts_are_set_aside_once() -> None:
    seen = Seen()
    parts = [batch("bad"), batch("good", "bad"), batch("bad", "bad"), batch("good")]
    outcome = await run(Call(each), Call(bad_samples), seen, payload=parts)
    assert [values(p) for p in seen.payloads] == [["good"], ["good"]]
    assert (outcome.state, outcome.sample_errors) == (State.PROCESSED, 4)


async def test_parts_of_failed_samples_alone_fail_the_message() -> None:
    seen = Seen()
    parts = [batch("bad"), batch("bad", "bad")]
    nodes = [Call(each), Call(bad_samples, name="check"), seen]
    outcome = await run(*nodes, payload=parts)
    assert isinstance(outcome.error, SampleErrors) and seen.payloads == []
    assert (outcome.node, outcome.sample_errors) == ("boiler.check", 3)


async def test_samples_may_fail_after_the_good_ones_were_yielded() -> None:
    def check(msg: Message) -> Iterator[Message]:
        yield msg.derive(msg.payload[:1])
        raise SampleErrors({1: "bad"})

    seen = Seen()
    outcome = await run(Call(check), seen, payload=batch("good", "bad"))
    assert [values(p) for p in seen.payloads] == [["good"]]
    assert (outcome.state, outcome.sample_errors) == (State.PROCESSED, 1)


async def test_a_message_may_go_on_after_some_were_yielded() -> None:
    def check(msg: Message) -> Iterator[Message]:
        yield msg.derive("a")
        raise SampleErrors({1: "bad"}, msg.derive("b"))

    seen = Seen()
    await run(Call(check), seen, payload=batch("good", "bad"))
    assert seen.payloads == ["a", "b"]


async def test_a_message_whose_samples_all_failed_or_were_dropped_has_failed() -> None:
    def check(msg: Message) -> Iterator[Message]:
        yield msg.derive("quiet")
        raise SampleErrors({0: "bad"})

    outcome = await run(Call(check), fail_for(quiet=Dropped()), payload=batch("bad"))
    assert (outcome.state, outcome.sample_errors) == (State.ERROR, 1)
