"""The tags that PI channels receive, looked at and changed while they run."""

from __future__ import annotations

import asyncio
from math import inf, isinf
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from pichannels.channels.covering import Covering
from pichannels.channels.pi import PIWebChannel
from pichannels.channels.source_parts import TagState
from pichannels.coverage.expected import Expectations
from pichannels.errors import UsageError
from pichannels.project import Project
from pichannels.values import NO_DATA, format_ticks

__all__ = ["TagsChange", "TagsReport", "change_tags"]

_PART: Final = 1000


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
        streams=await _streams(channel),
    )


async def _streams(channel: PIWebChannel) -> list[TagState]:
    """The tags, part after part, so that very many do not hold up the channels."""
    found: list[TagState] = []
    for one in channel.tag_states():
        found.append(_marked(channel.covering, one))
        if len(found) % _PART == 0:
            await asyncio.sleep(0)
    return found


def _marked(covering: Covering | None, one: TagState) -> TagState:
    """The same with what the ledger has to tell of it."""
    tag = covering.number(one.web_id) if covering is not None else None
    if covering is None or tag is None:
        return one
    if covering.hearing is not None:
        one = _heard(covering.hearing.expectations, tag, one)
    mark = covering.hearing.mark(tag) if covering.hearing is not None else None
    if mark is not None:
        since = "" if mark.since == NO_DATA else format_ticks(mark.since)
        return replace(one, mark=mark.verdict.value, mark_since=since)
    is_future = covering.ledger.tags.is_future(tag)
    return replace(one, mark="future") if is_future else one


def _heard(expectations: Expectations, tag: int, one: TagState) -> TagState:
    newest = expectations.newest(tag)
    interval = expectations.interval(tag) if expectations.is_known(tag) else inf
    return replace(
        one,
        newest="" if newest == NO_DATA else format_ticks(newest),
        expected=None if isinf(interval) else round(interval, 3),
    )
