"""The message in process, for formats of logs."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["CHANNEL_CTXVAR", "MSG_CTXVAR", "LogContextFilter"]

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
