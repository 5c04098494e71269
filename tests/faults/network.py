"""What is between us and PI, or PI itself, fails; and the sink does."""

from __future__ import annotations

import asyncio
from typing import Final

from pichannels.values import TICKS_PER_SECOND, format_ticks
from tests.faults.running import Run
from tests.servers.proxy import Direction

__all__ = [
    "busy",
    "cut",
    "cut_once",
    "half_an_hour",
    "left_out",
    "many_tags",
    "overflowing",
    "sink_down",
    "sink_once",
    "sink_refusing",
]


_HALF_HOUR: Final = 1800.0
_STALL: Final = 20.0
_CUT_OFF: Final = 5
"""Connections of a hundred that are cut off, each with a thousand tags."""


async def cut(run: Run) -> None:
    """FIN, RST, black holes, delays under load; live values arrive meanwhile.

    A value that comes while the instance connects again is the classic way to hide
    a gap for ever.
    """
    await run.begin()
    for _ in run.rounds(short=3, most=200):
        await run.more(run.rng.randrange(20, 200), seconds=5)
        await cut_once(run)
        run.faults += 1
    run.notes["losses"] = await run.losses()


async def cut_once(run: Run) -> None:
    """The network breaks and heals; values arrive before, meanwhile and after.

    Now and then the archive does not answer before live values have come again.
    """
    how = run.rng.choice(["fin", "reset", "hole", "half a hole", "refuse", "slow"])
    is_archive_late = run.rng.random() < 0.5
    if is_archive_late:
        await run.plant.fault("status", code=503, seconds=60, path="recorded")
    run.out()
    await _break(run, how)
    for _ in range(run.rng.randrange(1, 5)):
        await run.push_to_any()
        await run.pause(0.0, 0.4)
    run.proxy.heal()
    await run.push_to_any()
    await run.instance.started()
    run.back()
    await run.push_to_any()
    if is_archive_late:
        await run.more(1)
        await run.plant.heal()


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
    """PI answers 429, 503, 413 or too late: at the start, to resolve, to repair."""
    await run.plant.fault("status", code=429, seconds=1.0, retry_after=0.3)
    await run.begin()
    for _ in run.rounds(short=2, most=60):
        await run.more(100, seconds=5)
        run.out()
        # All requests, or only those for the archive.
        which = run.rng.choice([{}, {"path": "recorded"}])
        kind = run.rng.choice(["429", "503", "500", "413", "slow", "truncate"])
        seconds = run.rng.uniform(0.3, 3.0)
        if kind == "slow":
            await run.plant.fault("slow", delay=seconds, seconds=seconds, **which)
        elif kind == "truncate":
            await run.plant.fault("truncate", abort=True, seconds=seconds, **which)
        else:
            code = int(kind)
            which = {"path": "recorded"} if code == 413 else which
            await run.plant.fault("status", code=code, seconds=seconds, **which)
        restarts = run.rng.random() < 0.4
        if restarts:
            await run.kill()
            await run.begin()
            run.out()
        else:
            await run.plant.fault("drop", how=run.rng.choice(["close", "fin", "reset"]))
        run.faults += 1
        await asyncio.sleep(seconds)
        await run.instance.started()
        run.back()


async def overflowing(run: Run) -> None:
    """More waits at PI than it keeps for a client; it throws away and is silent.

    That so very much comes at once is all that can be seen of it.
    """
    await run.begin()
    start = run.time()
    for _ in run.rounds(short=1, most=3):
        await run.more(1000)
        run.out()
        await run.plant.fault("stall", seconds=_STALL)
        await asyncio.sleep(_STALL)
        await run.more(30_000, seconds=30)
        run.back()
        run.faults += 1
        await run.more(1000)
    # All is read again until PI is seen to pause, which a busy machine may hide.
    run.doubt(start, run.time() + 60 * TICKS_PER_SECOND)
    run.notes["thrown away"] = thrown = await run.plant.lost()
    assert thrown > 0, "nothing was thrown away"


async def left_out(run: Run) -> None:
    """PI gives values of some tags to its archive and not to us, without a sign.

    Nobody probes here. Only a comparison with the archive can tell.
    """
    hour = 3600 * TICKS_PER_SECOND
    await run.begin()
    # The first hour is not covered from its begin on.
    await run.passed((run.time() // hour + 1) * hour)
    await run.more(1000)
    start = run.time()
    run.out()
    for unit in (1, 2):
        await run.plant.fault("mute", name=f"UNIT{unit}.BOILER.TEMP")
    await run.more(1000)
    await run.plant.heal()
    run.back()
    run.faults += 2
    # The hour has to be over, and delivered.
    after = run.scenario.coverage["settle"] * 2 * TICKS_PER_SECOND
    end = (start // hour + 2) * hour
    await run.passed(end + after)
    # Whole hours are read again.
    run.doubt(start // hour * hour, end)
    report = await run.instance.command(
        "reconcile",
        channel="plant",
        tags=["UNIT?.BOILER.*"],
        start=format_ticks(start - hour),
        end=format_ticks(end),
    )
    assert report is not None, run.instance.log[-2000:]
    run.notes["missing events"] = report["missing_events"]
    assert report["missing"] > 0, report


async def many_tags(run: Run) -> None:
    """A hundred thousand tags; the sink refuses for some time, some tags are cut off.

    All at once would be whole again within the time that the oracle gives, too, but
    only where nothing else keeps the machine busy.
    """
    await run.begin()
    await run.more(100_000, seconds=60)
    run.sink.refusing = 503
    await run.pause(5.0, 10.0)
    run.sink.refusing = 0
    run.faults += 1
    await run.more(10_000, seconds=30)
    before = await run.losses()
    run.out()
    run.proxy.hang_up(at_most=_CUT_OFF)
    await run.pause(0.5, 2.0)
    await run.instance.started()
    run.back()
    run.faults += 1
    run.notes["losses"] = lost = await run.losses() - before
    assert lost > 0, "no PI channel was cut off"
    await run.more(10_000, seconds=30)


async def sink_down(run: Run) -> None:
    """The sink refuses, is slow, or takes without an answer; then it is back."""
    await run.begin()
    for _ in run.rounds(short=2, most=100):
        await run.more(100, seconds=5)
        await sink_once(run)
        run.faults += 1


async def half_an_hour(run: Run) -> None:
    """The sink is down for half an hour of the plant's time."""
    await run.begin()
    await run.more(1000)
    run.sink.refusing = 503
    await asyncio.sleep(_HALF_HOUR / run.scenario.speed)
    run.sink.refusing = 0
    run.faults += 1
    await run.more(1000)


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
    for _ in run.rounds(short=2, most=60):
        await run.more(200, seconds=5)
        await run.push_to_any(error="The calculation failed.")
        run.sink.refusing = 422
        await run.pause(0.05, 0.3)
        run.sink.refusing = 0
        # Of requests with several messages only some are unwanted.
        run.sink.dislikes = 5000
        await run.more(200, seconds=5)
        run.sink.dislikes = 0
        run.faults += 1
    letters = await run.instance.command("dead-list", count=1000)
    run.notes["dead letters"] = len(letters) if letters is not None else "?"
