"""Places in payloads that are dicts and lists: `patient.names.0`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pichannels.errors import MessageError

__all__ = ["MISSING", "NoSuchPlace", "found_at", "replaced", "set_at"]

MISSING: Final = object()
"""What stands for a value that is not there."""


class NoSuchPlace(MessageError):
    """The payload has nothing at a path, or something else than is needed."""


def found_at(values: Any, path: str) -> Any:
    """What is at the path, or `MISSING`; numbers count items of lists from 0."""
    for part in path.split(".") if path else ():
        if isinstance(values, Mapping):
            values = values.get(part, MISSING)
        elif isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        else:
            return MISSING
    return values


def set_at(values: dict[str, Any], path: str, value: Any) -> None:
    """Put the value at the path; dicts on the way are made."""
    *way, last = path.split(".")
    for part in way:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[last] = value


def replaced(payload: Any, path: str, new: Any) -> Any:
    """The payload with something else at the path.

    Raises:
        NoSuchPlace: the path leads nowhere.
    """
    if not path:
        return new
    above, _, last = path.rpartition(".")
    holder = found_at(payload, above)
    if isinstance(holder, dict):
        holder[last] = new
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        holder[int(last)] = new
    else:
        raise NoSuchPlace(f"the payload has nothing at {path!r}")
    return payload
