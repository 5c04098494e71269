"""Bytes and text to samples and Python values."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from nodes._batches import SAMPLES, is_batch, printable
from nodes._decoders import CSV, HL7, XML, Base64, CSVFile, Text
from nodes._schema_decoders import Avro, Protobuf
from nodes._soap import SOAP
from nodes._sparkplug import Sparkplug
from pichannels.errors import (
    DecodeError,
    Dropped,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.event_tags import name_from_meta, tag_of_stream
from pichannels.piwebasync.parsing import (
    BadEvent,
    ChannelMessage,
    Samples,
    TagLookup,
    parse_array,
    parse_channel,
    to_samples,
)
from pichannels.piwebasync.timed_values import StreamEvents
from pichannels.values import NO_DATA, Sample, Tag

__all__ = [
    "CSV",
    "HL7",
    "JSON",
    "PI",
    "SAMPLES",
    "SOAP",
    "XML",
    "Avro",
    "Base64",
    "CSVFile",
    "Protobuf",
    "Sparkplug",
    "Text",
]

_RECORD_SEPARATOR: Final = b"\x1e"
_TAGS_KEPT: Final = 100_000

Causes = dict[str, BaseException | str]


class PI(BaseNode):
    """A message of a PI channel, or an answer of PI Web API, to samples.

    The payload is bytes or text: one JSON document, or a JSON text sequence (RFC
    7464) of several. What the source has parsed already is taken over. A document
    that does not name its stream gets `meta["web_id"]`, `meta["path"]` and
    `meta["tag"]` as WebId, path and name. Heartbeats are dropped, events without a
    time (PI's 1970) left out, events that cannot be understood set aside alone. A
    payload that is a list of samples already goes on as it is. The tag of an AF
    attribute is named by what tells it in its database: `Unit1\\Pump1|Speed`.

    Args:
        server: the configured name of the logical server, a part of each event id;
            by default what the source says in `meta["server"]`. A source whose server
            has several members says `meta["keys"] = "path"`: events then go by paths,
            as the ids of points are each member's own.
        tags: the tags by WebId or path, or a function of the stream, asked until it
            knows the stream. A stream that it does not know gets a tag made of what
            the message says.
        options: those of every node.

    Raises:
        DecodeError: the payload is no such document; fails this message only.
        SampleErrors: some events could not be understood; the others go on.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self, server: str = "", tags: TagLookup | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if not isinstance(server, str):
            raise UsageError(f"server is a name, not {server!r}")
        if tags is not None and not isinstance(tags, Mapping) and not callable(tags):
            raise UsageError(f"tags is a mapping or a function, not {tags!r}")
        self.server = server
        self._lookup = tags
        self._tags: dict[tuple[str, bool], _Tags] = {}

    def process(self, msg: Message) -> Message:
        parsed, msg.parsed = msg.parsed, None
        if parsed is None and is_batch(msg.payload):
            return msg
        failures: Causes = {}
        if type(parsed) is Samples:
            samples, bad = parsed
            failures.update(_causes(bad))
        else:
            samples = self._samples(msg, parsed, failures)
        if not samples:
            raise SampleErrors(failures) if failures else Dropped("no events")
        msg.payload = samples
        msg.content_type = SAMPLES
        if failures:
            raise SampleErrors(failures, msg)
        return msg

    def _samples(self, msg: Message, parsed: Any, failures: Causes) -> list[Sample]:
        documents = _parsed(parsed) or _documents(msg, failures)
        if len(documents) == 1 and not failures:
            return self._of_document(msg, documents[0], failures, "")
        samples: list[Sample] = []
        for number, document in enumerate(documents, 1):
            samples += self._of_document(msg, document, failures, f"frame {number}: ")
        return samples

    def _of_document(
        self, msg: Message, document: ChannelMessage, failures: Causes, where: str
    ) -> list[Sample]:
        server = self.server or msg.meta.get("server") or ""
        by_path = msg.meta.get("keys") == "path"
        tags = self._tags.get((server, by_path))
        if tags is None:
            tags = _Tags(str(server), self._lookup, by_path=by_path)
            self._tags[server, by_path] = tags
        samples, bad = to_samples(document, tags.lookup(document, msg.meta))
        if bad:
            failures.update(_causes(bad, where))
        if NO_DATA in document.ticks or not (
            document.is_listed or all(map(_has_items, document.streams))
        ):
            failures.update(_failed_streams(document, where))
            samples = [sample for sample in samples if sample.ticks != NO_DATA]
        return samples


class _Tags:
    """The tags of one server: one object for each stream, which its samples share."""

    def __init__(self, server: str, lookup: TagLookup | None, *, by_path: bool) -> None:
        self._server = server
        self._lookup = lookup
        self._by_path = by_path
        self._by_web_id: dict[str, Tag] = {}
        self._made: dict[tuple[str, str, str], Tag] = {}

    def lookup(self, document: ChannelMessage, meta: Mapping[str, Any]) -> TagLookup:
        """What finds the tags of a document; a dictionary where all are known."""
        known = self._by_web_id
        result: TagLookup = known
        for stream in document.streams:
            if stream.web_id not in known and not self._learn(stream, meta):
                result = self._of
        return result

    def _learn(self, stream: StreamEvents, meta: Mapping[str, Any]) -> bool:
        """Remember the tag of a stream by its WebId, once it is certain."""
        if not (stream.web_id or stream.path or stream.name):
            name_from_meta(stream, meta)
        tag = self._asked(stream)
        if tag is None and self._lookup is None and stream.web_id:
            tag = self._own(stream)
        if tag is None or not stream.web_id:
            return False
        if len(self._by_web_id) >= _TAGS_KEPT:
            # A new one: the old one may be in use for the document at hand.
            self._by_web_id = {}
            return False
        self._by_web_id[stream.web_id] = tag
        return True

    def _of(self, stream: StreamEvents) -> Tag | None:
        return (
            self._by_web_id.get(stream.web_id)
            or self._asked(stream)
            or (self._own(stream))
        )

    def _asked(self, stream: StreamEvents) -> Tag | None:
        """The tag that the settings name, if they do."""
        lookup = self._lookup
        if lookup is None:
            return None
        if callable(lookup):
            return lookup(stream)
        return lookup.get(stream.web_id) or lookup.get(stream.path)

    def _own(self, stream: StreamEvents) -> Tag | None:
        """A tag of what the message says; None for a stream without identity."""
        identity = (stream.web_id, stream.path, stream.name)
        tag = self._made.get(identity)
        if tag is None and any(identity):
            if len(self._made) >= _TAGS_KEPT:
                self._made.clear()
            tag = tag_of_stream(stream, self._server, by_path=self._by_path)
            self._made[identity] = tag
        return tag


def _parsed(found: Any) -> list[ChannelMessage]:
    """The documents that the source left in `msg.parsed`; none where it did not."""
    if found is None or type(found) is list:
        return found or []
    if type(found) is ChannelMessage:
        return [found]
    raise UsageError(
        f"msg.parsed holds {type(found).__name__}; a source leaves a ChannelMessage,"
        " a list of them, or Samples there"
    )


def _documents(msg: Message, failures: Causes) -> list[ChannelMessage]:
    """The documents in the payload; a frame of several may fail by itself."""
    raw = msg.payload
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise DecodeError("a PI message", f"the payload is {type(raw).__name__}")
    raw = bytes(raw)
    if raw[:1] != _RECORD_SEPARATOR:
        together = parse_array(raw) if raw[:1] == b"[" else None
        return [together or parse_channel(raw)]
    frames = raw[1:].split(_RECORD_SEPARATOR)
    documents = []
    for number, frame in enumerate(frames, 1):
        try:
            documents.append(parse_channel(frame))
        except DecodeError as exc:
            if len(frames) == 1:
                raise
            failures[f"frame {number}"] = exc
    return documents


def _has_items(stream: StreamEvents) -> bool:
    return stream.items is not None


def _causes(bad: list[BadEvent], where: str = "") -> Causes:
    causes: Causes = {}
    for found in bad:
        name = found.tag.name if found.tag else ""
        key = f"{where}[{found.index}] {name or '?'} {found.event.timestamp}"
        causes[printable(key)] = found.cause
    return causes


def _failed_streams(document: ChannelMessage, where: str) -> Causes:
    causes: Causes = {}
    for stream in document.streams:
        if reason := stream.failure:
            name = stream.name or stream.path or stream.web_id
            causes[printable(f"{where}{name}")] = printable(reason)
    return causes


class JSON(BaseNode):
    """JSON text or bytes to Python values.

    Args:
        encoding: of payloads that are bytes.
        into: a type that the document must have (a dataclass, a msgspec struct,
            `list[int]`, ...); by default any, as plain Python values.
        options: those of every node.

    Raises:
        DecodeError: the payload is not JSON, or not of that type; fails this
            message only.
        SettingsError: there is no such encoding.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self, encoding: str = "utf-8", into: Any = Any, **options: Any
    ) -> None:
        super().__init__(**options)
        try:
            self.encoding = codecs.lookup(encoding).name
        except (LookupError, TypeError) as exc:
            raise SettingsError(
                "no such encoding", key="encoding", found=encoding
            ) from exc
        self._text = self.encoding != "utf-8"
        try:
            self._decode = msgspec.json.Decoder(into).decode
        except TypeError as exc:
            raise UsageError(f"into={into!r} cannot be read from JSON: {exc}") from exc

    def process(self, msg: Message) -> Message:
        try:
            payload = msg.payload
            if self._text and type(payload) is not str:
                payload = payload.decode(self.encoding)
            msg.payload = self._decode(payload)
        except (ValueError, TypeError, AttributeError, RecursionError) as exc:
            raise _not_json(msg.payload, exc) from exc
        msg.content_type = "application/python"
        return msg


def _not_json(payload: Any, exc: Exception) -> DecodeError:
    if isinstance(payload, bytes | str):
        return DecodeError("JSON", str(exc), payload)
    return DecodeError("JSON", f"the payload is {type(payload).__name__}")
