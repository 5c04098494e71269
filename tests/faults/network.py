"""What is between us and PI, or PI itself, fails; and the sink does."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.faults.running import Run
from tests.servers.proxy import Direction

__all__ = [
    "busy",
    "cut",
    "cut_once",
    "overflowing",
    "sink_down",
    "sink_once",
    "sink_refusing",
]


_FAST: Final = 150.0
_HALF_HOUR: Final = 1800.0


async def cut(run: Run) -> None:
    """FIN, RST, black holes, delays under load; live values arrive meanwhile.

    A value that comes while the instance connects again is the classic way to hide
    a gap for ever.
    """
    await run.begin()
    await run.cover(judged=False)
    for _ in run.rounds(short=5, most=200):
        await run.more(run.rng.randrange(20, 200), seconds=5)
        await cut_once(run)
        run.faults += 1
    run.notes["losses"] = await run.losses()


async def cut_once(run: Run) -> None:
    """The network breaks and heals; values arrive before, meanwhile and after."""
    how = run.rng.choice(["fin", "reset", "hole", "half a hole", "refuse", "slow"])
    await _break(run, how)
    for _ in range(run.rng.randrange(1, 5)):
        await run.push_to_any()
        await run.pause(0.0, 0.4)
    run.proxy.heal()
    await run.push_to_any()
    await run.instance.started()
    await run.push_to_any()


async def _break(run: Run, how: str) -> None:
    if how in ("fin", "reset", "refuse"):
        run.proxy.refusing = how == "refuse"
        run.proxy.hang_up("fin" if how == "fin" else "reset")
    elif how == "slow":
        run.proxy.delay = {"asked": 0.05, "answered": run.rng.uniform(0.1, 1.0)}
    else:
        sides: tuple[Direction, ...] = ("asked", "answered")
        whole = how == "hole"
        run.proxy.swallow(*(sides if whole else [run.rng.choice(sides)]))
        await run.pause(0.5, 2.0)


async def busy(run: Run) -> None:
    """PI answers 429, 503 or too late, at the start and when connecting again."""
    await run.plant.fault("status", code=429, seconds=1.0, retry_after=0.3)
    await run.begin()
    for _ in run.rounds(short=2, most=60):
        await run.more(100, seconds=5)
        kind = run.rng.choice(["429", "503", "500", "slow", "truncate"])
        seconds = run.rng.uniform(0.3, 1.5)
        if kind == "slow":
            await run.plant.fault("slow", delay=seconds, seconds=seconds)
        elif kind == "truncate":
            await run.plant.fault("truncate", abort=True, seconds=seconds)
        else:
            await run.plant.fault("status", code=int(kind), seconds=seconds)
        restarts = run.rng.random() < 0.4
        if restarts:
            await run.kill()
            await run.begin()
        else:
            await run.plant.fault("drop", how=run.rng.choice(["close", "fin", "reset"]))
        run.faults += 1
        await asyncio.sleep(seconds)
        await run.instance.started()


async def overflowing(run: Run) -> None:
    """More comes in one poll than PI keeps for a channel; it throws away and is silent.

    Nobody can know from what comes. Only a comparison with the archive can.
    """
    await run.begin()
    await run.cover(judged=False)
    for _ in run.rounds(short=1, most=3):
        await run.more(100)
        await run.plant.command("clock", advance=3600)
        await run.more(10_000, seconds=30)
        run.faults += 1
    run.notes["thrown away"] = await run.plant.lost()
    run.notes["losses"] = await run.losses()


async def sink_down(run: Run) -> None:
    """The sink refuses, is slow, or takes without an answer; then it is back.

    In the long form it is away for half an hour of the plant's time first.
    """
    await run.begin()
    await run.cover()
    if not run.is_short:
        await run.plant.command("clock", speed=_FAST)
        run.sink.refusing = 503
        await asyncio.sleep(_HALF_HOUR / _FAST)
        run.sink.refusing = 0
        await run.plant.command("clock", speed=20)
    for _ in run.rounds(short=3, most=100):
        await run.more(100, seconds=5)
        await sink_once(run)
        run.faults += 1


async def sink_once(run: Run) -> None:
    """The sink fails for a while."""
    kind = run.rng.choice(["down", "deaf", "slow"])
    if kind == "down":
        run.sink.refusing = run.rng.choice([500, 503, 429])
    elif kind == "deaf":
        run.sink.deaf = run.rng.randrange(1, 5)
    else:
        run.sink.delay = run.rng.uniform(0.05, 1.0)
    await run.pause(0.3, 3.0)
    run.sink.refusing, run.sink.delay = 0, 0.0


async def sink_refusing(run: Run) -> None:
    """The sink wants some requests never; 1 % of the samples are poison before it.

    What fails for good is a dead letter, and nothing else stops.
    """
    await run.begin()
    await run.cover()
    for _ in run.rounds(short=2, most=60):
        await run.more(200, seconds=5)
        await run.push_to_any(error="The calculation failed.")
        run.sink.refusing = 422
        await run.pause(0.05, 0.3)
        run.sink.refusing = 0
        run.faults += 1
    letters = await run.instance.command("dead-list", count=1000)
    run.notes["dead letters"] = len(letters) if letters is not None else "?"
