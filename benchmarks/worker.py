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

__all__ = ["Run", "work"]

Run = Callable[..., Awaitable[Measured]]


def work(run: Run) -> None:
    """Call `run` with what the job says."""
    job: dict[str, Any] = json.load(sys.stdin)
    gc.set_threshold(COLLECT_AT)

    async def measured() -> Measured:
        return await run(**job)

    json.dump(asdict(asyncio.run(measured())), sys.stdout)
