"""The overview: how each channel is, and what has happened."""

from __future__ import annotations

from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Markup, join
from pichannels.ui.pages.page import Page

__all__ = ["build"]


async def build(page: Page) -> None:
    """A card for each channel, live."""

    def cards() -> Markup:
        status = page.watch.status
        if status is None:
            return parts.error(page.watch.error)
        return join(
            parts.card(each["name"], parts.state_badge(each["state"]), key=each["name"])
            for each in status["channels"]
        )

    await page.add(cards, live=True)
