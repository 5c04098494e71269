"""The tags that PI channels receive, looked at and changed while they run."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.channels.pi import PIWebChannel
from pichannels.channels.source_parts import TagState
from pichannels.errors import UsageError
from pichannels.project import Project

__all__ = ["TagsChange", "TagsReport", "change_tags"]


class TagsChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the tags of a channel; nothing but `channel` only looks.

    Attributes:
        channel: full name.
        add, remove: tags as the settings name them.
        refresh: evaluate name filters and AF searches again.
    """

    channel: str
    add: list[str] = []
    remove: list[str] = []
    refresh: bool = False


class TagsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a channel.

    Attributes:
        channel: full name.
        asked: tags as they are asked for.
        streams: what is received for them, and those that were not found.
    """

    channel: str
    asked: list[str]
    streams: list[TagState]


async def change_tags(project: Project, change: TagsChange) -> TagsReport:
    """Change the tags of a channel, and tell what they are then.

    Raises:
        UsageError: no such channel, it receives no PI tags, or a tag is none.
        NotConnected, PIWebAsyncException, DecodeError: it cannot be done now; the
            tags are as they were.
    """
    channel: Any = project.channel(change.channel)
    if not isinstance(channel, PIWebChannel):
        raise UsageError(f"channel {channel.name!r} receives no PI tags")
    if change.add or change.remove:
        await channel.change_tags(change.add, change.remove)
    if change.refresh:
        await channel.refresh_tags()
    return TagsReport(
        channel=channel.name,
        asked=[str(tag) for tag in channel.tags],
        streams=channel.tag_states(),
    )
