"""Stored messages on their way to another channel, of this instance or another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.control.history import Selection, channels_with_store
from pichannels.errors import ChannelStopped, CodecError, UsageError
from pichannels.message import Message
from pichannels.project import Project
from pichannels.states import Entry, replayed
from pichannels.values import format_ticks

__all__ = ["Commands", "Fetch", "Fetched", "Give", "fetch", "give", "send_messages"]

_PAGE: Final = 100
_TEXT_AT_ONCE: Final = 200_000

Commands = Callable[..., Awaitable[Any]]
"""Runs a command of an instance: its name, and its arguments by name."""


class Fetch(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the messages of one channel, oldest first.

    Attributes:
        skip: how many of those that fit come before it.
        count: how many at most.
    """

    skip: int = 0
    count: int = 100


class Fetched(msgspec.Struct, frozen=True):
    """One stored message, as a new one that says what it repeats.

    Attributes:
        timestamp: when the stored one was made, in ISO 8601.
        message: the new one as JSON text; see `Message.to_json`.
    """

    timestamp: str
    message: str


class Give(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages for a channel to accept.

    Attributes:
        channel: its full name.
        messages: each as JSON text; none only looks whether it takes any.
    """

    channel: str
    messages: list[str] = msgspec.field(default_factory=list)


async def fetch(project: Project, wanted: Fetch) -> list[Fetched]:
    """A page of messages, to be given to another channel.

    Raises:
        CodecError: a message holds a type without codec.
        MessageNotFound: there is no message with an id.
        UsageError: a condition is not of its kind, or there is no such channel.
    """
    if wanted.channel is None:
        raise UsageError("name the channel whose messages are meant")
    ((_, store),) = channels_with_store(project, wanted.channel)
    if wanted.ids is None:
        entries = await store.search(
            wanted.skip, wanted.count, "timestamp", **wanted.filters()
        )
    else:
        chosen = wanted.ids[wanted.skip :][: wanted.count]
        entries = [await store.get(id) for id in chosen]
    return [_fetched(entry) for entry in entries]


def _fetched(entry: Entry) -> Fetched:
    made = format_ticks(entry["message"].ticks)
    return Fetched(made, replayed(entry).to_json())


async def give(project: Project, given: Give) -> dict[str, int]:
    """Let a channel accept messages: `accepted`, how many are durable there.

    Raises:
        ChannelStopped: it takes no messages.
        CodecError: a text is no message; none of them is accepted then.
        JournalError: not all could be made durable.
        UsageError: there is no such channel, or it has no journal.
    """
    channel = project.channel(given.channel)
    if channel.is_stopped():
        raise ChannelStopped(channel.name)
    messages = [_message(text) for text in given.messages]
    for msg in messages:
        await channel.accept(msg, lane="replay")
    return {"accepted": len(messages)}


def _message(text: str) -> Message:
    msg = Message.from_json(text)
    if not isinstance(msg.meta, dict):
        raise CodecError("this is no message: its meta is no mapping")
    return msg


# From one instance to another


async def send_messages(
    own: Commands,
    wanted: Fetch,
    other: Commands,
    target: str,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Give the messages of one channel to another one: how many.

    Args:
        own, other: the commands of the instances of the two.
        wanted: which messages.
        target: full name of the channel that takes them.
        progress: called with how many were taken, now and then.
    """
    await other("give", channel=target)
    sent = 0
    async for page in _pages(own, wanted):
        for part in _parts(page):
            sent += (await other("give", channel=target, messages=part))["accepted"]
            if progress is not None:
                progress(sent)
    return sent


async def _pages(own: Commands, wanted: Fetch) -> AsyncIterator[list[str]]:
    """The messages, as they were when the first ones were read."""
    place = msgspec.structs.asdict(wanted) | {"count": _PAGE}
    if wanted.ids is None and wanted.end is None:
        # What is sent may be kept in the same store, and would be found again.
        place["end"] = format_ticks(clock.now() + 1)
    while found := await own("fetch", **place):
        yield [each["message"] for each in found]
        if wanted.ids is not None:
            place["skip"] += len(found)
            continue
        # Going on from the last instant is quick, wherever it is.
        last = found[-1]["timestamp"]
        same = sum(each["timestamp"] == last for each in found)
        place["skip"] = same + (place["skip"] if place["start"] == last else 0)
        place["start"] = last


def _parts(texts: list[str]) -> Iterator[list[str]]:
    """Parts that fit into a request."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > _TEXT_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part
