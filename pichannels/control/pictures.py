"""The way of messages through the channels, for programs that draw it."""

from __future__ import annotations

import msgspec

from pichannels.channels import BaseChannel
from pichannels.channels.diagram import Arrow, drawn_parts
from pichannels.control.figures import NodeReport, Shares, node_report
from pichannels.project import Project

__all__ = ["GraphArrow", "GraphBox", "GraphReport", "GraphWanted", "graph_report"]


class GraphWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What to draw.

    Attributes:
        channel: full name of one; all without.
    """

    channel: str | None = None


class GraphBox(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, a step, or where ways join or end.

    Attributes:
        id: the full name of a channel or step; unique.
        label: how it is called.
        kind: `channel`, `node`, `sink`, `branch`, `join` or `out`.
        about: the name of its class.
        channel: the full name of the outermost channel.
        processed: messages that went through a node, since the start.
        statistics: what the node counts itself.
        figures: what a node does, and how long it takes.
        is_paused: whether messages wait before a sink, on command.
    """

    id: str
    label: str
    kind: str
    about: str
    channel: str
    processed: int | None = None
    statistics: dict[str, int] = {}
    figures: NodeReport | None = None
    is_paused: bool = False


class GraphArrow(msgspec.Struct, frozen=True, kw_only=True):
    """The way of messages between two boxes; `label` where it is a special one.

    Attributes:
        start, end: ids of boxes.
        label: what goes this way, or "".
    """

    start: str
    end: str
    label: str = ""


class GraphReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn, each box before the arrows from it.

    Attributes:
        boxes: channels, steps, and where ways join or end.
        arrows: between them.
    """

    boxes: list[GraphBox]
    arrows: list[GraphArrow]


def graph_report(project: Project, wanted: GraphWanted) -> GraphReport:
    """The boxes and arrows of channels.

    Raises:
        UsageError: there is no such channel.
    """
    channels = project.channels
    if wanted.channel is not None:
        channels = [project.channel(wanted.channel)]
    found, shares = GraphReport(boxes=[], arrows=[]), Shares()
    for channel in channels:
        _add(found, channel, shares)
    return found


def _add(found: GraphReport, channel: BaseChannel, shares: Shares) -> None:
    nodes = {node.fullpath(): node for node in channel.nodes()}
    known = {box.id for box in found.boxes}
    for part in drawn_parts(channel):
        if isinstance(part, Arrow):
            arrow = GraphArrow(start=part.start, end=part.end, label=part.label)
            found.arrows.append(arrow)
            continue
        # Several channels may end in the same place.
        if part.id not in known:
            node = nodes.get(part.id) if part.kind in ("node", "sink") else None
            known.add(part.id)
            box = GraphBox(
                id=part.id,
                label=part.label,
                kind=part.kind,
                about=part.about,
                channel=channel.name,
            )
            if node is not None:
                box = msgspec.structs.replace(
                    box,
                    processed=node.processed,
                    statistics=node.statistics(),
                    figures=node_report(channel, node, shares),
                    is_paused=node.is_paused,
                )
            found.boxes.append(box)
