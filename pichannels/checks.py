"""What constructors check of their options, told in the same words."""

from __future__ import annotations

import codecs
import inspect
from typing import Any

from pichannels.errors import SettingsError, UsageError

__all__ = ["at_least", "encoding_name", "options_of", "whole"]


def at_least(key: str, found: Any, minimum: float, *, above: bool = False) -> None:
    """Check a number.

    Args:
        key: name of the option.
        found: what was given for it.
        minimum: the least that is allowed.
        above: whether it has to be more than that.

    Raises:
        UsageError: not a number, or too small.
    """
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not (found > minimum if above else found >= minimum):
        allowed = f"above {minimum:g}" if above else f"{minimum:g} or more"
        raise UsageError(f"{key} is a number, {allowed}, not {found!r}")


def whole(key: str, found: Any, minimum: int) -> None:
    """Check a whole number.

    Raises:
        UsageError: not a whole number, or too small.
    """
    is_whole = isinstance(found, int) and not isinstance(found, bool)
    if not is_whole or found < minimum:
        raise UsageError(f"{key} is a whole number, {minimum} or more, not {found!r}")


def encoding_name(found: Any, key: str = "encoding") -> str:
    """What Python calls an encoding of text.

    Raises:
        SettingsError: there is none of this name.
    """
    try:
        # Refuses those that make bytes of bytes, too, such as hex.
        "".encode(found)
        return codecs.lookup(found).name
    except (LookupError, TypeError, ValueError) as exc:
        raise SettingsError(
            "there is no such encoding",
            key=key,
            found=found,
            allowed="names such as utf-8",
        ) from exc


def options_of(kind: type) -> list[str]:
    """The names of all options that a class and those above it take."""
    names: set[str] = set()
    for base in kind.__mro__:
        if base is object:
            continue
        for name, parameter in inspect.signature(base).parameters.items():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                names.add(name)
    return sorted(names)
