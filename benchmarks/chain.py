"""A chain of four steps: decode JSON, filter, enrich, publish to a list.

It starts from ready messages and keeps nothing. The floor is the same work in a
for loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from benchmarks import payloads
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.peer import NAME, Peer, find_peer
from msgstore.null import NullMessageStoreFactory
from nodes import decode, enrich, filter, publish
from pichannels.channels import BaseChannel
from pichannels.errors import Dropped
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.store import MessageStoreFactory

__all__ = ["prepare", "user_nodes"]

Runner = Callable[[int], Awaitable[Measured]]

_NULL: Final = NullMessageStoreFactory()


class Decode(BaseNode):
    def process(self, msg: Message) -> Message:
        msg.payload = json.loads(msg.payload)
        return msg


class Filter(BaseNode):
    def process(self, msg: Message) -> Message:
        if msg.payload["Value"] < 0:
            raise Dropped("negative")
        return msg


class Enrich(BaseNode):
    def process(self, msg: Message) -> Message:
        msg.payload.update(payloads.TABLE[msg.payload["Name"]])
        return msg


class Publish(BaseNode):
    def __init__(self) -> None:
        super().__init__()
        self.published: list[Any] = []

    def process(self, msg: Message) -> Message:
        self.published.append(msg.payload)
        return msg


def check(published: list[Any], count: int) -> None:
    """Nothing got lost of `count` messages."""
    wanted = payloads.survivors(count)
    assert len(published) == wanted, f"{len(published)} of {wanted} were published"


def is_positive(msg: Message) -> bool:
    return bool(msg.payload["Value"] >= 0)


def is_warm(msg: Message) -> bool:
    return bool(msg.payload["Value"] > 30)


async def in_loop(count: int) -> Measured:
    """What the nodes call, in a for loop."""
    publish = Publish()
    nodes = (Decode(), Filter(), Enrich(), publish)
    functions = [node.process for node in nodes]
    messages = payloads.messages(count)
    with Stopwatch() as watch:
        for msg in messages:
            try:
                for function in functions:
                    msg = function(msg)
            except Dropped:
                pass
    check(publish.published, count)
    return watch.measured(count)


async def in_plain_loop(count: int) -> Measured:
    """What our own nodes do, in a for loop without nodes."""
    published: list[Any] = []
    take, facts, put = msgspec.json.decode, payloads.TABLE, published.append
    messages = payloads.messages(count)
    with Stopwatch() as watch:
        for msg in messages:
            msg.payload = take(msg.payload)
            if is_positive(msg):
                msg.payload.update(facts[msg.payload["Name"]])
                put(msg.payload)
    check(published, count)
    return watch.measured(count)


async def make_messages(count: int) -> Measured:
    """Creating messages, nothing else."""
    with Stopwatch() as watch:
        messages = payloads.messages(count)
    return watch.measured(len(messages))


def through(
    build: Callable[[BaseChannel], list[Any]],
    store: MessageStoreFactory | None = _NULL,
) -> Runner:
    """All messages one by one through `handle` of the channel that is built.

    `build` adds the nodes and gives the list that they publish to.
    """

    async def run(count: int) -> Measured:
        channel = BaseChannel("bench", message_store_factory=store)
        published = build(channel)
        messages = payloads.messages(count)
        await channel.start()
        handle = channel.handle
        with Stopwatch() as watch:
            for msg in messages:
                await handle(msg)
        await channel.stop()
        check(published, count)
        assert channel.processed + channel.dropped == count
        return watch.measured(count)

    return run


def user_nodes(channel: BaseChannel) -> list[Any]:
    publish = Publish()
    channel.add(Decode(), Filter(), Enrich(), publish)
    return publish.published


def own_nodes(channel: BaseChannel) -> list[Any]:
    published: list[Any] = []
    channel.add(
        decode.JSON(),
        filter.Where(is_positive),
        enrich.Table(payloads.TABLE, key="Name"),
        publish.Call(published.append, what="payload"),
    )
    return published


def with_fork(channel: BaseChannel) -> list[Any]:
    publish = Publish()
    channel.add(Decode(), Filter())
    channel.fork("beside").add(Publish())
    channel.add(Enrich(), publish)
    return publish.published


def with_case(channel: BaseChannel) -> list[Any]:
    publish = Publish()
    channel.add(Decode(), Filter(), Enrich())
    for branch in channel.case(is_warm, True, names=["warm", "cold"]):
        branch.add(Publish())
    channel.add(publish)
    return publish.published


_PEER_NAMES: Final = {
    name: f"{NAME}, {text}"
    for name, text in (
        ("messages", "messages"),
        ("chain", "chain"),
        ("fork", "with a fork"),
        ("case", "with a case"),
    )
}


def _own_cases(options: Options) -> list[Case]:
    count = options.count(40_000)
    return [
        Case("four functions in a loop", in_loop, count),
        Case(
            "four functions as nodes",
            through(user_nodes),
            count,
            Aim("four functions in a loop", 0.8),
            Aim(_PEER_NAMES["chain"], 20),
        ),
        Case(
            "the same, without any store",
            through(user_nodes, store=None),
            count,
            Aim("four functions in a loop"),
            Aim(_PEER_NAMES["chain"]),
        ),
        Case("msgspec and a table in a loop", in_plain_loop, count),
        Case(
            "nodes of pichannels",
            through(own_nodes),
            count,
            Aim("msgspec and a table in a loop"),
            Aim(_PEER_NAMES["chain"]),
        ),
        Case("with a fork", through(with_fork), count, None, Aim(_PEER_NAMES["fork"])),
        Case("with a case", through(with_case), count, None, Aim(_PEER_NAMES["case"])),
        Case(
            "creating messages",
            make_messages,
            count,
            None,
            Aim(_PEER_NAMES["messages"]),
        ),
    ]


def _peer_cases(peer: Peer, options: Options) -> list[Case]:
    counts = {"messages": 40_000, "chain": 6_000, "fork": 3_000, "case": 3_000}
    return [
        Case(_PEER_NAMES[name], peer.case(name), options.count(count))
        for name, count in counts.items()
    ]


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases, those of the peer too where it can be had."""
    cases = _own_cases(options)
    notes = []
    if options.with_peer:
        peer = await find_peer()
        if isinstance(peer, Peer):
            cases += _peer_cases(peer, options)
        else:
            notes.append(peer)
    await asyncio.sleep(0)
    yield Benchmark(
        "chain",
        "Chain of four steps, nothing stored",
        "messages",
        ("cpu",),
        cases,
        notes,
    )
