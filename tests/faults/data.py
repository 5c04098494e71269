"""Odd data and odd time: bursts, disorder, edits, deletions, clocks, a whole week."""

from __future__ import annotations

import asyncio

from pichannels.values import TICKS_PER_SECOND, format_ticks
from tests.faults.network import cut_once, sink_once
from tests.faults.running import Run

__all__ = ["clock_jumps", "odd_data", "week", "whole_night"]

_HOUR = 3600
_SHIFTS = (2, _HOUR, 24 * _HOUR, 365 * 24 * _HOUR)


async def odd_data(run: Run) -> None:
    """Many events with one timestamp, disorder, duplicates, edits and deletions."""
    await run.begin()
    burst = "UNIT1.FEED.FLOW"
    for number in run.rounds(short=1, most=20):
        count = 10_000 if number == 0 and not run.is_short else 300
        now = format_ticks(await run.plant.now())
        await _pushed(run, burst, now, count)
        await run.plant.fault("disorder", count=5)
        await run.plant.fault("duplicate", count=5)
        await run.more(100)
        await run.plant.command("edit", tag=burst, time=now, value=-1.0)
        await run.plant.command("delete", tag=burst, start=now, end=now)
        await run.plant.command("edit", tag=burst, time=now, value=number)
        run.faults += 1
    await run.more(100)


async def _pushed(run: Run, tag: str, time: str, count: int) -> None:
    for first in range(0, count, 50):
        await asyncio.gather(
            *(
                run.plant.command("push", tag=tag, time=time, value=float(value))
                for value in range(first, min(first + 50, count))
            )
        )


async def clock_jumps(run: Run) -> None:
    """The clock of the machine jumps: seconds, hours, a year, and back."""
    await run.begin()
    for number in run.rounds(short=3, most=100):
        shift = run.rng.choice([-1, 1]) * run.rng.choice(
            [2, _HOUR, 86_400, 365 * 86_400]
        )
        run.preload.shift(shift)
        run.faults += 1
        await run.more(100, seconds=5)
        if number % 2:
            await run.kill()
            await run.begin()
            run.preload.shift(0)
    await run.more(100)


async def whole_night(run: Run) -> None:
    """The night in which the wall clock changes; the machine is in that time zone."""
    await run.begin()
    while run.time() < run.plant.start + 2 * _HOUR * TICKS_PER_SECOND:
        await run.more(200)
    run.faults += 1


async def week(run: Run) -> None:
    """A week of simulated time with everything, one after the other."""
    await run.begin()
    begin = run.time()
    for _ in run.rounds(short=1, most=10_000, least=10_000):
        if run.time() - begin > 7 * 24 * _HOUR * TICKS_PER_SECOND:
            break
        step = run.rng.choice([cut_once, sink_once, _restarted, _killed])
        await step(run)
        run.faults += 1
        await run.pause(1.0, 3.0)
    passed = (run.time() - begin) / TICKS_PER_SECOND
    run.notes["days"] = f"{passed / 86_400:.1f}"


async def _killed(run: Run) -> None:
    await run.kill()
    await run.begin()


async def _restarted(run: Run) -> None:
    run.out()
    code = await run.instance.stop()
    assert code == 0
    await run.begin()
