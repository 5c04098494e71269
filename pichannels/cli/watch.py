"""`start --reload`: for developers, who change settings and code all the time.

A supervisor runs the instance in a child process, and again when that asks for it.
The child looks for changed files: settings are reloaded, changed code ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pichannels.cli.output import complain
from pichannels.engine import Engine
from pichannels.errors import PichannelsError
from pichannels.reload.code import loaded_files

__all__ = ["RESTART", "Watcher", "is_supervised", "supervise"]

logger: Final = logging.getLogger("pichannels.reload")

RESTART: Final = 100
"""The exit code of a child that is to be run again."""

_SUPERVISED: Final = "PICHANNELS_SUPERVISED"
_EVERY: Final = 0.5
_WATCHED: Final = (".py", ".yaml", ".yml")
_SKIPPED: Final = {"__pycache__", "build", "dist", "node_modules", "site-packages"}

_Stamps = dict[Path, tuple[int, int]]


class Watcher:
    """Reloads an instance whenever a file of its project changes.

    Args:
        engine: the instance.

    Attributes:
        wants_restart: whether a change needs another process.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._folder = engine.project.folder
        self._stamps = _stamps(self._folder)
        self._supervisor = _Supervisor()
        self.wants_restart = False

    async def run(self) -> bool:
        """`run_until_stopped` of the engine, and look at the files beside it."""
        looking = asyncio.create_task(self._look(), name="file watcher")
        try:
            return await self._engine.run_until_stopped()
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        while not self.wants_restart:
            await asyncio.sleep(_EVERY)
            if self._supervisor.is_gone():
                # It was killed; nobody could stop this process any more.
                self._engine.request_stop()
                return
            stamps = await asyncio.to_thread(_stamps, self._folder)
            if stamps != self._stamps and self._engine.status().state == "running":
                self._stamps = stamps
                await self._reload()

    async def _reload(self) -> None:
        try:
            report = await self._engine.reload()
        except PichannelsError as exc:
            logger.error("not reloaded, all runs on as it was: %s", exc)
            return
        for line in report.lines():
            logger.info("%s", line)
        if report.restart:
            self.wants_restart = True
            self._engine.request_stop()


class _Supervisor:
    """Tells the child whether the process that looks after it is still there."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._has_ended = False
        # On Windows a parent keeps its number, and may be the launcher of a virtual
        # environment.
        if sys.platform == "win32":
            threading.Thread(
                target=self._wait, name="end of the supervisor", daemon=True
            ).start()

    def is_gone(self) -> bool:
        return self._has_ended or os.getppid() != self._parent

    def _wait(self) -> None:
        # Not `sys.stdin`, whose lock would be held when the interpreter ends.
        while os.read(sys.stdin.fileno(), 1024):
            continue
        self._has_ended = True


def is_supervised() -> bool:
    """Whether this process is the child of a supervisor."""
    return _SUPERVISED in os.environ


def supervise(folder: Path) -> int:
    """Run this command in a child process as long as it asks for it: its exit code.

    A child that fails runs again when a file in the folder has changed.
    """
    environment = {**os.environ, _SUPERVISED: "1"}
    command = [sys.executable, "-m", "pichannels", *sys.argv[1:]]
    while True:
        stamps = _stamps(folder)
        with (
            subprocess.Popen(command, env=environment, **_apart()) as child,
            _forwarded(child) as signals,
        ):
            code = _ended(child)
        if signals or code == 0:
            return code
        if code != RESTART:
            complain("waiting for a change in the project's files")
            _wait_for_change(folder, stamps)


def _apart() -> dict[str, Any]:
    # Signals of the terminal come to the child once only: from its supervisor.
    if sys.platform == "win32":
        # Its input ends with the supervisor; see `_Supervisor`.
        group = subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": group, "stdin": subprocess.PIPE}
    return {"start_new_session": True}


def _ended(child: subprocess.Popen[bytes]) -> int:
    """The exit code, once there is one."""
    # On Windows nothing interrupts a wait, so that no signal would be seen.
    step = _EVERY if sys.platform == "win32" else None
    while True:
        try:
            return child.wait(step)
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _forwarded(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Stop signals go on to the child; gives those that came."""
    came: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if child.poll() is None:
            _stop(child, is_again=len(came) > 1)

    names = ("SIGTERM", "SIGINT", "SIGBREAK", "SIGHUP")
    numbers = [signal.Signals[name] for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(child: subprocess.Popen[bytes], *, is_again: bool) -> None:
    if child.stdin is None:
        child.send_signal(signal.SIGTERM)
    elif is_again:
        child.kill()
    else:
        # It hears neither Ctrl-C nor, where there is no console, Ctrl-Break.
        child.stdin.close()


def _wait_for_change(folder: Path, stamps: _Stamps) -> None:
    while _stamps(folder) == stamps:
        time.sleep(_EVERY)


def _stamps(folder: Path) -> _Stamps:
    """When the files of a project were changed last, and how long they are."""
    found: _Stamps = {}
    for file in [*_files_in(folder), *loaded_files()]:
        try:
            state = file.stat()
        except OSError:
            continue
        found[file] = (state.st_mtime_ns, state.st_size)
    return found


def _files_in(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not (name.startswith(".") or name in _SKIPPED)
            and not (Path(place) / name / "pyvenv.cfg").exists()
        ]
        yield from (Path(place, name) for name in files if name.endswith(_WATCHED))
