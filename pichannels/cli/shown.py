"""One message whole, for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pichannels.cli.output import readable, say
from pichannels.control.tapped import plain_text, plain_value, samples_in

__all__ = ["say_message"]

_FACTS: Final = {
    "uuid": "uuid",
    "timestamp": "time",
    "content_type": "content type",
    "unreadable": "unreadable",
}
_PARTS: Final = ("meta", "ctx")


def say_message(message: dict[str, Any]) -> None:
    """Write a message as `Message.to_json` has it: facts, samples as rows, or JSON."""
    for name, told in _FACTS.items():
        if name in message:
            say(f"{told}: {message[name]}")
    for part in _PARTS:
        for name, value in (message.get(part) or {}).items():
            say(f"{part} {name}: {plain_text(value)}")
    if "payload" in message:
        _say_payload(message["payload"], str(message.get("content_type", "")))


def _say_payload(payload: Any, content_type: str) -> None:
    samples = samples_in(payload)
    if samples:
        noun = "sample" if len(samples) == 1 else "samples"
        say(f"payload: {len(samples):,} {noun}")
        for sample in samples:
            say(f"  {readable(sample)}")
        return
    found = plain_value(payload)
    if isinstance(found, str) and "json" in content_type:
        found = _of_json(found)
    is_text = isinstance(found, str)
    text = (
        found if is_text else msgspec.json.format(msgspec.json.encode(found)).decode()
    )
    say(f"payload:\n{text}" if "\n" in text else f"payload: {text}")


def _of_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
