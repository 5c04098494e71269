"""WebSocket frames (RFC 6455) as bytes, for what no well-behaved writer sends."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from typing import Final

__all__ = ["fragments", "frame", "half_frame"]

_TEXT: Final = 0x1
_CONTINUATION: Final = 0x0
_FIN: Final = 0x80


def _head(length: int, first: int) -> bytes:
    if length < 126:
        return pack("!BB", first, length)
    if length < 1 << 16:
        return pack("!BBH", first, 126, length)
    return pack("!BBQ", first, 127, length)


def frame(payload: bytes) -> bytes:
    """One whole text message, unmasked as a server sends it."""
    return _head(len(payload), _FIN | _TEXT) + payload


def half_frame(payload: bytes) -> bytes:
    """A frame that announces the whole payload and holds half of it."""
    return _head(len(payload), _FIN | _TEXT) + payload[: len(payload) // 2]


def fragments(payload: bytes, size: int) -> Iterator[bytes]:
    """A text message in frames of at most `size` bytes."""
    last = max(len(payload) - 1, 0) // size
    for number in range(last + 1):
        part = payload[number * size : (number + 1) * size]
        first = _CONTINUATION if number else _TEXT
        yield _head(len(part), first | (_FIN if number == last else 0)) + part
