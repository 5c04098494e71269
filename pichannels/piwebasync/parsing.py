"""PI's stream documents: channel messages and stream set answers, to samples.

Bytes go through one typed decoder. What it refuses (an unusual variant, one
field of a wrong type) is read again by `lenient`, which is slow and gives up a
single event instead of the whole document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import msgspec

from pichannels.errors import DecodeError
from pichannels.manifest import ManifestEntry
from pichannels.piwebasync import lenient
from pichannels.piwebasync.timed_values import StreamEvents, TimedValue, error_text
from pichannels.values import (
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    number_identical,
    parse_ticks,
)

__all__ = [
    "BadEvent",
    "ChannelMessage",
    "Samples",
    "TagLookup",
    "manifest",
    "parse_channel",
    "parse_stream",
    "parse_stream_set",
    "to_samples",
]

TagLookup: TypeAlias = Mapping[str, Tag] | Callable[[StreamEvents], Tag | None]
"""Tags by WebID and by path, or a function of the stream."""


class ChannelMessage:
    """The streams of one message, with their timestamps parsed at most once."""

    __slots__ = ("_ticks", "streams")

    def __init__(self, streams: list[StreamEvents]) -> None:
        self.streams = streams
        self._ticks: list[int | None] | None = None

    @property
    def count(self) -> int:
        """The number of events."""
        return sum(len(stream.items or ()) for stream in self.streams)

    @property
    def is_heartbeat(self) -> bool:
        """Whether the message only says that the connection lives."""
        return not any(stream.items for stream in self.streams)

    @property
    def ticks(self) -> list[int | None]:
        """Ticks of every event, stream by stream; None where there is no time."""
        if self._ticks is None:
            self._ticks = _all_ticks(self.streams)
        return self._ticks


class BadEvent(msgspec.Struct, frozen=True):
    """One event that cannot become a sample."""

    index: int
    """Its number in the message, counted over all streams."""
    tag: Tag
    event: TimedValue
    cause: DecodeError


class Samples(NamedTuple):
    """What a message holds: the samples, and the events that are none."""

    samples: list[Sample]
    failures: list[BadEvent]


class _Document(msgspec.Struct, gc=False, rename="pascal"):
    items: list[StreamEvents]
    timestamp: None = None
    web_id: None = None
    errors: None = None
    web_exception: None = None


class _State(msgspec.Struct, gc=False, rename="pascal"):
    name: str
    value: int
    is_system: bool = False

    def state(self) -> DigitalState:
        return DigitalState(self.name, self.value, self.is_system)


_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_document = msgspec.json.Decoder(_Document, strict=False).decode
_decode_stream = msgspec.json.Decoder(StreamEvents, strict=False).decode


def parse_channel(raw: bytes) -> ChannelMessage:
    """A message of a PI channel, in any form that servers are known to send.

    Heartbeats give a message without events.

    Raises:
        DecodeError: the bytes are no such message.
    """
    streams = _streams(raw)
    return ChannelMessage(lenient.channel_streams(raw) if streams is None else streams)


def parse_stream_set(raw: bytes) -> ChannelMessage:
    """An answer of `streamsets/...`: streams with `Items` or with one `Value`.

    Raises:
        DecodeError: the bytes are no such answer, an error report among them.
    """
    streams = _streams(raw)
    return ChannelMessage(lenient.set_streams(raw) if streams is None else streams)


def parse_stream(
    raw: bytes, web_id: str = "", path: str = "", name: str = ""
) -> ChannelMessage:
    """An answer of `streams/{webId}/...`: a list of values, or one value.

    Such answers do not name their stream; the arguments do.

    Raises:
        DecodeError: the bytes are no such answer, an error report among them.
    """
    stream = _lone_stream(raw) or lenient.one_stream(raw)
    stream.web_id = stream.web_id or web_id
    stream.path = stream.path or path
    stream.name = stream.name or name
    return ChannelMessage([stream])


def _streams(raw: bytes) -> list[StreamEvents] | None:
    """The streams of a document in the usual form, None for any other."""
    try:
        streams = _decode_document(raw).items
    except _REFUSED:
        return None
    for stream in streams:
        if stream.items is None:
            single = stream.value
            if single is None or not single.timestamp:
                return None
            stream.items = [single]
    return streams


def _lone_stream(raw: bytes) -> StreamEvents | None:
    """The one stream of a list of values in the usual form, else None."""
    try:
        stream = _decode_stream(raw)
    except _REFUSED:
        return None
    if not stream.items or not stream.items[0].timestamp:
        return None
    return stream


def to_samples(message: ChannelMessage, tag_of: TagLookup | None = None) -> Samples:
    """The events of `message` as samples, in the order they came.

    An event that cannot be understood costs itself alone: it is among the
    failures. `tag_of` finds the tag by WebID, then by path; a stream that it
    does not know gets a tag of what the message says of it.
    """
    samples: list[Sample] = []
    failures: list[BadEvent] = []
    append = samples.append
    # Most streams are known by their WebID; only the others cost a call.
    known = tag_of.get if isinstance(tag_of, dict) else _unknown
    ticks = message.ticks
    index = 0
    # One loop without calls: it runs for every value that the plant sends.
    for stream in message.streams:
        tag = known(stream.web_id) or _find(tag_of, stream)
        units = stream.units_abbreviation or tag.units
        nameless = not tag.name
        first = index
        for event in stream.items or ():
            at = ticks[index]
            value = event.value
            good = event.good is not False
            if at is None or type(value) is dict or event.errors or nameless:
                try:
                    at, value, good = _unusual(event, tag)
                except DecodeError as exc:
                    failures.append(BadEvent(index, tag, event, exc))
                    index += 1
                    continue
            append(
                Sample(
                    tag,
                    at,
                    value,
                    good,
                    event.questionable is True,
                    event.substituted is True,
                    event.annotated is True,
                    event.units_abbreviation or units,
                )
            )
            index += 1
        if index - first > 1 and len(set(ticks[first:index])) < index - first:
            _number(samples, tag)
    return Samples(samples, failures)


def _number(samples: list[Sample], tag: Tag) -> None:
    """Number what is identical among the samples of `tag`, which are the last."""
    first = len(samples)
    while first and samples[first - 1].tag is tag:
        first -= 1
    samples[first:] = number_identical(samples[first:])


def manifest(
    message: ChannelMessage, tag_of: TagLookup | None = None
) -> list[ManifestEntry]:
    """First and last instant and number of events, for each tag with any.

    The key is the tag's `key` (or path, or name) where `tag_of` is given, else
    the stream's WebID (or path, or name). Events without an instant, PI's
    1970-01-01 among them, are not counted.
    """
    entries = []
    ticks = message.ticks
    start = 0
    for stream in message.streams:
        end = start + len(stream.items or ())
        known = [at for at in ticks[start:end] if at]
        start = end
        if known:
            key = _key(tag_of, stream)
            entries.append(ManifestEntry(key, min(known), max(known), len(known)))
    return entries


def _key(tag_of: TagLookup | None, stream: StreamEvents) -> str:
    if tag_of is None:
        return stream.web_id or stream.path or stream.name
    tag = _find(tag_of, stream)
    return tag.key or tag.path or tag.name


def _unusual(event: TimedValue, tag: Tag) -> tuple[int, Any, bool]:
    """Instant, value and goodness of an event that is not a plain value."""
    if isinstance(event.errors, DecodeError):
        raise event.errors
    if not tag.name:
        raise DecodeError("an event", "its stream has neither WebId, path nor name")
    at = _ticks(event.timestamp)
    value = event.value
    if type(value) is dict:
        value = _object_value(value)
    reason = error_text(event.errors) if value is None else ""
    if reason:
        value = ValueFailure(reason)
    failed = type(value) is ValueFailure
    return at, value, event.good is not False and not failed


def _object_value(found: dict[str, Any]) -> Any:
    """A state, a failure, or the object itself (an element, an attribute)."""
    if "Name" in found and "Value" in found:
        return _state(found)
    if reason := error_text(found):
        return ValueFailure(reason)
    return found


def _state(found: dict[str, Any]) -> DigitalState:
    try:
        return msgspec.convert(found, _State, strict=False).state()
    except msgspec.ValidationError as exc:
        raise DecodeError("a digital state", str(exc), repr(found)) from exc


def _find(tag_of: TagLookup | None, stream: StreamEvents) -> Tag:
    """The tag of a stream by whatever means the caller has."""
    if tag_of is None:
        tag = None
    elif callable(tag_of):
        tag = tag_of(stream)
    else:
        tag = tag_of.get(stream.web_id) or tag_of.get(stream.path)
    return tag or _own_tag(stream)


def _unknown(web_id: str) -> None:
    """What a dictionary without tags answers."""


def _own_tag(stream: StreamEvents) -> Tag:
    name = stream.name or stream.path.rpartition("\\")[2] or stream.web_id
    return Tag(name, stream.path, stream.web_id)


def _all_ticks(streams: list[StreamEvents]) -> list[int | None]:
    try:
        return [
            parse_ticks(event.timestamp)
            for stream in streams
            for event in stream.items or ()
        ]
    except (DecodeError, ValueError):
        events = chain.from_iterable(stream.events for stream in streams)
        return [_ticks_or_none(event.timestamp) for event in events]


def _ticks_or_none(text: str) -> int | None:
    try:
        return _ticks(text)
    except DecodeError:
        return None


def _ticks(text: str) -> int:
    try:
        return parse_ticks(text)
    except ValueError as exc:
        raise DecodeError("a timestamp", str(exc), text) from exc
