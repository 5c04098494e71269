"""Filters and enrich, for each value, against functions that do the same and no more.

Batches of 100 values of 100 tags: random walks that a filter leaves a part of. The
floor is a function over the same samples, without limits for each tag, lanes, states,
late values, or anything held for a crash.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, Final

from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from nodes import compress, enrich, filter, reduce
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import Dropped
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND, Sample, Tag

__all__ = ["prepare"]

Runner = Callable[[int], Awaitable[Measured]]
Bare = Callable[[list[Sample]], list[Sample]]

_TAGS: Final = 100
_DEVIATION: Final = 2.0
_FACTS: Final = {
    f"UNIT.TAG{number:03}": {"site": "North", "area": f"A{number % 7}"}
    for number in range(_TAGS)
}


@cache
def walks(count: int) -> list[list[Sample]]:
    """So many values, in batches of one for each tag; the same ones each time."""
    rng = random.Random(7)
    tags = [Tag(name, f"\\\\PISRV01\\{name}") for name in _FACTS]
    values = [50.0] * _TAGS
    batches = []
    for second in range(max(count // _TAGS, 1)):
        values = [value + rng.gauss(0, 0.5) for value in values]
        ticks = 10**16 + second * TICKS_PER_SECOND
        pairs = zip(tags, values, strict=True)
        batches.append([Sample(tag, ticks, value) for tag, value in pairs])
    return batches


def bare(make: Callable[[], Bare]) -> Runner:
    """All batches through a function that `make` gives."""

    async def run(count: int) -> Measured:
        batches, function = walks(count), make()
        with Stopwatch() as watch:
            for batch in batches:
                function(batch)
        return watch.measured(len(batches) * _TAGS)

    return run


def through(make: Callable[[], BaseNode]) -> Runner:
    """All batches through a node, each as a message that is settled after it."""

    async def run(count: int) -> Measured:
        node = make()
        messages = [Message(payload=batch) for batch in walks(count)]
        await node.start()
        with Stopwatch() as watch:
            for msg in messages:
                msg.delivery = delivery = Delivery()
                with suppress(Dropped):
                    node.process(msg)
                delivery.end(Outcome(State.PROCESSED, msg))
        await node.stop()
        return watch.measured(len(messages) * _TAGS)

    return run


def bare_deadband() -> Bare:
    last: dict[Tag, float] = {}

    def select(samples: list[Sample]) -> list[Sample]:
        kept = []
        for sample in samples:
            value = sample.value
            before = last.get(sample.tag)
            if before is None or abs(value - before) > _DEVIATION:
                last[sample.tag] = value
                kept.append(sample)
        return kept

    return select


def bare_door() -> Bare:
    doors: dict[Tag, list[Any]] = {}

    def select(samples: list[Sample]) -> list[Sample]:
        kept = []
        for sample in samples:
            door = doors.get(sample.tag)
            if door is None:
                doors[sample.tag] = [sample, None, -1e300, 1e300]
                kept.append(sample)
                continue
            start, held, low, high = door
            elapsed = sample.ticks - start.ticks
            rise = sample.value - start.value
            if not low <= rise / elapsed <= high:
                kept.append(held)
                elapsed = sample.ticks - held.ticks
                rise = sample.value - held.value
                door[0], low, high = held, -1e300, 1e300
            door[1] = sample
            door[2] = max(low, (rise - _DEVIATION) / elapsed)
            door[3] = min(high, (rise + _DEVIATION) / elapsed)
        return kept

    return select


def bare_change() -> Bare:
    last: dict[Tag, Any] = {}

    def select(samples: list[Sample]) -> list[Sample]:
        kept = []
        for sample in samples:
            if last.get(sample.tag) != sample.value:
                last[sample.tag] = sample.value
                kept.append(sample)
        return kept

    return select


def bare_good() -> Bare:
    return lambda samples: [sample for sample in samples if sample.good]


def bare_facts() -> Bare:
    def add(samples: list[Sample]) -> list[Sample]:
        meta = {name: dict(_FACTS[name]) for name in {s.tag.name for s in samples}}
        assert meta
        return samples

    return add


def _cases(options: Options) -> list[Case]:
    count = options.count(400_000)
    pairs: list[tuple[str, Callable[[], Bare], Callable[[], BaseNode]]] = [
        ("quality", bare_good, filter.Quality),
        ("deadband", bare_deadband, lambda: compress.Deadband(_DEVIATION)),
        (
            "exceptions",
            bare_deadband,
            lambda: compress.ExceptionReport(_DEVIATION, max_hold=3600),
        ),
        (
            "swinging door",
            bare_door,
            lambda: compress.SwingingDoor(_DEVIATION, max_hold=3600),
        ),
        ("change", bare_change, reduce.Change),
        ("table", bare_facts, lambda: enrich.Table(_FACTS)),
    ]
    cases = []
    for name, floor, node in pairs:
        bare_name = f"{name}: a function"
        cases += [
            Case(bare_name, bare(floor), count),
            Case(f"{name}: the node", through(node), count, Aim(bare_name)),
        ]
    return cases


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """A function and a node for each filter."""
    await asyncio.sleep(0)
    yield Benchmark(
        "filters",
        "Filters and enrich, for each value",
        "values",
        ("cpu",),
        _cases(options),
    )
