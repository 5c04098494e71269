"""From the frames of a PI channel to messages with manifests; pure.

Each frame is parsed once, here. Frames that wait together become one message: its
payload is a JSON text sequence (RFC 7464), and what was parsed goes along for the
decoder to take over. A frame that cannot be understood becomes a message of its own,
so that it costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pichannels.errors import DecodeError
from pichannels.manifest import ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    manifest,
    parse_channel,
)

__all__ = ["JSON", "JSON_SEQUENCE", "Intake", "Received"]

JSON: Final = "application/json"
JSON_SEQUENCE: Final = "application/json-seq"
RECORD_SEPARATOR: Final = b"\x1e"


class Received(NamedTuple):
    """One message and what the journal has to know of it."""

    message: Message
    manifest: bytes | None
    events: int


class Intake:
    """Makes messages of frames.

    Args:
        server: the configured name of the logical server, for `meta["server"]`.
        max_events: a message is full when it has this many.
    """

    def __init__(self, server: str, max_events: int = 20_000) -> None:
        self._server = server
        self._max_events = max_events
        self.frames = 0
        self.heartbeats = 0
        self.events = 0
        self.undecodable = 0

    def messages(self, frames: Iterable[bytes]) -> Iterator[Received]:
        """The messages of frames that waited together; heartbeats make none."""
        good: list[bytes] = []
        parsed: list[ChannelMessage] = []
        events = 0
        for frame in frames:
            self.frames += 1
            try:
                document = parse_channel(frame)
            except DecodeError:
                self.undecodable += 1
                if good:
                    yield self._message(good, parsed, events)
                    good, parsed, events = [], [], 0
                yield Received(self._new(JSON, frame), None, 0)
                continue
            if document.is_heartbeat:
                self.heartbeats += 1
                continue
            good.append(frame)
            parsed.append(document)
            events += document.count
            if events >= self._max_events:
                yield self._message(good, parsed, events)
                good, parsed, events = [], [], 0
        if good:
            yield self._message(good, parsed, events)

    def _message(
        self, frames: list[bytes], parsed: list[ChannelMessage], events: int
    ) -> Received:
        self.events += events
        if len(frames) == 1:
            msg = self._new(JSON, frames[0])
            entries: Iterable[ManifestEntry] = manifest(parsed[0])
        else:
            joined = RECORD_SEPARATOR + RECORD_SEPARATOR.join(frames)
            msg = self._new(JSON_SEQUENCE, joined)
            entries = _merged(parsed)
        msg.parsed = parsed
        return Received(msg, encode_manifest(entries), events)

    def _new(self, content_type: str, payload: bytes) -> Message:
        return Message(content_type, payload, {"server": self._server})


def _merged(parsed: list[ChannelMessage]) -> Iterable[ManifestEntry]:
    entries: dict[str, ManifestEntry] = {}
    for document in parsed:
        for entry in manifest(document):
            known = entries.get(entry.key)
            entries[entry.key] = (
                entry
                if known is None
                else ManifestEntry(
                    entry.key,
                    min(known.first, entry.first),
                    max(known.last, entry.last),
                    known.count + entry.count,
                )
            )
    return entries.values()
