"""PI's stream documents: channel messages and stream set answers, to samples.

Bytes go through one typed decoder. What it refuses (an unusual variant, one
field of a wrong type) is read again by `lenient`, which is slow and gives up a
single event instead of the whole document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    parse_all_ticks,
    parse_ticks,
)

__all__ = [
    "BadEvent",
    "ChannelMessage",
    "Samples",
    "TagLookup",
    "channel_samples",
    "manifest",
    "parse_array",
    "parse_channel",
    "parse_stream",
    "parse_stream_set",
    "to_samples",
]

TagLookup: TypeAlias = Mapping[str, Tag] | Callable[[StreamEvents], Tag | None]
"""Tags by WebID and by path, or a function of the stream."""


class ChannelMessage(msgspec.Struct, eq=False):
    """The streams of one message, with their timestamps parsed at most once."""

    streams: list[StreamEvents]
    is_listed: bool = False
    """Whether it is known that every stream has a list of events."""
    _ticks: list[int | None] | None = None

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
        found = self._ticks
        if found is None:
            found = self._ticks = _all_ticks(self.streams)
        return found


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


# A call of a named tuple's class costs three times as much.
_tuple = tuple.__new__
_NOTHING: Sequence[TimedValue] = ()
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_document = msgspec.json.Decoder(_Document, strict=False).decode
_decode_documents = msgspec.json.Decoder(list[_Document], strict=False).decode
_decode_stream = msgspec.json.Decoder(StreamEvents, strict=False).decode


def parse_channel(raw: bytes) -> ChannelMessage:
    """A message of a PI channel, in any form that servers are known to send.

    Heartbeats give a message without events.

    Raises:
        DecodeError: the bytes are no such message.
    """
    try:
        streams = _decode_document(raw).items
    except _REFUSED:
        return ChannelMessage(lenient.channel_streams(raw))
    if _are_listed(streams):
        return ChannelMessage(streams, True)
    return ChannelMessage(lenient.channel_streams(raw))


def parse_array(raw: bytes, count: int | None = None) -> ChannelMessage | None:
    """The messages in a JSON array, all in one and in their order.

    Much faster than one by one, as the JSON decoder is called once. None unless
    they are all in the usual form (and, where it is given, `count` in number).
    """
    try:
        documents = _decode_documents(raw)
    except _REFUSED:
        return None
    if count is not None and len(documents) != count:
        return None
    streams = [stream for document in documents for stream in document.items]
    return ChannelMessage(streams, True) if _are_listed(streams) else None


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
    return streams if _are_listed(streams) else None


def _are_listed(streams: list[StreamEvents]) -> bool:
    """Whether each stream has a list of events, or one that can be made one."""
    for stream in streams:
        if stream.items is None:
            single = stream.value
            if single is None or not single.timestamp:
                return False
            stream.items = [single]
    return True


def _lone_stream(raw: bytes) -> StreamEvents | None:
    """The one stream of a list of values in the usual form, else None."""
    try:
        stream = _decode_stream(raw)
    except _REFUSED:
        return None
    if not stream.items or not stream.items[0].timestamp:
        return None
    return stream


def channel_samples(raw: bytes, tag_of: TagLookup | None = None) -> Samples:
    """`to_samples` of `parse_channel`: a third faster where an event comes alone.

    Raises:
        DecodeError: the bytes are no message of a PI channel.
    """
    try:
        streams = _decode_document(raw).items
    except _REFUSED:
        return to_samples(parse_channel(raw), tag_of)
    if len(streams) == 1 and type(tag_of) is dict:
        stream = streams[0]
        tag = tag_of.get(stream.web_id)
        items = stream.items
        if tag and tag.name and items and len(items) == 1:
            event = items[0]
            value, good = event.value, event.good
            try:
                at = parse_ticks(event.timestamp)
                if type(value) is dict or event.errors:
                    at, value, good = _unusual(event, at, tag)
            except DecodeError:
                return to_samples(parse_channel(raw), tag_of)
            units = event.units_abbreviation or stream.units_abbreviation
            sample = Sample(
                tag,
                at,
                value,
                good,
                event.questionable,
                event.substituted,
                event.annotated,
                units or tag.units,
            )
            return _tuple(Samples, ([sample], []))
    if _are_listed(streams):
        return to_samples(ChannelMessage(streams, True), tag_of)
    return to_samples(parse_channel(raw), tag_of)


def to_samples(message: ChannelMessage, tag_of: TagLookup | None = None) -> Samples:
    """The events of `message` as samples, in the order they came.

    An event that cannot be understood costs itself alone: it is among the
    failures. `tag_of` finds the tag by WebID, then by path; a stream that it
    does not know gets a tag of what the message says of it.
    """
    samples: list[Sample] = []
    failures: list[BadEvent] = []
    # Most streams are known by their WebID; only the others cost a call.
    known = tag_of.get if type(tag_of) is dict else _unknown
    ticks = message._ticks or message.ticks
    end = 0
    for stream in message.streams:
        tag = known(stream.web_id) or _find(tag_of, stream)
        units = stream.units_abbreviation or tag.units
        items = stream.items or _NOTHING
        start, end = end, end + len(items)
        # Every value that the plant sends goes through here: no calls, and what is
        # unusual is left to another function.
        if end - start == 1:
            event = items[0]
            at = ticks[start]
            value = event.value
            if at is None or type(value) is dict or event.errors or not tag.name:
                samples += _completed([], items, ticks, start, tag, units, failures)
                continue
            samples.append(
                Sample(
                    tag,
                    at,
                    value,
                    event.good,
                    event.questionable,
                    event.substituted,
                    event.annotated,
                    event.units_abbreviation or units,
                )
            )
            continue
        own = ticks[start:end]
        plain = _plain(items, own, tag, units)
        if len(plain) < len(items) or not tag.name:
            plain = _completed(plain, items, ticks, start, tag, units, failures)
        samples += number_identical(plain) if len(set(own)) < len(own) else plain
    return _tuple(Samples, (samples, failures))


def _plain(
    items: Iterable[TimedValue], ticks: list[int | None], tag: Tag, units: str
) -> list[Sample]:
    """The samples of those events in which nothing is unusual."""
    return [
        Sample(
            tag,
            at,
            event.value,
            event.good,
            event.questionable,
            event.substituted,
            event.annotated,
            event.units_abbreviation or units,
        )
        for at, event in zip(ticks, items, strict=True)
        if at is not None and type(event.value) is not dict and not event.errors
    ]


def _completed(
    plain: list[Sample],
    items: Iterable[TimedValue],
    ticks: list[int | None],
    start: int,
    tag: Tag,
    units: str,
    failures: list[BadEvent],
) -> list[Sample]:
    """The plain samples of a stream, and between them those of its other events."""
    samples = []
    ready = iter(plain)
    for index, event in enumerate(items, start):
        at = ticks[index]
        if at is not None and type(event.value) is not dict and not event.errors:
            if tag.name:
                samples.append(next(ready))
                continue
        try:
            at, value, good = _unusual(event, at, tag)
        except DecodeError as exc:
            failures.append(BadEvent(index, tag, event, exc))
            continue
        flags = event.questionable, event.substituted, event.annotated
        own = event.units_abbreviation or units
        samples.append(Sample(tag, at, value, good, *flags, own))
    return samples


def manifest(
    message: ChannelMessage, tag_of: TagLookup | None = None
) -> list[ManifestEntry]:
    """First and last instant and number of events, for each tag with any.

    The key is the tag's `key` (or path, or name) where `tag_of` is given, else
    the stream's WebID (or path, or name). Events without an instant, PI's
    1970-01-01 among them, are not counted.
    """
    # key -> first, last and count so far.
    found: dict[str, list[int]] = {}
    ticks = message.ticks
    end = 0
    for stream in message.streams:
        start, end = end, end + len(stream.items or ())
        first = last = ticks[start] if end - start == 1 else None
        count = 1
        if not first or not last:
            known = [at for at in ticks[start:end] if at]
            if not known:
                continue
            first, last, count = min(known), max(known), len(known)
        key = _key(tag_of, stream) if tag_of else stream.web_id or _own_key(stream)
        so_far = found.get(key)
        if so_far is None:
            found[key] = [first, last, count]
            continue
        if first < so_far[0]:
            so_far[0] = first
        if last > so_far[1]:
            so_far[1] = last
        so_far[2] += count
    return [ManifestEntry(key, *facts) for key, facts in found.items()]


def _own_key(stream: StreamEvents) -> str:
    return stream.web_id or stream.path or stream.name


def _key(tag_of: TagLookup, stream: StreamEvents) -> str:
    tag = _find(tag_of, stream)
    return tag.key or tag.path or tag.name


def _unusual(event: TimedValue, ticks: int | None, tag: Tag) -> tuple[int, Any, bool]:
    """Instant, value and goodness of an event that is not a plain value."""
    if isinstance(event.errors, DecodeError):
        raise event.errors
    if not tag.name:
        raise DecodeError("an event", "its stream has neither WebId, path nor name")
    at = parse_ticks(event.timestamp) if ticks is None else ticks
    value = event.value
    if type(value) is dict:
        value = _object_value(value)
    reason = error_text(event.errors) if value is None else ""
    if reason:
        value = ValueFailure(reason)
    failed = type(value) is ValueFailure
    return at, value, event.good and not failed


def _object_value(found: dict[str, Any]) -> Any:
    """A state, a failure, or the object itself (an element, an attribute)."""
    if "Name" in found and "Value" in found:
        return _state(found)
    if reason := error_text(found):
        return ValueFailure(reason)
    return found


def _state(found: dict[str, Any]) -> DigitalState:
    name, code, is_system = found["Name"], found["Value"], found.get("IsSystem", False)
    if type(name) is str and type(code) is int and type(is_system) is bool:
        return DigitalState(name, code, is_system)
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
        # Small messages are frequent, and a list for one instant is no gain.
        if len(streams) == 1 and len(items := streams[0].items or _NOTHING) == 1:
            return [parse_ticks(items[0].timestamp)]
        texts = [e.timestamp for stream in streams for e in stream.items or ()]
        return parse_all_ticks(texts)  # type: ignore[return-value]  # not added to
    except DecodeError:
        return [_ticks_or_none(e.timestamp) for s in streams for e in s.items or ()]


def _ticks_or_none(text: str) -> int | None:
    try:
        return parse_ticks(text)
    except DecodeError:
        return None
