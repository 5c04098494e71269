"""Pushed events, edits, deletions and their survival of a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pichannels.errors import SettingsError
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.plant import UnknownTag
from pichannels.simulator.simtime import SECOND

TEMP = "UNIT1.BOILER.TEMP"
FAR = 1 << 60


def values(sim: Simulator, tag: str = TEMP) -> list[object]:
    return [event.value for event in sim.truth(tag, sim.plant.created + 1, FAR)]


async def test_a_pushed_event_is_in_the_archive(sim: Simulator) -> None:
    event = sim.push(TEMP, 71.5)
    assert sim.truth(TEMP, event.ticks, event.ticks) == [event]


async def test_two_pushed_events_never_share_a_timestamp_by_themselves(
    sim: Simulator,
) -> None:
    assert sim.push(TEMP, 1.0).ticks < sim.push(TEMP, 2.0).ticks


async def test_several_events_may_have_one_timestamp(sim: Simulator) -> None:
    ticks = sim.clock.now()
    for value in (1.0, 2.0, 2.0):
        sim.push(TEMP, value, ticks)
    assert values(sim) == [1.0, 2.0, 2.0]


async def test_what_compression_drops_is_gone_when_a_newer_event_comes(
    sim: Simulator,
) -> None:
    sim.push(TEMP, 1.0, kept=False)
    assert values(sim) == [1.0]
    sim.push(TEMP, 2.0)
    assert values(sim) == [2.0]


async def test_the_name_of_a_state_stands_for_the_state(sim: Simulator) -> None:
    value = sim.push("UNIT1.PUMP1.STATUS", "tripped").value
    assert value == sim.plant.tag("UNIT1.PUMP1.STATUS").states[2]


async def test_the_name_of_a_system_state_makes_a_bad_event(sim: Simulator) -> None:
    event = sim.push(TEMP, "I/O Timeout")
    assert (event.good, event.value.value) == (False, 246)  # type: ignore[union-attr]


async def test_a_string_tag_takes_any_text(sim: Simulator) -> None:
    assert sim.push("UNIT1.BATCH.ID", "Bad Input").value == "Bad Input"


async def test_an_edit_replaces_the_event_and_marks_it(sim: Simulator) -> None:
    old = sim.push(TEMP, 1.0)
    new = sim.edit(TEMP, old.ticks, 9.0)
    assert sim.truth(TEMP, old.ticks, old.ticks) == [new] and new.substituted


async def test_a_computed_event_can_be_edited() -> None:
    async with Simulator(Plant(tags=50)) as sim:
        old = next(e for e in sim.truth(TEMP, sim.clock.now() - 600 * SECOND, FAR))
        sim.edit(TEMP, old.ticks, -1.0)
        assert [e.value for e in sim.truth(TEMP, old.ticks, old.ticks)] == [-1.0]


async def test_deleted_events_are_gone() -> None:
    async with Simulator(Plant(tags=50)) as sim:
        end = sim.clock.now() - 60 * SECOND
        start = end - 600 * SECOND
        count = len(sim.truth(TEMP, start, end))
        assert sim.delete(TEMP, start, end) == count > 0
        assert sim.truth(TEMP, start, end) == []


async def test_the_creation_of_a_tag_cannot_be_deleted(sim: Simulator) -> None:
    sim.delete(TEMP, 0, FAR)
    assert len(sim.truth(TEMP, 0, FAR)) == 1


async def test_an_outage_may_begin_with_a_system_state(sim: Simulator) -> None:
    sim.outage("UNIT1.PUMP?.CURRENT", 60, state="I/O Timeout")
    held = sim.truth("UNIT1.PUMP3.CURRENT", sim.plant.created + 1, FAR)
    assert [event.good for event in held] == [False]


async def test_an_unknown_tag_cannot_be_pushed(sim: Simulator) -> None:
    with pytest.raises(UnknownTag, match=r"BOILER\.TEMP"):
        sim.push("UNIT1.BOILER.TEMPO", 1.0)


def quiet(path: Path, **options: float) -> Simulator:
    return Simulator(Plant(tags=50, activity=0), state=path, **options)  # type: ignore[arg-type]


async def test_changes_survive_a_restart(tmp_path: Path) -> None:
    async with quiet(tmp_path / "truth") as sim:
        ticks = sim.push(TEMP, 1.0).ticks
        sim.push(TEMP, 2.0)
        sim.delete(TEMP, ticks)
        sim.push("UNIT1.PUMP1.STATUS", "RUNNING")
    async with quiet(tmp_path / "truth") as again:
        assert values(again) == [2.0]
        assert again.push(TEMP, 3.0).ticks > ticks


async def test_an_outage_survives_a_restart(tmp_path: Path) -> None:
    async with Simulator(Plant(tags=50), state=tmp_path / "truth") as sim:
        sim.outage(TEMP, 3600)
        start = sim.clock.now() + 1
    async with Simulator(Plant(tags=50), state=tmp_path / "truth") as again:
        again.clock.advance(1800)
        assert again.truth(TEMP, start, FAR) == []


async def test_time_goes_on_while_the_simulator_is_down(tmp_path: Path) -> None:
    async with quiet(tmp_path / "truth", speed=1000.0, start=0) as sim:
        first = sim.clock.now()
    async with quiet(tmp_path / "truth") as again:
        assert again.clock.now() > first and again.clock.speed == 1000.0


async def test_changes_are_on_disk_before_the_simulator_is_closed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "truth"
    async with quiet(path) as sim:
        sim.push(TEMP, 1.0)
        await sim.save()
        lines = await asyncio.to_thread(path.read_bytes)
    assert lines.count(b"\n") == 2


async def test_a_line_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    async with quiet(path) as sim:
        sim.push(TEMP, 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"type":"put","tag":"UNIT1.BOI')
    async with quiet(path) as again:
        assert values(again) == [1.0]
    assert path.read_bytes() == whole


async def test_the_state_of_another_plant_is_refused(tmp_path: Path) -> None:
    async with quiet(tmp_path / "truth"):
        pass
    with pytest.raises(SettingsError, match="another plant"):
        async with Simulator(Plant(tags=51), state=tmp_path / "truth"):
            pass


async def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text("hello\n")
    with pytest.raises(SettingsError, match="line 1"):
        async with quiet(tmp_path / "truth"):
            pass
