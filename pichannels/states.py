"""What is kept of a message: its state and the entry in a store."""

from __future__ import annotations

import enum
from typing import Any, TypedDict

from pichannels.message import Message
from pichannels.tracing import NAMES, incoming

__all__ = ["Entry", "State", "replayed"]


class State(enum.StrEnum):
    """What became of a stored message."""

    PENDING = "pending"
    PROCESSING = "processing"
    PROCESSED = "processed"
    DROPPED = "dropped"
    REJECTED = "rejected"
    ERROR = "error"
    WAIT_RETRY = "wait_retry"

    @property
    def is_final(self) -> bool:
        """Whether the message is settled."""
        return self not in (State.PENDING, State.PROCESSING, State.WAIT_RETRY)


class Entry(TypedDict):
    """A stored message with what is known of it.

    `meta` holds facts about the outcome, such as `err_msg`.
    """

    id: str
    state: str
    message: Message
    meta: dict[str, Any]


def replayed(entry: Entry) -> Message:
    """A stored message as a new one that says what it repeats."""
    original = entry["message"]
    msg = original.renew()
    msg.meta["replay_of"] = original.meta.get("replay_of", original.uuid)
    msg.meta["lane"] = "replay"
    # It begins a trace of its own, which is linked to this one.
    if trace := incoming(msg.meta):
        msg.meta["replay_trace"] = trace["traceparent"]
    for name in NAMES:
        msg.meta.pop(name, None)
    return msg
