"""Reading the message stores of a project."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.channels import BaseChannel
from pichannels.errors import CodecError, MessageNotFound, UsageError, nearest
from pichannels.journal import Journal
from pichannels.project import Project
from pichannels.store import Entry, MessageStore
from pichannels.values import format_ticks

__all__ = [
    "Selection",
    "StoresWanted",
    "Place",
    "back_up",
    "by_id",
    "by_search",
    "channels_with_store",
    "show",
    "stores",
]

_PAGE: Final = 200


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stored messages are meant.

    Attributes:
        channel: of this one; of all channels with a store when empty.
        ids: only these; no other condition but a state goes with them.
        start, end: made at or after, and before (ISO 8601).
        state: only messages in this state.
        text, regex: what the text of the payload contains, or matches.
    """

    channel: str | None = None
    ids: list[str] | None = None
    start: str | None = None
    end: str | None = None
    state: str | None = None
    text: str | None = None
    regex: str | None = None

    def filters(self) -> dict[str, Any]:
        """The arguments for `MessageStore.search`."""
        return {
            "start_dt": self.start,
            "end_dt": self.end,
            "state": self.state,
            "text": self.text,
            "rtext": self.regex,
        }


class StoresWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is asked of stores.

    Attributes:
        count: also how many messages each holds.
    """

    count: bool = True


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far something is in the stored messages: the last one.

    Attributes:
        channel: in whose store it is.
        id: its number there.
        time: when it was made (ISO 8601, exact).
    """

    channel: str
    id: str
    time: str


def channels_with_store(
    project: Project, name: str | None = None
) -> list[tuple[BaseChannel, MessageStore]]:
    """The channels, and sub-channels, that keep their messages.

    Raises:
        UsageError: the named channel does not exist or has no store.
    """
    if name is None:
        channels = project.all_channels()
    else:
        channels = [project.channel(name)]
    found = [(c, c.message_store) for c in channels if c.message_store is not None]
    if name is not None and not found:
        raise UsageError(f"channel {name!r} has no message store")
    return found


async def stores(project: Project, *, count: bool = True) -> list[dict[str, Any]]:
    """Each store: its channel, its kind and how many messages it holds.

    `journal` says whether they are in the journal of the instance.

    Args:
        count: False leaves their number out, which may take a while to find.
    """
    return [
        {
            "channel": channel.name,
            "store": type(store).__name__,
            "messages": await store.total() if count else None,
            "journal": store.shares_journal,
        }
        for channel, store in channels_with_store(project)
    ]


async def show(project: Project, id: str, channel: str | None) -> dict[str, Any]:
    """One stored message, whole.

    Raises:
        MessageNotFound: no store holds it.
        UsageError: several do, or there is no such channel.
    """
    name, entry = await _one(project, id, channel)
    msg = entry["message"]
    try:
        content = msgspec.json.decode(codecs.encode_json(msg.to_dict()))
    except CodecError:
        content = {"uuid": msg.uuid, "payload": repr(msg.payload)}
    return {
        "id": entry["id"],
        "channel": name,
        "state": entry["state"],
        "outcome": _plain(entry["meta"]),
        "message": content,
    }


async def _one(project: Project, id: str, channel: str | None) -> tuple[str, Entry]:
    found: list[tuple[str, Entry]] = []
    holders = channels_with_store(project, channel)
    for holder, store in holders:
        with contextlib.suppress(MessageNotFound):
            found.append((holder.name, await store.get(id)))
    if not found:
        said = "" if channel else f"no store of this project holds message {id!r}"
        raise MessageNotFound(channel or "", id, _with_hint(project, id, said))
    if len(found) > 1:
        names = ", ".join(name for name, _ in found)
        raise UsageError(f"several stores hold a message {id!r}: {names}; name one")
    return found[0]


def _with_hint(project: Project, id: str, said: str) -> str:
    """What is told of an id that is not there, and may be meant as something else."""
    names = [channel.name for channel in project.all_channels()]
    if said and id in names:
        return f"{said}; it is a channel: give it as --channel {id}"
    hint = "" if id.isdecimal() else nearest(id, names)
    return f"{said}{hint.replace('mean', 'mean the channel')}" if said else said


def _plain(value: Any) -> Any:
    try:
        return msgspec.json.decode(codecs.encode_json(value))
    except CodecError:
        return repr(value)


# All that is meant


async def by_search(
    project: Project, wanted: Selection, after: Place | None = None
) -> AsyncIterator[list[tuple[str, Entry]]]:
    """Pages of the messages that fit, a channel after the other, oldest first.

    Args:
        after: only those behind this one.

    Raises:
        UsageError: a condition is not of its kind, or there is no such channel.
    """
    found = channels_with_store(project, wanted.channel)
    if after is not None:
        names = [channel.name for channel, _ in found]
        if after.channel not in names:
            raise UsageError(f"channel {after.channel!r} is no more; begin again")
        found = found[names.index(after.channel) :]
    for channel, store in found:
        place = after if after is not None and channel.name == after.channel else None
        pages = _of_store(channel, store, wanted, place.time if place else None)
        if place is not None:
            pages = _behind(pages, place)
        async for page in pages:
            yield page


async def _of_store(
    channel: BaseChannel, store: MessageStore, wanted: Selection, since: str | None
) -> AsyncIterator[list[tuple[str, Entry]]]:
    filters = wanted.filters()
    filters["start_dt"] = since or filters["start_dt"]
    skip = 0
    while entries := await store.search(skip, _PAGE, "timestamp", **filters):
        yield [(channel.name, entry) for entry in entries]
        # Going on from the last instant stays right, and quick, where old messages
        # are deleted meanwhile.
        last = entries[-1]["message"].ticks
        same = sum(entry["message"].ticks == last for entry in entries)
        is_new = filters["start_dt"] != format_ticks(last)
        skip = same if is_new else skip + same
        filters["start_dt"] = format_ticks(last)


async def _behind(
    pages: AsyncIterator[list[tuple[str, Entry]]], place: Place
) -> AsyncIterator[list[tuple[str, Entry]]]:
    """Pages without what comes up to a place, also where that is no more."""
    beside: list[tuple[str, Entry]] = []
    is_behind = False
    async for page in pages:
        kept: list[tuple[str, Entry]] = []
        for item in page:
            if not is_behind and format_ticks(item[1]["message"].ticks) == place.time:
                is_behind = item[1]["id"] == place.id
                beside = [] if is_behind else [*beside, item]
                continue
            # What is as old may be before it or behind: nobody can tell any more.
            kept += [*beside, item]
            beside, is_behind = [], True
        if kept:
            yield kept
    if beside:
        yield beside


async def by_id(
    project: Project, wanted: Selection
) -> AsyncIterator[list[tuple[str, Entry]]]:
    """The messages with the ids that are wanted, in that order, as one page.

    Raises:
        MessageNotFound: one of the ids is in no store.
        UsageError: other conditions go with them, or there is no such channel.
    """
    if wanted.start or wanted.end or wanted.text or wanted.regex:
        raise UsageError("with ids no other condition but a state is possible")
    found = [await _one(project, id, wanted.channel) for id in wanted.ids or ()]
    yield [item for item in found if wanted.state in (None, item[1]["state"])]


# The journal file


async def back_up(journal: Journal, target: Path) -> dict[str, Any]:
    """Copy the journal as it is now to a new file.

    Raises:
        JournalError: the copy cannot be written.
        UsageError: the path is not absolute, or the file exists.
    """
    if not target.is_absolute():
        raise UsageError(f"{target} is no absolute path")
    if await asyncio.to_thread(target.exists):
        raise UsageError(f"{target} exists; name a new file")
    await journal.backup(target)
    size = (await asyncio.to_thread(target.stat)).st_size
    return {"path": str(target), "bytes": size}
