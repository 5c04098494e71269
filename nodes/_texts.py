"""Texts with values of the message in them: `/plants/%(meta.plant)s`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from nodes._paths import MISSING, found_at
from pichannels.errors import MessageError, SettingsError
from pichannels.message import Message

__all__ = ["filled", "has_pattern", "in_url", "pattern_of"]

Escape = Callable[[str], str]

_PATTERN: Final = re.compile(r"%\(([^()]*)\)s")
in_url: Final[Escape] = partial(quote, safe="")
"""Escapes what would mean something in a URL."""


def has_pattern(text: str) -> bool:
    """Whether a value of the message belongs in it."""
    return _PATTERN.search(text) is not None


def pattern_of(key: str, text: str) -> str:
    """The text, whose patterns have to begin with `meta` or `payload`.

    Raises:
        SettingsError: one does not.
    """
    for name in _PATTERN.findall(text):
        if name.split(".")[0] not in ("meta", "payload") or "" in name.split("."):
            raise SettingsError(
                "there is no such place in a message",
                key=key,
                found=f"%({name})s",
                allowed="%(meta.NAME)s, %(payload.NAME)s",
            )
    return text


def filled(text: str, msg: Message, escape: Escape | None = None) -> str:
    """The text with the values of this message; any other `%` stands for itself.

    Args:
        escape: applied to each value.

    Raises:
        MessageError: the message does not have a value, or it is no plain one.
    """

    def value(match: re.Match[str]) -> str:
        found = _value(match[1], msg)
        return found if escape is None else escape(found)

    return _PATTERN.sub(value, text)


def _value(name: str, msg: Message) -> str:
    first, _, path = name.partition(".")
    holder: Any = msg.meta if first == "meta" else msg.payload
    found = found_at(holder, path)
    if isinstance(found, bytes):
        found = found.decode(errors="replace")
    if found is MISSING or not isinstance(found, str | int | float):
        what = "nothing" if found is MISSING else type(found).__name__
        raise MessageError(f"the message has {what} at {name}")
    return str(found)
