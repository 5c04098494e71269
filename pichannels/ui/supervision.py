"""The process of the pages, which the instance looks after: begun again when it ends.

It never holds up the instance: it gets what it needs through a pipe, and ends when that
does, however the instance ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pichannels import clock

__all__ = ["Supervisor"]

logger: Final = logging.getLogger("pichannels.ui")

_FIRST, _LONGEST, _STEADY = 0.5, 30.0, 60.0
_PATIENCE: Final = 5.0
_LONGEST_LINE: Final = 2**20


class Supervisor:
    """Runs the process until `close`.

    Args:
        plan: a `ConsolePlan` as JSON.
        told: called in a thread with what the process says of itself, each time it
            listens; see `Started`.

    Attributes:
        pid: of the process, or None.
        restarts: how often it was begun again.
    """

    def __init__(self, plan: bytes, told: Callable[[dict[str, Any]], None]) -> None:
        self._plan = plan
        self._told = told
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Of the process."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def start(self) -> None:
        """Begin to look after it."""
        self._running = asyncio.create_task(self._run(), name="pages")

    async def close(self) -> None:
        """End the process."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        wait = _FIRST
        while True:
            began = clock.monotonic()
            try:
                code = await self._run_once()
                logger.warning("the pages ended with exit code %s", code)
            except OSError as exc:
                logger.error("the pages could not be begun: %s", exc)
            if clock.monotonic() - began > _STEADY:
                wait = _FIRST
            logger.info("the pages begin again in %g s", wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST)
            self.restarts += 1

    async def _run_once(self) -> int | None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pichannels.ui"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            **_apart(),
        )
        self._process = process
        logging_ = asyncio.create_task(_log(process), name="log of the pages")
        try:
            return await self._follow(process)
        finally:
            await _end(process)
            # What it has said last may tell why it ended.
            await asyncio.wait([logging_], timeout=1.0)
            logging_.cancel()

    async def _follow(self, process: Process) -> int | None:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(self._plan + b"\n")
            await process.stdin.drain()
        async for line in process.stdout:
            with contextlib.suppress(msgspec.DecodeError):
                # A terminal may be stopped, and the instance is not to wait for it.
                await asyncio.to_thread(self._told, msgspec.json.decode(line))
        return await process.wait()


async def _log(process: Process) -> None:
    """Let what the process logs be a part of the log of the instance."""
    assert process.stderr is not None
    known = logging.getLevelNamesMapping()
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:
            # Too long a line: the rest of it is read as another one.
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        level, _, said = text.partition(" ")
        if level in known:
            logger.log(known[level], "%s", said)
        else:
            logger.warning("%s", text)


async def _end(process: Process) -> None:
    """Let the process end by itself; it is ended where it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _apart() -> dict[str, Any]:
    # Signals of the terminal are for the instance, which ends the pages last. The
    # session stays the same: Linux may share processors out among sessions, where a
    # low priority would count for nothing beside the instance.
    if sys.platform == "win32":
        low = subprocess.BELOW_NORMAL_PRIORITY_CLASS
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | low}
    return {"process_group": 0}
