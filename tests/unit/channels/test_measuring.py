"""What is counted of each node, and how long it takes; nobody else is held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.channels.measuring import measure
from pichannels.delivery import Delivery
from pichannels.errors import Dropped, EndOfChain, Rejected
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.retry import RetryPolicy
from pichannels.tallies import Recent, Tally
from tests.unit.channels.steps import Call

TOOK = 0.25
"""Seconds that each stretch of work takes, by the clock of these tests."""


class Hands(clock.SystemClock):
    """A clock that goes on only when somebody works."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def work(self, seconds: float = TOOK) -> None:
        self.at += seconds


@pytest.fixture
def hands() -> Iterator[Hands]:
    found = Hands()
    with clock.use(found):
        yield found


def at_once(hands: Hands) -> Call:
    def process(msg: Message) -> Message:
        hands.work()
        return msg

    return Call(process, name="measured")


def later(hands: Hands) -> Call:
    async def process(msg: Message) -> Message:
        await asyncio.sleep(0)
        hands.work()
        return msg

    return Call(process, name="measured")


def in_parts(hands: Hands) -> Call:
    def process(msg: Message) -> Iterator[Message]:
        hands.work(TOOK / 2)
        yield msg.derive(1)
        hands.work(TOOK / 2)
        yield msg.derive(2)

    return Call(process, name="measured")


def in_parts_later(hands: Hands) -> Call:
    async def process(msg: Message) -> AsyncIterator[Message]:
        yield msg.derive(1)
        hands.work()
        yield msg.derive(2)

    return Call(process, name="measured")


def acknowledged(hands: Hands) -> Call:
    async def ack() -> None:
        hands.work(60)

    async def process(msg: Message) -> Pending:
        hands.work()
        return Pending(msg, ack())

    return Call(process, name="measured")


def failing(hands: Hands) -> Call:
    def process(msg: Message) -> Message:
        hands.work()
        raise Dropped("enough")

    return Call(process, name="measured")


@pytest.mark.parametrize(
    "make", [at_once, later, in_parts, in_parts_later, acknowledged, failing]
)
async def test_the_time_of_a_node_is_what_it_works_itself(
    make: Callable[[Hands], Call], hands: Hands
) -> None:
    def much(msg: Message) -> Message:
        hands.work(5)
        return msg

    node = make(hands)
    channel = BaseChannel("boiler")
    channel.add(node, Call(much))
    await channel.start()
    for chain in channel.chains():
        measure(chain)
    await channel.handle(Message())
    await channel.stop()
    assert node.tally.times is not None
    assert node.tally.times.times().sum == pytest.approx(TOOK)


async def test_only_the_next_message_is_measured(hands: Hands) -> None:
    node = at_once(hands)
    channel = BaseChannel("boiler")
    channel.add(node)
    await channel.start()
    for _ in range(2):
        for chain in channel.chains():
            measure(chain)
    for _ in range(5):
        await channel.handle(Message())
    await channel.stop()
    assert node.tally.times is not None
    assert (node.tally.times.count, node.tally.came) == (1, 5)
    assert node.tally.seconds == pytest.approx(5 * TOOK)


def fate(msg: Message) -> Any:
    if isinstance(msg.payload, Exception):
        raise msg.payload
    return iter([msg.derive(1)] * msg.payload) if msg.payload else msg


async def test_each_message_is_counted_by_what_a_node_made_of_it() -> None:
    nodes: list[BaseNode] = [Call(fate), Call(lambda msg: msg)]
    channel = BaseChannel("boiler").add(*nodes)
    await channel.start()
    fates = [0, 3, Dropped("d"), Rejected("r"), ValueError("broken"), EndOfChain()]
    for payload in fates:
        await channel.run(Message(payload=payload))
        if isinstance(payload, Dropped):
            await channel.handle(Message(payload=payload))
    await channel.stop()
    first, second = (node.tally for node in nodes)
    made = (first.came, first.left, first.dropped, first.rejected, first.failed)
    assert made == (7, 5, 2, 1, 1)
    assert (first.error, second.came, second.failed) == ("broken", 4, 0)


async def test_a_node_that_tries_again_tells_how_often_and_why() -> None:
    left = [OSError("away"), OSError("still away")]

    def process(msg: Message) -> Message:
        if left:
            raise left.pop(0)
        return msg

    node = Call(process, retry=RetryPolicy(attempts=5, initial=0.0, maximum=0.0))
    channel = BaseChannel("boiler").add(node)
    await channel.start()
    await channel.handle(Message())
    await channel.stop()
    assert (node.tally.retries, node.tally.error) == (2, "still away")


async def test_acknowledgements_are_counted_and_timed(hands: Hands) -> None:
    node = Call(lambda msg: msg, name="sink")
    acks = [asyncio.get_running_loop().create_future() for _ in range(3)]
    delivery = Delivery()
    for ack in acks:
        delivery.wait_for(ack, node)
    hands.work()
    acks[0].set_result(None)
    acks[1].set_exception(OSError("refused"))
    await asyncio.sleep(0)
    tally = node.tally
    assert (tally.in_flight, tally.refused, tally.error) == (1, 1, "refused")
    assert tally.acks is not None
    assert tally.acks.times().p50 == pytest.approx(TOOK, rel=0.06)
    acks[2].cancel()
    await asyncio.sleep(0)
    assert (tally.in_flight, tally.refused) == (0, 1)


def test_quantiles_are_those_of_the_last_minutes() -> None:
    recent = Recent()
    recent.note(100.0, 0.0)
    for second in range(200):
        recent.note(1.0, float(second))
    times = recent.times()
    assert times.p99 == pytest.approx(1.0, rel=0.06)
    assert (times.count, times.sum) == (201, 300.0)


def test_a_tally_begins_anew() -> None:
    tally = Tally()
    tally.took(1.0, 0.0)
    tally.raised(ValueError("x"))
    tally.reset()
    assert (tally.came, tally.seconds, tally.error) == (0, 0.0, "")
