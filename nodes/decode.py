"""Bytes and text to samples and Python values."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from nodes._batches import SAMPLES, is_batch
from pichannels.errors import (
    DecodeError,
    Dropped,
    PichannelsError,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync import webids
from pichannels.piwebasync.parsing import (
    BadEvent,
    ChannelMessage,
    Samples,
    parse_channel,
    to_samples,
)
from pichannels.piwebasync.timed_values import StreamEvents
from pichannels.values import NO_DATA, Sample, Tag

__all__ = ["JSON", "PI", "SAMPLES"]

_RECORD_SEPARATOR: Final = b"\x1e"
_TAGS_KEPT: Final = 100_000

TagLookup = Mapping[str, Tag] | Callable[[StreamEvents], Tag | None]


class PI(BaseNode):
    """A message of a PI channel, or an answer of PI Web API, to samples.

    The payload is bytes or text: one JSON document, or a JSON text sequence (RFC
    7464) of several. What the source has parsed already is taken over. A document
    that does not name its stream gets `meta["web_id"]`, `meta["path"]` and
    `meta["tag"]` as WebId, path and name. Heartbeats are dropped, events without a
    time (PI's 1970) left out, events that cannot be understood set aside alone. A
    payload that is a list of samples already goes on as it is.

    Args:
        server: the configured name of the logical server, a part of each event id;
            by default what the source says in `meta["server"]`.
        tags: the tags by WebId or path, or a function of the stream; a stream that
            is not in it gets a tag made of what the message says.
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
        self._lookup = tags if callable(tags) else None
        self._known: Mapping[str, Tag] = tags if isinstance(tags, Mapping) else {}
        self._server = server
        self._made: dict[tuple[str, str, str, str], Tag] = {}

    def process(self, msg: Message) -> Message:
        parsed, msg.parsed = msg.parsed, None
        if parsed is None and is_batch(msg.payload):
            return msg
        self._server = self.server or str(msg.meta.get("server", ""))
        failures: dict[str, BaseException | str] = {}
        if type(parsed) is Samples:
            samples, bad = parsed
            if bad:
                failures.update(_causes(bad))
        else:
            samples = self._samples(msg, parsed, failures)
        if not samples and not failures:
            raise Dropped("a heartbeat, or no events")
        if failures and not samples:
            raise SampleErrors(failures)
        msg.payload = samples
        msg.content_type = SAMPLES
        if failures:
            raise SampleErrors(failures, msg)
        return msg

    def _samples(
        self, msg: Message, parsed: Any, failures: dict[str, BaseException | str]
    ) -> list[Sample]:
        if type(parsed) is ChannelMessage:
            return self._of_document(msg, parsed, failures, "")
        if parsed is not None and type(parsed) is not list:
            raise UsageError(
                f"msg.parsed holds {type(parsed).__name__}; a source leaves a"
                " ChannelMessage, a list of them, or Samples there"
            )
        documents = parsed or _documents(msg, failures)
        if len(documents) == 1 and not failures:
            return self._of_document(msg, documents[0], failures, "")
        samples: list[Sample] = []
        for number, document in enumerate(documents, 1):
            samples += self._of_document(msg, document, failures, f"frame {number}: ")
        return samples

    def _of_document(
        self,
        msg: Message,
        document: ChannelMessage,
        failures: dict[str, BaseException | str],
        where: str,
    ) -> list[Sample]:
        for stream in document.streams:
            if not (stream.web_id or stream.path or stream.name):
                _name_from_meta(stream, msg.meta)
        samples, bad = to_samples(document, self._tag)
        if bad:
            failures.update(_causes(bad, where))
        if NO_DATA in document.ticks or not all(map(_has_items, document.streams)):
            failures.update(_failed_streams(document, where))
            samples = [sample for sample in samples if sample.ticks != NO_DATA]
        return samples

    def _tag(self, stream: StreamEvents) -> Tag | None:
        if self._lookup is not None:
            found = self._lookup(stream)
        else:
            known = self._known
            found = known.get(stream.web_id) or known.get(stream.path)
        return found or self._own_tag(stream)

    def _own_tag(self, stream: StreamEvents) -> Tag | None:
        """One tag for each stream, so that samples of it share it."""
        key = (self._server, stream.web_id, stream.path, stream.name)
        tag = self._made.get(key)
        if tag is None:
            server, web_id, path, name = key
            name = name or path.rpartition("\\")[2] or web_id
            if not name:
                return None
            if len(self._made) >= _TAGS_KEPT:
                self._made.clear()
            units = stream.units_abbreviation or ""
            tag = Tag(name, path, web_id, server, _lasting_key(web_id), units)
            self._made[key] = tag
        return tag


def _lasting_key(web_id: str) -> str:
    """The point id or the attribute's GUID in a WebID; both outlive renames."""
    try:
        ids = webids.decode(web_id).ids
    except PichannelsError:
        return ""
    return str(ids[-1]) if ids else ""


def _documents(
    msg: Message, failures: dict[str, BaseException | str]
) -> list[ChannelMessage]:
    """The documents in the payload; a frame of several may fail by itself."""
    raw = msg.payload
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise DecodeError("a PI message", f"the payload is {type(raw).__name__}")
    raw = bytes(raw)
    if raw[:1] != _RECORD_SEPARATOR:
        return [parse_channel(raw)]
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


def _name_from_meta(stream: StreamEvents, meta: Mapping[str, Any]) -> None:
    stream.web_id = str(meta.get("web_id") or "")
    stream.path = str(meta.get("path") or "")
    stream.name = str(meta.get("tag") or "")


def _causes(bad: list[BadEvent], where: str = "") -> dict[str, BaseException | str]:
    return {
        f"{where}[{event.index}] {event.tag.name if event.tag else '?'}"
        f" {event.event.timestamp}": event.cause
        for event in bad
    }


def _failed_streams(document: ChannelMessage, where: str) -> dict[str, str]:
    return {
        f"{where}{stream.name or stream.path or stream.web_id}": reason
        for stream in document.streams
        if (reason := stream.failure)
    }


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
