"""The channel graph: how messages go, how many, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels.ui.pages import channel_actions, parts
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.graph_drawing import drawing
from pichannels.ui.pages.graph_layout import apart, fold, sub_channels
from pichannels.ui.pages.graph_panel import Panel
from pichannels.ui.pages.graph_values import Moving, values_of
from pichannels.ui.pages.markup import Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.revisions import delta_of, revision_told

__all__ = ["build"]

_MANY: Final = 60
"""Boxes from which on sub-channels are folded, unless the address says otherwise."""
_FEW: Final = 6
"""Channels that are ways beside each other; more are in a list."""
_WIDTH: Final = 1200
"""How wide the place of the drawing is, until the browser has told."""
_WIDEST: Final = 10_000

Report = Mapping[str, Any]


async def build(page: Page) -> None:
    """Choices, the drawing, what moves in it, and the panel of what was clicked."""
    channel_actions.install(page)
    view = _View(page)
    page.on("graph-width", view.take_width)
    page.on("graph-of", view.go)
    await page.add(view.head, live=True)
    view.region = await page.add(view.shown, live=True)
    await page.add(view.values, live=True)
    if page.query.get("node"):
        panel = Panel(page, page.query["node"])
        await panel.add()


class _View:
    """One browser's view of the graph.

    Args:
        page: where it is shown.

    Attributes:
        region: where it is drawn.
    """

    def __init__(self, page: Page) -> None:
        self.region: Region | None = None
        self._page = page
        self._width = _WIDTH
        self._moving = Moving()
        self._graph: Report = {"boxes": [], "arrows": []}

    # What to show

    async def _read(self) -> Report:
        page = self._page
        top = page.query.get("channel", "").partition(".")[0] or None
        who = await page.current()
        return await page.console.data.graph(who, page.instance, top)

    def _folded(self, graph: Report) -> list[str]:
        """The sub-channels that are one box each."""
        given = self._page.query.get("fold")
        every = sub_channels(graph["boxes"])
        if given is None:
            return every if len(graph["boxes"]) > _MANY else []
        return every if given == "all" else [n for n in given.split(",") if n in every]

    # Parts

    async def head(self) -> Markup:
        """Which channel, and what is folded."""
        page = self._page
        status = page.watch.status
        tops = sorted(
            {each["name"].partition(".")[0] for each in status["channels"]}
            if status
            else ()
        )
        chosen = page.query.get("channel", "")
        tools = [
            parts.link(page.here(fold="all"), "Fold all", classes="button"),
            parts.link(page.here(fold="none"), "Unfold all", classes="button"),
            _zoom("out", "Smaller"),
            _zoom("fit", "Fit"),
            _zoom("in", "Larger"),
            page.cli("graph", *([chosen] if chosen else [])),
        ]
        top = chosen.partition(".")[0]
        revisions = await self._revisions(tops, top)
        which = self._which(tops, top)
        return parts.heading("Channel graph", which, revisions, tag("span", *tools))

    def _which(self, tops: list[str], chosen: str) -> Markup:
        """The ways to each channel alone; where there are many, in a list."""
        page = self._page
        if len(tops) > _FEW:
            names = [
                ("", f"all {len(tops)} channels"),
                *((each, each) for each in tops),
            ]
            return parts.select("channel", "Channel", names, chosen, act="graph-of")
        ways = [("", page.here(channel=None, node=None), "all channels")]
        ways += [(name, page.href("graph", channel=name), name) for name in tops]
        marked = [
            tag(
                "span",
                parts.link(address, text),
                classes="chosen" if name == chosen else "",
            )
            for name, address, text in ways
        ]
        return tag("nav", *marked, classes="which", aria_label="channels")

    async def _revisions(self, tops: list[str], chosen: str) -> Markup | None:
        """The revision of what is shown; of all channels those that are to change."""
        page, delta = self._page, await delta_of(self._page)
        if chosen:
            return revision_told(page, chosen, delta)
        shown = [
            tag("span", f"{name} ", revision_told(page, name, delta))
            for name in tops
            if name in delta.channels
        ]
        return tag("span", *shown, classes="actions") if shown else None

    async def shown(self) -> Markup:
        """The drawing; it only changes when the project does, or what is folded."""
        whole = await self._read()
        self._moving.note(whole)
        folded = self._folded(whole)
        self._graph = apart(fold(whole, folded))
        if not self._graph["boxes"]:
            return parts.empty("the project has no channels")
        return drawing(self._page, self._graph, whole, folded, self._width)

    def values(self) -> Markup:
        """What a script writes into the drawing, and where it tells its width."""
        found = values_of(self._graph, self._moving, self._page.watch)
        text = msgspec.json.encode(found).decode().replace("<", "\\u003c")
        data: dict[str, str | int] = {"act": "graph-width", "known": self._width}
        told = tag("button", type="button", hidden=True, id="graph-width", data=data)
        shown = Markup(text)
        return join(
            [told, tag("script", shown, type="application/json", id="graph-values")]
        )

    async def go(self, act: Act) -> None:
        """Somebody has chosen a channel."""
        self._page.go(self._page.href("graph", channel=act.text("channel")))

    async def take_width(self, act: Act) -> None:
        """The browser tells how wide the place of the drawing is."""
        width = act.data.get("width", "")
        if width.isdecimal() and 0 < int(width) < _WIDEST and self.region is not None:
            self._width = int(width)
            await self.region.refresh()


def _zoom(what: str, label: str) -> Markup:
    return tag("button", label, type="button", classes="button", data={"zoom": what})
