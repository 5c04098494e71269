"""Samples and messages as JSON lines, and as text for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nodes._batches import is_batch
from pichannels.message import Message
from pichannels.values import (
    TICKS_PER_SECOND,
    DigitalState,
    Sample,
    ValueFailure,
    format_ticks,
)

__all__ = ["encode_lines", "encode_payload", "readable"]

_SECONDS_KEPT: Final = 8192


class _Line(msgspec.Struct, gc=False):
    """One sample; the order of the fields is that in the file."""

    tag: str
    path: str
    time: str
    value: Any
    good: bool
    questionable: bool
    substituted: bool
    annotated: bool
    units: str
    event_id: str
    lane: str


class _MessageLine(msgspec.Struct, gc=False):
    """One message that is no batch."""

    uuid: str
    time: str
    content_type: str
    lane: str
    payload: Any


class _Failure(msgspec.Struct, gc=False):
    error: str


def _plain(value: Any) -> Any:
    raise TypeError(f"JSON has nothing for a value of type {type(value).__name__}")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
# The text of whole seconds met last: formatting one is far dearer than a look-up.
_seconds: Final[dict[int, str]] = {}


def _iso(ticks: int) -> str:
    second, rest = divmod(ticks, TICKS_PER_SECOND)
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        text = _seconds[second] = format_ticks(second * TICKS_PER_SECOND)[:-1]
    return f"{text}.{rest:07d}".rstrip("0") + "Z" if rest else text + "Z"


def _line(sample: Sample, lane: str) -> _Line:
    tag = sample.tag
    value = sample.value
    return _Line(
        tag.name,
        tag.path,
        _iso(sample.ticks),
        value if type(value) is not ValueFailure else _Failure(value.message),
        sample.good,
        sample.questionable,
        sample.substituted,
        sample.annotated,
        sample.units or tag.units,
        sample.event_id,
        lane,
    )


def encode_lines(msg: Message) -> bytes:
    """JSON lines of a message: one for each sample, or one for the message.

    Raises:
        TypeError, ValueError: a value that JSON has nothing for.
    """
    lane = msg.meta.get("lane", "live")
    payload = msg.payload
    if is_batch(payload):
        return _encoder.encode_lines([_line(sample, lane) for sample in payload])
    line = _MessageLine(
        msg.uuid, _iso(msg.ticks), msg.content_type, lane, _readable_bytes(payload)
    )
    return _encoder.encode_lines([line])


def encode_payload(msg: Message) -> bytes:
    """The payload as JSON: an array of samples, or what it is.

    Raises:
        TypeError, ValueError: a value that JSON has nothing for.
    """
    payload = msg.payload
    if is_batch(payload):
        lane = msg.meta.get("lane", "live")
        return _encoder.encode([_line(sample, lane) for sample in payload])
    return _encoder.encode(payload)


def _readable_bytes(payload: Any) -> Any:
    """Bytes as text where they are, else as base64 by the encoder."""
    if type(payload) is not bytes:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload


def readable(sample: Sample) -> str:
    """One sample as a line for people."""
    value: Any = sample.value
    if type(value) is DigitalState:
        value = value.name
    elif type(value) is ValueFailure:
        value = f"failed: {value.message}"
    units = sample.units or sample.tag.units
    flags = [
        name
        for name, is_set in (
            ("bad", not sample.good),
            ("questionable", sample.questionable),
            ("substituted", sample.substituted),
            ("annotated", sample.annotated),
        )
        if is_set
    ]
    shown = f"{value} {units}".rstrip()
    tail = f"  ({', '.join(flags)})" if flags else ""
    return f"{_iso(sample.ticks):<28}  {sample.tag.name}  {shown}{tail}"
