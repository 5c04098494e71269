"""What the journal still has of the events of tags in an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from pichannels.coverage.reconcile import Fact
from pichannels.errors import CodecError, DecodeError
from pichannels.journal import Journal, Record
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    parse_array,
    parse_channel,
    to_samples,
)
from pichannels.states import State
from pichannels.values import Sample, datetime_from_ticks

__all__ = ["Facts", "Hour", "fact_of", "kept_facts", "kept_since"]

_PAGE: Final = 200
_HOUR: Final = 36_000_000_000

Hour: TypeAlias = tuple[int, int]
"""Start and end, ticks."""

Facts: TypeAlias = dict[str, list[Fact]]
"""Events by the WebID of their tag."""


async def kept_since(journal: Journal, channel: str) -> int | None:
    """From when on all messages are kept; they are deleted the oldest first.

    Raises:
        JournalError: the journal cannot be read.
    """
    first = await journal.get(channel, 1)
    if first is not None and first.state is State.PROCESSED:
        return 0
    found = await journal.search(channel, count=1, state=State.PROCESSED)
    return found[0].ticks if found else None


async def kept_facts(
    journal: Journal,
    channel: str,
    tags: Collection[str],
    hour: Hour,
    wanted: Mapping[str, Collection[Fact]] | None = None,
) -> Facts:
    """What the messages of a channel have of tags in an hour, each event once.

    Args:
        journal: where they are.
        channel: its name.
        tags: by WebID.
        hour: the time of the events.
        wanted: only these events; nothing more is read when all of them are found.

    Raises:
        JournalError: the journal cannot be read.
    """
    found: dict[str, set[Fact]] = {web_id: set() for web_id in tags}
    left = None if wanted is None else {key: set(wanted[key]) for key in wanted}
    # A message may be made a little before its events are stamped.
    since, after = datetime_from_ticks(hour[0] - _HOUR), None
    while left is None or any(left.values()):
        page = await journal.search(channel, count=_PAGE, start_dt=since, after=after)
        if not page:
            break
        after = page[-1].position
        for key, fact in await asyncio.to_thread(_facts, page, found, hour):
            if left is None:
                found[key].add(fact)
            elif fact in left.get(key, ()):
                left[key].discard(fact)
                found[key].add(fact)
    return {web_id: list(facts) for web_id, facts in found.items()}


def _facts(
    records: Sequence[Record], tags: Collection[str], hour: Hour
) -> list[tuple[str, Fact]]:
    """The events of tags in an hour that messages have which have not failed."""
    start, end = hour
    found = []
    for record in records:
        if record.state is State.ERROR:
            continue
        for sample in _samples(record, tags, hour):
            key = sample.tag.web_id
            if start <= sample.ticks < end and key in tags:
                found.append((key, fact_of(sample)))
    return found


def _samples(record: Record, tags: Collection[str], hour: Hour) -> Iterator[Sample]:
    """The samples of a message; none where it has none of that time."""
    try:
        has_any = any(
            each.key in tags and each.first < hour[1] and each.last >= hour[0]
            for each in record.tags()
        )
        payload = record.message().payload if has_any else None
        if isinstance(payload, list):
            yield from (each for each in payload if type(each) is Sample)
        elif isinstance(payload, bytes):
            yield from to_samples(_parsed(payload))[0]
    except (CodecError, DecodeError):
        # What cannot be read counts as not delivered, and comes again.
        return


def _parsed(payload: bytes) -> ChannelMessage:
    if payload.startswith(b"["):
        together = parse_array(payload)
        if together is not None:
            return together
    return parse_channel(payload)


def fact_of(sample: Sample) -> Fact:
    """Time, value and status, as the event id has them."""
    value, status, _ = sample.event_id.rpartition("/")[2].split(".")
    return sample.ticks, int(value, 16), int(status, 16)
