"""The messages of the benchmarks: one event of one tag as JSON, as PI writes it."""

from __future__ import annotations

import json
from typing import Any, Final

from pichannels.message import Message

__all__ = ["DROPPED_OF", "TABLE", "TEXTS", "messages", "survivors"]

DROPPED_OF: Final = 20
"""The filter drops one message of so many."""

_SIZE: Final = 277
_NAMES: Final = ("UNIT1.BOILER.TEMP", "UNIT2.TANK1.LEVEL", "UNIT3.FEED.FLOW")

TABLE: Final[dict[str, dict[str, Any]]] = {
    name: {"site": "North", "area": name.partition(".")[0]} for name in _NAMES
}
"""What the third step adds, by the name of the tag."""


def _text(number: int) -> str:
    """One message of exactly `_SIZE` bytes; the last of the 20 is negative."""
    name = _NAMES[number % len(_NAMES)]
    event = {
        "WebId": "",
        "Name": name,
        "Path": f"\\\\PISRV01\\{name}",
        "Timestamp": f"2024-05-01T06:00:{number:02}.1234567Z",
        "Value": -1.5 if number == DROPPED_OF - 1 else 20.25 + number,
        "UnitsAbbreviation": "degC",
        "Good": True,
        "Questionable": False,
        "Substituted": False,
        "Annotated": False,
    }
    event["WebId"] = "F1DP" + "x" * (_SIZE - 4 - len(json.dumps(event)))
    return json.dumps(event)


TEXTS: Final = tuple(_text(number) for number in range(DROPPED_OF))


def messages(count: int) -> list[Message]:
    """So many new messages."""
    texts = TEXTS
    return [Message(payload=texts[number % DROPPED_OF]) for number in range(count)]


def survivors(count: int) -> int:
    """How many of so many messages pass the filter."""
    return count - count // DROPPED_OF
