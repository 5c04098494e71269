"""Has a child process evaluate changed settings, so that they can do no harm here."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError
from pichannels.reload.child import Evaluation
from pichannels.reload.definition import ProjectDefinition

__all__ = ["evaluate"]

_TIMEOUT: Final = 60.0
_TOLD: Final = 500


async def evaluate(path: Path, timeout: float = _TIMEOUT) -> ProjectDefinition:
    """What the settings in this file define now; nothing of them runs here.

    Raises:
        SettingsProblems: all that is wrong with them.
        SettingsError: the process that evaluates them ended, or took too long.
    """
    child = await asyncio.create_subprocess_exec(
        *_command(path), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await child.communicate()
    except TimeoutError as exc:
        raise SettingsError(
            f"they were not evaluated in {timeout:g} s", file=str(path)
        ) from exc
    finally:
        await _end(child)
    return _result(out, err, child.returncode, path)


def _command(path: Path) -> Sequence[str]:
    # Bytecode is compared, which optimization changes.
    level = sys.flags.optimize
    options = [f"-{'O' * level}"] if level else []
    return [sys.executable, *options, "-m", "pichannels.reload.child", str(path)]


async def _end(child: Process) -> None:
    if child.returncode is None:
        child.kill()
        await child.wait()


def _result(out: bytes, err: bytes, code: int | None, path: Path) -> ProjectDefinition:
    try:
        found = msgspec.json.decode(out, type=Evaluation)
    except msgspec.DecodeError as exc:
        said = err.decode("utf-8", "replace").strip()[-_TOLD:]
        raise SettingsError(
            f"they end the process that evaluates them (exit code {code})"
            + (f": {said}" if said else ""),
            file=str(path),
        ) from exc
    if found.definition is None:
        raise SettingsProblems([SettingsError(text) for text in found.problems])
    return found.definition
