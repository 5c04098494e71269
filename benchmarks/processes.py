"""Cases that run in a process of their own, so that memory and caches do not mix."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Measured
from pichannels.errors import PichannelsError

__all__ = ["ProcessFailed", "run_job", "run_module"]


class ProcessFailed(PichannelsError):
    """A process ended with an error; `code` and the end of what it said."""

    def __init__(self, command: str, code: int | None, said: str) -> None:
        self.command = command
        self.code = code
        self.said = said
        super().__init__(f"{command} ended with {code}: {said.strip()[-2000:]}")


async def run_job(command: Sequence[str], job: Mapping[str, Any]) -> Measured:
    """Give a process its job as JSON on stdin; what it measured.

    Raises:
        ProcessFailed: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await process.communicate(json.dumps(job).encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise ProcessFailed(
            " ".join(command), process.returncode, said.decode(errors="replace")
        )
    return Measured(**json.loads(out))


async def run_module(module: str, job: Mapping[str, Any]) -> Measured:
    """`run_job` with a module of this environment.

    Raises:
        ProcessFailed: it failed.
    """
    return await run_job([sys.executable, "-m", module], job)
