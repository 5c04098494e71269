"""The message; see `pichannels.message`."""

from __future__ import annotations

from typing import Any, ClassVar

from pichannels import message
from pichannels.states import State

__all__ = ["Message"]


class _AnyMessage(type):
    """What channels and stores give is a message too, whoever has made it."""

    def __instancecheck__(cls, found: Any) -> bool:
        return isinstance(found, message.Message)


class Message(message.Message, metaclass=_AnyMessage):
    """A message with pypeman's names for its states, and room for other attributes."""

    PENDING: ClassVar = State.PENDING.value
    PROCESSING: ClassVar = State.PROCESSING.value
    PROCESSED: ClassVar = State.PROCESSED.value
    REJECTED: ClassVar = State.REJECTED.value
    ERROR: ClassVar = State.ERROR.value
    WAIT_RETRY: ClassVar = State.WAIT_RETRY.value
    STATES_PRIORITY: ClassVar = (
        WAIT_RETRY,
        PENDING,
        PROCESSING,
        PROCESSED,
        REJECTED,
        ERROR,
    )
