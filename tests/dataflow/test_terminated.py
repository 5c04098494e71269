"""SIGTERM ends an application in order. Upstream's was gone without a word."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "terminated.py"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM to send"
)


async def begun(seconds: float) -> tuple[asyncio.subprocess.Process, bytes]:
    """The program when it works on a value, and what it has said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(seconds)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, await asyncio.wait_for(process.stdout.readline(), 20)


async def test_sigterm_finishes_what_is_under_way_and_calls_the_exit_hooks() -> None:
    process, said = await begun(0.2)
    process.send_signal(signal.SIGTERM)
    rest, _ = await asyncio.wait_for(process.communicate(), 20)
    assert said + rest == b"begun\ndone\nhook\nbeside\n"
    assert process.returncode == 0


async def test_a_second_sigterm_does_not_wait() -> None:
    process, said = await begun(60)
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    rest, _ = await asyncio.wait_for(process.communicate(), 5)
    assert said + rest == b"begun\nhook\nbeside\n"
