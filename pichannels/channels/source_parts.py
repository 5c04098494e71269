"""What a source of PI tags is told, who gets what it receives, what it tells."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

import msgspec

from pichannels.checks import at_least, whole
from pichannels.errors import UsageError, nearest
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.piwebasync.stream import Transport
from pichannels.retry import RetryPolicy

__all__ = ["Owner", "SourceOptions", "TagState"]

_TRANSPORTS: Final = ("auto", "channel", "updates")
_LEAST: Final = {
    "heartbeat": 0,
    "tags_per_channel": 1,
    # What the URL of one tag takes anyway.
    "url_length": 256,
    "batch_bytes": 1,
    "buffer_bytes": 1,
}


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a source receives; see `PIWebChannel`.

    Raises:
        UsageError: one of them is not usable.
    """

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

    def __post_init__(self) -> None:
        if self.transport not in _TRANSPORTS:
            raise UsageError(
                f"transport is one of {', '.join(_TRANSPORTS)}, not {self.transport!r}"
                f"{nearest(str(self.transport), _TRANSPORTS)}"
            )
        for key, least in _LEAST.items():
            whole(key, getattr(self, key), least)
        at_least("poll_interval", self.poll_interval, 0, above=True)
        at_least("max_block", self.max_block, 0)
        if not isinstance(self.reconnect, RetryPolicy):
            raise UsageError(f"reconnect is a RetryPolicy, not {self.reconnect!r}")


class TagState(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of values that is received, or a tag that has none.

    Attributes:
        tag: path of the point or attribute, or the tag as it is asked for.
        web_id: empty where nothing was found.
        state: `open`, `polled`, `connecting` or `stopped`; without a stream
            `unresolved` or `static`, and `removed` or `no access` where there was one.
        reason: why there is no stream.
        mark: what is to be told of it: `future`, `quiet`, `stale`, `flat`, `blind`.
        mark_since: the time of the last value before that, ISO 8601; of a flat one
            since when it is the same.
        type, units: as PI describes it, or "".
        newest: the time of the newest value that came, ISO 8601, or "".
        expected: seconds that it is expected to be quiet at most; None if unknown.
    """

    tag: str
    web_id: str = ""
    state: str
    reason: str = ""
    mark: str = ""
    mark_since: str = ""
    type: str = ""
    units: str = ""
    newest: str = ""
    expected: float | None = None


class Owner(Protocol):
    """The channel that gets what is received."""

    name: str
    events: EventBus
    journal: Journal | None
    drain_timeout: float

    def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> Awaitable[None]: ...
