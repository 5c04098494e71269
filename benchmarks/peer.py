"""The peers, each in a virtual environment that is made when first needed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import payloads
from benchmarks.measure import Measured
from benchmarks.processes import run_job

__all__ = ["NAME", "PEER", "SLIPSTREAM", "Known", "Peer", "find_peer"]

PEER: Final = "pypeman==0.6.7"
NAME: Final = PEER.replace("==", " ")

_HERE: Final = Path(__file__).parent


class Known(NamedTuple):
    """A peer: what is installed where, what it is imported as, and its cases."""

    requirement: str
    module: str
    folder: Path
    script: Path

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.requirement.replace("==", " ")


PYPEMAN: Final = Known(
    PEER, "pypeman.channels", _HERE / ".peer", _HERE / "peer_cases.py"
)
SLIPSTREAM: Final = Known(
    "slipstream-async==1.0.5",
    "slipstream",
    _HERE / ".peer-slipstream",
    _HERE / "slipstream_cases.py",
)


class Peer:
    """Runs the cases of its script in the environment of the peer."""

    def __init__(self, python: Path, script: Path) -> None:
        self._command = [str(python), str(script)]

    def case(self, name: str, **facts: Any) -> Callable[[int], Awaitable[Measured]]:
        """What runs one of its cases, such as `chain` of pypeman."""

        async def run(count: int) -> Measured:
            job = {
                "case": name,
                "count": count,
                "texts": payloads.TEXTS,
                "table": payloads.TABLE,
            }
            return await run_job(self._command, job | facts)

        return run


async def find_peer(peer: Known = PYPEMAN) -> Peer | str:
    """A peer, installed if need be, or why there is none."""
    place = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    python = peer.folder / place
    if await _called(str(python), "-c", f"import {peer.module}"):
        reason = await _install(peer, python)
        if reason:
            return f"{peer.name} is left out: {reason}"
    return Peer(python, peer.script)


async def _install(peer: Known, python: Path) -> str:
    """Why it could not be installed; empty when it is."""
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    failed = await _called(sys.executable, "-m", "venv", "--clear", str(peer.folder))
    return failed or await _called(str(python), *pip, peer.requirement)


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
