"""From the websocket to the durable sink, against a pipeline written by hand.

The simulator sends frames as fast as they are read, from a process of its own; each
run of each pipeline is a process of its own, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.load import TAGS, simulator
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.processes import run_module

__all__ = ["SHAPES", "Shape", "pipeline", "prepare"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Messages of `streams` x `events` values; `frames` of them in one run.

    The PI channel has so many `tags`.
    """

    streams: int
    events: int
    frames: int
    tags: int = TAGS

    def __str__(self) -> str:
        return f"{self.streams} x {self.events}"

    @property
    def size(self) -> int:
        return self.streams * self.events


SHAPES = (Shape(1, 1, 200_000), Shape(100, 1, 2_500), Shape(10, 100, 700))


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Two cases for each shape, with the simulator at work."""
    async with simulator() as url:
        cases = []
        for shape in SHAPES:
            by_hand, ours = f"{shape}, by hand", f"{shape}, pichannels"
            values = options.count(shape.frames) * shape.size
            cases += [
                Case(by_hand, pipeline("handwritten", url, shape, options), values),
                Case(
                    ours,
                    pipeline("ours", url, shape, options),
                    values,
                    Aim(by_hand, 0.6),
                ),
            ]
        yield Benchmark(
            "endtoend",
            "Websocket to durable sink (streams x events in a message)",
            "values",
            ("cpu", "wall"),
            cases,
        )


def pipeline(
    module: str, url: str, shape: Shape, options: Options, **more: Any
) -> Callable[[int], Awaitable[Measured]]:
    """A case: a flood of this shape through `benchmarks.module`."""

    async def run(count: int) -> Measured:
        with TemporaryDirectory(dir=options.directory) as folder:
            job = {
                "url": url,
                "folder": folder,
                "streams": shape.streams,
                "events": shape.events,
                "frames": count // shape.size,
                **more,
            }
            measured = await run_module(f"benchmarks.{module}", job)
        assert measured.count == count, f"{measured.count} of {count} were published"
        return measured

    return run
