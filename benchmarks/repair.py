"""An hour of history of 1,000 tags: read, and repaired as a hole of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.load import simulator
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.processes import run_module

__all__ = ["prepare"]

_TAGS: Final = 1000
_FEW: Final = 100
_TAGS_EACH: Final = 10
"""One of so many tags of the plant is read."""


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Both cases, with the simulator at work."""
    tags = _FEW if options.quick else _TAGS
    read, repaired = "read", "repaired, durably"
    async with simulator(tags * _TAGS_EACH, activity=1) as url:
        yield Benchmark(
            "repair",
            f"An hour of history of {tags:,} tags",
            "values",
            ("cpu", "wall"),
            [
                Case(read, _run("read", url, tags, options), 1),
                Case(repaired, _run("repair", url, tags, options), 1, Aim(read)),
            ],
        )


def _run(
    way: str, url: str, tags: int, options: Options
) -> Callable[[int], Awaitable[Measured]]:
    async def run(count: int) -> Measured:
        with TemporaryDirectory(dir=options.directory) as folder:
            job = {"url": url, "folder": folder, "way": way, "tags": tags}
            measured = await run_module("benchmarks.repairs", job)
        assert measured.count, "there is no history"
        return measured

    return run
