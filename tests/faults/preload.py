"""The library that lets writes of a process fail, and shifts its clock."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
import sys
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Final

__all__ = ["Action", "Operation", "Preload", "build", "why_missing"]

_SOURCE: Final = Path(__file__).parent / "faults.c"
_ALWAYS: Final = 1_000_000


class Operation(IntFlag):
    """What can be hit; `WRITE` is every kind of write."""

    WRITE = 1
    SYNC = 2
    RENAME = 4
    TRUNCATE = 8


class Action(IntEnum):
    """What becomes of an operation that is hit."""

    FAIL = 0
    SHORTEN = 1
    KILL = 2


class _Control(ctypes.Structure):
    """`struct control` of the library."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "clock_offset",
            "operations",
            "after",
            "count",
            "chance",
            "random",
            "action",
            "error",
            "seen",
            "hit",
        )
    ]


def why_missing() -> str:
    """Why the library cannot be used here; empty when it can."""
    if not sys.platform.startswith("linux"):
        return "only Linux can load a library before libc in this way"
    if shutil.which("cc") is None:
        return "cc is not installed; it builds the library that makes writes fail"
    return ""


def build(path: Path) -> None:
    """Build the library."""
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    arguments = [*command, "-o", str(path), str(_SOURCE), "-ldl", "-lpthread"]
    subprocess.run(arguments, check=True, timeout=30)


class Preload:
    """The faults of the processes that are started with `environment`.

    Args:
        library: the built one.
        control: the file through which they are told.
        folder: what is written below it can be hit, and nothing else.
        notes: the file in which writes and syncs are noted, if any.
    """

    def __init__(
        self, library: Path, control: Path, folder: Path, notes: Path | None = None
    ) -> None:
        control.write_bytes(bytes(ctypes.sizeof(_Control)))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._control: Any = _Control.from_buffer(self._map)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAULTS_CONTROL": str(control),
            "FAULTS_DIR": os.path.realpath(folder),
        }
        if notes is not None:
            self.environment["FAULTS_NOTES"] = str(notes)

    def set(
        self,
        operations: Operation,
        action: Action = Action.FAIL,
        *,
        error: int = errno.EIO,
        after: int = 0,
        count: int | None = 1,
        chance: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Hit operations from now on, once so many of them have passed.

        Args:
            count: how many are hit; None: all, until `clear`.
            chance: of each one to be hit.
            seed: of the generator that decides.
        """
        self.clear()
        control = self._control
        control.seen = control.hit = 0
        control.after, control.count = after, -1 if count is None else count
        control.chance, control.random = round(chance * _ALWAYS), seed
        control.action, control.error = action, error
        control.operations = operations

    def clear(self) -> None:
        """Let all operations pass."""
        self._control.operations = 0

    def shift(self, seconds: float) -> None:
        """Set the clock of the wall ahead of the real one by so much in all."""
        self._control.clock_offset = round(seconds * 10**9)

    @property
    def hit(self) -> int:
        """How many operations were hit since `set`."""
        return int(self._control.hit)
