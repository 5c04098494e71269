"""The peer: pypeman, in a virtual environment that is made when first needed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import payloads
from benchmarks.measure import Measured
from benchmarks.processes import run_job

__all__ = ["NAME", "PEER", "Peer", "find_peer"]

PEER: Final = "pypeman==0.6.7"
NAME: Final = PEER.replace("==", " ")

_HERE: Final = Path(__file__).parent
_FOLDER: Final = _HERE / ".peer"


class Peer:
    """Runs the cases of `peer_cases` in the environment of the peer."""

    def __init__(self, python: Path) -> None:
        self._command = [str(python), str(_HERE / "peer_cases.py")]

    def case(self, name: str, **facts: Any) -> Callable[[int], Awaitable[Measured]]:
        """What runs one of its cases: `messages chain fork case durable`."""

        async def run(count: int) -> Measured:
            job = {
                "case": name,
                "count": count,
                "texts": payloads.TEXTS,
                "table": payloads.TABLE,
            }
            return await run_job(self._command, job | facts)

        return run


async def find_peer(folder: Path = _FOLDER) -> Peer | str:
    """The peer, installed if need be, or why there is none."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if await _called(str(python), "-c", "import pypeman.channels"):
        reason = await _install(folder, python)
        if reason:
            return f"{NAME} is left out: {reason}"
    return Peer(python)


async def _install(folder: Path, python: Path) -> str:
    """Why it could not be installed; empty when it is."""
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", PEER)
    failed = await _called(sys.executable, "-m", "venv", "--clear", str(folder))
    return failed or await _called(str(python), *pip)


async def _called(*command: str) -> str:
    """Run a command; the last line of what it said if it failed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as exc:
        return str(exc)
    out, _ = await process.communicate()
    lines = out.decode(errors="replace").strip().splitlines()
    if not process.returncode:
        return ""
    return lines[-1] if lines else f"exit code {process.returncode}"
