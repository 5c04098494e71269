"""One transaction at a time for each key, and no waiting without end."""

from __future__ import annotations

import asyncio

import pytest

from pichannels.dataflow.cache import Cache
from pichannels.dataflow.transactions import TransactionBusy, TransactionDeadlock
from pichannels.errors import UsageError


async def test_counts_of_many_tasks_add_up(cache: Cache) -> None:
    async def add() -> None:
        async with cache.transaction("count") as inside:
            count = inside["count"] or 0
            await asyncio.sleep(0)
            inside["count"] = count + 1

    await asyncio.gather(*(add() for _ in range(50)))
    assert (cache["count"], len(cache._locks)) == (50, 0)


async def test_who_came_first_is_first(cache: Cache) -> None:
    order: list[int] = []

    async def enter(number: int) -> None:
        async with cache.transaction("a"):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(enter(number) for number in range(5)))
    assert order == list(range(5))


async def test_the_same_key_again_is_told_at_once(cache: Cache) -> None:
    async with cache.transaction("a"):
        with pytest.raises(UsageError, match="'a' already"):
            async with cache.transaction("a"):
                pass
        async with cache.transaction("b"):
            pass


async def test_many_keys_in_one_task_do_not_wait(cache: Cache) -> None:
    """Upstream had 16 locks, so that two of these keys were one."""
    inside: set[int] = set()
    everybody = asyncio.Event()

    async def all_of(number: int) -> None:
        async with cache.transaction(number), cache.transaction(number + 1000):
            inside.add(number)
            if len(inside) == 40:
                everybody.set()
            await everybody.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(*map(all_of, range(40)))
    assert len(cache._locks) == 0


async def test_a_ring_of_waiting_is_told(cache: Cache) -> None:
    told: list[str] = []

    async def both(first: str, then: str) -> None:
        try:
            async with cache.transaction(first):
                await asyncio.sleep(0)
                async with cache.transaction(then):
                    pass
        except TransactionDeadlock as exc:
            told.append(exc.key)

    async with asyncio.timeout(10):
        await asyncio.gather(both("a", "b"), both("b", "c"), both("c", "a"))
    assert told == ["a"] and len(cache._locks) == 0


async def test_keys_named_at_once_never_wait_for_each_other(cache: Cache) -> None:
    async def both(first: str, then: str) -> None:
        async with cache.transaction(first, then):
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await asyncio.gather(*(both("a", "b") for _ in range(9)), both("b", "a"))
    assert len(cache._locks) == 0


def test_plain_with_enters_without_an_event_loop(cache: Cache) -> None:
    with cache.transaction("a"):
        cache["a"] = 1
    assert len(cache._locks) == 0


async def test_plain_with_enters_at_once_or_says_that_it_is_busy(cache: Cache) -> None:
    async def busy() -> None:
        with cache.transaction("b", "a"):
            pass

    async with cache.transaction("b"):
        with pytest.raises(TransactionBusy, match="'b'"):
            await asyncio.create_task(busy())
    await asyncio.create_task(busy())


async def test_who_gives_up_waiting_holds_up_nobody(cache: Cache) -> None:
    async def enter() -> None:
        async with cache.transaction("a"):
            pass

    async with cache.transaction("a"):
        first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
    await asyncio.wait_for(second, 10)
    assert len(cache._locks) == 0


async def test_a_turn_that_comes_with_the_cancelling_is_passed_on(cache: Cache) -> None:
    async def enter() -> None:
        async with cache.transaction("a"):
            pass

    async with cache.transaction("a"):
        first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await asyncio.wait_for(second, 10)
    assert len(cache._locks) == 0


async def test_one_and_true_are_two_keys(cache: Cache) -> None:
    async with cache.transaction(1), cache.transaction(True), cache.transaction(1.0):
        assert len(cache._locks) == 3
