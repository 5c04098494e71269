"""What was reported durable survives the end of the process."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from pichannels.journal import Journal
from pichannels.message import Message

PROCESS = Path(__file__).with_name("appending_process.py")


async def kill_after(path: Path, lines: int) -> list[int]:
    """Start the appending process and kill it when it has reported `lines`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    seen = [await process.stdout.readline() for _ in range(lines)]
    process.kill()
    rest = (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [int(line) for line in [*seen, *rest] if line.endswith(b"\n")]


async def snapshot(path: Path, target: Path) -> Path:
    """The files of an open journal as a crash would leave them."""
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        await asyncio.to_thread(
            shutil.copy, source, target.with_name(target.name + suffix)
        )
    return target


async def stored(path: Path) -> list[int]:
    """The numbers of all messages in a journal, which is sound."""
    journal = Journal(path)
    await journal.open()
    try:
        assert await journal.verify() == []
        return [record.seq for record in await journal.search("a", count=100_000)]
    finally:
        await journal.close()


async def test_all_reported_messages_survive_kill_9(path: Path) -> None:
    reported: list[int] = []
    for lines in (1, 400, 1500):
        reported += await kill_after(path, lines)
    assert len(reported) == len(set(reported))
    assert set(reported) <= set(await stored(path))


async def test_what_was_not_settled_is_unsettled_after_kill_9(path: Path) -> None:
    reported = await kill_after(path, 500)
    journal = Journal(path)
    await journal.open()
    open_ones = {record.seq for record in await journal.unsettled("a", limit=100_000)}
    assert {seq for seq in reported if seq % 3} <= open_ones
    assert journal.count_unsettled("a") == len(open_ones)
    await journal.close()


@pytest.mark.parametrize("cut", [1, 100, 5000])
async def test_a_torn_end_of_the_log_costs_only_the_torn_commit(
    journal: Journal, tmp_path: Path, cut: int
) -> None:
    for number in range(20):
        await journal.append("a", Message(payload=[number] * 500)).durable
    copy = await snapshot(journal.path, tmp_path / "copy.db")
    log = copy.with_name("copy.db-wal")
    data = await asyncio.to_thread(log.read_bytes)
    await asyncio.to_thread(log.write_bytes, data[:-cut])
    assert (await stored(copy))[:18] == list(range(1, 19))


async def test_a_garbled_end_of_the_log_costs_only_the_torn_commit(
    journal: Journal, tmp_path: Path
) -> None:
    for number in range(20):
        await journal.append("a", Message(payload=[number] * 500)).durable
    copy = await snapshot(journal.path, tmp_path / "copy.db")
    log = copy.with_name("copy.db-wal")
    data = await asyncio.to_thread(log.read_bytes)
    await asyncio.to_thread(log.write_bytes, data[:-2000] + b"\xff" * 2000)
    assert await stored(copy) == list(range(1, 20))
