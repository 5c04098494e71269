"""Packets of MQTT 3.1.1 and 5 to bytes, and bytes to packets; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pichannels.errors import DecodeError
from pichannels.mqtt.properties import (
    Properties,
    Reading,
    encode_properties,
    pack_binary,
    pack_text,
    pack_varint,
    read_properties,
)

__all__ = [
    "DISCONNECT",
    "MQTT_5",
    "PINGREQ",
    "PUBACK",
    "PUBCOMP",
    "PUBREC",
    "PUBREL",
    "Ack",
    "Connack",
    "Decoder",
    "Disconnect",
    "Packet",
    "Pingresp",
    "Publish",
    "Suback",
    "encode_ack",
    "encode_connect",
    "encode_publish",
    "encode_subscribe",
]

MQTT_5: Final = 5
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

_CONNECT: Final = 0x10
_CONNACK: Final = 2
_PUBLISH: Final = 3
_SUBSCRIBE: Final = 0x82
_SUBACK: Final = 9
_PINGRESP: Final = 13
_DISCONNECT: Final = 14


class Connack(NamedTuple):
    """The broker's answer to a login."""

    session_present: bool
    code: int
    properties: dict[str, Any]


class Publish(NamedTuple):
    """A message."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = {}
    id: int = 0
    is_duplicate: bool = False


class Ack(NamedTuple):
    """One step of an acknowledgement: PUBACK, PUBREC, PUBREL or PUBCOMP."""

    kind: int
    id: int
    code: int = 0
    properties: Properties = {}


class Suback(NamedTuple):
    """What became of each topic filter: the QoS, or 128 and more."""

    id: int
    codes: Sequence[int]


class Pingresp(NamedTuple):
    """The broker is there."""


class Disconnect(NamedTuple):
    """The broker hangs up."""

    code: int = 0
    properties: Properties = {}


Packet = Connack | Publish | Ack | Suback | Pingresp | Disconnect


# To bytes


def _packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first,)) + pack_varint(len(body)) + body


def encode_connect(
    version: int,
    client_id: str,
    *,
    clean_start: bool,
    keep_alive: int,
    user: str | None = None,
    password: str | None = None,
    properties: Properties | None = None,
) -> bytes:
    """The packet that logs in.

    Raises:
        ValueError: something in it is too long.
    """
    flags = clean_start << 1 | (password is not None) << 6 | (user is not None) << 7
    parts = [
        pack_text("MQTT"),
        bytes((version, flags)),
        keep_alive.to_bytes(2),
    ]
    if version == MQTT_5:
        parts.append(encode_properties(properties or {}))
    parts.append(pack_text(client_id))
    if user is not None:
        parts.append(pack_text(user))
    if password is not None:
        parts.append(pack_binary(password.encode()))
    return _packet(_CONNECT, *parts)


def encode_publish(version: int, publish: Publish) -> bytes:
    """The packet of a message.

    Raises:
        UsageError: MQTT has no such property.
        ValueError: something in it does not fit.
    """
    first = _PUBLISH << 4 | publish.is_duplicate << 3 | publish.qos << 1
    parts = [pack_text(publish.topic)]
    if publish.qos:
        parts.append(publish.id.to_bytes(2))
    if version == MQTT_5:
        parts.append(encode_properties(publish.properties))
    return _packet(first | publish.retain, *parts, publish.payload)


def encode_ack(kind: int, id: int) -> bytes:
    """The packet that acknowledges one with this number; the same in all versions."""
    return bytes((kind << 4 | (2 if kind == PUBREL else 0), 2)) + id.to_bytes(2)


def encode_subscribe(
    version: int, id: int, filters: Mapping[str, int], *, options: int = 0
) -> bytes:
    """The packet that subscribes: topic filters, and the QoS of each.

    Args:
        options: further flags of MQTT 5 for each filter.

    Raises:
        ValueError: a filter is too long.
    """
    parts = [id.to_bytes(2)]
    if version == MQTT_5:
        parts.append(encode_properties({}))
    more = options if version == MQTT_5 else 0
    parts += [pack_text(name) + bytes((qos | more,)) for name, qos in filters.items()]
    return _packet(_SUBSCRIBE, *parts)


# To packets


class Decoder:
    """Makes packets of the bytes that come.

    Args:
        version: 4 for MQTT 3.1.1, 5 for MQTT 5.
        most: how many bytes a packet may have.
    """

    def __init__(self, version: int, most: int) -> None:
        self._version = version
        self._most = most
        self._left = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are whole now.

        Raises:
            DecodeError: this is not MQTT, or a packet is too large.
        """
        if self._left or self._needed:
            self._left += data
            if len(self._left) < self._needed:
                return
            data = bytes(self._left)
        at = self._needed = 0
        while (found := self._next(data, at)) is not None:
            first, start, at = found
            yield self._packet(first, Reading(data[start:at]))
        self._left = bytearray(data[at:])

    def _next(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        """First byte, start and end of the body of the packet that begins here."""
        length = shift = 0
        for place in range(at + 1, min(at + 5, len(data))):
            length |= (data[place] & 0x7F) << shift
            shift += 7
            if data[place] < 0x80:
                break
        else:
            if len(data) - at >= 5:
                raise DecodeError("MQTT", "a length has too many bytes", data[at:])
            return None
        if length > self._most:
            raise DecodeError("MQTT", f"a packet of {length} bytes is too large")
        end = place + 1 + length
        if end > len(data):
            self._needed = end - at
            return None
        return data[at], place + 1, end

    def _packet(self, first: int, reading: Reading) -> Packet:
        kind = first >> 4
        if kind == _PUBLISH:
            return self._publish(first, reading)
        if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            return Ack(kind, reading.two(), *self._reason(reading))
        if kind == _CONNACK:
            flags, code = reading.byte(), reading.byte()
            return Connack(bool(flags & 1), code, self._properties(reading))
        if kind == _SUBACK:
            id = reading.two()
            self._properties(reading)
            return Suback(id, tuple(reading.rest()))
        if kind == _PINGRESP:
            return Pingresp()
        if kind == _DISCONNECT:
            return Disconnect(*self._reason(reading))
        raise DecodeError("MQTT", f"a broker sends no packet of kind {kind}")

    def _publish(self, first: int, reading: Reading) -> Publish:
        qos = first >> 1 & 3
        if qos > 2:
            raise DecodeError("MQTT", "there is no QoS 3")
        topic = reading.text()
        id = reading.two() if qos else 0
        properties = self._properties(reading)
        is_duplicate = bool(first & 8)
        is_retained = bool(first & 1)
        return Publish(
            topic, reading.rest(), qos, is_retained, properties, id, is_duplicate
        )

    def _properties(self, reading: Reading) -> dict[str, Any]:
        if self._version != MQTT_5 or reading.is_over:
            return {}
        return read_properties(reading)

    def _reason(self, reading: Reading) -> tuple[int, dict[str, Any]]:
        """The code and the properties, which may be left out where all is well."""
        if self._version != MQTT_5 or reading.is_over:
            return 0, {}
        return reading.byte(), self._properties(reading)
