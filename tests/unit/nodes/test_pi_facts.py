"""The cache of facts: bounded, and kept in parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any

import pytest

from nodes._pi_facts import Entry, FactCache
from pichannels.persistence import MemoryPersistence
from pichannels.piwebasync.facts import TagFacts
from pichannels.values import Tag


class Owner:
    """Knows a fact of every tag, and counts how often it is asked."""

    def __init__(self, kept: MemoryPersistence | None = None) -> None:
        self.kept = kept or MemoryPersistence()
        self.asked: list[Tag] = []
        self.saved: list[str] = []

    def fullpath(self) -> str:
        return "plant.facts"

    async def fetch_facts(self, tags: Sequence[Tag]) -> TagFacts:
        await asyncio.sleep(0)
        self.asked += tags
        answer = TagFacts()
        answer.facts = {tag: {"name": tag.name} for tag in tags}
        return answer

    def facts_changed(self, entry: Entry, before: Mapping[str, Any]) -> None:
        raise AssertionError("nothing changes here")

    def save_data(self, key: str, value: Any) -> Awaitable[None]:
        self.saved.append(key)
        return self.kept.save("facts", key, value)

    async def restore_data(self, key: str, default: Any) -> Any:
        return await self.kept.restore("facts", key, default)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def cache(owner: Owner) -> AsyncIterator[FactCache]:
    found = FactCache(owner, ["server"], ttl=3600, first_wait=5, room=100)
    await found.start()
    yield found
    await found.stop()


def tags(first: int, count: int) -> list[Tag]:
    return [Tag(f"T{n}", key=str(n)) for n in range(first, first + count)]


async def answered(cache: FactCache, wanted: Sequence[Tag]) -> list[Entry]:
    entries = list(cache.entries(wanted).values())
    await cache.wait_for(entries)
    return entries


async def test_each_tag_is_asked_for_once(owner: Owner, cache: FactCache) -> None:
    both = await asyncio.gather(
        answered(cache, tags(0, 30)), answered(cache, tags(10, 30))
    )
    assert all(entry.facts for entries in both for entry in entries)
    assert sorted(owner.asked, key=lambda t: int(t.key)) == tags(0, 40)


async def test_tags_that_no_longer_come_make_room(
    owner: Owner, cache: FactCache
) -> None:
    for first in range(0, 1000, 20):
        await answered(cache, tags(first, 20))
        assert cache.statistics()["tags"] <= 100
    assert len(owner.asked) == 1000


async def test_a_tag_under_another_name_is_the_same(
    owner: Owner, cache: FactCache
) -> None:
    (one,) = await answered(cache, [Tag("OLD", key="7")])
    (other,) = await answered(cache, [Tag("NEW", key="7")])
    assert one is other and len(owner.asked) == 1


async def test_tags_of_two_servers_are_two(owner: Owner, cache: FactCache) -> None:
    await answered(
        cache, [Tag("T", server="A", key="7"), Tag("T", server="B", key="7")]
    )
    assert len(owner.asked) == 2


async def test_what_is_kept_is_taken_up(owner: Owner, cache: FactCache) -> None:
    await answered(cache, tags(0, 50))
    await cache.stop()
    second = Owner(owner.kept)
    again = FactCache(second, ["server"], ttl=3600, first_wait=5)
    await again.start()
    entries = again.entries(tags(0, 50))
    await again.stop()
    assert {entry.version for entry in entries.values()} == {1}
    assert second.asked == [] and len(owner.saved) > 10


async def test_a_broken_name_costs_no_other(owner: Owner, cache: FactCache) -> None:
    await answered(cache, [Tag("A\ud800"), *tags(0, 50)])
    await cache.stop()
    again = FactCache(Owner(owner.kept), ["server"], ttl=3600, first_wait=5)
    await again.start()
    known = again.statistics()["tags"]
    await again.stop()
    assert known == 50
