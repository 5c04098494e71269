"""In which lane what a PI channel gives goes on; pure but for the ledger that it asks.

Most messages have nothing of the time that is delivered already: one look at their
earliest event tells. Others are looked at event by event, and split where they have
several lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.channels.covering import Covering
from pichannels.channels.intake import Received, part_of
from pichannels.coverage.ledger import Lane
from pichannels.errors import DecodeError
from pichannels.message import Message
from pichannels.piwebasync.parsing import ChannelMessage
from pichannels.piwebasync.timed_values import TimedValue

__all__ = ["Lanes"]

_DELETED: Final = "No Data"

_Fields = dict[str, msgspec.Raw]
_decode_documents: Final = msgspec.json.Decoder(list[_Fields]).decode
_decode_fields: Final = msgspec.json.Decoder(_Fields).decode
_decode_events: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.encode


class _Placed(NamedTuple):
    """In which lane each part is, and in which part each event, in order."""

    lanes: list[Lane]
    places: list[int]


class Lanes:
    """Tells live values from late ones, corrections and deletions.

    Args:
        covering: the channel's ledger at work.
    """

    def __init__(self, covering: Covering) -> None:
        self._covering = covering

    def parts(self, received: Received) -> list[tuple[Lane, Received]] | None:
        """A message in parts of one lane each; None where all of it is live.

        The events of a tag stay in their order. Of a message that cannot be parted all
        is live.
        """
        parsed = received.message.parsed
        if type(parsed) is not ChannelMessage or not self._covering.is_open:
            return None
        times: list[Any] = parsed.ticks
        try:
            if min(times) >= self._covering.latest:
                return None
        except TypeError:
            # One of them has no time; that says nothing of the others.
            pass
        if not self._is_any_old(parsed):
            return None
        placed = self._placed(parsed)
        if placed.lanes == ["live"]:
            return None
        if len(placed.lanes) == 1:
            return [(placed.lanes[0], received)]
        return _parted(received.message, placed)

    def _is_any_old(self, parsed: ChannelMessage) -> bool:
        """Whether an event is older than the last that is delivered of its tag."""
        covering, ledger = self._covering, self._covering.ledger
        pasts, rows = ledger.tags.pasts, ledger.rows
        until: dict[tuple[int, int], int] = {}
        ticks, end = parsed.ticks, 0
        for stream in parsed.streams:
            start, end = end, end + len(stream.items or ())
            tag = covering.number(stream.web_id)
            if tag is None:
                continue
            # Most tags share both with others.
            key = id(pasts[tag]), id(rows[tag])
            last = until.get(key)
            if last is None:
                last = until[key] = ledger.delivered_until(tag)
            for at in ticks[start:end]:
                if at is not None and at < last:
                    return True
        return False

    def _placed(self, parsed: ChannelMessage) -> _Placed:
        """The parts: as few as keep the events of each tag in their order."""
        lanes: list[Lane] = []
        places: list[int] = []
        last: dict[str, int] = {}
        for stream, event, at in _events(parsed):
            lane = self._lane(stream, event, at)
            place = last.get(stream, 0)
            while place < len(lanes) and lanes[place] != lane:
                place += 1
            if place == len(lanes):
                lanes.append(lane)
            last[stream] = place
            places.append(place)
        return _Placed(lanes, places)

    def _lane(self, web_id: str, event: TimedValue, at: int | None) -> Lane:
        covering = self._covering
        if at is None or at >= covering.latest:
            return "live"
        tag = covering.number(web_id)
        if tag is None or not covering.ledger.is_delivered(tag, at):
            return "live"
        return covering.ledger.lane(
            tag,
            at,
            is_substituted=event.substituted,
            is_deleted=_is_deletion(event),
        )


def _events(parsed: ChannelMessage) -> Iterator[tuple[str, TimedValue, int | None]]:
    times = iter(parsed.ticks)
    for stream in parsed.streams:
        for event in stream.items or ():
            yield stream.web_id, event, next(times)


def _is_deletion(event: TimedValue) -> bool:
    """Whether this is what PI sends in place of a deleted event: a bad `No Data`."""
    value = event.value
    return (
        not event.good
        and isinstance(value, dict)
        and value.get("Name") == _DELETED
        and value.get("IsSystem") is True
    )


def _parted(msg: Message, placed: _Placed) -> list[tuple[Lane, Received]] | None:
    """Messages of the events in each place, which stay byte for byte as they were."""
    try:
        payloads = _payloads(msg.payload, placed.places, len(placed.lanes))
        parts = [part_of(msg, payload) for payload in payloads]
    except (msgspec.DecodeError, DecodeError, KeyError, ValueError):
        return None
    return list(zip(placed.lanes, parts, strict=True))


def _payloads(payload: bytes, places: Sequence[int], count: int) -> list[bytes]:
    """The payload with the events of one place each.

    Raises:
        ValueError: it has not as many events as places.
        KeyError: a stream has no list of events.
    """
    is_list = payload.startswith(b"[")
    documents = _decode_documents(payload) if is_list else [_decode_fields(payload)]
    made: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    at = 0
    for document in documents:
        parts: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        for fields in _decode_documents(document["Items"]):
            events = _decode_events(fields["Items"])
            own, at = places[at : at + len(events)], at + len(events)
            for place in sorted(set(own)):
                some = [e for e, p in zip(events, own, strict=True) if p == place]
                parts[place].append({**fields, "Items": some})
        for place, streams in enumerate(parts):
            if streams:
                made[place].append({**document, "Items": streams})
    if at != len(places):
        raise ValueError(f"{at} events, not {len(places)}")
    return [_encode(some if len(some) > 1 else some[0]) for some in made]
