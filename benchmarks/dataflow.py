"""`handle` with a function of four steps: decode JSON, filter, enrich, give to a list.

The floor is the same work in an `async for` over the same source.
"""

from __future__ import annotations

import json
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import asynccontextmanager
from typing import Any, Final

from benchmarks import payloads
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.peer import SLIPSTREAM, Peer, find_peer
from pichannels.dataflow import Application

__all__ = ["prepare"]

_FLOOR: Final = "async for over the source"
_PEER: Final = f"{SLIPSTREAM.name}, handle"
_PEER_PIPES: Final = f"{SLIPSTREAM.name}, three pipes"

Runner = Callable[[int], Awaitable[Measured]]


def source_of(count: int) -> Callable[[], AsyncIterator[str]]:
    async def source() -> AsyncIterator[str]:
        texts, size = payloads.TEXTS, len(payloads.TEXTS)
        for number in range(count):
            yield texts[number % size]

    return source


def check(published: list[Any], count: int) -> None:
    """Nothing got lost of `count` texts."""
    wanted = payloads.survivors(count)
    assert len(published) == wanted, f"{len(published)} of {wanted} were published"


def yielding(text: str) -> Iterator[Any]:
    event = json.loads(text)
    if event["Value"] >= 0:
        event.update(payloads.TABLE[event["Name"]])
        yield event


async def yielding_later(text: str) -> AsyncIterator[Any]:
    event = json.loads(text)
    if event["Value"] >= 0:
        event.update(payloads.TABLE[event["Name"]])
        yield event


async def unchanged(values: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for value in values:
        yield value


async def in_loop(count: int) -> Measured:
    """The four steps in an `async for`."""
    published: list[Any] = []
    table, put, source = payloads.TABLE, published.append, source_of(count)
    with Stopwatch() as watch:
        async for text in source():
            event = json.loads(text)
            if event["Value"] >= 0:
                event.update(table[event["Name"]])
                put(event)
    check(published, count)
    return watch.measured(count)


def handled(function: Callable[[str], Any], pipes: int = 0, others: int = 0) -> Runner:
    """All texts through one handler, behind so many pipes, beside others."""

    async def run(count: int) -> Measured:
        application, published = Application(), list[Any]()
        source = source_of(count)
        bind = application.handle(
            source, pipe=[unchanged] * pipes, sink=[published.append]
        )
        bind(function)
        for _ in range(others):
            application.handle(source)(lambda text: None)
        with Stopwatch() as watch:
            await application.stream()
        check(published, count)
        return watch.measured(count)

    return run


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases, those of the peer too where it can be had."""
    count, notes = options.count(40_000), []
    floor, peer_name = Aim(_FLOOR), Aim(_PEER)
    cases = [
        Case(_FLOOR, in_loop, count),
        Case("handle", handled(yielding), count, Aim(_FLOOR, 0.8), peer_name),
        Case("handle, async", handled(yielding_later), count, floor, peer_name),
        Case("handle, two of them", handled(yielding, 0, 1), count, floor, peer_name),
        Case(
            "handle, three pipes",
            handled(yielding, 3),
            count,
            floor,
            Aim(_PEER_PIPES),
        ),
    ]
    if options.with_peer:
        peer = await find_peer(SLIPSTREAM)
        if isinstance(peer, Peer):
            facts = {"texts": payloads.TEXTS, "table": payloads.TABLE}
            cases += [
                Case(_PEER, peer.case("handle", **facts), count),
                Case(_PEER_PIPES, peer.case("pipes", **facts), count),
            ]
        else:
            notes.append(peer)
    yield Benchmark(
        "dataflow",
        "A function of four steps by handle",
        "values",
        ("cpu",),
        cases,
        notes,
    )
