"""A live tap of a node: messages as they come to it, and as they leave it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pichannels.control.tapped import samples_in, text_of
from pichannels.control.taps import Passed, TapWanted
from pichannels.errors import PichannelsError
from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import short_uuid, took_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.message_texts import sample_line
from pichannels.ui.pages.page import Page

__all__ = ["NodeTap"]

_KEPT: Final = 20
_WAIT: Final = 5.0
_CALM: Final = 0.5
"""Seconds from one look to the next, so that people can read."""
_LONGEST: Final = 400
_ROWS: Final = 8
_OUTCOMES: Final = {"nothing": "nothing left"}


class NodeTap:
    """What is seen of one node, while the tap is on.

    Args:
        page: where it is shown.
        node: the full name of the node.
        changed: what to await when there is more to show.
    """

    def __init__(
        self, page: Page, node: str, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._page = page
        self._changed = changed
        self._seen: deque[tuple[int, Passed]] = deque(maxlen=_KEPT)
        self._missed = 0
        self._error = ""
        self._run = 0
        self.node = node
        self.is_on = False

    async def toggle(self) -> None:
        """Turn it on, or off."""
        self.is_on = not self.is_on
        self._run += 1
        if self.is_on:
            self._page.begin(self._follow(self._run), "tap")
        await self._changed()

    async def _follow(self, run: int) -> None:
        after: int | None = None
        # One that was turned off, and on again, is another one.
        while self.is_on and run == self._run:
            try:
                after = await self._look(after)
                self._error = ""
            except PichannelsError as exc:
                self._error, after = str(exc), None
            await self._changed()
            await asyncio.sleep(_CALM)

    async def _look(self, after: int | None) -> int:
        page = self._page
        wait = 0.0 if after is None else _WAIT
        wanted = TapWanted(node=self.node, after=after, wait=wait)
        who = await page.current()
        found = await page.console.taps.read(who, page.instance, wanted)
        first = found.next - len(found.passed)
        self._seen.extend(enumerate(found.passed, first))
        self._missed += found.missed
        return found.next

    def shown(self) -> Markup | None:
        """The messages, the newest first; None while nobody has looked."""
        if self._error:
            return parts.error(self._error)
        if not (self.is_on or self._seen):
            return None
        rows = [_row(self._page, n, each) for n, each in reversed(self._seen)]
        listed = tag("ol", *rows, classes="taps")
        told = f"some of the messages at {self.node}; the channel does not wait"
        if self._missed:
            told += f"; {self._missed} were not shown"
        return join(
            [
                tag("h3", "Tap"),
                parts.note(told),
                listed if rows else parts.loading("waiting for the next message"),
            ]
        )


def _row(page: Page, number: int, passed: Passed) -> Markup:
    state = _OUTCOMES.get(passed.outcome, passed.outcome)
    head = tag(
        "div",
        page.time(passed.time, is_long=False),
        tag("code", short_uuid(passed.uuid), title=passed.uuid),
        tag("span", took_text(passed.seconds)),
        parts.state_badge(state, title=passed.error or None),
    )
    sides = [_side("In", [passed.came]), _side("Out", passed.left, passed.more)]
    error = tag("pre", passed.error[:_LONGEST]) if passed.error else None
    data = {"key": f"tap-{number}"}
    return tag("li", head, error, tag("div", *sides, classes="sides"), data=data)


def _side(name: str, messages: list[dict[str, Any]], more: int = 0) -> Markup:
    shown: list[Child] = [tag("pre", _text(each)) for each in messages]
    if more:
        shown.append(parts.note(f"and {more} more"))
    if not messages:
        shown.append(parts.note("nothing"))
    return tag("section", tag("h3", name), *shown)


def _text(shown: Mapping[str, Any]) -> str:
    samples = samples_in(shown["payload"])
    if not samples:
        found = text_of(shown)
        return f"{found[:_LONGEST]}…" if len(found) > _LONGEST else found
    lines = [sample_line(each) for each in samples[:_ROWS]]
    if len(samples) > _ROWS:
        lines.append(f"and {len(samples) - _ROWS} more")
    return "\n".join([*lines, *filter(None, [shown["omitted"]])])
