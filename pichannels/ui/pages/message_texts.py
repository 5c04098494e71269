"""Payloads as people read them: decoded, as they are, byte by byte; what differs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.errors import CodecError, UsageError
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.values import DigitalState, Sample

__all__ = [
    "brief",
    "bytes_of",
    "decoded",
    "diff_lines",
    "diff_markup",
    "editable",
    "edited",
    "hex_dump",
    "raw",
    "readable",
    "sample_line",
    "samples_of",
    "shown_value",
]

_LONGEST: Final = 200_000
_WIDTH: Final = 16
_DUMPED: Final = 16_384
_LINES: Final = 4000
_MARKS: Final = ("questionable", "substituted", "annotated")
_SHORT: Final = 90


def bytes_of(payload: Any) -> bytes:
    """The payload as bytes: text as UTF-8, other values as JSON.

    Args:
        payload: as a `MessageView` has it.
    """
    if isinstance(payload, str):
        return payload.encode("utf-8", "replace")
    try:
        value = codecs.decode_json(msgspec.json.encode(payload))
    except (CodecError, msgspec.MsgspecError, ValueError):
        value = None
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return msgspec.json.encode(payload)


def samples_of(payload: Any) -> list[Sample]:
    """The samples of a payload; none where it is something else."""
    if not isinstance(payload, list | dict) or not payload:
        return []
    try:
        found = codecs.decode_json(msgspec.json.encode(payload))
    except (CodecError, msgspec.MsgspecError, ValueError):
        return []
    if not isinstance(found, list):
        return []
    return found if all(isinstance(each, Sample) for each in found) else []


def sample_line(sample: Sample) -> str:
    """A sample in one line: when, which tag, its value, and what is odd about it."""
    marks = [each for each in _MARKS if getattr(sample, each)]
    if not sample.good:
        marks.insert(0, "bad")
    return "  ".join([sample.iso, sample.tag.name, _value_of(sample), *marks])


def _value_of(sample: Sample) -> str:
    value = sample.value
    if isinstance(value, DigitalState):
        return value.name
    units = sample.units or sample.tag.units
    return f"{shown_value(value)} {units}".rstrip()


def readable(payload: Any) -> str:
    """The payload for people: a line for each sample, else as `decoded`."""
    samples = samples_of(payload)
    return _cut("\n".join(map(sample_line, samples))) if samples else decoded(payload)


def brief(payload: Any) -> str:
    """The payload in a few words."""
    text = shown_value(payload)
    samples = samples_of(payload)
    if samples:
        first = f"{samples[0].tag.name} {_value_of(samples[0])}"
        more = len(samples) - 1
        text = f"{first}, and {more} more" if more else first
    elif _is_bytes(payload):
        text = raw(payload)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def raw(payload: Any) -> str:
    """The payload as it is, as far as it is text."""
    return _cut(bytes_of(payload).decode("utf-8", "replace"))


def decoded(payload: Any) -> str:
    """The payload with each field on a line, where it is a document."""
    text = bytes_of(payload)
    try:
        return _cut(msgspec.json.format(text, indent=2).decode())
    except (msgspec.DecodeError, ValueError):
        return raw(payload)


def shown_value(value: Any) -> str:
    """A value in one line, such as a fact or a sample's."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError):
        return str(value)


def _is_bytes(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.get("$type") == "bytes"


def editable(payload: Any) -> str:
    """The payload as somebody may edit it.

    Raises:
        UsageError: it is no text.
    """
    if isinstance(payload, str):
        return payload
    if not _is_bytes(payload):
        return msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    try:
        return bytes_of(payload).decode()
    except UnicodeDecodeError as exc:
        raise UsageError(f"this is no text, and cannot be edited here: {exc}") from exc


def edited(payload: Any, text: str) -> Any:
    """What was edited, of the same kind as `payload`, in typed JSON.

    Raises:
        UsageError: it is no JSON, where it has to be.
    """
    if isinstance(payload, str):
        return text
    if _is_bytes(payload):
        return {"$type": "bytes", "text": text}
    try:
        codecs.decode_json(text)
        return msgspec.json.decode(text)
    except (CodecError, msgspec.DecodeError) as exc:
        raise UsageError(f"the payload is no JSON: {exc}") from exc


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n... {len(text) - _LONGEST} characters more"


def hex_dump(data: bytes) -> str:
    """Sixteen bytes on a line: where, which, and as text."""
    lines = []
    for at in range(0, min(len(data), _DUMPED), _WIDTH):
        part = data[at : at + _WIDTH]
        codes = part.hex(" ").ljust(_WIDTH * 3 - 1)
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:08x}  {codes}  {text}")
    if len(data) > _DUMPED:
        lines.append(f"... {len(data) - _DUMPED} bytes more")
    return "\n".join(lines)


# Differences


def diff_lines(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs between two messages, as `diff -u` has it; nothing where none does.

    Args:
        one, other: `content_type`, `meta` and `payload`.
    """
    found = difflib.unified_diff(_lines(one), _lines(other), lineterm="", n=3)
    return list(found)[2:]


def _lines(message: Mapping[str, Any]) -> list[str]:
    payload = message.get("payload")
    head = {name: value for name, value in message.items() if name != "payload"}
    text = msgspec.json.format(msgspec.json.encode(head), indent=2).decode()
    return [*text.splitlines(), "payload:", *readable(payload).splitlines()][:_LINES]


_KINDS: Final = {"+": "added", "-": "removed", "@": "place"}


def diff_markup(lines: Sequence[str]) -> Markup:
    """The lines of a difference; signs tell them apart, too."""
    shown: list[Child] = [
        tag("span", f"{line}\n", classes=_KINDS.get(line[:1], "")) for line in lines
    ]
    return tag("pre", join(shown), classes="diff", tabindex="0")
