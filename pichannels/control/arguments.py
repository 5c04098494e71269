"""Arguments of commands, from texts."""

from __future__ import annotations

from pichannels.errors import DecodeError, UsageError
from pichannels.values import parse_ticks

__all__ = ["ticks_of"]


def ticks_of(name: str, text: str) -> int:
    """A time, in ticks.

    Args:
        name: of the argument, for the error.
        text: ISO 8601.

    Raises:
        UsageError: the text is no time.
    """
    try:
        return parse_ticks(text)
    except DecodeError as exc:
        raise UsageError(f"{name}: {exc}") from exc
