"""Parts of pages that are written no more often than they have to be."""

from __future__ import annotations

import asyncio

from pichannels.ui.budget import OverBudget
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.markup import Markup


class Counting:
    """Writes how often it was asked, in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0

    async def __call__(self) -> Markup:
        await asyncio.sleep(self.seconds)
        self.count += 1
        return Markup(str(self.count))


async def test_what_is_quick_is_written_anew_soon() -> None:
    calm = Calm(Counting(0.0), 3600.0)
    assert await calm() == "1"
    await asyncio.sleep(0.5)
    assert await calm() == "2"


async def test_what_takes_long_is_good_for_longer() -> None:
    written = Counting(0.2)
    calm = Calm(written, 3600.0)
    assert [await calm() for _ in range(3)] == ["1", "1", "1"]
    calm.forget()
    assert await calm() == "2"


async def test_what_is_over_the_budget_comes_later() -> None:
    is_over = True

    async def write() -> Markup:
        if is_over:
            raise OverBudget("searches", 1.0)
        return Markup("shown")

    calm = Calm(write, 3600.0)
    assert "it comes in a moment" in await calm()
    is_over = False
    assert await calm() == "shown"
