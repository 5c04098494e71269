"""The message in process, for formats of logs, and what was logged, for tests."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["CHANNEL_CTXVAR", "MSG_CTXVAR", "DebugLogHandler", "LogContextFilter"]

MSG_CTXVAR: Final[ContextVar[Any]] = ContextVar("pypeman_msg", default=None)
CHANNEL_CTXVAR: Final[ContextVar[Any]] = ContextVar("pypeman_channel", default=None)


class LogContextFilter(logging.Filter):
    """Gives records `%(msg_id)s` and `%(channel)s`, for a handler's format.

    They are `[uuid] ` and `(name) ` while a message is processed, else empty.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        msg, channel = MSG_CTXVAR.get(), CHANNEL_CTXVAR.get()
        record.msg_id = f"[{msg.uuid}] " if msg is not None else ""
        record.channel = f"({channel.name}) " if channel is not None else ""
        return True


class DebugLogHandler(logging.Handler):
    """Keeps all records in `log_trace`, as long as it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.log_trace: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.log_trace.append(record)

    def num_entries(self) -> int:
        """How many records there are."""
        return len(self.log_trace)

    def show_entries(self) -> None:
        """Write them to the standard output."""
        lines = [
            f"{number:2d} {each.relativeCreated / 1000:8.3f}"
            f" {each.pathname}:{each.lineno} {each.getMessage()!r}"
            for number, each in enumerate(self.log_trace)
        ]
        sys.stdout.write("\n".join([f"Got {len(lines)} entries", *lines]) + "\n")
