"""What a source of PI tags is told, who gets what it receives, what it tells."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.piwebasync.stream import Transport
from pichannels.retry import RetryPolicy

__all__ = ["Owner", "SourceOptions", "TagState"]


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a source receives; see `PIWebChannel`."""

    server: str
    heartbeat: int
    poll_interval: float
    initial_values: bool
    tags_per_channel: int
    url_length: int
    batch_bytes: int
    buffer_bytes: int
    max_block: float
    reconnect: RetryPolicy
    transport: Transport
    refresh: float | str | None


class TagState(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of values that is received, or a tag that has none.

    Attributes:
        tag: path of the point or attribute, or the tag as it is asked for.
        web_id: empty where nothing was found.
        state: `open`, `polled`, `connecting`, `unresolved`, or `stopped`.
        reason: why it is unresolved.
    """

    tag: str
    web_id: str = ""
    state: str
    reason: str = ""


class Owner(Protocol):
    """The channel that gets what is received."""

    name: str
    events: EventBus
    journal: Journal | None
    drain_timeout: float

    def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> Awaitable[None]: ...
