"""Futures that are not done in time fail, and no others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pichannels.dataflow.deadlines import Deadlines


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_what_is_late_fails_and_what_is_done_is_left_alone() -> None:
    deadlines = Deadlines(0.02, lambda: ValueError("late"))
    done, late, later = future(), future(), future()
    for each in (done, late, later):
        deadlines.add(each)
    done.set_result(1)
    for each in (late, later):
        with pytest.raises(ValueError, match="late"):
            await each
    assert done.result() == 1


async def test_each_has_its_own_time() -> None:
    deadlines = Deadlines(0.2, lambda: ValueError("late"))
    first, second = future(), future()
    deadlines.add(first)
    await asyncio.sleep(0.1)
    deadlines.add(second)
    await asyncio.wait([first])
    assert first.exception() is not None
    assert not second.done()
    await asyncio.wait([second])


async def test_what_is_done_is_not_kept() -> None:
    deadlines = Deadlines(60, lambda: ValueError("late"))
    waits = future()
    deadlines.add(waits)
    for _ in range(10_000):
        one = future()
        deadlines.add(one)
        one.set_result(None)
    assert 1 <= deadlines.waiting <= 1001
    deadlines.close()


async def test_old_futures_are_let_go_when_they_are_done() -> None:
    deadlines = Deadlines(0.05, lambda: ValueError("late"))
    one = future()
    deadlines.add(one)
    one.set_result(None)
    async with asyncio.timeout(10):
        while deadlines.waiting:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert not deadlines.waiting
