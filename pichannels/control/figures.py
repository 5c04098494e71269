"""What each node of a channel does: messages, failures, times."""

from __future__ import annotations

import msgspec

from pichannels.channels import BaseChannel
from pichannels.errors import NoSuchName, UsageError, nearest
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.tallies import Times

__all__ = ["NodeReport", "Shares", "node_of", "node_report", "sink_of"]


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node; the counts are since the instance started.

    Attributes:
        name: its full name.
        kind: the name of its class.
        came: messages that it got.
        left: messages that it gave.
        dropped, rejected: messages of which it made that.
        failed: how often it failed otherwise, also where it was tried again or was
            only told later.
        retries: how often it has tried again by itself.
        times: how long it works for one message, as far as it was measured: no more
            than ten messages each second, and without the time up to an
            acknowledgement.
        share: the part of the time of all nodes of its channel, sub-channels
            included, that it takes; None where nothing was measured.
    """

    name: str
    kind: str
    came: int
    left: int
    dropped: int
    rejected: int
    failed: int
    retries: int
    times: Times = Times()
    share: float | None = None


class Shares:
    """The time of all nodes of channels, each added up once."""

    def __init__(self) -> None:
        self._whole: dict[str, float] = {}

    def of(self, channel: BaseChannel, node: BaseNode) -> float | None:
        """The part of it that a node of this channel takes."""
        root = channel.root
        whole = self._whole.get(root.name)
        if whole is None:
            whole = sum(each.tally.seconds for each in root.nodes())
            self._whole[root.name] = whole
        return node.tally.seconds / whole if whole else None


def node_report(channel: BaseChannel, node: BaseNode, shares: Shares) -> NodeReport:
    """What a node of this channel does at this moment."""
    tally = node.tally
    return NodeReport(
        name=node.fullpath(),
        kind=type(node).__name__,
        came=tally.came,
        left=tally.left,
        dropped=tally.dropped,
        rejected=tally.rejected,
        failed=tally.failed + tally.refused,
        retries=tally.retries,
        times=tally.times.times() if tally.times else Times(),
        share=shares.of(channel, node),
    )


def node_of(project: Project, name: str) -> tuple[BaseChannel, BaseNode]:
    """A node by its full name, and the channel that it is in.

    Raises:
        UsageError: there is none.
    """
    known = {
        node.fullpath(): (channel, node)
        for channel in project.all_channels()
        for node in channel.own_nodes()
    }
    if name not in known:
        raise NoSuchName(f"there is no node {name!r}{nearest(name, known)}")
    return known[name]


def sink_of(project: Project, name: str) -> tuple[BaseChannel, BaseNode]:
    """A sink by its full name, and the channel that it is in.

    Raises:
        UsageError: there is none.
    """
    channel, node = node_of(project, name)
    if not node.is_sink:
        raise UsageError(f"node {name!r} is no sink; only sinks are paused")
    return channel, node
