"""Tags whose samples wait behind one that failed."""

from __future__ import annotations

import msgspec

from pichannels.project import Project

__all__ = ["Parked", "list_parked"]


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A tag whose samples wait behind one that failed.

    Attributes:
        channel: the channel that keeps the order.
        node: where they wait.
        tag: its key.
        letters: how many dead letters hold it.
    """

    channel: str
    node: str
    tag: str
    letters: int


def list_parked(project: Project, channel: str | None = None) -> list[Parked]:
    """The tags that wait in channels that keep the order, of one or of all channels.

    Raises:
        UsageError: there is no such channel.
    """
    roots = [project.channel(channel).root] if channel else project.channels
    return [
        Parked(channel=root.name, node=node, tag=tag, letters=letters)
        for root in roots
        for node, parking in root.parkings.items()
        for tag, letters in parking.parked.items()
    ]
