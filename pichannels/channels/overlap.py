"""Two PI channels that carry the same tags for a while: nothing of it twice; pure.

When the tags of a channel change, new PI channels are open before old ones close.
What the old ones gave is noted here, and left out of what the new ones held back.
Events stay byte for byte as PI wrote them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from pichannels.errors import DecodeError
from pichannels.values import parse_ticks

__all__ = ["Overlap"]

_REMEMBERED: Final = 500_000
_NOTHING: Final = msgspec.Raw(b"")

_Fields: TypeAlias = dict[str, msgspec.Raw]
_Key: TypeAlias = tuple[bytes, ...]


class _Stream(msgspec.Struct, rename="pascal"):
    """What tells the streams of a message apart."""

    web_id: str = ""
    path: str = ""


class _Event(msgspec.Struct, rename="pascal"):
    """What tells the events of a stream apart."""

    timestamp: msgspec.Raw = _NOTHING
    value: msgspec.Raw = _NOTHING
    good: msgspec.Raw = _NOTHING
    questionable: msgspec.Raw = _NOTHING
    substituted: msgspec.Raw = _NOTHING
    annotated: msgspec.Raw = _NOTHING


_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_streams = msgspec.json.Decoder(list[_Fields]).decode
_decode_events = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_stream = msgspec.json.Decoder(_Stream).decode
_encode = msgspec.json.encode


class Overlap:
    """The events that old PI channels gave while new ones were open already.

    Args:
        moved: WebIDs and paths of the streams that are on both.
        limit: how many events are remembered; the oldest are forgotten first.
    """

    def __init__(self, moved: Collection[str], limit: int = _REMEMBERED) -> None:
        self._moved = frozenset(moved)
        self._limit = limit
        self._seen: OrderedDict[_Key, int] = OrderedDict()

    def note(self, frame: bytes) -> None:
        """Remember what an old PI channel gave."""
        try:
            for stream, events in _streams(frame):
                if self._is_moved(stream):
                    for event in events:
                        self._remember(_key(stream, event))
        except msgspec.DecodeError:
            # What cannot be read is not known to be the same.
            return

    def _remember(self, key: _Key) -> None:
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def unknown(self, frame: bytes) -> bytes | None:
        """What of a frame of a new PI channel was not given before; None if nothing.

        Each event that was noted is left out once.
        """
        if not self._seen:
            return frame
        return _filtered(frame, self._unknown)

    def _unknown(self, stream: _Stream, events: list[msgspec.Raw]) -> list[msgspec.Raw]:
        if not self._is_moved(stream):
            return events
        return [event for event in events if not self._forget(_key(stream, event))]

    def _forget(self, key: _Key) -> bool:
        count = self._seen.pop(key, 0)
        if count > 1:
            self._seen[key] = count - 1
        return count > 0

    def current(self, frame: bytes, known: Collection[str]) -> bytes | None:
        """What of current values is news, when those of `known` are not.

        Args:
            frame: with which a PI channel begins.
            known: streams whose current values were given, by WebID or path. Of
                others those are left out that are not newer than what was noted.
        """
        newest = self._newest()

        def kept(stream: _Stream, events: list[msgspec.Raw]) -> list[msgspec.Raw]:
            if stream.web_id in known or stream.path in known:
                return []
            last = newest.get((stream.web_id.encode(), stream.path.encode()))
            return [one for one in events if last is None or _time(one) > last]

        return _filtered(frame, kept)

    def _newest(self) -> dict[tuple[bytes, bytes], int]:
        """The time of the newest event that was noted of each stream."""
        found: dict[tuple[bytes, bytes], int] = {}
        for web_id, path, time, *_ in self._seen:
            stream = web_id, path
            found[stream] = max(found.get(stream, 0), _ticks(time))
        return found

    def _is_moved(self, stream: _Stream) -> bool:
        return stream.web_id in self._moved or stream.path in self._moved


def _streams(frame: bytes) -> Iterator[tuple[_Stream, list[msgspec.Raw]]]:
    for fields in _decode_streams(_decode_fields(frame).get("Items", b"[]")):
        events = _decode_events(fields.get("Items", b"[]"))
        yield _decode_stream(_encode(fields)), events


def _filtered(
    frame: bytes,
    kept: Callable[[_Stream, list[msgspec.Raw]], list[msgspec.Raw]],
) -> bytes | None:
    """The frame with those events of each stream that `kept` gives."""
    try:
        document = _decode_fields(frame)
        streams = _decode_streams(document["Items"])
        left: list[dict[str, Any]] = []
        for fields in streams:
            events = _decode_events(fields["Items"])
            rest = kept(_decode_stream(_encode(fields)), events)
            if rest:
                left.append({**fields, "Items": rest})
    except (msgspec.DecodeError, KeyError):
        return frame
    if not left and streams:
        return None
    return _encode({**document, "Items": left})


def _time(event: msgspec.Raw) -> int:
    return _ticks(bytes(_decode_event(event).timestamp))


def _ticks(raw: bytes) -> int:
    """The ticks of a timestamp as it stands in a message; 0 where it is none."""
    try:
        return parse_ticks(raw.decode().strip('"'))
    except (ValueError, DecodeError):
        return 0


def _key(stream: _Stream, event: msgspec.Raw) -> _Key:
    found = _decode_event(event)
    parts = (getattr(found, name) for name in _Event.__struct_fields__)
    return (stream.web_id.encode(), stream.path.encode(), *map(bytes, parts))
