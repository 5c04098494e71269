"""Self-managed streams for networks that let no websocket through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Never, Unpack

from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.parameters import UPDATES_REPLACED, check_stream
from pichannels.piwebasync.stream import Stream, StreamEvent, StreamOptions
from pichannels.piwebasync.transport import Auth

__all__ = ["StreamUpdates"]


class StreamUpdates(Stream):
    """A `Stream` over stream updates: HTTP polling, for networks without websockets.

    It takes the requests of channels. A place that the server has lost is told as
    `Lost` with the reason `marker`.
    """

    def __init__(
        self,
        queue: asyncio.Queue[Any] | None = None,
        auth: Auth = None,
        dead_channel_timeout: float | None = 3600.0,
        *others: Never,
        poll: float = 1.0,
        limiter: Limiter | None = None,
        stop_timeout: float | None = 3.0,
        on_event: Callable[[StreamEvent], None] | None = None,
        **options: Unpack[StreamOptions],
    ) -> None:
        known = StreamUpdates.__init__.__annotations__ | StreamOptions.__annotations__
        super().__init__(
            queue,
            auth,
            dead_channel_timeout,
            *others,
            transport="updates",
            poll=poll,
            limiter=limiter,
            stop_timeout=stop_timeout,
            on_event=on_event,
            **check_stream(options, known, UPDATES_REPLACED),
        )
