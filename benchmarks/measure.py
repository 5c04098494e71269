"""Run the cases of a benchmark in turn, several times, and take medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType
from typing import Literal, Self

__all__ = [
    "COLLECT_AT",
    "Aim",
    "Basis",
    "Benchmark",
    "Case",
    "Measured",
    "Result",
    "Row",
    "Stopwatch",
    "measure",
]

COLLECT_AT = 50_000
"""The collector's first threshold in every process that is measured."""

Basis = Literal["wall", "cpu"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of one case took; seconds, `cpu` of the whole process.

    `memory` is the most that the process had, in bytes, where it was looked at.
    """

    count: int
    wall: float
    cpu: float
    memory: int = 0

    def each(self, basis: Basis) -> float:
        """Seconds for one."""
        return (self.wall if basis == "wall" else self.cpu) / self.count


class Stopwatch:
    """Seconds of its `with` block, on the wall and of this process."""

    wall = 0.0
    cpu = 0.0

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu

    def measured(self, count: int) -> Measured:
        """The result, for so many of them."""
        return Measured(count, self.wall, self.cpu)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a case is compared with, and how many times as fast it should be."""

    case: str
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a benchmark.

    `run` does `count` of them and says what they took; what it needs before and
    after is not in it. `floor` is the bare work, `peer` what others take for it.
    """

    name: str
    run: Callable[[int], Awaitable[Measured]]
    count: int
    floor: Aim | None = None
    peer: Aim | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Cases that are measured together.

    `bases` are what ratios are made of; aims are held against the first. What it
    `shows` is how many there are in a second, or the seconds and memory of each.
    """

    name: str
    title: str
    unit: str
    bases: tuple[Basis, ...]
    cases: Sequence[Case]
    notes: Sequence[str] = ()
    shows: Literal["rate", "each"] = "rate"


@dataclass(slots=True)
class Row:
    """All runs of one case, and those of what it is compared with."""

    case: Case
    runs: list[Measured] = field(default_factory=list)
    floor: Row | None = None
    peer: Row | None = None

    def each(self, basis: Basis) -> float:
        """The median, in seconds for one."""
        return median(run.each(basis) for run in self.runs)

    def rate(self, basis: Basis) -> float:
        """The median, in units per second."""
        return 1 / self.each(basis)

    @property
    def memory(self) -> float:
        """The median, in bytes; 0 where it was not looked at."""
        return median(run.memory for run in self.runs)

    def ratio(self, other: Row | None, basis: Basis) -> float | None:
        """How many times as fast as `other`: the median over the runs."""
        if other is None:
            return None
        pairs = zip(self.runs, other.runs, strict=True)
        return median(theirs.each(basis) / ours.each(basis) for ours, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Result:
    """A benchmark with what was measured."""

    benchmark: Benchmark
    rows: Sequence[Row]


async def measure(
    benchmark: Benchmark, runs: int, tell: Callable[[str], None] = lambda text: None
) -> Result:
    """Run each case `runs` times, each time beginning with another one."""
    rows = {case.name: Row(case) for case in benchmark.cases}
    for row in rows.values():
        row.floor = rows.get(row.case.floor.case) if row.case.floor else None
        row.peer = rows.get(row.case.peer.case) if row.case.peer else None
    order = list(rows.values())
    for run in range(runs):
        shift = run % len(order)
        for row in order[shift:] + order[:shift]:
            tell(f"{benchmark.name}: run {run + 1} of {runs}, {row.case.name}")
            gc.collect()
            row.runs.append(await row.case.run(row.case.count))
    return Result(benchmark, order)
