"""Commands of pichannels in processes of their own.

They run the code of a project, which the process that serves the network never does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any, Final

import msgspec

from pichannels.errors import PichannelsError

__all__ = ["run_program"]

PATIENCE: Final = 60.0


async def run_program(*arguments: str, seconds: float = PATIENCE) -> Any:
    """What `pichannels ARGUMENTS` writes as JSON, in a process of its own.

    Args:
        seconds: after which it is ended.

    Raises:
        PichannelsError: it wrote no JSON, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pichannels", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError as exc:
        raise PichannelsError(f"it took longer than {seconds:g} s") from exc
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        return msgspec.json.decode(out)
    except msgspec.DecodeError as exc:
        said = err.decode(errors="replace").strip() or f"exit {process.returncode}"
        raise PichannelsError(said.removeprefix("Error: ")) from exc
