"""Whole commands as processes: seconds, CPU seconds and peak memory of each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.measure import Measured
from benchmarks.processes import ProcessFailed
from pichannels.control.client import ControlClient, NoInstance, connect
from pichannels.errors import NotConnected

__all__ = ["PICHANNELS", "Instance", "run_command"]

PICHANNELS = (sys.executable, "-m", "pichannels")

_LAUNCHER = Path(__file__).with_name("launcher.py")
_LOOK_AGAIN = 0.05
_PATIENCE = 300.0


class _Command:
    """One command that runs from the start of a `with` block to its end."""

    def __init__(self, arguments: Sequence[str], folder: Path, said: str) -> None:
        self._arguments = arguments
        self._folder = folder
        self._began = 0.0
        self._said = folder.absolute() / said

    async def __aenter__(self) -> Self:
        self._launcher = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_LAUNCHER), str(self._said), *self._arguments),
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
        )
        self._pid, self._began = await self._told()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_running:
            os.kill(self._pid, signal.SIGKILL)
        await self._launcher.wait()

    @property
    def is_running(self) -> bool:
        return self._launcher.returncode is None

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    async def ended(self) -> Measured:
        """What it took from its start to its end.

        Raises:
            ProcessFailed: it failed.
        """
        code, wall, cpu, memory = await self._told()
        await self._launcher.wait()
        if code:
            raise self.failure(code)
        return Measured(1, wall, cpu, memory)

    async def _told(self) -> list[Any]:
        assert self._launcher.stdout is not None
        line = await self._launcher.stdout.readline()
        if not line:
            raise ProcessFailed(str(_LAUNCHER), await self._launcher.wait(), "")
        told: list[Any] = json.loads(line)
        return told

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self._pid, signal.SIGTERM)

    def failure(self, code: int | None = None) -> ProcessFailed:
        """What it said, as an error."""
        said = self._said.read_text(errors="replace")
        return ProcessFailed(" ".join(self._arguments), code, said)


async def run_command(arguments: Sequence[str], folder: Path) -> Measured:
    """Run a command in a folder to its end.

    Raises:
        ProcessFailed: it failed.
    """
    async with _Command(arguments, folder, "command.txt") as command:
        return await command.ended()


class Instance:
    """`pichannels start` in a project's folder, for the time of a `with` block."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / ".pichannels"
        start = [*PICHANNELS, "start", "--plain"]
        self._command = _Command(start, folder, "start.txt")

    async def __aenter__(self) -> Self:
        await self._command.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._command.__aexit__(kind, error, trace)

    async def opened(self, tags: int) -> float:
        """Until so many tags are resolved and all PI channels open; seconds.

        Raises:
            ProcessFailed: it ended, or did not manage in time.
        """
        try:
            async with asyncio.timeout(_PATIENCE), await self._connected() as client:
                # Only the instance knows, and it has to be asked.
                while not _is_open(await client.status(), tags):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_AGAIN)
                return self._command.seconds
        except (TimeoutError, NotConnected) as exc:
            raise self._command.failure() from exc

    async def _connected(self) -> ControlClient:
        while self._command.is_running:
            with suppress(NoInstance, NotConnected):
                return await connect(self._data)
            await asyncio.sleep(_LOOK_AGAIN)
        raise self._command.failure()

    async def stopped(self, seconds: float) -> Measured:
        """Stop it; CPU and memory of the whole run, with the `seconds` measured.

        Raises:
            ProcessFailed: it failed.
        """
        self._command.terminate()
        used = await self._command.ended()
        return Measured(1, seconds, used.cpu, used.memory)


def _is_open(status: dict[str, Any], tags: int) -> bool:
    """Whether all channels receive, and so many tags together."""
    channels = status["channels"]
    found = sum(channel["source"]["tags"] for channel in channels)
    return found == tags and all(channel["is_ready"] for channel in channels)
