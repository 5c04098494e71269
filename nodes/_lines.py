"""Samples and messages as JSON lines, and as text for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nodes._batches import is_batch
from pichannels.formats.records import iso, line_of
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = ["encode_lines", "encode_payload", "readable"]


class _MessageLine(msgspec.Struct, gc=False):
    """One message that is no batch."""

    uuid: str
    time: str
    content_type: str
    lane: str
    payload: Any


def _plain(value: Any) -> Any:
    raise TypeError(f"JSON has nothing for a value of type {type(value).__name__}")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)


def encode_lines(msg: Message) -> bytes:
    """JSON lines of a message: one for each sample, or one for the message.

    Raises:
        TypeError, ValueError: a value that JSON has nothing for.
    """
    lane = msg.meta.get("lane", "live")
    payload = msg.payload
    if is_batch(payload):
        return _encoder.encode_lines([line_of(sample, lane) for sample in payload])
    line = _MessageLine(
        msg.uuid, iso(msg.ticks), msg.content_type, lane, _readable_bytes(payload)
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
        return _encoder.encode([line_of(sample, lane) for sample in payload])
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
    return f"{iso(sample.ticks):<28}  {sample.tag.name}  {shown}{tail}"
