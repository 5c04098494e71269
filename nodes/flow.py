"""Whether and when a message goes on: dropped, rejected, failed, later, emptied."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, NoReturn

from nodes._options import at_least
from nodes.meta import MARKS
from pichannels.errors import Dropped, MessageError, Rejected
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Drop", "Empty", "Failed", "RaiseError", "Reject", "Sleep"]


class Failed(MessageError):
    """Raised by `RaiseError`: the message fails on purpose."""


class _Ends(BaseNode):
    """What the nodes have in common that let no message pass."""

    changes: ClassVar[frozenset[str]] = frozenset()
    error: ClassVar[type[MessageError]]

    def __init__(self, message: str, **options: Any) -> None:
        super().__init__(**options)
        self.message = message

    def process(self, msg: Message) -> NoReturn:
        raise self.error(self.message)


class Drop(_Ends):
    """Ignore the message on purpose: nothing behind this node sees it.

    Args:
        message: the reason, for the log and the store.
        options: those of every node.
    """

    error: ClassVar = Dropped

    def __init__(self, message: str | None = None, **options: Any) -> None:
        super().__init__(message or "dropped by the settings", **options)


class Reject(_Ends):
    """Refuse the message as invalid: its sender is told.

    Args:
        message: the reason.
        options: those of every node.
    """

    error: ClassVar = Rejected

    def __init__(self, message: str | None = None, **options: Any) -> None:
        super().__init__(message or "rejected by the settings", **options)


class RaiseError(_Ends):
    """Let the message fail, to see what then happens.

    Args:
        message: what the failure says.
        options: those of every node.
    """

    error: ClassVar = Failed

    def __init__(self, message: str | None = None, **options: Any) -> None:
        super().__init__(message or "this node always fails", **options)


class Sleep(BaseNode):
    """Wait, and hold up the messages behind this one.

    Args:
        duration: seconds.
        options: those of every node.

    Raises:
        SettingsError: that is no such number.
    """

    changes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, duration: float = 1, **options: Any) -> None:
        super().__init__(**options)
        at_least("duration", duration, 0)
        self.duration = duration

    async def process(self, msg: Message) -> Message:
        await asyncio.sleep(self.duration)
        return msg


class Empty(BaseNode):
    """A message without payload, meta and context, but for `lane` and `replay_of`.

    It is settled with the one that came.

    Args:
        options: those of every node.
    """

    changes: ClassVar = frozenset({"content_type", "ctx", "meta", "payload", "uuid"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def process(self, msg: Message) -> Message:
        meta: dict[str, Any] = {
            name: msg.meta[name] for name in MARKS if name in msg.meta
        }
        new = Message(meta=meta)
        new.delivery = msg.delivery
        return new
