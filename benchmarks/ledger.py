"""The coverage ledger of 100,000 tags on 100 PI channels: its memory and its steps.

The floor of a batch is a loop that keeps the last time of each tag and nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Final

from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from pichannels.coverage.claims import Claims, restore
from pichannels.coverage.expected import Expectations
from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.repair import Planner
from pichannels.coverage.views import totals
from pichannels.manifest import ManifestEntry
from pichannels.values import TICKS_PER_SECOND

__all__ = ["prepare"]

Run = Callable[[int], Awaitable[Measured]]

_SUBS: Final = 100
_ENTRIES: Final = 1000
_START: Final = 1_780_000_000 * TICKS_PER_SECOND
_HOUR: Final = 3600 * TICKS_PER_SECOND
_LATER: Final = _START + _HOUR


def keys(tags: int) -> list[str]:
    """The keys of so many tags."""
    return [f"\\\\PISRV01\\UNIT{n // 100:04}.TAG{n % 100:02}" for n in range(tags)]


def opened(names: list[str]) -> Ledger:
    """A ledger of tags on PI channels that have all been open for an hour."""
    ledger = Ledger()
    tags = [ledger.add_tag(name, _START) for name in names]
    each = max(1, len(tags) // _SUBS)
    for sub in range(_SUBS):
        ledger.subscribed(f"x{sub}", tags[sub * each : (sub + 1) * each], _START)
    hear(ledger, _LATER)
    return ledger


def hear(ledger: Ledger, at: int) -> None:
    """A heartbeat on each PI channel."""
    for sub in range(_SUBS):
        ledger.heartbeat(f"x{sub}", at)


def lose(ledger: Ledger) -> None:
    """All PI channels are lost."""
    for sub in range(_SUBS):
        ledger.lost(f"x{sub}", "network", _LATER)


# Memory


@contextmanager
def bytes_each(tags: int, notes: list[str], what: str) -> Iterator[None]:
    """Note what the block takes for each of so many tags."""
    gc.collect()
    tracemalloc.start()
    yield
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    notes.append(f"{what}: {size / tags:,.0f} bytes a tag")


def memory(names: list[str]) -> list[str]:
    """What the parts of a ledger take, as notes."""
    notes: list[str] = []
    rng = random.Random(7)
    tags = len(names)
    for number in (1, 2, 3):
        with bytes_each(tags, notes, f"sets of {number} intervals that differ"):
            sets = [
                IntervalSet([(9 * n, 9 * n + k) for n in range(number)])
                for k in (rng.randint(1, 8) for _ in names)
            ]
        del sets
    with bytes_each(tags, notes, "all PI channels open, no hole"):
        ledger = opened(names)
    with bytes_each(tags, notes, "in addition, after a loss of all"):
        lose(ledger)
    with bytes_each(tags, notes, "in addition, one message in flight of each tag"):
        ledger.subscribed("again", range(tags), _LATER)
        at = _LATER + _HOUR
        entries = (ManifestEntry(name, at, at, 1) for name in names)
        ledger.arrived("again", 1, entries, at)
    with bytes_each(tags, notes, "what is expected of each"):
        expectations = Expectations()
        expectations.grow(tags, _START)
    return notes


# Time


def timed(step: Callable[[int], object]) -> Run:
    """Run a step so many times."""

    async def run(times: int) -> Measured:
        with Stopwatch() as watch:
            for number in range(times):
                step(number)
        return watch.measured(times)

    return run


def batches(names: list[str]) -> Run:
    """Messages with an event of each tag of a PI channel come and settle."""
    ledger = opened(names)
    entries = entries_of(names)

    def step(number: int) -> None:
        ledger.arrived("x0", number, entries, _LATER)
        ledger.settled(number)

    return timed(step)


def bare_batches(names: list[str]) -> Run:
    """The last time of each tag of a message, in a dict."""
    last = dict.fromkeys(names, 0)
    entries = entries_of(names)

    def step(number: int) -> None:
        for entry in entries:
            last[entry.key] = max(entry.last, last[entry.key])

    return timed(step)


def entries_of(names: list[str]) -> list[ManifestEntry]:
    """One event of each of the first tags."""
    return [ManifestEntry(name, _LATER, _LATER, 1) for name in names[:_ENTRIES]]


def flushes(names: list[str]) -> Run:
    """Heartbeats on all PI channels, and what is saved after them."""
    ledger = opened(names)
    claims = Claims(ledger)
    claims.changes()
    times = count(_LATER + _HOUR)

    def step(number: int) -> None:
        hear(ledger, next(times))
        assert list(claims.changes()) == ["watermarks"]

    return timed(step)


def restores(names: list[str]) -> Run:
    """A ledger comes back from its records."""
    ledger = opened(names)
    found = Claims(ledger).changes()
    records = {name: data for name, data in found.items() if data is not None}

    def step(number: int) -> None:
        assert len(restore(records, [], _LATER).tags) == len(names)

    return timed(step)


def repairs(names: list[str]) -> Run:
    """All tags are lost and subscribed to again; their holes are read and close."""

    async def run(times: int) -> Measured:
        watch = Stopwatch()
        wall = cpu = 0.0
        for _ in range(times):
            ledger = opened(names)
            with watch:
                lose(ledger)
                ledger.subscribed("again", range(len(names)), _LATER)
                planner = Planner(ledger)
                while (read := planner.next(_LATER + _HOUR)) is not None:
                    planner.answered(read.id, 10, _LATER + _HOUR)
            wall, cpu = wall + watch.wall, cpu + watch.cpu
            assert not totals(ledger, _LATER + _HOUR).holes
        return Measured(times, wall, cpu)

    return run


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """A ledger with all of its tags, and each step of it."""
    names = keys(options.count(100_000))
    notes = await asyncio.to_thread(memory, names)
    ledger = opened(names)
    bare = "last times of 1,000 tags in a dict"
    cases = [
        Case(
            "heartbeat",
            timed(lambda n: ledger.heartbeat("x0", _LATER + n)),
            options.count(200_000),
        ),
        Case(bare, bare_batches(names), options.count(200)),
        Case(
            "message with 1,000 tags, and its settlement",
            batches(names),
            options.count(200),
            Aim(bare),
        ),
        Case("heartbeats on all, and a flush", flushes(names), options.count(2000)),
        Case("totals", timed(lambda n: totals(ledger, _LATER)), 3),
        Case("restore", restores(names), 1),
        Case("loss and repair of all", repairs(names), 1),
    ]
    yield Benchmark(
        "ledger",
        f"Coverage ledger, {_SUBS} PI channels, {len(names):,} tags",
        "times",
        ("cpu",),
        cases,
        notes,
    )
