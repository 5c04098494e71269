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


async def test_sigterm_finishes_what_is_under_way_and_calls_the_exit_hooks() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    begun = await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGTERM)
    rest = await asyncio.wait_for(process.stdout.read(), 20)
    assert begun + rest == b"begun\ndone\nhook\nbeside\n"
    assert await process.wait() == 0
