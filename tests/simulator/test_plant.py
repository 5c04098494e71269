"""The plant: deterministic, of every kind, computed and not stored."""

from __future__ import annotations

import pytest

from pichannels.errors import UsageError
from pichannels.simulator import Event, Plant
from pichannels.simulator.plant import UnknownTag, block_length
from pichannels.simulator.simtime import SECOND, parse_time
from pichannels.simulator.tags import WELL_KNOWN

NOON = parse_time("2024-05-01T12:00:00Z", 0)


def events(plant: Plant, name: str, seconds: int = 3600) -> list[Event]:
    tag = plant.tag(name)
    first = NOON // tag.period
    slots = range(first, first + max(seconds * SECOND // tag.period, 200))
    return [event for slot in slots for event in plant.slot(tag, slot)]


def test_a_seed_gives_the_same_history_again() -> None:
    assert events(Plant(seed=7), "UNIT2.BOILER.TEMP") == events(
        Plant(seed=7), "UNIT2.BOILER.TEMP"
    )


def test_another_seed_gives_another_history() -> None:
    assert events(Plant(seed=7), "UNIT1.FEED.FLOW") != events(
        Plant(seed=8), "UNIT1.FEED.FLOW"
    )


def test_the_history_of_a_tag_does_not_depend_on_the_size_of_the_plant() -> None:
    assert events(Plant(tags=60), "UNIT2.BOILER.TEMP") == events(
        Plant(tags=500), "UNIT2.BOILER.TEMP"
    )


@pytest.mark.parametrize("count", [1, 137, 1000])
def test_a_plant_has_as_many_tags_as_asked_for(count: int) -> None:
    names = {tag.name for tag in Plant(tags=count).tags}
    assert len(names) == count


@pytest.mark.parametrize("count", [0, 100_001])
def test_a_plant_of_no_or_too_many_tags_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="100000"):
        Plant(tags=count)


def test_the_largest_plant_can_be_made() -> None:
    assert Plant(tags=100_000).tags[-1].name.startswith("UNIT2000.")


def test_every_unit_has_the_well_known_tags() -> None:
    plant = Plant(tags=150)
    names = [f"UNIT{unit}.{name}" for unit in (1, 2, 3) for name in WELL_KNOWN]
    assert all(plant.find(name) for name in names)


def test_there_are_tags_of_every_kind() -> None:
    kinds = {tag.kind for tag in Plant(tags=50).tags}
    assert kinds == {"float", "int", "string", "digital", "timestamp"}


def test_a_busy_tag_changes_about_once_a_second() -> None:
    assert 3300 < len(events(Plant(), "UNIT1.BOILER.TEMP")) <= 3700


def test_timestamps_rise_within_a_tag() -> None:
    ticks = [event.ticks for event in events(Plant(), "UNIT1.BOILER.TEMP")]
    assert ticks == sorted(ticks)


def test_some_events_share_a_timestamp_and_the_archive_keeps_some_of_them() -> None:
    plant = Plant()
    tag = plant.tag("UNIT1.BOILER.TEMP")
    first = NOON // block_length(tag)
    block = [event for n in range(200) for event in plant.block(tag, first + n)]
    times = [event.ticks for event in block]
    at = next(n for n, ticks in enumerate(times) if times[n + 2] == ticks)
    assert [event.kept for event in block[at : at + 3]] == [True, False, True]


def test_numeric_tags_now_and_then_hold_a_system_state() -> None:
    bad = [e for e in events(Plant(), "UNIT1.BOILER.TEMP", 20_000) if not e.good]
    assert bad and all(event.value.is_system for event in bad)  # type: ignore[union-attr]


def test_with_no_activity_nothing_changes() -> None:
    assert events(Plant(activity=0), "UNIT1.BOILER.TEMP") == []


def test_more_activity_gives_more_events() -> None:
    tag = Plant(activity=10).tag("UNIT1.BOILER.TEMP")
    assert tag.period == SECOND // 10


def test_a_tag_is_found_by_path_and_in_any_case() -> None:
    plant = Plant()
    assert plant.tag("\\\\simsrv\\unit1.boiler.temp") is plant.tags[0]


def test_an_unknown_tag_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UnknownTag, match=r"UNIT1\.BOILER\.TEMP"):
        Plant().tag("UNIT1.BOILER.TEMPS")


def test_a_name_filter_takes_its_brackets_and_dots_literally() -> None:
    plant = Plant(tags=100)
    assert [tag.name for tag in plant.search("unit2.boiler.t?mp")] == [
        "UNIT2.BOILER.TEMP"
    ]
    assert list(plant.search("UNIT[12]*")) == []
