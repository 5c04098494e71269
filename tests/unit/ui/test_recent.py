"""A reader of events goes on where it was, or is told what it has lost."""

from __future__ import annotations

import asyncio

import pytest

from pichannels.events import Event
from pichannels.ui.recent import RecentEvents


def put(recent: RecentEvents, *names: str) -> None:
    for name in names:
        recent.put(Event(name, 0, {}))


def told(recent: RecentEvents, place: str) -> list[str]:
    return [each.event.name for each in recent.behind(place)]


def test_a_reader_goes_on_behind_what_it_has_read() -> None:
    recent = RecentEvents()
    begun = recent.place
    put(recent, "a", "b", "c")
    _, second, _ = recent.behind(begun)
    assert told(recent, second.id) == ["c"]
    assert told(recent, recent.place) == []


def test_a_slow_reader_is_told_how_many_it_has_lost() -> None:
    recent = RecentEvents(3)
    begun = recent.place
    put(recent, *"abcde")
    lost, *rest = recent.behind(begun)
    assert (lost.event.name, lost.event.facts) == ("events.lost", {"count": 2})
    assert [each.event.name for each in rest] == ["c", "d", "e"]
    assert told(recent, lost.id) == ["c", "d", "e"]


@pytest.mark.parametrize(
    "place", ["", "other.1", "{run}.99", "{run}.x", "{run}.\u0663"]
)
def test_of_another_process_nobody_knows_how_many_are_lost(place: str) -> None:
    recent = RecentEvents()
    put(recent, "a")
    run = recent.place.partition(".")[0]
    lost, first = recent.behind(place.replace("{run}", run))
    assert (lost.event.facts, first.event.name) == ({"count": None}, "a")


async def test_a_reader_waits_for_what_comes() -> None:
    recent = RecentEvents()
    place = recent.place
    waiting = asyncio.create_task(recent.wait(place, 60))
    await asyncio.sleep(0)
    put(recent, "a")
    await waiting
    await recent.wait(place, 60)
    assert told(recent, place) == ["a"]
