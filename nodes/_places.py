"""Where in a message facts go, and what happens to what has none."""

from __future__ import annotations

from typing import Any, Final

from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message

__all__ = ["MISSING", "place_in", "place_of"]

MISSING: Final = ("keep", "drop", "reject", "fail")
"""What can happen to a sample or message without facts."""


def place_of(to: str | None, is_batch: bool) -> tuple[str, ...]:
    """Where facts go, as a path from the message."""
    place = tuple((to or ("meta.tags" if is_batch else "payload")).split("."))
    if is_batch and (place[0] != "meta" or len(place) < 2):
        allowed = "a place in the meta, such as meta.tags"
    elif place[0] not in ("payload", "meta") or "" in place:
        allowed = "payload, meta, or a place in them such as payload.asset"
    else:
        return place
    raise SettingsError("not a usable place", key="to", found=to, allowed=allowed)


def place_in(msg: Message, path: tuple[str, ...]) -> dict[Any, Any]:
    """The dict at a place of the message, made where there is none.

    Raises:
        UsageError: something else is there.
    """
    found: Any = msg.payload if path[0] == "payload" else msg.meta
    for name in path[1:]:
        if isinstance(found, dict):
            found = found.setdefault(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{'.'.join(path)} is {type(found).__name__}, not a dict")
    return found
