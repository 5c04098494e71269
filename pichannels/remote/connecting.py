"""`connect`: a link to a hub, wherever that is."""

from __future__ import annotations

from functools import partial

from pichannels.remote.frames import FRAME_BYTES
from pichannels.remote.hub import Hub
from pichannels.remote.link import Link
from pichannels.remote.linking import AGAIN
from pichannels.remote.transports import Dial
from pichannels.remote.wire import HEARTBEAT
from pichannels.retry import RetryPolicy

__all__ = ["connect"]


def connect(
    target: Hub | Dial,
    *,
    token: str | None = None,
    heartbeat: float = HEARTBEAT,
    timeout: float = 10.0,
    retry: RetryPolicy | None = AGAIN,
    frame_bytes: int = FRAME_BYTES,
) -> Link:
    """A link to a hub: `async with connect(target) as link`.

    Args:
        target: a hub in this process, or a function that opens a connection.
        token: shows who we are.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds that connecting, and the answer to an open or a listing, may
            take.
        retry: when to connect again after the link was lost; None for never.
        frame_bytes: the largest frame that is taken.
    """
    dial = partial(target.dial, token) if isinstance(target, Hub) else target
    return Link(
        dial,
        heartbeat=heartbeat,
        timeout=timeout,
        retry=retry,
        frame_bytes=frame_bytes,
    )
