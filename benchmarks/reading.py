"""Recorded values, paged and decoded, against httpx and json.

The archive is a process of its own that has all pages ready; each run of each program
is a process of its own, too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.processes import ProcessFailed, run_module

__all__ = ["prepare"]

_FLOOR = "httpx and json"


@asynccontextmanager
async def _archive() -> AsyncIterator[str]:
    """The URL of the archive."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.archive"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise ProcessFailed("the archive", await process.wait(), "see above")
        yield url
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Both programs, with the archive at work."""
    values = options.count(100_000)
    async with _archive() as url:
        # The archive renders its pages when they are first asked for.
        await _run(url, _FLOOR)(values)
        yield Benchmark(
            "recorded",
            "Recorded values in pages of 10,000, as samples",
            "values",
            ("cpu", "wall"),
            [
                Case(_FLOOR, _run(url, _FLOOR), values),
                Case("pichannels", _run(url, "pichannels"), values, Aim(_FLOOR)),
            ],
        )


def _run(url: str, way: str) -> Callable[[int], Awaitable[Measured]]:
    async def run(count: int) -> Measured:
        job = {"url": url, "way": way, "values": count}
        measured = await run_module("benchmarks.readers", job)
        assert measured.count == count, f"{measured.count} of {count} values came"
        return measured

    return run
