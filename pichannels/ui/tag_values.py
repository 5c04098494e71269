"""The values of tags as they were received, from stored messages."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from pichannels import clock
from pichannels.control.arguments import ticks_of
from pichannels.control.frames import samples_in, value_fields
from pichannels.errors import CodecError
from pichannels.journal.records import Record
from pichannels.ui.reading import Timed
from pichannels.ui.searching import MessagesWanted, search_journal
from pichannels.values import Sample, format_ticks

__all__ = ["LatestWanted", "ValueRow", "Values", "ValuesWanted", "latest", "values_of"]

MOST: Final = 10_000
_MESSAGES: Final = 200
_PARTS: Final = 500
_LOOKED_AT: Final = 20
"""Pages of messages that are looked at for the latest values of a channel."""

_Newest: TypeAlias = dict[str, tuple[Sample, Record]]


class ValuesWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which values.

    Attributes:
        tag: WebID, path or name of the tag.
        channel: full name; of any without.
        start, end: received at or after, and before (ISO 8601).
        lane: only what was received in this one, such as `repair`.
        count: how many at most; the newest.
        parts: into how many parts the range is cut, each of which gives as many; so a
            long range is seen as a whole, and not its end alone. It takes a start.
    """

    tag: str
    channel: str | None = None
    start: str | None = None
    end: str | None = None
    lane: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 1000
    parts: Annotated[int, msgspec.Meta(ge=1, le=_PARTS)] = 1


class LatestWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The tags of which channel.

    Attributes:
        channel: full name.
        tags: only these, by WebID; then also those that were silent for long.
    """

    channel: str
    tags: list[str] = []


class ValueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One value.

    Attributes:
        tag, path, web_id: of the tag.
        time: of the event, ISO 8601.
        value: number, text or truth; of a digital state its name.
        state: code of a digital state, or None.
        is_system: whether it is a state of PI itself, such as `Bad Input`.
        error: why there is no value, or "".
        good, questionable, substituted, annotated: as PI says.
        units: of the value.
        lane: in which it was received, such as `live`, `late` or `repair`.
        message: number of the message that brought it.
    """

    tag: str
    path: str
    web_id: str
    time: str
    value: Any
    state: int | None
    is_system: bool
    error: str
    good: bool
    questionable: bool
    substituted: bool
    annotated: bool
    units: str
    lane: str
    message: str


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Values in the order of their time; `complete` is False where time was over.

    Attributes:
        values: as they were received.
        complete: False where time was over before all were read.
    """

    values: list[ValueRow]
    complete: bool


def values_of(timed: Timed, wanted: ValuesWanted) -> Values:
    """The values of a tag, of the messages that were received in a range.

    Raises:
        UsageError: a time is none.
    """
    pending, found = deque(_searches(wanted)), list[tuple[int, ValueRow]]()
    while pending and len(found) < wanted.count and not timed.is_over:
        size = min(_MESSAGES, max(1, wanted.count // len(pending)))
        search = msgspec.structs.replace(pending.popleft(), count=size)
        page = search_journal(timed, search)
        for record in page.records:
            found += [
                (sample.ticks, _row(sample, record))
                for sample in _samples(record)
                if wanted.tag in (sample.tag.web_id, sample.tag.path, sample.tag.name)
            ]
        if page.next is not None:
            pending.append(msgspec.structs.replace(search, cursor=page.next))
    found.sort(key=lambda each: each[0])
    rows = [row for _, row in found[-wanted.count :]]
    is_complete = not pending and len(found) <= wanted.count
    return Values(values=rows, complete=is_complete)


def _searches(wanted: ValuesWanted) -> Iterator[MessagesWanted]:
    """One for each part of the range, those first that lie far from each other.

    What there is no time for is then missing here and there, and not at one end.
    """
    whole = MessagesWanted(
        tag=wanted.tag,
        channel=wanted.channel,
        start=wanted.start,
        end=wanted.end,
        lane=wanted.lane,
    )
    start = None if wanted.start is None else ticks_of("start", wanted.start)
    parts = wanted.parts
    if start is None or parts == 1:
        yield whole
        return
    end = clock.now() if wanted.end is None else ticks_of("end", wanted.end)
    size = max(1, -(-(end - start) // parts))
    for part in sorted(range(parts), key=lambda part: -(part & -part) or -parts):
        first = start + part * size
        last = min(first + size, end)
        if first < last:
            times = (format_ticks(first), format_ticks(last))
            yield msgspec.structs.replace(whole, start=times[0], end=times[1])


def latest(timed: Timed, wanted: LatestWanted) -> Values:
    """The last value of each tag among the newest messages of a channel.

    Tags that were silent for long are not among them, unless they are asked for.
    """
    search = MessagesWanted(channel=wanted.channel, count=_MESSAGES)
    found: _Newest = {}
    pages, left = (1 if wanted.tags else _LOOKED_AT), set(wanted.tags)
    for _ in range(pages):
        page = search_journal(timed, search)
        _take(found, page.records, left)
        if page.next is None or timed.is_over:
            break
        search = msgspec.structs.replace(search, cursor=page.next)
    for key in left - found.keys():
        if not timed.is_over:
            search = MessagesWanted(channel=wanted.channel, tag=key, count=1)
            _take(found, search_journal(timed, search).records, {key})
    rows = [_row(sample, record) for sample, record in found.values()]
    rows.sort(key=lambda row: row.tag)
    is_complete = not timed.is_over if left else page.next is None
    return Values(values=rows, complete=is_complete)


def _take(found: _Newest, records: list[Record], wanted: set[str]) -> None:
    """Note the newest samples of tags, of all where none are named."""
    for record in records:
        for sample in _samples(record):
            key = sample.tag.web_id or sample.tag.path or sample.tag.name
            if wanted and key not in wanted:
                continue
            if key not in found or found[key][0].ticks < sample.ticks:
                found[key] = (sample, record)


def _samples(record: Record) -> Iterator[Sample]:
    """The samples of a message; what cannot be read has none."""
    with contextlib.suppress(CodecError):
        yield from samples_in(record.message())


def _row(sample: Sample, record: Record) -> ValueRow:
    return ValueRow(
        **value_fields(sample),
        questionable=sample.questionable,
        substituted=sample.substituted,
        annotated=sample.annotated,
        lane=record.lane,
        message=str(record.seq),
    )
