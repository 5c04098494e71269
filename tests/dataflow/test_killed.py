"""What a channel has accepted reaches the sinks of an application, kill -9 or not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pichannels.dataflow import Cache

PROGRAM = Path(__file__).parent / "killed.py"
COUNT = 200


async def begun(folder: Path, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(folder), *args),
        stdout=asyncio.subprocess.PIPE,
    )


async def test_nothing_is_lost_by_kill(tmp_path: Path) -> None:
    process = await begun(tmp_path, str(COUNT))
    assert process.stdout is not None
    said = [await asyncio.wait_for(process.stdout.readline(), 20) for _ in range(2)]
    assert sorted(said) == [b"accepted\n", b"under way\n"]
    process.kill()
    await process.wait()
    before = (tmp_path / "output").read_text("utf-8").split()
    again = await begun(tmp_path)
    assert await asyncio.wait_for(again.wait(), 20) == 0
    after = [int(line) for line in (tmp_path / "output").read_text("utf-8").split()]
    assert len(before) == COUNT // 4 and sorted(set(after)) == list(range(COUNT))
    # What comes again comes in order.
    assert after[len(before) :] == sorted(after[len(before) :])
    with await asyncio.to_thread(Cache, str(tmp_path / "cache")) as cache:
        assert cache["last"] == COUNT - 1
