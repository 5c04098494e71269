"""Windows, for each value, against loops that do the same and no more.

Batches of 100 values of 100 tags, one each second: random walks, in windows of a
minute. The floor is a loop over the same samples with a dict of the open windows:
nothing for late values, bad ones, or a crash; nothing is held, nothing is saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from benchmarks.filters import walks
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from nodes import window
from nodes._remembering import Remembering
from pichannels.dataflow import Application
from pichannels.dataflow.windows import Tumbling, window as pipe_of
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import Dropped
from pichannels.message import Message
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND, Sample, Tag

__all__ = ["prepare"]

Runner = Callable[[int], Awaitable[Measured]]
Bare = Callable[[list[Sample]], list[Any]]

_SIZE: Final = 60 * TICKS_PER_SECOND
_USUAL: Final = ("count", "mean", "min", "max")


def bare(make: Callable[[], Bare]) -> Runner:
    """All batches through a function that `make` gives."""

    async def run(count: int) -> Measured:
        batches, function, told = walks(count), make(), 0
        with Stopwatch() as watch:
            for batch in batches:
                told += len(function(batch))
        _check(told, len(batches))
        return watch.measured(len(batches) * len(batches[0]))

    return run


def through(make: Callable[[], Remembering]) -> Runner:
    """All batches through a node, each as a message; what is open is saved."""

    async def run(count: int) -> Measured:
        node, told = make(), 0
        batches = walks(count)
        messages = [Message(payload=batch) for batch in batches]
        await node.start()
        with Stopwatch() as watch:
            for number, msg in enumerate(messages):
                msg.delivery = delivery = Delivery()
                with suppress(Dropped):
                    node.process(msg)
                    told += len(msg.payload)
                delivery.end(Outcome(State.PROCESSED, msg))
                if not number % 50:
                    # What is due is saved.
                    await asyncio.sleep(0)
            await node.stop()
        _check(told, len(batches))
        return watch.measured(len(batches) * len(batches[0]))

    return run


def piped(count: int) -> Awaitable[Measured]:
    """All samples, one by one, through a pipe of a stream."""

    async def run() -> Measured:
        batches = walks(count)
        application, told = Application(), list[Any]()

        async def source() -> AsyncIterator[Sample]:
            for batch in batches:
                for sample in batch:
                    yield sample

        pipe = pipe_of(Tumbling(60), _USUAL, rest=False)
        application.handle(source, pipe=[pipe], sink=[told.append])(_same)
        with Stopwatch() as watch:
            await application.stream()
        _check(len(told) * len(_USUAL), len(batches))
        return watch.measured(len(batches) * len(batches[0]))

    return run()


def _same(found: Any) -> Any:
    return found


def _check(told: int, seconds: int) -> None:
    """All windows that have ended were told."""
    if seconds > 2 * 60:
        assert told >= (seconds // 60 - 1) * 100, f"{told} results"


def bare_statistics() -> Bare:
    """Count, mean, least and greatest."""
    windows: dict[Tag, list[Any]] = {}

    def add(samples: list[Sample]) -> list[Any]:
        told = []
        for sample in samples:
            value, found = sample.value, windows.get(sample.tag)
            if found is None or sample.ticks >= found[0]:
                if found is not None:
                    _, count, total, low, high = found
                    told.append((sample.tag, count, total / count, low, high))
                end = sample.ticks // _SIZE * _SIZE + _SIZE
                windows[sample.tag] = [end, 1, value, value, value]
                continue
            found[1] += 1
            found[2] += value
            if value < found[3]:
                found[3] = value
            elif value > found[4]:
                found[4] = value
        return told

    return add


def bare_average() -> Bare:
    """The mean weighted by time, with lines between the values."""
    windows: dict[Tag, list[Any]] = {}

    def add(samples: list[Sample]) -> list[Any]:
        told = []
        for sample in samples:
            ticks, value = sample.ticks, sample.value
            found = windows.get(sample.tag)
            if found is None:
                windows[sample.tag] = [
                    ticks // _SIZE * _SIZE + _SIZE,
                    ticks,
                    value,
                    0,
                    0,
                ]
                continue
            end, since, before, area, weight = found
            if ticks >= end:
                at_end = before + (value - before) * (end - since) / (ticks - since)
                area += (end - since) * (before + at_end) / 2
                told.append((sample.tag, area / (weight + end - since)))
                end, since, before, area, weight = end + _SIZE, end, at_end, 0, 0
            area += (ticks - since) * (before + value) / 2
            found[:] = end, ticks, value, area, weight + ticks - since
        return told

    return add


def _cases(options: Options) -> list[Case]:
    count = options.count(200_000)
    loop, weighed = "a loop", "a loop, weighed by time"
    return [
        Case(loop, bare(bare_statistics), count),
        Case(
            "Tumbling", through(lambda: window.Tumbling(60, _USUAL)), count, Aim(loop)
        ),
        Case(
            "Tumbling, p99",
            through(lambda: window.Tumbling(60, [*_USUAL, "p99"])),
            count,
            Aim(loop),
        ),
        Case(
            "Hopping, each value in four",
            through(lambda: window.Hopping(60, 15, _USUAL)),
            count,
            Aim(loop),
        ),
        Case("a pipe", piped, count, Aim(loop)),
        Case(weighed, bare(bare_average), count),
        Case(
            "Tumbling, time_average",
            through(lambda: window.Tumbling(60, ["time_average"])),
            count,
            Aim(weighed),
        ),
    ]


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Loops and windows."""
    await asyncio.sleep(0)
    yield Benchmark(
        "windows", "Windows, for each value", "values", ("cpu",), _cases(options)
    )
