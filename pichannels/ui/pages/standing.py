"""What a bulk action concerns, so that it stays the same while somebody types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pichannels import clock
from pichannels.values import format_ticks

__all__ = ["Standing"]

_GROWING: Final = ("replay", "dead-redrive", "dead-discard")
"""Actions that concern what was made before an end."""


class Standing:
    """The arguments of a bulk action as of now: what comes later is not counted.

    Args:
        action: what is done.
        arguments: of the command of the instance.
    """

    def __init__(self, action: str, arguments: Mapping[str, Any]) -> None:
        self._since = clock.monotonic()
        self._given = dict(arguments)
        is_open = not (self._given.get("ids") or self._given.get("end"))
        if action in _GROWING and is_open:
            self._given["end"] = format_ticks(clock.now())

    def arguments(self) -> dict[str, Any]:
        """The same ones; an age has grown since."""
        age = self._given.get("age")
        if age is None:
            return dict(self._given)
        return {**self._given, "age": age + clock.monotonic() - self._since}
