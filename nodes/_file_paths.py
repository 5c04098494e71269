"""Which file a node works on: by its options, a function, or the message."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from nodes._options import function
from pichannels import clock
from pichannels.errors import MessageError, SettingsError, nearest
from pichannels.message import Message
from pichannels.values import datetime_from_ticks

__all__ = ["FilePath", "Given", "GivenName", "has_counter", "named_by_meta"]

GivenName = str | Callable[[Message], Any] | None
"""A text with patterns, a function of the message that gives one, or nothing."""
Given = GivenName | os.PathLike[str]
"""The same for a path of this machine."""

_PATTERN: Final = re.compile(r"%%|%\((\w+)\)(0?\d*)([ds])")
_TIMES: Final = ("year", "month", "day", "hour", "minute", "second")
_NAMES: Final = (
    *_TIMES,
    *(f"msg_{name}" for name in _TIMES),
    "msg_uid",
    "muid",
    "cuid",
    "counter",
)


class FilePath:
    """Gives the path for a message.

    A path of the settings may have patterns: `%(year)s`, `%(month)02d`, `day`, `hour`,
    `minute`, `second` of now and, with `msg_` before them, of the message, all in UTC;
    `%(msg_uid)s` or `%(muid)s`, its uuid; `%(cuid)s`, the name of the channel;
    `%(counter)d`, which counts. Any other `%` stands for itself, and `%%` for one.

    Args:
        key: the option that it comes from.
        given: the option.

    Raises:
        SettingsError: it is no path, or has a pattern that is none.
        UsageError: the function cannot be used.
    """

    def __init__(self, key: str, given: Given) -> None:
        self._text: str | None = None
        self._function: Callable[[Message], Any] | None = None
        if callable(given):
            self._function = function(key, given, may_be_async=False)
        elif given:
            self._text = _checked(key, given)

    @property
    def is_given(self) -> bool:
        """Whether the message has nothing to say."""
        return self._text is not None or self._function is not None

    def of(self, msg: Message, *, channel: str = "", counter: int = 0) -> str:
        """The path for this message.

        Raises:
            MessageError: the function gives none.
        """
        if self._function is not None:
            found = self._function(msg)
            if not isinstance(found, str | os.PathLike) or not os.fspath(found):
                raise MessageError(f"the function gives no path, but {found!r}")
            return os.fspath(found)
        assert self._text is not None
        if "%" not in self._text:
            return self._text
        facts = _facts(msg, channel, counter)
        return _PATTERN.sub(lambda match: _filled(match, facts), self._text)


def named_by_meta(msg: Message, node: str) -> str:
    """What `meta["filepath"]` says.

    Raises:
        MessageError: it says nothing.
    """
    path = msg.meta.get("filepath")
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise MessageError(f"{node}: no file is named by meta['filepath']")
    return os.fspath(path)


def has_counter(given: Given) -> bool:
    """Whether a path counts."""
    return isinstance(given, str | os.PathLike) and "%(counter)" in os.fspath(given)


def _checked(key: str, given: Any) -> str:
    try:
        text = os.fspath(given)
    except TypeError as exc:
        raise SettingsError("this is no path", key=key, found=given) from exc
    for match in _PATTERN.finditer(text):
        name = match[1]
        if name is None:
            continue
        if name not in _NAMES:
            raise SettingsError(
                f"there is no pattern {name!r}{nearest(name, _NAMES)}",
                key=key,
                found=text,
                allowed=", ".join(_NAMES),
            )
        if match[3] == "d" and name in ("msg_uid", "muid", "cuid"):
            raise SettingsError(
                f"{name!r} is no number; write %({name})s", key=key, found=text
            )
    return str(text)


def _filled(match: re.Match[str], facts: dict[str, Any]) -> str:
    if match[1] is None:
        return "%"
    value = facts[match[1]]
    if match[3] == "d":
        return f"{value:{match[2]}d}"
    return str(value).rjust(int(match[2] or 0))


def _facts(msg: Message, channel: str, counter: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"counter": counter, "cuid": channel}
    for prefix, moment in (
        ("", datetime_from_ticks(clock.now())),
        ("msg_", _utc(msg.timestamp)),
    ):
        facts |= {f"{prefix}{name}": getattr(moment, name) for name in _TIMES}
    facts["muid"] = facts["msg_uid"] = msg.uuid
    return facts


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
