"""Readers get all that is published after they have subscribed, and hold up nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pichannels.dataflow.interfaces import ICache, Key, Proxy
from pichannels.errors import Backpressure, UsageError


class Memory(ICache):
    """As a user writes one: without a word to the base class."""

    def __init__(self) -> None:
        self.db: dict[Key, Any] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self.db

    def __delitem__(self, key: Key) -> None:
        del self.db[key]

    def __getitem__(self, key: Key) -> Any:
        return self.db.get(key)

    def __setitem__(self, key: Key, value: Any) -> None:
        self.db[key] = value


async def test_a_cache_of_ones_own_publishes() -> None:
    cache = Memory()
    reader = aiter(cache)
    await cache("a", 1)
    assert (await anext(reader), cache["a"], cache["b"]) == (("a", 1), 1, None)


async def test_who_publishes_waits_for_a_slow_reader() -> None:
    proxy = Proxy()
    reader = proxy.subscribe(limit=10)
    sent: list[int] = []

    async def send() -> None:
        for number in range(10_000):
            await proxy(number)
            sent.append(number)

    sending = asyncio.create_task(send())
    for taken in range(25):
        assert await anext(reader) == taken
        assert len(sent) <= taken + 12
    rest = [await anext(reader) for _ in range(10_000 - 25)]
    await sending
    assert rest == list(range(25, 10_000))


async def test_a_reader_that_is_left_holds_up_nobody() -> None:
    proxy = Proxy()

    async def first_one() -> Any:
        async for value in proxy:
            return value

    reading = asyncio.create_task(first_one())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        for number in range(3000):
            await proxy(number)
    assert await reading == 0


async def test_closing_lets_who_waits_go_on() -> None:
    proxy = Proxy()
    reader = proxy.subscribe(limit=1)
    await proxy(1)
    sending = asyncio.create_task(proxy(2))
    await asyncio.sleep(0)
    reader.close()
    await asyncio.wait_for(sending, 10)
    assert [value async for value in reader] == [1]


async def test_a_reader_may_answer_itself() -> None:
    proxy = Proxy()
    reader = proxy.subscribe(limit=2)
    await proxy(0)
    await proxy(0)
    async with asyncio.timeout(10):
        for _ in range(100):
            await proxy(await anext(reader) + 1)
    assert sorted([await anext(reader), await anext(reader)]) == [50, 50]


async def test_what_a_reader_adds_without_end_is_told() -> None:
    proxy = Proxy()
    reader = proxy.subscribe(limit=2)

    async def multiply() -> None:
        async for value in reader:
            await proxy(value)
            await proxy(value)

    running = asyncio.create_task(multiply())
    await asyncio.sleep(0)
    await proxy(1)
    with pytest.raises(Backpressure):
        await asyncio.wait_for(running, 10)


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="1 or more"):
        Proxy().subscribe(limit=0)
