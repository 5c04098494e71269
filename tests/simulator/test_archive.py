"""What the archive holds, and that live and archived values agree."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from pichannels.simulator import Event, Plant, Tag
from pichannels.simulator.archive import Archive
from pichannels.simulator.feed import Feed
from pichannels.simulator.simtime import SECOND, parse_time
from pichannels.simulator.truth import Truth

NOON = parse_time("2024-05-01T12:00:00Z", 0)
HOUR = 3600 * SECOND
ODD = ["BOILER.TEMP", "LAB.VISCOSITY", "FEED.FORECAST", "REMOTE.FLOW", "PUMP1.STATUS"]


class World:
    """A plant, its truth, archive and feed without a server."""

    def __init__(self, **plant: float) -> None:
        self.plant = Plant(tags=50, **plant)  # type: ignore[arg-type]
        self.truth = Truth()
        self.archive = Archive(self.plant, self.truth)
        self.feed = Feed(self.plant, self.truth)

    def tag(self, name: str) -> Tag:
        return self.plant.tag(f"UNIT1.{name}")

    def live(self, tag: Tag, start: int, end: int, step: int) -> Iterator[Event]:
        """What the feed brings from `start` to `end`."""
        self.feed.listen(tag, start)
        for now in range(start + step, end + 1, step):
            yield from (event for _, event in self.feed.collect(now))

    def held(self, tag: Tag, start: int, end: int, now: int) -> list[Event]:
        return list(self.archive.events(tag, start, end, now))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("name", ODD)
def test_everything_archived_went_out_live(world: World, name: str) -> None:
    tag, now = world.tag(name), NOON + 12 * HOUR
    live = Counter((e.ticks, str(e.value)) for e in world.live(tag, NOON, now, HOUR))
    shift = tag.latency + tag.jitter
    held = world.held(tag, NOON - tag.latency + tag.jitter, now - shift, now)
    assert held and not Counter((e.ticks, str(e.value)) for e in held) - live


def test_the_archive_holds_fewer_events_than_went_out(world: World) -> None:
    tag, now = world.tag("BOILER.TEMP"), NOON + HOUR
    live = list(world.live(tag, NOON, now, HOUR))
    assert len(world.held(tag, NOON, now, now)) < 0.6 * len(live)


def test_polling_often_or_seldom_brings_the_same(world: World) -> None:
    tag, end = world.tag("REMOTE.FLOW"), NOON + HOUR
    often = list(world.live(tag, NOON, end, SECOND))
    assert often == list(World().live(tag, NOON, end, HOUR))


def test_a_radio_tag_comes_out_of_order(world: World) -> None:
    tag = world.tag("REMOTE.FLOW")
    ticks = [e.ticks for e in world.live(tag, NOON, NOON + HOUR, SECOND)]
    assert ticks != sorted(ticks)


def test_a_laboratory_value_comes_two_hours_late(world: World) -> None:
    tag = world.tag("LAB.VISCOSITY")
    newest = world.archive.snapshot(tag, NOON)
    assert newest.ticks <= NOON - 2 * HOUR


def test_a_future_tag_is_ahead_of_the_present(world: World) -> None:
    tag = world.tag("FEED.FORECAST")
    assert world.archive.snapshot(tag, NOON).ticks > NOON + 5 * HOUR


def test_a_tag_without_data_holds_only_its_creation(world: World) -> None:
    held = world.held(world.tag("SPARE.AI1"), 0, NOON, NOON)
    assert [str(event.value.name) for event in held] == ["Pt Created"]  # type: ignore[union-attr]


def test_descending_is_ascending_turned_round(world: World) -> None:
    tag = world.tag("BOILER.TEMP")
    down = world.archive.events(tag, NOON - HOUR, NOON, NOON, descending=True)
    assert list(down)[::-1] == world.held(tag, NOON - HOUR, NOON, NOON)


def test_the_current_value_is_there_even_when_compression_drops_it(
    world: World,
) -> None:
    tag = world.tag("BOILER.TEMP")
    times = range(NOON, NOON + 60 * SECOND, SECOND)
    for now in times:
        newest = world.archive.snapshot(tag, now)
        last = world.held(tag, now - HOUR, now, now)[-1]
        assert (last.ticks, last.value) == (newest.ticks, newest.value)


def test_what_was_archived_stays_while_time_goes_on(world: World) -> None:
    tag = world.tag("BOILER.TEMP")
    early = world.held(tag, NOON - HOUR, NOON, NOON)[:-1]
    assert world.held(tag, NOON - HOUR, NOON, NOON + HOUR)[: len(early)] == early


def test_random_ranges_are_parts_of_the_whole(world: World) -> None:
    seed = random.randrange(1 << 32)
    rng, tag = random.Random(seed), world.tag("REMOTE.FLOW")
    whole = world.held(tag, NOON - HOUR, NOON, NOON)
    for _ in range(20):
        low, high = sorted(rng.randrange(NOON - HOUR, NOON) for _ in range(2))
        part = [event for event in whole if low <= event.ticks <= high]
        assert world.held(tag, low, high, NOON) == part, f"seed {seed}"


def test_an_outage_holds_events_back_until_it_is_over(world: World) -> None:
    tag = world.tag("BOILER.TEMP")
    world.truth.outage(tag.name, NOON, NOON + HOUR, NOON + HOUR)
    during = world.held(tag, NOON, NOON + HOUR, NOON + HOUR - 1)
    after = world.held(tag, NOON, NOON + HOUR - 1, NOON + HOUR)
    assert (
        not during
        and after[:-1]
        == World().held(tag, NOON, NOON + HOUR - 1, NOON + 2 * HOUR)[: len(after) - 1]
    )


def test_the_current_value_stands_still_in_an_outage(world: World) -> None:
    tag = world.tag("BOILER.TEMP")
    before = world.archive.snapshot(tag, NOON)
    world.truth.outage(tag.name, NOON, NOON + 10 * HOUR, NOON + 10 * HOUR)
    assert world.archive.snapshot(tag, NOON + 9 * HOUR) == before


def test_late_events_bypass_compression(world: World) -> None:
    tag, end = world.tag("BOILER.TEMP"), NOON + HOUR
    world.truth.outage(tag.name, NOON, end, end + HOUR)
    late = world.held(tag, NOON, end - 1, end + 2 * HOUR)
    assert len(late) == len(list(World().live(tag, NOON, end - 1, HOUR - 1)))


def test_late_events_go_out_in_one_poll_when_they_arrive(world: World) -> None:
    tag, end = world.tag("BOILER.TEMP"), NOON + HOUR
    world.truth.outage(tag.name, NOON, end, end + HOUR)
    world.feed.listen(tag, NOON)
    counts = [len(world.feed.collect(NOON + n * HOUR // 2)) for n in range(1, 5)]
    assert counts[:2] == [0, 0] and counts[3] > 3000


def test_an_outage_is_felt_by_one_who_comes_later(world: World) -> None:
    tag, end = world.tag("BOILER.TEMP"), NOON + HOUR
    world.truth.outage(tag.name, NOON, end, end + HOUR)
    events = list(world.live(tag, NOON + HOUR // 2, end + HOUR, HOUR // 2))
    assert min(event.ticks for event in events) < NOON + 10 * SECOND


def test_a_value_between_two_events_is_interpolated() -> None:
    world = World(activity=0)
    tag = world.tag("BOILER.TEMP")
    world.truth.put(tag.name, Event(NOON, 10.0))
    world.truth.put(tag.name, Event(NOON + HOUR, 20.0))
    found = world.archive.value_at(tag, NOON + HOUR // 4, NOON + HOUR)
    assert found is not None and found.value == pytest.approx(12.5)


def test_a_step_tag_holds_its_value() -> None:
    world = World(activity=0)
    tag = world.tag("PRODUCT.COUNT")
    world.truth.put(tag.name, Event(NOON, 10))
    world.truth.put(tag.name, Event(NOON + HOUR, 20))
    found = world.archive.value_at(tag, NOON + HOUR // 4, NOON + HOUR)
    assert found is not None and found.value == 10


def test_a_listener_that_leaves_gets_nothing_more(world: World) -> None:
    tag = world.tag("BOILER.TEMP")
    world.feed.listen(tag, NOON)
    world.feed.forget(tag)
    world.feed.listen(tag, NOON + HOUR)
    assert all(e.ticks > NOON + HOUR for _, e in world.feed.collect(NOON + 2 * HOUR))
