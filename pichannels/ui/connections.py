"""Connections of browsers: one that asks nothing, or never ends asking, is closed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["patient"]

_PATIENCE: Final = 20.0
"""Seconds for the head of a request."""


def patient(patience: float = _PATIENCE, **given: Any) -> asyncio.Protocol:
    """What uvicorn makes of a connection, which is looked at from time to time.

    Args:
        patience: seconds for the head of a request.
        given: what uvicorn gives it.
    """
    made: Any = AutoHTTPProtocol(**given)
    _look_later(made, None, patience)
    return made  # type: ignore[no-any-return]


def _look_later(protocol: Any, before: object, patience: float) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(patience, _look, protocol, before, patience)


def _look(protocol: Any, before: object, patience: float) -> None:
    """Close one that has asked nothing since the look before.

    Args:
        before: what was answered last then.
    """
    transport = protocol.transport
    # Websockets are another protocol's.
    if transport is None or transport.is_closing():
        return
    if transport.get_protocol() is not protocol:
        return
    cycle = protocol.cycle
    is_answered = cycle is None or cycle.response_complete
    if is_answered and cycle is before:
        transport.abort()
    else:
        _look_later(protocol, cycle if is_answered else protocol, patience)
