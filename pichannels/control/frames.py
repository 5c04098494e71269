"""The events in stored messages, also in the documents that PI has sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from pichannels.control.masking import HIDDEN, Mask
from pichannels.errors import CodecError, DecodeError, UsageError
from pichannels.manifest import decode_manifest
from pichannels.message import Message
from pichannels.piwebasync.event_tags import key_in, name_from_meta, tag_of_stream
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    parse_array,
    parse_channel,
    to_samples,
)
from pichannels.piwebasync.timed_values import StreamEvents
from pichannels.values import (
    NO_DATA,
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    format_ticks,
)

__all__ = [
    "MOST",
    "EventId",
    "MessageSamples",
    "SampleRow",
    "SamplesWanted",
    "about",
    "event_id_of",
    "holds",
    "is_open",
    "key_of",
    "names",
    "page_of",
    "samples_in",
    "summary_of",
    "value_fields",
]

_SEPARATOR: Final = b"\x1e"
MOST: Final = 5000
_TOLD: Final = 3
_LARGEST: Final = 65_536
"""Bytes of a document up to which it is taken apart for a summary."""


class EventId(NamedTuple):
    """What an event id says.

    Attributes:
        text: all of it.
        key: of the tag: a number, GUIDs or a path.
        ticks: the time of the event.
    """

    text: str
    key: str
    ticks: int


class SamplesWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The samples of which message.

    Attributes:
        id: its number.
        channel: full name; needed where several stores have the number.
        event_id: only this one.
        skip, count: a part of them.
    """

    id: str
    channel: str | None = None
    event_id: str | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 500


class SampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a message.

    Attributes:
        event_id: what a sink knows it by.
        tag, path, web_id: of the tag.
        time: of the event, ISO 8601.
        value: number, text or truth; of a digital state its name.
        state: code of a digital state, or None.
        is_system: whether it is a state of PI itself, such as `Bad Input`.
        error: why there is no value, or "".
        good: as PI says.
        units: of the value.
    """

    event_id: str
    tag: str
    path: str
    web_id: str
    time: str
    value: Any
    state: int | None
    is_system: bool
    error: str
    good: bool
    units: str


class MessageSamples(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a message, and how many it has; none where it holds none.

    Attributes:
        samples: the first of them.
        total: how many there are.
    """

    samples: list[SampleRow]
    total: int


def event_id_of(text: str) -> EventId:
    """What an event id says.

    Raises:
        UsageError: it is none.
    """
    head, _, check = text.strip().rpartition("/")
    place, _, ticks = head.rpartition("/")
    key = place.partition("/")[2]
    is_number = ticks.removeprefix("-").isdecimal() and len(ticks) < 20
    if not (key and is_number and ticks.isascii() and check.count(".") == 2):
        raise UsageError(
            f"{text!r} is no event id, such as SERVER/4711/17000.../1a2b.1.0"
        )
    return EventId(text.strip(), key, int(ticks))


def samples_in(msg: Message) -> Iterator[Sample]:
    """The samples of a message, or of the documents of PI that it holds.

    Their event ids are those that `decode.PI` gives, where that names server and tags
    as the source does.
    """
    if isinstance(msg.payload, Sample | list):
        yield from _plain_samples(msg.payload)
        return
    for document in _documents(msg):
        found = to_samples(document, partial(_tag, msg)).samples
        yield from (each for each in found if each.ticks != NO_DATA)


def about(msg: Message, tag: str) -> bool:
    """Whether a message has events of the tag of this WebID, key, path or name."""
    called = tag.upper()
    if isinstance(msg.payload, Sample | list):
        known = (each.tag for each in _plain_samples(msg.payload))
    else:
        known = (_tag(msg, each) for one in _documents(msg) for each in one.streams)
    return any(
        tag == each.web_id or called in (each.name.upper(), each.path.upper(), each.key)
        for each in known
    )


def _plain_samples(payload: Sample | list[Any]) -> Iterator[Sample]:
    payload = [payload] if isinstance(payload, Sample) else payload
    return (each for each in payload if isinstance(each, Sample))


def _tag(msg: Message, stream: StreamEvents) -> Tag:
    server, by_path = str(msg.meta.get("server") or ""), msg.meta.get("keys") == "path"
    return tag_of_stream(stream, server, by_path=by_path)


def _documents(msg: Message) -> Iterator[ChannelMessage]:
    """The documents of PI in a payload, whose streams are named."""
    raw = msg.payload
    raw = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
    if not isinstance(raw, bytes):
        return
    for part in filter(None, raw.split(_SEPARATOR)):
        try:
            document = _document(part)
        except DecodeError:
            continue
        for stream in document.streams:
            if not (stream.web_id or stream.path or stream.name):
                name_from_meta(stream, msg.meta)
        yield document


def _document(part: bytes) -> ChannelMessage:
    together = parse_array(part) if part[:1] == b"[" else None
    return together or parse_channel(part)


def page_of(msg: Message, wanted: SamplesWanted, mask: Mask) -> MessageSamples:
    """Some of the samples of a message, without what is hidden."""
    id = wanted.event_id
    found = [each for each in samples_in(msg) if id in (None, each.event_id)]
    if id is not None:
        found = [each for each in found if is_open(each, mask)]
    part = found[wanted.skip :][: wanted.count]
    rows = [_shown(_row(each), mask) for each in part]
    return MessageSamples(samples=rows, total=len(found))


def summary_of(msg: Message, mask: Mask) -> str:
    """The values of a message in a line, without what is hidden.

    "" where it holds none, or is too large to look into for that.
    """
    if isinstance(msg.payload, str | bytes) and len(msg.payload) > _LARGEST:
        return ""
    try:
        found = list(samples_in(msg))
    except DecodeError:
        return ""
    if not found:
        return ""
    told = [_told(_shown(_row(each), mask)) for each in found[:_TOLD]]
    more = ", …" if len(found) > _TOLD else ""
    noun = "value" if len(found) == 1 else "values"
    return f"{len(found)} {noun}: {', '.join(told)}{more}"


def _told(row: SampleRow) -> str:
    mark = "" if row.good else "bad"
    shown = row.error or str(row.value)
    return " ".join(filter(None, [row.tag, shown, row.units, mark]))


def is_open(sample: Sample, mask: Mask) -> bool:
    """Whether nothing of a sample is hidden; its id would tell what is."""
    row = _row(sample)
    return not mask or _shown(row, mask) == row


def _shown(row: SampleRow, mask: Mask) -> SampleRow:
    if not mask:
        return row
    before = msgspec.to_builtins(row)
    after = mask.applied(before)
    if after == before:
        return row
    return msgspec.convert({**after, "event_id": HIDDEN}, SampleRow)


def _row(sample: Sample) -> SampleRow:
    return SampleRow(event_id=sample.event_id, **value_fields(sample))


def value_fields(sample: Sample) -> dict[str, Any]:
    """What rows tell of a sample: the names and meanings of `SampleRow`."""
    value, code, is_system, error = sample.value, None, False, ""
    if isinstance(value, DigitalState):
        code, is_system, value = value.code, value.is_system, value.name
    elif isinstance(value, ValueFailure):
        error, value = value.message, None
    return {
        "tag": sample.tag.name or sample.tag.path,
        "path": sample.tag.path,
        "web_id": sample.tag.web_id,
        "time": format_ticks(sample.ticks),
        "value": msgspec.to_builtins(value, enc_hook=str),
        "state": code,
        "is_system": is_system,
        "error": error,
        "good": sample.good,
        "units": sample.units,
    }


# Which message an event has come with


def key_of(conn: sqlite3.Connection, event: EventId, hint: str) -> str:
    """How the index of tags calls the tag of an event.

    Args:
        hint: how it may be called: a WebID or path.
    """
    known = [key for (key,) in conn.execute("SELECT key FROM tag").fetchall()]
    for key in known:
        if key in (hint, event.key):
            return str(key)
    return next((key for key in known if key_in(key) == event.key), hint)


def names(manifest: bytes | None, tag: str, event: EventId | None) -> bool:
    """Whether a manifest names a tag, with events at the time of this one."""
    try:
        entries = [] if manifest is None else decode_manifest(manifest)
    except CodecError:
        return False
    if event is None:
        return any(entry.key == tag for entry in entries)
    near = [each.key for each in entries if each.first <= event.ticks <= each.last]
    # The index may not have the tag yet: then the event alone says which it is.
    return tag in near or any(key_in(key) == event.key for key in near)


def holds(msg: Message, event: EventId, mask: Mask | None) -> bool:
    """Whether an event is in a message, and may be seen."""
    return any(
        each.event_id == event.text and (not mask or is_open(each, mask))
        for each in samples_in(msg)
    )
