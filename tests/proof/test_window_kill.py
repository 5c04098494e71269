"""Windows of a process that is killed are those of one that is not."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from nodes import split
from pichannels.errors import Dropped
from pichannels.journal import Journal
from pichannels.message import Message
from tests.proof import windowing

PROGRAM = Path(windowing.__file__)
ROOT = Path(__file__).parents[2]
KILLS = 4


async def accept(folder: Path, messages: list[Message]) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    tickets = [journal.append("plant", msg) for msg in messages]
    await asyncio.gather(*[ticket.written() for ticket in tickets])
    await journal.close()


async def started(folder: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(folder)), env=environment
    )


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def killed(folder: Path, rng: random.Random) -> bool:
    """Be killed after so much more output; whether there was something left to do."""
    output = folder / "out"
    enough = await asyncio.to_thread(size, output) + rng.randrange(1, 6000)
    process = await started(folder)
    while process.returncode is None:
        if await asyncio.to_thread(size, output) >= enough:
            process.kill()
            return await process.wait() != 0
        await asyncio.sleep(0.002)
    return False


def expected(messages: list[Message]) -> list[str]:
    """What one process makes of them that is not disturbed."""
    node, splitter, rows = windowing.windows(), split.Split(by="tag"), list[str]()
    for msg in messages:
        for part in splitter.process(msg):
            try:
                found = node.process(part)
            except Dropped:
                continue
            assert isinstance(found, Message)
            rows += [repr(row) for row in found.payload]
    return rows


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
async def test_no_value_is_lost_or_counted_twice(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    await accept(tmp_path, windowing.messages(seed))
    kills = sum([await killed(tmp_path, rng) for _ in range(KILLS)])
    last = await started(tmp_path)
    assert (await asyncio.wait_for(last.wait(), 40), kills > 1) == (0, True)
    text = await asyncio.to_thread((tmp_path / "out").read_text, "utf-8")
    found, wanted = text.splitlines(), expected(windowing.messages(seed))
    print(len(found), "told,", len(wanted), "windows")  # noqa: T201
    assert sorted(set(found)) == sorted(wanted)
