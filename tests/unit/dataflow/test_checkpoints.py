"""What depends on a stream that is down stops, and begins again where it has to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pichannels.dataflow import Application, Cache, Checkpoint, Dependency
from pichannels.errors import UsageError

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


async def activity() -> AsyncIterator[int]:
    yield 1


async def weather() -> AsyncIterator[int]:
    yield 1


class Told:
    """What the callbacks of a checkpoint were told."""

    def __init__(self) -> None:
        self.down: list[str] = []
        self.up: list[Any] = []

    def fell(self, checkpoint: Checkpoint, dependency: Dependency) -> None:
        self.down.append(dependency.name)

    async def recovered(self, checkpoint: Checkpoint, dependency: Dependency) -> None:
        self.up.append(dependency.checkpoint_state)


@pytest.fixture
def told() -> Told:
    return Told()


def made(app: Application, told: Told, *names: str, **options: Any) -> Checkpoint:
    return Checkpoint(
        "activity",
        activity,
        [Dependency(name, weather) for name in names or ["weather"]],
        downtime_callback=told.fell,
        recovery_callback=told.recovered,
        application=app,
        **options,
    )


async def test_a_dependency_that_lags_behind_is_down_until_it_has_caught_up(
    app: Application, told: Told
) -> None:
    checkpoint = made(app, told)
    assert await checkpoint.check_pulse(at(0), offset=8) is None
    assert (await checkpoint.heartbeat(at(30)))["is_late"] is False
    assert await checkpoint.check_pulse(at(60), offset=9) == timedelta(minutes=30)
    assert (told.down, app.source(activity).is_paused) == (["weather"], True)
    assert (await checkpoint.heartbeat(at(45)))["is_late"] is True
    assert await checkpoint.heartbeat(at(61)) == {
        "is_late": False,
        "dependent_marker": at(60),
        "dependency_marker": at(61),
    }
    assert (told.up, app.source(activity).is_paused) == ([{"offset": 9}], False)


async def test_all_that_was_made_of_old_values_is_made_again(
    app: Application, told: Told
) -> None:
    """Upstream gave the last offset, 5, so that 2, 3 and 4 stayed wrong."""
    checkpoint = made(app, told, pause_dependent=False)
    await checkpoint.check_pulse(at(0), offset=1)
    await checkpoint.heartbeat(at(1))
    for offset, minutes in ((2, 9), (3, 12), (4, 13), (5, 14)):
        await checkpoint.check_pulse(at(minutes), offset=offset)
    assert checkpoint["weather"].downtime_state == {"offset": 3}
    await checkpoint.heartbeat(at(12))
    await checkpoint.heartbeat(at(15))
    assert (told.down, told.up) == (["weather"], [{"offset": 2}])
    assert checkpoint["weather"].checkpoint_state == {"offset": 5}


async def test_each_part_of_the_state_has_its_own_first_value(
    app: Application, told: Told
) -> None:
    checkpoint = made(app, told)
    await checkpoint.check_pulse(at(0), first=1, second=1)
    await checkpoint.heartbeat(at(1))
    await checkpoint.check_pulse(at(2), first=2)
    await checkpoint.check_pulse(at(3), second=7)
    await checkpoint.check_pulse(at(20), first=3)
    await checkpoint.heartbeat(at(21))
    assert told.up == [{"first": 2, "second": 7}]


async def test_state_that_is_changed_later_does_not_change_what_was_noted(
    app: Application, told: Told
) -> None:
    checkpoint, offsets = made(app, told), {"0": 1}
    await checkpoint.check_pulse(at(0), offsets=offsets)
    await checkpoint.check_pulse(at(20), offsets=offsets)
    offsets["0"] = 99
    await checkpoint.heartbeat(at(21))
    assert told.up == [{"offsets": {"0": 1}}]


async def test_it_is_still_down_after_a_restart(
    app: Application, told: Told, cache: Cache
) -> None:
    """Upstream forgot that, and recovery never came."""
    checkpoint = made(app, told, cache=cache)
    await checkpoint.check_pulse(at(0), offset=1)
    await checkpoint.check_pulse(at(20), offset=2)
    other = Application()
    again = made(other, told, cache=cache)
    assert (again["weather"].is_down, other.source(activity).is_paused) == (True, True)
    await again.heartbeat(at(21))
    assert (told.down, told.up) == (["weather"], [{"offset": 1}])
    assert not other.source(activity).is_paused
    assert made(Application(), told, cache=cache).state == {"offset": 2}


async def test_the_worst_of_several_dependencies_is_told(
    app: Application, told: Told
) -> None:
    """Upstream told what the last one had."""
    checkpoint = made(app, told, "weather", "traffic", "events")
    await checkpoint.check_pulse(at(0), offset=1)
    await checkpoint.heartbeat(at(5), "weather")
    await checkpoint.heartbeat(at(19), "events")
    assert await checkpoint.check_pulse(at(20), offset=2) == timedelta(minutes=20)
    assert told.down == ["weather", "traffic"]


async def test_the_first_that_went_down_is_made_good_last(
    app: Application, told: Told
) -> None:
    """So that where both seek, the stream begins at the older one."""
    checkpoint = made(app, told, "weather", "traffic", pause_dependent=False)
    await checkpoint.check_pulse(at(0), offset=1)
    await checkpoint.heartbeat(at(9), "traffic")
    await checkpoint.check_pulse(at(11), offset=2)
    await checkpoint.check_pulse(at(20), offset=3)
    await checkpoint.heartbeat(at(21), "weather")
    assert told.up == []
    await checkpoint.heartbeat(at(22), "traffic")
    assert told.up == [{"offset": 2}, {"offset": 1}]


async def test_an_older_heartbeat_does_not_turn_the_clock_back(
    app: Application, told: Told
) -> None:
    checkpoint = made(app, told)
    await checkpoint.heartbeat(at(30))
    await checkpoint.heartbeat(at(5))
    assert checkpoint["weather"].checkpoint_marker == at(30)


async def test_zero_is_a_marker(app: Application, told: Told) -> None:
    dependency = Dependency("weather", weather, downtime_threshold=5)
    checkpoint = Checkpoint("activity", activity, [dependency], application=app)
    await checkpoint.heartbeat(0)
    assert await checkpoint.check_pulse(6, offset=1) == 6
    assert dependency.checkpoint_marker == 0


async def test_a_timer_finds_what_is_down_while_nothing_else_comes(
    app: Application, told: Told
) -> None:
    checkpoint = made(app, told)
    await checkpoint.check_pulse(at(0), offset=1)
    assert await checkpoint.check(at(11)) == timedelta(minutes=11)
    assert checkpoint.state_marker == at(0)
    await checkpoint.heartbeat(at(1))
    assert (told.down, told.up) == (["weather"], [{"offset": 1}])


async def test_checks_of_ones_own_may_be_async(app: Application, told: Told) -> None:
    async def is_down(checkpoint: Checkpoint, dependency: Dependency) -> str | None:
        await asyncio.sleep(0)
        return "down" if checkpoint.state["level"] == "low" else None

    async def is_up(checkpoint: Checkpoint, dependency: Dependency) -> bool:
        return bool(dependency.checkpoint_marker["is_up"])

    dependency = Dependency(
        "weather", weather, downtime_check=is_down, recovery_check=is_up
    )
    checkpoint = Checkpoint("activity", activity, [dependency], application=app)
    await checkpoint.heartbeat({"is_up": True})
    assert await checkpoint.check_pulse("y", level="low") == "down"
    assert (await checkpoint.heartbeat({"is_up": False}))["is_late"]
    assert not (await checkpoint.heartbeat({"is_up": True}))["is_late"]


async def test_a_recovery_that_fails_is_tried_at_the_next_heartbeat(
    app: Application,
) -> None:
    tried: list[int] = []

    def recover(checkpoint: Checkpoint, dependency: Dependency) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise OSError("cannot seek")

    checkpoint = Checkpoint(
        "activity",
        activity,
        [Dependency("weather", weather)],
        recovery_callback=recover,
        application=app,
    )
    await checkpoint.check_pulse(at(0), offset=1)
    await checkpoint.check_pulse(at(20), offset=2)
    with pytest.raises(OSError, match="seek"):
        await checkpoint.heartbeat(at(21))
    assert app.source(activity).is_paused
    await checkpoint.heartbeat(at(22))
    assert (len(tried), app.source(activity).is_paused) == (2, False)


async def test_two_checkpoints_of_one_stream_do_not_resume_each_other(
    app: Application, told: Told
) -> None:
    first = made(app, told)
    second = Checkpoint(
        "second", activity, [Dependency("traffic", weather)], application=app
    )
    for checkpoint in (first, second):
        await checkpoint.check_pulse(at(0), offset=1)
        await checkpoint.check_pulse(at(20), offset=2)
    await first.heartbeat(at(21))
    assert app.source(activity).is_paused
    await second.heartbeat(at(21))
    assert not app.source(activity).is_paused


@pytest.mark.parametrize(
    ("name", "told_of"), [(None, "which one"), ("wether", "did you mean 'weather'")]
)
async def test_a_heartbeat_says_whose_it_is(
    app: Application, told: Told, name: str | None, told_of: str
) -> None:
    with pytest.raises(UsageError, match=told_of):
        await made(app, told, "weather", "traffic").heartbeat(at(0), name)


async def test_markers_that_cannot_be_compared_are_told(
    app: Application, told: Told
) -> None:
    checkpoint = made(app, told)
    await checkpoint.heartbeat("x")
    with pytest.raises(UsageError, match="checks of its own"):
        await checkpoint.check_pulse("y", offset=1)


async def test_a_paused_stream_goes_on_where_it_was_wrong(app: Application) -> None:
    """The whole of it: what was enriched with old weather is enriched again."""
    records = [(offset, offset * 5) for offset in range(1, 8)]
    position, hours = 0, {"weather": 0}
    enriched: list[tuple[int, int]] = []
    weather_comes: asyncio.Queue[int] = asyncio.Queue()

    async def activities() -> AsyncIterator[tuple[int, int]]:
        nonlocal position
        while position < len(records):
            position += 1
            yield records[position - 1]

    async def weathers() -> AsyncIterator[int]:
        for _ in range(1):
            yield await weather_comes.get()

    def seek(checkpoint: Checkpoint, dependency: Dependency) -> None:
        nonlocal position
        assert dependency.checkpoint_state is not None
        position = dependency.checkpoint_state["offset"] - 1

    checkpoint = Checkpoint(
        "activities",
        activities,
        [Dependency("weathers", weathers, downtime_threshold=12)],
        recovery_callback=seek,
        application=app,
    )

    @app.handle(activities)
    async def enrich(record: tuple[int, int]) -> None:
        offset, minute = record
        await checkpoint.check_pulse(minute, offset=offset)
        enriched.append((offset, hours["weather"]))

    @app.handle(weathers)
    async def note(minute: int) -> None:
        hours["weather"] = minute
        await checkpoint.heartbeat(minute)

    await checkpoint.heartbeat(0)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    assert enriched == [(1, 0), (2, 0), (3, 0)]
    weather_comes.put_nowait(36)
    await asyncio.wait_for(running, 10)
    assert enriched[3:] == [(offset, 36) for offset in range(1, 8)]
