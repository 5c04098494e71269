"""What the coverage ledger costs, from the websocket to the durable sink.

The same pipeline keeps messages and the ledger, messages alone, and nothing at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.endtoend import SHAPES, Shape, pipeline
from benchmarks.load import simulator
from benchmarks.measure import Aim, Benchmark, Case
from benchmarks.options import Options

__all__ = ["prepare"]

_WIDE: Final = Shape(1000, 1, 400, tags=1000)
_PLANT: Final = 10_000
"""So many tags has a plant with those of the wide shape."""


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Three cases for each shape, with the simulator at work."""
    async with simulator() as small, simulator(_PLANT) as large:
        places = [*((shape, small) for shape in SHAPES), (_WIDE, large)]
        cases = [case for place in places for case in _cases(*place, options)]
        yield Benchmark(
            "coverage",
            "Websocket to sink, with the coverage ledger (streams x events)",
            "values",
            ("cpu", "wall"),
            cases,
        )


def _cases(shape: Shape, url: str, options: Options) -> list[Case]:
    values = options.count(shape.frames) * shape.size
    names = {
        kept: f"{shape}, {words}"
        for kept, words in {
            "nothing": "nothing is kept",
            "messages": "no ledger",
            "ledger": "with the ledger",
        }.items()
    }
    floor, peer = Aim(names["messages"], 0.8), Aim(names["nothing"], 0.5)
    return [
        Case(
            name,
            pipeline(
                "ours",
                url,
                shape,
                options,
                tags=shape.tags,
                kept=kept,
            ),
            values,
            floor if kept == "ledger" else None,
            peer if kept == "ledger" else None,
        )
        for kept, name in names.items()
    ]
