"""The properties of MQTT 5 packets: names and values to bytes and back; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct, error as StructError
from typing import Any, Final, NamedTuple

from pichannels.errors import DecodeError, UsageError, nearest

__all__ = [
    "Properties",
    "Reading",
    "encode_properties",
    "pack_binary",
    "pack_text",
    "pack_varint",
    "read_properties",
]

Properties = Mapping[str, Any]
"""Names as in the specification, with `_`; `user_property` is a list of pairs."""

_BYTE: Final = Struct(">B")
_TWO: Final = Struct(">H")
_FOUR: Final = Struct(">I")
_LONGEST: Final = 268_435_455
_NO_TEXT: Final = "\x00"


class Reading:
    """The place in a packet up to which it has been read.

    Every method raises `DecodeError` where the packet ends too soon.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.at >= self.end

    def take(self, count: int) -> bytes:
        """The next so many bytes."""
        start, self.at = self.at, self.at + count
        if self.at > self.end:
            raise DecodeError("an MQTT packet", "it ends too soon", self.data)
        return self.data[start : self.at]

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def two(self) -> int:
        """An integer of two bytes."""
        return int.from_bytes(self.take(2))

    def four(self) -> int:
        """An integer of four bytes."""
        return int.from_bytes(self.take(4))

    def binary(self) -> bytes:
        """Bytes after their length."""
        return self.take(self.two())

    def text(self) -> str:
        """Text after its length."""
        try:
            found = self.binary().decode()
        except UnicodeDecodeError as exc:
            raise DecodeError("an MQTT text", str(exc), self.data) from exc
        if _NO_TEXT in found:
            raise DecodeError("an MQTT text", "it has a null character", self.data)
        return found

    def pair(self) -> tuple[str, str]:
        """A name and a value."""
        return self.text(), self.text()

    def varint(self) -> int:
        """An integer of one to four bytes."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise DecodeError("an MQTT packet", "a length has too many bytes", self.data)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.end - self.at)


def pack_varint(value: int) -> bytes:
    """An integer as one to four bytes.

    Raises:
        ValueError: it is too large.
    """
    if value > _LONGEST:
        raise ValueError(f"{value} bytes are more than MQTT can carry")
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def pack_binary(value: bytes) -> bytes:
    """Bytes behind their length.

    Raises:
        ValueError: they are too many.
    """
    if len(value) > 0xFFFF:
        raise ValueError(f"{len(value)} bytes are too many, 65535 is the most")
    return _TWO.pack(len(value)) + value


def pack_text(value: str) -> bytes:
    """Text behind its length.

    Raises:
        ValueError: it is too long, has a null character or is no Unicode.
    """
    if _NO_TEXT in value:
        raise ValueError("MQTT has no null characters")
    return pack_binary(value.encode())


def _pack_pair(value: tuple[str, str]) -> bytes:
    return pack_text(value[0]) + pack_text(value[1])


class _Kind(NamedTuple):
    pack: Callable[[Any], bytes]
    read: Callable[[Reading], Any]


_KINDS: Final = {
    "byte": _Kind(_BYTE.pack, Reading.byte),
    "two": _Kind(_TWO.pack, Reading.two),
    "four": _Kind(_FOUR.pack, Reading.four),
    "varint": _Kind(pack_varint, Reading.varint),
    "text": _Kind(pack_text, Reading.text),
    "binary": _Kind(pack_binary, Reading.binary),
    "pair": _Kind(_pack_pair, Reading.pair),
}
_REPEATED: Final = frozenset({"subscription_identifier", "user_property"})
_NAMES: Final[Mapping[int, tuple[str, str]]] = {
    1: ("payload_format_indicator", "byte"),
    2: ("message_expiry_interval", "four"),
    3: ("content_type", "text"),
    8: ("response_topic", "text"),
    9: ("correlation_data", "binary"),
    11: ("subscription_identifier", "varint"),
    17: ("session_expiry_interval", "four"),
    18: ("assigned_client_identifier", "text"),
    19: ("server_keep_alive", "two"),
    21: ("authentication_method", "text"),
    22: ("authentication_data", "binary"),
    23: ("request_problem_information", "byte"),
    24: ("will_delay_interval", "four"),
    25: ("request_response_information", "byte"),
    26: ("response_information", "text"),
    28: ("server_reference", "text"),
    31: ("reason_string", "text"),
    33: ("receive_maximum", "two"),
    34: ("topic_alias_maximum", "two"),
    35: ("topic_alias", "two"),
    36: ("maximum_qos", "byte"),
    37: ("retain_available", "byte"),
    38: ("user_property", "pair"),
    39: ("maximum_packet_size", "four"),
    40: ("wildcard_subscription_available", "byte"),
    41: ("subscription_identifier_available", "byte"),
    42: ("shared_subscription_available", "byte"),
}
_BY_NAME: Final = {name: (id, kind) for id, (name, kind) in _NAMES.items()}


def encode_properties(properties: Properties) -> bytes:
    """Properties behind their length.

    Raises:
        UsageError: there is no such property.
        ValueError: a value does not fit.
    """
    result = bytearray()
    for name, value in properties.items():
        if name not in _BY_NAME:
            raise UsageError(f"MQTT has no property {name!r}{nearest(name, _BY_NAME)}")
        id, kind = _BY_NAME[name]
        for one in value if name in _REPEATED else (value,):
            try:
                result += bytes((id,)) + _KINDS[kind].pack(one)
            except (StructError, TypeError, AttributeError) as exc:
                raise ValueError(f"{name} cannot be {one!r}: {exc}") from exc
    return pack_varint(len(result)) + bytes(result)


def read_properties(reading: Reading) -> dict[str, Any]:
    """The properties that stand next in a packet.

    Raises:
        DecodeError: these are none.
    """
    length = reading.varint()
    if not length:
        return {}
    part = Reading(reading.data, reading.at, reading.at + length)
    reading.take(length)
    found: dict[str, Any] = {}
    while not part.is_over:
        id = part.varint()
        if id not in _NAMES:
            raise DecodeError("an MQTT packet", f"it has a property {id}", part.data)
        name, kind = _NAMES[id]
        value = _KINDS[kind].read(part)
        if name in _REPEATED:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found
