"""`connect`: a link to a hub, wherever that is."""

from __future__ import annotations

import ssl
from functools import partial

from pichannels.remote.frames import FRAME_BYTES
from pichannels.remote.hub import Hub
from pichannels.remote.link import Link
from pichannels.remote.linking import AGAIN
from pichannels.remote.transports import Dial
from pichannels.remote.websocket import dialer
from pichannels.remote.wire import HEARTBEAT
from pichannels.retry import RetryPolicy

__all__ = ["connect"]


def connect(
    target: str | Hub | Dial,
    *,
    token: str | None = None,
    ssl: ssl.SSLContext | None = None,
    heartbeat: float = HEARTBEAT,
    timeout: float = 10.0,
    retry: RetryPolicy | None = AGAIN,
    frame_bytes: int = FRAME_BYTES,
) -> Link:
    """A link to a hub: `async with connect(target) as link`.

    Args:
        target: the URL of a hub (`https://host:8443`), a hub in this process, or a
            function that opens a connection.
        token: shows who we are.
        ssl: what is trusted, and which certificate is shown, where it is a URL.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds that connecting, and the answer to an open or a listing, may
            take.
        retry: when to connect again after the link was lost; None for never.
        frame_bytes: the largest frame that is taken.

    Raises:
        UsageError: it is no such URL.
    """
    if isinstance(target, str):
        dial = dialer(target, token, ssl=ssl, frame_bytes=frame_bytes)
    elif isinstance(target, Hub):
        dial = partial(target.dial, token)
    else:
        dial = target
    return Link(
        dial,
        heartbeat=heartbeat,
        timeout=timeout,
        retry=retry,
        frame_bytes=frame_bytes,
    )
