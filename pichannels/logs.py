"""What log records say beside their text: channel, node and message, and as JSON.

Where a record was made is read from the calls that led to it, at that moment. So a
message that goes on its way without a word in the log pays nothing for it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.channels.chain import Chain
from pichannels.channels.processing import Processing
from pichannels.errors import harmless, printable
from pichannels.loglines import LogRing
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.tracing import outgoing, parsed

__all__ = ["FIELDS", "ContextFilter", "JSONFormatter", "TextFormatter"]

FIELDS: Final = ("channel", "node", "message_id", "trace_id", "span_id")
"""What a record says of its place; empty where there is nothing to say."""

_CHAIN: Final = frozenset({Chain.advance.__code__, Chain.resume.__code__})
_DEEPEST: Final = 100
_USUAL: Final = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}
    | {"taskName", *FIELDS}
)
_HIDDEN: Final = ("authorization", "cookie", "passw", "secret", "token")


class _Place(NamedTuple):
    """Who works on what, as far as it is known."""

    channel: str = ""
    node: str = ""
    message: Message | None = None


class ContextFilter(logging.Filter):
    """Lets records say in which channel and node, and of which message, they are.

    What is said outside of nodes is of the channel that its task or text is named
    after, where an instance runs. Put it on a handler: records then have `channel`,
    `node`, `message_id`, `trace_id` and `span_id`, which a format can name. What a
    record says already (`extra`) stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        place = _place()
        trace = parsed(outgoing())
        found = {
            "channel": place.channel or _named_channel(record),
            "node": place.node,
            "message_id": place.message.uuid if place.message is not None else "",
            "trace_id": trace.trace if trace else "",
            "span_id": trace.span if trace else "",
        }
        for name, value in found.items():
            if not getattr(record, name, ""):
                setattr(record, name, value)
        return True


def _named_channel(record: logging.LogRecord) -> str:
    """The channel of an instance that runs here, as its ring of lines knows it."""
    if getattr(record, "channel", ""):
        return ""
    rings = (h for h in logging.getLogger().handlers if isinstance(h, LogRing))
    found = (ring.channel_of(record.getMessage()) for ring in rings)
    return next(filter(None, found), "")


def _place() -> _Place:
    """Where the record that is being handled was made."""
    channel, node = "", ""
    message: Message | None = None
    for frame in _frames():
        code = frame.f_code
        if code in _CHAIN:
            step = frame.f_locals.get("step")
            if step is not None and not node:
                node = step.fullpath()
            message = message or _message(frame)
            continue
        if code.co_varnames[:1] != ("self",):
            continue
        owner = frame.f_locals.get("self")
        if isinstance(owner, BaseNode):
            node = node or owner.fullpath()
            channel = channel or (owner.channel.name if owner.channel else "")
            message = message or _message(frame)
        elif isinstance(owner, Processing):
            message = message or _message(frame)
            return _Place(channel or owner.name, node, message)
    return _Place(channel, node, message)


def _frames() -> Iterator[FrameType]:
    """The calls that led here, the latest first, without those of logging."""
    frame: FrameType | None = sys._getframe(3)
    for _ in range(_DEEPEST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _message(frame: FrameType) -> Message | None:
    found = frame.f_locals.get("msg")
    return found if isinstance(found, Message) else None


class TextFormatter(logging.Formatter):
    """Lines for people; behind the text is where the record was made.

    What follows in a text of several lines is indented, so that no text looks like a
    record, and nothing in it commands a terminal.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        line, *others = harmless(super().formatMessage(record)).split("\n")
        told = [
            f"{name}={getattr(record, name)}"
            for name in FIELDS[:4]
            if getattr(record, name, "")
        ]
        first = f"{line} [{' '.join(told)}]" if told else line
        return "\n    ".join([first, *others])


class JSONFormatter(logging.Formatter):
    """One JSON object on each line.

    It has `time`, `level`, `logger` and `message`, the fields of `ContextFilter` that
    are not empty, `error` with `type`, `message` and `stack`, and what else the record
    says (`extra`). What is named like a secret is not shown.
    """

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        told |= {n: v for n in FIELDS if (v := getattr(record, n, ""))}
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = {
                "type": type(record.exc_info[1]).__name__,
                "message": printable(str(record.exc_info[1])),
                "stack": printable(self.formatException(record.exc_info)),
            }
        told |= {
            name: _shown(name, value)
            for name, value in vars(record).items()
            if name not in _USUAL and name not in told
        }
        return msgspec.json.encode(told, enc_hook=str).decode()


def _shown(name: str, value: Any) -> Any:
    """What is shown of a fact; texts for all that JSON does not have."""
    if any(part in name.lower() for part in _HIDDEN):
        return "(not shown)"
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(str(value))
