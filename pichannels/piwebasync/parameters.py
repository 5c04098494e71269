"""Parameters that only other clients know, and what is there in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from pichannels.errors import UsageError, nearest

__all__ = ["CHANNEL_REPLACED", "HTTP_REPLACED", "check_channel", "refuse"]

HTTP_REPLACED: Final = {
    "app": "use the PI server of pichannels.simulator",
    "base_url": "use Controller, which makes whole URLs",
    "default_encoding": "use response.raw_response; PI answers in UTF-8",
    "event_hooks": "use a wrapper around request()",
    "extensions": "use timeout= of the request",
    "http1": "leave it out, HTTP/1.1 is what is spoken",
    "http2": "leave it out, the logins of PI Web API want HTTP/1.1",
    "limits": "use max_connections=, and limiter= for requests in a second",
    "loop": "leave it out, the loop is the one that runs",
    "mounts": "use proxy='http://host:port', or one client for each server",
    "params": "use the arguments of the controllers",
    "transport": "use one client for each way to the server",
}
"""What `HTTPClient` has in the place of httpx's."""

CHANNEL_REPLACED: Final = {
    "additional_headers": "use extra_headers=",
    "create_protocol": "use auth= for logins, extra_headers= for anything else",
    "extensions": "use compression='deflate', there is no other",
    "headers": "use extra_headers=",
    "loop": "leave it out, the loop is the one that runs",
    "ping_timeout": "leave it out, a pong is awaited for half of ping_interval",
    "read_limit": "use buffer_bytes= for what may wait",
    "ssl": "use verify= and cert=",
    "subprotocols": "use extra_headers={'Sec-WebSocket-Protocol': ...}",
    "write_limit": "leave it out, nothing is sent that could wait",
}
"""What `WebsocketClient` has in the place of those of websockets."""

# piwebasync's own defaults of these are None, which asks for nothing.
_MAY_BE_NONE: Final = frozenset(
    {"create_protocol", "extensions", "loop", "subprotocols"}
)
_COMPRESSIONS: Final = (None, "deflate")


def refuse(
    unknown: Mapping[str, Any],
    what: str,
    known: Callable[..., Any],
    replaced: Mapping[str, str],
) -> None:
    """Refuse parameters that are none, with what to use in their place.

    Raises:
        UsageError: there is one.
    """
    for name in unknown:
        hint = nearest(name, known.__annotations__)
        if name in replaced:
            hint = f"; {replaced[name]}"
        raise UsageError(f"{what} has no parameter {name!r}{hint}")


def check_channel(
    unknown: Mapping[str, Any],
    known: Callable[..., Any],
    compression: str | None,
    max_queue: int | None,
) -> None:
    """Check what programs for piwebasync may give to `WebsocketClient`.

    Raises:
        UsageError: with what to use instead.
    """
    given = {name: value for name, value in unknown.items() if _asks(name, value)}
    refuse(given, "WebsocketClient", known, CHANNEL_REPLACED)
    if compression not in _COMPRESSIONS:
        raise UsageError(f"compression is None or 'deflate', not {compression!r}")
    if max_queue is None or max_queue < 1:
        raise UsageError(
            f"max_queue is at least 1, not {max_queue!r}; what waits has to be bounded"
        )


def _asks(name: str, value: object) -> bool:
    if name == "loop" and value is not None:
        return value is not _running_loop()
    return value is not None or name not in _MAY_BE_NONE


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
