"""Writes fail, fall short or are the last of the process; disks fill up."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.faults.power import cut_power
from tests.faults.preload import Action, Operation
from tests.faults.running import Run

__all__ = ["budget_spent", "disk_full", "failing_writes", "killed_writing", "power_cut"]

_KINDS: Final = (
    Operation.WRITE,
    Operation.SYNC,
    Operation.WRITE | Operation.SYNC,
    Operation.TRUNCATE | Operation.RENAME,
)


async def failing_writes(run: Run) -> None:
    """The n-th write, sync, rename or truncation fails or falls short, or some do.

    Meanwhile the process answers; as soon as it is over the journal is sound.
    """
    await run.begin()
    for number in run.rounds(short=4, most=400):
        operations = run.rng.choice(_KINDS)
        run.out()
        shortens = operations is Operation.WRITE and run.rng.random() < 0.3
        run.preload.set(
            operations,
            Action.SHORTEN if shortens else Action.FAIL,
            error=run.rng.choice([errno.EIO, errno.ENOSPC]),
            after=run.rng.randrange(30),
            count=run.rng.choice([1, 3, None]),
            chance=run.rng.choice([1.0, 0.3]),
            seed=run.rng.randrange(2**31),
        )
        await run.pause(0.2, 1.5)
        assert await run.instance.is_live()
        run.faults += run.preload.hit
        if run.rng.random() < 0.2:
            await run.kill()
            run.preload.clear()
            await run.begin()
        run.preload.clear()
        await run.more(20)
        run.back()
        if number % 5 == 0:
            answer = await run.instance.command("verify")
            assert answer is not None and answer["problems"] == [], answer


async def killed_writing(run: Run) -> None:
    """SIGKILL in the middle of the n-th write, before a sync, at a rename.

    That may be while it starts. Half of the bytes have been written then.
    """
    await run.begin()
    await run.kill()
    for _ in run.rounds(short=2, most=200):
        run.sink.begin_run()
        run.preload.set(
            run.rng.choice(_KINDS[:3]),
            Action.KILL,
            after=run.rng.choice([0, 10, 50, 200]) + run.rng.randrange(20),
        )
        await run.instance.start()
        await run.more(10**9, seconds=run.rng.uniform(2.0, 4.0))
        run.faults += run.preload.hit
        await run.kill()


async def power_cut(run: Run) -> None:
    """The power is cut: what was written and not synced may be gone, or in part."""
    notes = run.instance.folder.parent / "notes"
    gone = 0
    for _ in run.rounds(short=2, most=100):
        await run.begin()
        await run.saved()
        # Most is written just before a sync.
        when = run.rng.choice([Operation.SYNC, Operation.WRITE])
        run.preload.set(when, Action.KILL, after=run.rng.randrange(60))
        await run.more(10**9, seconds=4.0)
        await run.kill()
        run.preload.clear()
        gone += await asyncio.to_thread(cut_power, notes, run.rng)
        await run.look_at_claims()
    run.notes["unsynced writes"] = gone


async def disk_full(run: Run) -> None:
    """The disk of the data folder is full for a while, and has room again.

    A small file system of its own where that can be mounted; otherwise every write
    fails with ENOSPC.
    """
    data = run.instance.data
    await asyncio.to_thread(data.mkdir)
    is_mounted = await asyncio.to_thread(_mount, data)
    run.notes["disk"] = "mounted" if is_mounted else "by the library"
    try:
        await run.begin()
        for _ in run.rounds(short=1, most=20):
            await run.more(100)
            run.out()
            await _full_for_a_while(run, is_mounted)
            run.faults += 1
            await run.more(100)
            run.back()
        run.notes |= {"losses": await run.losses()}
        await run.settle_and_stop()
    finally:
        if is_mounted:
            await asyncio.to_thread(_unmount, data)


async def _full_for_a_while(run: Run, is_mounted: bool) -> None:
    ballast = run.instance.data / "ballast"
    if is_mounted:
        await asyncio.to_thread(_fill, ballast)
    else:
        run.preload.set(Operation.WRITE, error=errno.ENOSPC, count=None)
    await run.pause(1.0, 4.0)
    assert await run.instance.is_live()
    if is_mounted:
        await asyncio.to_thread(ballast.unlink)
    else:
        run.preload.clear()


def _mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "faults", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


def _unmount(folder: Path) -> None:
    """Take the file system away, and leave what it held in the folder."""
    with tempfile.TemporaryDirectory() as kept:
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)
        shutil.copytree(kept, folder, dirs_exist_ok=True)


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


async def budget_spent(run: Run) -> None:
    """The sink is down until the budget of the journal is spent: intake stops.

    What is not taken is told as lost (`backpressure`), and what was, is delivered.
    """
    await run.begin()
    run.out()
    run.sink.refusing = 503
    for _ in range(100):
        await asyncio.sleep(0.2)
        status = await run.instance.status()
        if status and status["journal"]["is_full"]:
            break
    else:
        raise AssertionError("the budget was not spent")
    await run.pause(2.0, 3.0)
    assert await run.instance.is_live()
    run.faults += 1
    run.disk = await run.instance.disk()
    run.sink.refusing = 0
    await run.more(10_000)
    await run.instance.started()
    run.back()
    # Told in the order of what was received, so not before that is taken.
    run.notes["losses"] = losses = await run.losses()
    assert losses > 0, "the loss was not told"
