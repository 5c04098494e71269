"""What a tap tells of messages, as samples and as text for people; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.errors import CodecError
from pichannels.values import Sample

__all__ = ["plain_text", "plain_value", "samples_in", "text_of"]

_SAMPLES: Final = ("samples", "sample")


def samples_in(payload: Any) -> list[Sample]:
    """The samples in a payload as a tap tells it; none where it is something else.

    Args:
        payload: of one side of `Passed`.
    """
    parts = payload if isinstance(payload, list) else [payload]
    if not parts or not all(_type(part) in _SAMPLES for part in parts):
        return []
    try:
        found = [codecs.decode_json(msgspec.json.encode(part)) for part in parts]
    except CodecError:
        # Of a type that only the project knows.
        return []
    return [each for one in found for each in (one if isinstance(one, list) else [one])]


def text_of(shown: Mapping[str, Any]) -> str:
    """A payload that is no batch of samples, in words, with what is left out.

    Args:
        shown: one side of `Passed`.
    """
    payload, omitted = shown["payload"], shown["omitted"]
    if payload is None:
        return f"({omitted})" if omitted else "(no payload)"
    text = plain_text(payload) or "(an empty text)"
    return f"{text} ({omitted})" if omitted else text


def plain_text(value: Any) -> str:
    """A text as it is, else JSON, in which values of types are as short as can be."""
    found = plain_value(value)
    if isinstance(found, str):
        return found
    return msgspec.json.encode(found).decode()


def _type(value: Any) -> str:
    found = value.get("$type") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def plain_value(value: Any) -> Any:
    """Data in which values of types are as short as can be."""
    if isinstance(value, list):
        return [plain_value(each) for each in value]
    if not isinstance(value, dict):
        return value
    name = _type(value)
    if not name:
        return {key: plain_value(each) for key, each in value.items()}
    if name == "bytes":
        return value.get("text", value.get("value"))
    if name == "dict":
        return {
            str(plain_value(key)): plain_value(each) for key, each in value["value"]
        }
    if name in _SAMPLES:
        return [f"{s.iso} {s.tag.name}={s.value}" for s in samples_in(value)]
    inner = plain_value(value.get("value"))
    # Fields say what they are only with the name of what they belong to.
    return {name.rpartition(":")[2]: inner} if isinstance(inner, dict) else inner
