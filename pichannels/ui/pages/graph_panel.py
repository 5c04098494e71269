"""What is known of one box of the channel graph, and the messages that pass there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pichannels.control.deadletters import Listed
from pichannels.errors import PichannelsError, UsageError
from pichannels.ui.pages import channel_actions, message_texts, parts
from pichannels.ui.pages.formats import count_text, seconds_text, took_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.graph_tap import NodeTap
from pichannels.ui.pages.graph_values import channel_of
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.roles import Role
from pichannels.ui.searching import MessagesWanted
from pichannels.ui.tracing import WayStep

__all__ = ["Panel"]

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
        self._tap: NodeTap | None = None

    async def add(self) -> None:
        """Show it, and take its clicks."""
        self._page.on("tap", self._toggle, Role.DATA)
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
            self._tap.shown() if self._tap else None,
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
            yield "Settled in, p50", quantile_text(channel["settling"], 0.5)
            yield "Settled in, p99", quantile_text(channel["settling"], 0.99)
            for name in ("received", "processed", "dropped", "rejected", "failed"):
                yield name.capitalize(), parts.number(count_text(channel[name]))
        if box["figures"] is not None:
            yield from _figures(box["figures"])
        for name, value in box["statistics"].items():
            if (box["figures"] or {}).get(name) == value:
                continue
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
        tapping = self._tap_button(box)
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

    def _tap_button(self, box: Report) -> Child:
        node = self._node_of(box)
        if node is None:
            return None
        if self._tap is None or self._tap.node != node:
            self._tap = NodeTap(self._page, node, self._refresh)
        is_on = self._tap.is_on
        label = "Stop the tap" if is_on else "Tap live messages"
        command = self._page.command("tap", self._channel(), "--node", node)
        return join(
            [
                self._page.action(label, "tap", mark="off" if is_on else "busy"),
                parts.copy_button(command) if self._page.may(Role.DATA) else None,
            ]
        )

    def _node_of(self, box: Report) -> str | None:
        """Where messages are tapped: at the box, or the first node of a channel."""
        if box["figures"] is not None:
            return self._id
        channel = self._report(channel_of(box))
        nodes = channel["nodes"] if channel else []
        return str(nodes[0]["name"]) if nodes else None

    # What is done

    async def _toggle(self, act: Act) -> None:
        if self._tap is not None:
            await self._tap.toggle()

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
            way = page.href("messages", channel=channel)
            shown = [
                parts.empty(
                    "it did not come here; it went another way. Any message can be"
                    " traced where it is shown:",
                    parts.link(way, f"messages of {channel}"),
                )
            ]
        page.dialog.show(f"Message {last.messages[0].id} at {self._id}", *shown)

    async def _refresh(self) -> None:
        if self._region is not None:
            await self._region.refresh()


def _figures(figures: Report) -> Iterable[tuple[str, Child]]:
    """What a node does; see `NodeReport`."""
    yield "Messages in", parts.number(count_text(figures["came"]))
    yield "Messages out", parts.number(count_text(figures["left"]))
    for name in ("dropped", "rejected", "failed", "retries"):
        count = figures[name]
        is_bad = name == "failed" and count
        shown = parts.number(count_text(count), tone="bad" if is_bad else "")
        yield name.capitalize(), shown
    times, share = figures["times"], figures["share"]
    yield "Takes, p50", parts.number(took_text(times["p50"]))
    yield "Takes, p99", parts.number(took_text(times["p99"]))
    if share is not None:
        yield "Share of time", parts.meter(share, f"{share:.0%}", tone="good")


def _step(step: WayStep) -> Markup:
    sides = [
        tag("section", tag("h3", name), tag("pre", _text(value), tabindex="0"))
        for name, value in (("In", step.inputs), ("Out", step.outputs))
    ]
    told = parts.error(step.error) if step.error else None
    return join([told, tag("div", *sides, classes="sides")])


def _text(messages: list[dict[str, Any]]) -> str:
    """Messages with their payload and metadata, for people."""
    told = []
    for message in messages:
        head = msgspec.json.encode(message.get("meta") or {})
        meta = msgspec.json.format(head, indent=2).decode()
        payload = message_texts.readable(message.get("payload"))
        told.append(f"{_cut(payload)}\n\nmeta: {_cut(meta)}")
    return "\n\n".join(told) or "nothing"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n…"
