"""The instance under test: `python -m pichannels start` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from pichannels.control.access import read_address
from pichannels.control.client import ControlClient
from pichannels.errors import PichannelsError

__all__ = ["Instance", "Refused", "until"]

_PROJECT: Final = Path(__file__).parent / "project"
_PATIENCE: Final = 60.0


class Refused(AssertionError):
    """The instance ended where it should run, or ran where it should end."""


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, seconds: float = _PATIENCE
) -> None:
    """Until it is true; to ask takes a small part of the time.

    Raises:
        Refused: that took too long.
    """
    try:
        async with asyncio.timeout(seconds):
            asked = time.monotonic()
            while not await condition():
                await asyncio.sleep(max(0.05, 4 * (time.monotonic() - asked)))
                asked = time.monotonic()
    except TimeoutError as exc:
        raise Refused(f"waited {seconds:.0f} s in vain: {what}") from exc


class Instance:
    """One project and its process, which comes and goes.

    Args:
        folder: of the project; made here.
        pi, sink: the URLs that it uses.
        options: `source`, `coverage`, `sink`, `journal`, `poison`; see the project.
        environment: added to that of the process.

    Attributes:
        starts: how often it was started.
        peak: bytes of memory that a process of it had at most.
    """

    def __init__(
        self,
        folder: Path,
        pi: str,
        sink: str,
        options: dict[str, Any],
        environment: dict[str, str],
    ) -> None:
        shutil.copytree(_PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.folder = folder
        self.data = folder / ".pichannels"
        self.witness = folder / "witness"
        self.starts = 0
        self.peak = 0
        self._process: asyncio.subprocess.Process | None = None
        self._environment = {
            **os.environ,
            **environment,
            "FAULTS_PI": pi,
            "FAULTS_SINK": sink,
            "FAULTS_WITNESS": str(self.witness),
            "FAULTS_OPTIONS": json.dumps(options),
        }

    @property
    def log(self) -> str:
        """What its processes have said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start a process; returns before it has begun."""
        self.starts += 1
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pichannels", "start", "--plain"),
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        finally:
            os.close(log)

    async def started(self) -> None:
        """Until its PI channels are open."""
        await until(self._is_ready, "the instance is connected")

    async def _is_ready(self) -> bool:
        self._expect_running()
        status = await self.status()
        return status is not None and status["channels"][0]["is_ready"]

    def _expect_running(self) -> None:
        if not self.is_running:
            raise Refused(f"the instance has ended:\n{self.log[-3000:]}")

    async def status(self) -> dict[str, Any] | None:
        """What it says about itself; None when it does not answer."""
        found: dict[str, Any] | None = await self._ask(lambda client: client.status())
        return found

    async def command(self, name: str, **arguments: Any) -> Any:
        """A command of the control server; None when it does not answer."""
        return await self._ask(lambda client: client.command(name, **arguments))

    async def _ask(self, ask: Callable[[ControlClient], Awaitable[Any]]) -> Any:
        address = await asyncio.to_thread(read_address, self.data)
        if address is None or address.pid != self._pid:
            return None
        try:
            async with asyncio.timeout(10), ControlClient(address) as client:
                return await ask(client)
        except (PichannelsError, TimeoutError):
            return None

    async def is_live(self) -> bool:
        """Whether `/live` answers."""
        address = await asyncio.to_thread(read_address, self.data)
        if address is None:
            return False
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{address.url}/live") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def settled(self) -> None:
        """Until nothing is unsettled."""
        await until(self._is_settled, "all is settled")

    async def _is_settled(self) -> bool:
        self._expect_running()
        status = await self.status()
        return status is not None and not status["journal"]["unsettled"]

    # Its end

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        if self.is_running:
            await self.look()
            self._process.kill()
        await self._process.wait()

    def signal(self) -> None:
        """Tell it to stop, by SIGTERM; it may have ended meanwhile."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        """End it in good order; its exit code."""
        await self.look()
        self.signal()
        return await self.ended()

    async def ended(self) -> int:
        """Until it has ended by itself; its exit code."""
        assert self._process is not None
        try:
            return await asyncio.wait_for(self._process.wait(), 90)
        except TimeoutError as exc:
            raise Refused("the instance does not end") from exc

    # What it takes

    async def look(self) -> None:
        """Note how much memory it has had."""
        if self.is_running:
            found = await asyncio.to_thread(_most_memory, self._pid)
            self.peak = max(self.peak, found)

    async def disk(self) -> int:
        """Bytes in its data folder."""
        return await asyncio.to_thread(_size_of, self.data)


def _most_memory(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) * 1024 if found else 0


def _size_of(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
