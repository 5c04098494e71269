"""Replays into some of the sinks only: from a node on, or to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pichannels.errors import UsageError
from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Markup, tag
from pichannels.ui.pages.page import Page

__all__ = ["command", "replay_some", "where_to"]


def command(page: Page, chosen: Mapping[str, Any]) -> Markup:
    """A button that copies the command which replays the same.

    Args:
        chosen: `ids`, `channel` and conditions, as the command of the instance takes
            them.
    """
    words = list(chosen.get("ids") or ())
    for name, value in chosen.items():
        if name != "ids" and value:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return page.cli("replay", *words)


async def where_to(
    page: Page, channel: str, title: str, chosen: Mapping[str, Any]
) -> dict[str, str] | None:
    """Ask for a node and a sink of a channel: `from_node`, `to_sink`, or one of them.

    Args:
        chosen: the messages, as for `command`.

    Returns:
        None where it was not wanted.

    Raises:
        UsageError: neither was chosen.
    """
    data, who = page.console.data, await page.current()
    graph = await data.graph(who, page.instance, channel)
    boxes = [each for each in graph["boxes"] if each["kind"] in ("node", "sink")]
    nodes = [(each["id"], each["id"]) for each in boxes]
    sinks = [(each["id"], each["id"]) for each in boxes if each["kind"] == "sink"]
    told = tag(
        "p",
        "Other sinks are not touched again. The nodes before run to make of what is"
        " stored what came to the node then. What fails is told here, and is no dead"
        " letter.",
    )
    asked = await page.dialog.ask(
        title,
        told,
        parts.select(
            "from_node", "From node", [("", "the start"), *nodes], flag="--from-node"
        ),
        parts.select(
            "to_sink", "To sink", [("", "all behind it"), *sinks], flag="--to-sink"
        ),
        command(page, {**chosen, "channel": channel}),
        verb="Replay",
    )
    if asked is None:
        return None
    found = {name: asked.text(name) for name in ("from_node", "to_sink")}
    chosen = {name: value for name, value in found.items() if value}
    if not chosen:
        raise UsageError("choose a node or a sink; the other button takes all of them")
    return chosen


async def replay_some(page: Page, chosen: dict[str, Any], title: str) -> None:
    """Replay many into some of the sinks of their channel; takes the typed count.

    Raises:
        UsageError: they are of several channels.
    """
    channel = chosen.get("channel")
    if not channel:
        raise UsageError("search in one channel: nodes and sinks are of one")
    aim = await where_to(page, channel, title, chosen)
    if aim is not None:
        told = ", ".join(f"{name.replace('_', ' ')} {aim[name]}" for name in aim)
        text = f"They run again: {told}. Other sinks are not touched."
        given = {**chosen, **aim}
        copied = command(page, given)
        await page.bulk("replay", given, title, text, aside=copied, verb="Replay")
