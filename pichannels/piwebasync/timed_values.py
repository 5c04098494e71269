"""What PI sends for one event and for one stream, as it stands in the JSON.

The fields are in the order in which PI writes them, which the decoder follows.
Garbage collection is off: these objects hold no cycles.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["StreamEvents", "TimedValue", "error_text"]


class TimedValue(msgspec.Struct, gc=False, rename="pascal"):
    """PI's `TimedValue`: one event of a stream."""

    timestamp: str = ""
    value: Any = None
    units_abbreviation: str | None = None
    good: bool = True
    questionable: bool = False
    substituted: bool = False
    annotated: bool = False
    errors: Any = None
    """Why PI has no value, in whatever form PI says it."""


class StreamEvents(msgspec.Struct, gc=False, rename="pascal"):
    """One stream of a message: who it is and what it brings."""

    web_id: str = ""
    name: str = ""
    path: str = ""
    items: list[TimedValue] | None = None
    units_abbreviation: str | None = None
    value: TimedValue | None = None
    errors: Any = None
    exception: Any = None

    @property
    def events(self) -> list[TimedValue]:
        """The events in the order in which PI sent them."""
        return self.items or []

    @property
    def failure(self) -> str:
        """Why PI could not answer for this stream; empty where it could."""
        reason = error_text(self.exception) or error_text(self.errors)
        if reason or self.items is None:
            return reason or "the answer has neither values nor errors"
        if len(self.items) == 1 and self.items[0].timestamp.startswith("1970-01-01"):
            return error_text(self.items[0].errors)
        return ""


def error_text(errors: Any) -> str:
    """PI's error reports (`Errors`, `Exception`, `Message`) as one text."""
    if isinstance(errors, str):
        return errors
    if isinstance(errors, list):
        return "; ".join(dict.fromkeys(filter(None, map(error_text, errors))))
    if isinstance(errors, dict):
        return error_text(errors.get("Errors")) or error_text(errors.get("Message"))
    return ""
