"""A process that runs one job: JSON in on stdin, what it took out on stdout."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from benchmarks.measure import COLLECT_AT, Measured

__all__ = ["PATIENCE", "Run", "work"]

PATIENCE = 300.0
"""Seconds after which a job has failed."""

Run = Callable[..., Awaitable[Measured]]


def work(run: Run) -> None:
    """Call `run` with what the job says."""
    job: dict[str, Any] = json.load(sys.stdin)
    # As the engine does, for whatever is measured.
    gc.set_threshold(COLLECT_AT)
    gc.collect()
    gc.freeze()

    async def measured() -> Measured:
        async with asyncio.timeout(PATIENCE):
            return await run(**job)

    json.dump(asdict(asyncio.run(measured())), sys.stdout)
