"""Parameters that only other clients know, and what is there in their place."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pichannels.errors import UsageError, nearest

__all__ = [
    "CHANNEL_REPLACED",
    "HTTP_REPLACED",
    "STREAM_REPLACED",
    "UPDATES_REPLACED",
    "check_channel",
    "check_function",
    "check_positions",
    "check_queue",
    "check_seconds",
    "check_stream",
    "refuse",
]

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

STREAM_REPLACED: Final = CHANNEL_REPLACED | {
    "logger": "leave it out, the logger is 'pichannels.piwebasync'",
    "reconnect": "leave it out, a stream opens lost connections again",
}
"""What `Stream` has in the place of those of pi_stream_util."""

UPDATES_REPLACED: Final = STREAM_REPLACED | {
    "comeback": "leave it out, stream updates are polled always",
    "transport": "leave it out, or use Stream(transport=...)",
}
"""The same of `StreamUpdates`."""

# piwebasync's own defaults of these are None, which asks for nothing.
_MAY_BE_NONE: Final = frozenset(
    {"create_protocol", "extensions", "logger", "loop", "subprotocols"}
)
# Parameters by position of pi_stream_util that are not there: logger and loop.
_GONE: Final = 2
_COMPRESSIONS: Final = (None, "deflate")


def refuse(
    unknown: Mapping[str, Any],
    what: str,
    known: Iterable[str],
    replaced: Mapping[str, str],
) -> None:
    """Refuse parameters that are none, with what to use in their place.

    Raises:
        UsageError: there is one.
    """
    for name in unknown:
        hint = nearest(name, known)
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
    refuse(given, "WebsocketClient", known.__annotations__, CHANNEL_REPLACED)
    if compression not in _COMPRESSIONS:
        raise UsageError(f"compression is None or 'deflate', not {compression!r}")
    if max_queue is None or max_queue < 1:
        raise UsageError(
            f"max_queue is at least 1, not {max_queue!r}; what waits has to be bounded"
        )


def check_stream(
    options: Mapping[str, Any], known: Iterable[str], replaced: Mapping[str, str]
) -> Any:
    """The options, without what programs for pi_stream_util may leave at None.

    Raises:
        UsageError: there is no such parameter; with what to use instead.
    """
    found = {n: v for n, v in options.items() if n in known or _asks(n, v)}
    unknown = {n: v for n, v in found.items() if n not in known}
    refuse(unknown, "a stream", known, replaced)
    return found


def check_positions(others: tuple[object, ...]) -> None:
    """Refuse what pi_stream_util takes by position besides: a logger and a loop.

    Raises:
        UsageError: there is something.
    """
    if any(other is not None for other in others) or len(others) > _GONE:
        raise UsageError(
            "a stream takes queue, auth and dead_channel_timeout by position; the"
            " logger is 'pichannels.piwebasync', the loop is the one that runs"
        )


def check_function(what: str, found: object) -> None:
    """See that it can be called.

    Raises:
        UsageError: it cannot.
    """
    if not callable(found):
        raise UsageError(f"{what} is a function, not {found!r}")


def check_seconds(what: str, found: object) -> None:
    """See that it is a time, or None.

    Raises:
        UsageError: it is not.
    """
    if found is None:
        return
    if not isinstance(found, (int, float)) or isinstance(found, bool) or found < 0:
        raise UsageError(
            f"{what} is a number of seconds or None, not {found!r}; timeout= is for a"
            " whole request, connect_timeout= for a connection"
        )


def check_queue(queue: object) -> None:
    """See that results can be put there.

    Raises:
        UsageError: they cannot.
    """
    if not inspect.iscoroutinefunction(getattr(queue, "put", None)):
        kind = type(queue).__name__
        raise UsageError(f"queue is an asyncio.Queue, not a {kind}")


def _asks(name: str, value: object) -> bool:
    if name == "loop" and value is not None:
        return value is not _running_loop()
    return value is not None or name not in _MAY_BE_NONE


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
