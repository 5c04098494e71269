"""Histories number updates, keep the last of them, and know the places of before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.dataflow import Cache
from pichannels.dataflow.following import part_of
from pichannels.dataflow.history import History
from pichannels.errors import UsageError


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "db")) as cache:
        yield part_of(cache, "updates")


async def filled(history: History, *data: str) -> History:
    for each in data:
        await history.put("key", each)
    return history


def anew(part: Cache, keep: int) -> History:
    """As after a restart."""
    part.keeper = None
    return History(keep, part)


def data_after(history: History, place: str) -> list[str]:
    known = history.place(place)
    assert known is not None
    return [update.data for update in history.after(known, 100)]


async def test_only_the_last_are_kept_and_what_is_lost_is_counted() -> None:
    history = await filled(History(2), *"abcde")
    assert data_after(history, history.text(3)) == ["d", "e"]
    assert [history.lost_after(place) for place in (1, 3, 5)] == [2, 0, 0]


async def test_pages_are_no_longer_than_asked_for() -> None:
    history = await filled(History(), *"abcde")
    assert [update.data for update in history.after(1, 2)] == ["b", "c"]


@pytest.mark.parametrize("text", ["", "7", "x-1", "-1", "run-²", "{run}-6", "{run}-x"])
async def test_a_text_that_is_no_place_is_none(text: str) -> None:
    history = await filled(History(), *"abcde")
    run = history.text(0).partition("-")[0]
    assert history.place(text.format(run=run)) is None


async def test_places_outlive_restarts(part: Cache) -> None:
    first = await filled(History(5, part), "a", "b")
    place = first.text(1)
    second = await filled(anew(part, 5), "c")
    third = await filled(anew(part, 5), "d")
    assert data_after(second, place) == ["b", "c"]
    assert data_after(third, place) == ["b", "c", "d"]
    assert data_after(third, second.text(3)) == ["d"]


async def test_a_run_that_lost_updates_by_a_power_failure_loses_none_again(
    part: Cache,
) -> None:
    first = await filled(History(5, part), "a", "b", "c")
    place = first.text(3)
    # What had not reached the disk.
    part.delete_range(2, 4)
    second = await filled(anew(part, 5), "new")
    assert data_after(second, place) == ["new"]


async def test_what_is_kept_on_disk_is_bounded(part: Cache) -> None:
    history = await filled(History(10, part), *map(str, range(250)))
    numbers = [key for key in part.keys() if isinstance(key, int)]
    assert len(numbers) <= 110
    again = anew(part, 10)
    assert (again.last, again.first) == (history.last, history.first)


@pytest.mark.parametrize("keep", [1, 100, 150, 1000])
async def test_all_that_are_kept_come_back(part: Cache, keep: int) -> None:
    history = await filled(History(keep, part), *map(str, range(310)))
    again = anew(part, keep)
    assert (
        (again.last, again.first) == (310, max(1, 311 - keep)) == (310, history.first)
    )


async def test_updates_at_the_same_time_are_numbered_in_order(part: Cache) -> None:
    history = History(100, part)
    await asyncio.gather(*(history.put("k", str(n)) for n in range(50)))
    assert [update.number for update in history.after(0, 100)] == list(range(1, 51))


async def test_who_waits_is_woken_by_an_update_and_by_the_end() -> None:
    history = History()
    waiting = asyncio.create_task(history.changed(0, 30))
    await asyncio.sleep(0)
    await history.put("k", "a")
    assert await waiting
    ending = asyncio.create_task(history.changed(1, 30))
    await asyncio.sleep(0)
    history.close()
    assert not await ending
    assert not await history.changed(1, 0.01)


async def test_each_source_has_a_history_of_its_own(tmp_path: Path) -> None:
    cache = await asyncio.to_thread(Cache, str(tmp_path / "db"))
    with cache:
        family = cache.create_column_family("alarms")
        first = History(5, part_of(cache, "updates"))
        History(5, part_of(family, "updates"))
        with pytest.raises(UsageError, match="part of its own"):
            History(5, part_of(cache, "updates"))
        first.close()
        History(5, part_of(cache, "updates"))
        with pytest.raises(UsageError, match="another endpoint"):
            first.reopen()
