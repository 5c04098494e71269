"""What is known of one box of the channel graph, and the messages that pass there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pichannels.control.deadletters import Listed
from pichannels.errors import PichannelsError, UsageError
from pichannels.ui.content import MessageRow
from pichannels.ui.pages import channel_actions, parts
from pichannels.ui.pages.formats import count_text, seconds_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.graph_values import channel_of
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.roles import Role
from pichannels.ui.searching import MessagesWanted
from pichannels.ui.tracing import WayStep

__all__ = ["Panel"]

_EVERY: Final = 1.0
_KEPT: Final = 20
_LONGEST: Final = 4000

Report = Mapping[str, Any]


class Panel:
    """The panel of one box.

    Args:
        page: where it is shown.
        id: of the box.
    """

    def __init__(self, page: Page, id: str) -> None:
        self._page = page
        self._id = id
        self._region: Region | None = None
        self._tapped: deque[MessageRow] = deque(maxlen=_KEPT)
        self._is_tapping = False
        self._error = ""

    async def add(self) -> None:
        """Show it, and take its clicks."""
        self._page.on("tap", self._tap, Role.DATA)
        self._page.on("run-sample", self._run_sample, Role.OPERATE)
        self._region = await self._page.add(self._shown, live=True)

    # What is shown

    async def _shown(self) -> Markup:
        page = self._page
        box = await self._box()
        away = parts.link(
            page.here(node=None), parts.icon("close"), "Close", classes="button quiet"
        )
        title = join([tag("span", f"{box['kind']} {self._id}"), away])
        return parts.card(
            title,
            parts.facts(self._facts(box)),
            await self._last_error(box),
            self._actions(box),
            self._taps(),
            classes="panel",
        )

    async def _box(self) -> Report:
        page = self._page
        who = await page.current()
        graph = await page.console.data.graph(who, page.instance, self._channel())
        for each in graph["boxes"]:
            if each["id"] == self._id:
                found: Report = each
                return found
        raise UsageError(f"there is no {self._id} any more")

    def _channel(self) -> str:
        return self._id.partition(":")[0].partition(".")[0]

    def _report(self, name: str) -> Report | None:
        status = self._page.watch.status
        found = (
            [each for each in status["channels"] if each["name"] == name]
            if (status)
            else []
        )
        return found[0] if found else None

    def _facts(self, box: Report) -> Iterable[tuple[str, Child]]:
        channel = self._report(channel_of(box))
        if box["about"]:
            yield "Class", tag("code", box["about"])
        if channel is not None:
            yield "State", parts.state_badge(channel_actions.state_of(channel))
            yield "Lag", seconds_text(channel["lag"])
            yield "Settled in, half", quantile_text(channel["settling"], 0.5)
            yield "Settled in, 99 %", quantile_text(channel["settling"], 0.99)
            for name in ("received", "processed", "dropped", "rejected", "failed"):
                yield name.capitalize(), parts.number(count_text(channel[name]))
        if box["processed"] is not None:
            yield "Messages", parts.number(count_text(box["processed"]))
        for name, value in box["statistics"].items():
            label = name.replace("_", " ").capitalize()
            yield label, parts.number(count_text(value))

    async def _last_error(self, box: Report) -> Markup | None:
        page = self._page
        if box["kind"] == "channel" or not page.may(Role.DATA):
            return None
        wanted = Listed(channel=self._channel(), node=self._id, count=1)
        try:
            who = await page.current()
            found = await page.console.data.dead_letters(who, page.instance, wanted)
        except PichannelsError:
            return None
        if not found:
            return None
        address = page.href("errors", channel=self._channel(), node=self._id)
        way = parts.link(address, "All that failed here")
        last = tag("pre", str(found[0]["error"]))
        return tag("div", parts.badge("last error", "bad"), last, way)

    def _actions(self, box: Report) -> Markup:
        page = self._page
        label = "Stop the tap" if self._is_tapping else "Tap live messages"
        tapping = page.action(label, "tap", mark="off" if self._is_tapping else "busy")
        sample: Child = None
        if box["kind"] != "channel":
            sample = page.action("Run the last message through here", "run-sample")
        seen = parts.link(
            page.href("messages", channel=self._channel()), "Stored messages"
        )
        channel = self._report(channel_of(box))
        is_top = channel is not None and "." not in channel["name"]
        buttons = channel_actions.buttons(page, channel) if channel and is_top else None
        row = tag("div", tapping, sample, seen, classes="actions")
        return join([row, buttons])

    def _taps(self) -> Markup | None:
        if self._error:
            return parts.error(self._error)
        if not (self._is_tapping or self._tapped):
            return None
        rows = [self._tapped_row(row) for row in reversed(self._tapped)]
        told = f"one of {self._channel()} each second, as it came in"
        return join(
            [
                tag("h3", "Tap"),
                parts.note(told),
                tag("ol", *rows, classes="taps")
                if rows
                else parts.loading("waiting for the next message"),
            ]
        )

    def _tapped_row(self, row: MessageRow) -> Markup:
        way = parts.link(self._page.href("messages", id=row.id), row.id)
        head = join(
            [
                self._page.time(row.timestamp, is_long=False),
                way,
                parts.state_badge(row.state),
            ]
        )
        text = row.payload or ""
        data = {"key": f"tap-{row.id}"}
        return tag("li", tag("div", head), tag("pre", text[:400]), data=data)

    # What is done

    async def _tap(self, act: Act) -> None:
        self._is_tapping = not self._is_tapping
        if self._is_tapping:
            self._page.begin(self._follow(), "tap")
        await self._refresh()

    async def _follow(self) -> None:
        page = self._page
        wanted = MessagesWanted(channel=self._channel(), count=1)
        while self._is_tapping:
            try:
                who = await page.current()
                found = await page.console.data.messages(who, page.instance, wanted)
                self._error = ""
                known = self._tapped[-1].id if self._tapped else ""
                self._tapped.extend(r for r in found.messages if r.id != known)
            except PichannelsError as exc:
                self._error = str(exc)
            await self._refresh()
            await asyncio.sleep(_EVERY)

    async def _run_sample(self, act: Act) -> None:
        page, channel = self._page, self._channel()
        who = await page.current()
        wanted = MessagesWanted(channel=channel, count=1)
        last = await page.console.data.messages(who, page.instance, wanted)
        if not last.messages:
            raise UsageError(f"{channel} has no stored message")
        page.toasts.tell("the last message runs through a copy of the channel", "busy")
        found = await page.console.tracer.trace(
            who, page.instance, channel, last.messages[0].id
        )
        here = [step for step in found.steps if step.node == self._id]
        shown = [_step(step) for step in here]
        if not shown:
            shown = [parts.empty("it did not come here; it went another way")]
        page.dialog.show(f"Message {last.messages[0].id} at {self._id}", *shown)

    async def _refresh(self) -> None:
        if self._region is not None:
            await self._region.refresh()


def _step(step: WayStep) -> Markup:
    sides = [
        tag("section", tag("h3", name), tag("pre", _text(value)))
        for name, value in (("In", step.inputs), ("Out", step.outputs))
    ]
    told = parts.error(step.error) if step.error else None
    return join([told, tag("div", *sides, classes="sides")])


def _text(messages: list[dict[str, Any]]) -> str:
    text = msgspec.json.format(msgspec.json.encode(messages), indent=2).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n…"
