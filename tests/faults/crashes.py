"""The process ends: killed, told to stop, with torn files, at any moment."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Final

from tests.faults.running import Run

__all__ = ["killed", "reloaded", "stopped", "torn"]

_KILLS: Final = 199
"""After the first one."""
_STARTING: Final = 0.45
"""Of the processes that are killed, those that still start."""
_LONG: Final = 0.2
"""Of the others, those that run long enough to save their ledgers again."""


async def killed(run: Run) -> None:
    """SIGKILL at random moments: before it is ready, while it starts, under load.

    What one process has left is judged while the next one starts.
    """
    await run.begin()
    await run.saved()
    left, start = await run.killed(), 1.0
    for _ in run.rounds(short=3, most=_KILLS, least=_KILLS):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run.judge(left), name="judge")
            start = await _lived(run, start)
        left = await run.killed()
    await run.judge(left)
    run.notes["kills"] = run.restarts


async def _lived(run: Run, start: float) -> float:
    """Start a process, which runs as long as chance wants.

    Args:
        run: the run.
        start: about how many seconds pass before the first samples come.

    Returns:
        The same, as it is now.
    """
    began = time.monotonic()
    run.sink.begin_run()
    await run.instance.start()
    if run.rng.random() < _STARTING:
        await run.pause(0.0, start)
    else:
        assert await run.more(1), f"nothing comes:\n{run.instance.log[-3000:]}"
        start = time.monotonic() - began
        if run.rng.random() < _LONG:
            await run.pause(1.0, 4.0)
        else:
            await run.more(run.rng.randrange(1, 200))
            await run.pause(0.0, 0.3)
    assert run.instance.is_running, f"it has ended:\n{run.instance.log[-3000:]}"
    return start


async def torn(run: Run) -> None:
    """The last bytes of the log are torn, or garbage, after a kill.

    What was synced is before them: torn is what a crash of the machine leaves.
    """
    for _ in run.rounds(short=2, most=30):
        await run.begin()
        await run.more(run.rng.randrange(50, 400))
        await run.kill()
        wal = run.instance.data / "journal.sqlite-wal"
        seen = run.rng.randbytes(run.rng.randrange(1, 5000))
        await asyncio.to_thread(_append, wal, seen)
        await run.look_at_claims()


def _append(path: Path, data: bytes) -> None:
    """What a frame that was begun and never synced looks like."""
    if path.exists():
        with path.open("ab") as file:
            file.write(data)


async def stopped(run: Run) -> None:
    """SIGTERM once, or twice, under load: it drains, or stops at once."""
    for number in run.rounds(short=2, most=60):
        await run.begin()
        await run.more(run.rng.randrange(50, 300))
        is_twice = number % 2 == 1
        run.sink.delay = 0.3 if is_twice else 0.0
        run.out()
        run.instance.signal()
        if is_twice:
            await run.pause(0.0, 0.2)
            run.instance.signal()
            run.restarts += 1
        run.faults += 1
        code = await run.instance.ended()
        # The second one may come when all is done and nobody listens any more.
        allowed = (0, 1, -signal.SIGTERM) if is_twice else (0,)
        assert code in allowed, (code, run.instance.log[-2000:])
        run.sink.delay = 0.0
        await run.look_at_claims()


async def reloaded(run: Run) -> None:
    """Reloads under load: with the same settings, changed ones, and bad ones."""
    await run.begin()
    settings = run.instance.folder / "settings.py"
    text = await asyncio.to_thread(settings.read_text)
    for number in run.rounds(short=4, most=60):
        change = (
            "",
            f"\nplant.add(publish.Console(queue_lines={number + 1}))\n",
            "\n1/0",
        )
        await asyncio.to_thread(settings.write_text, text + change[number % 3])
        answer = await run.instance.command("reload")
        assert (answer is None) == (number % 3 == 2), answer
        run.faults += 1
        await run.more(100)
    await asyncio.to_thread(settings.write_text, text)
