"""Where connections come in: not too many at once, and none that says nothing.

The instance has to open its own files whatever others open at its port.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from aiohttp import web

__all__ = ["Connections", "listen"]

_MOST: Final = 400
_PATIENCE: Final = 10.0
"""Seconds for the head of the first request."""
_LONGEST: Final = 64 * 1024
_END: Final = b"\r\n\r\n"


class Connections:
    """Counts them.

    Args:
        server: gets those that have asked something.
        most: so many at once.
        patience: seconds for the head of the first request.
    """

    def __init__(
        self,
        server: web.Server,
        most: int = _MOST,
        patience: float = _PATIENCE,
    ) -> None:
        self.server = server
        self.patience = patience
        self.waiting: set[asyncio.Protocol] = set()
        self._most = most

    @property
    def is_full(self) -> bool:
        """Whether no more may come."""
        return len(self.waiting) + len(self.server.connections) >= self._most


async def listen(connections: Connections, host: str, port: int) -> asyncio.Server:
    """Listen there.

    Raises:
        OSError: the port is taken.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_server(partial(_Entrance, connections), host, port)


class _Entrance(asyncio.Protocol):
    """One connection, until the head of its first request is there."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._connections.is_full:
            transport.abort()
            return
        self._connections.waiting.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._connections.patience, transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        place = max(0, len(self._head) - len(_END))
        self._head += data
        if self._head.find(_END, place) >= 0:
            self._forget()
            handler = self._connections.server()
            self._transport.set_protocol(handler)
            handler.connection_made(self._transport)
            handler.data_received(bytes(self._head))
        elif len(self._head) > _LONGEST:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def _forget(self) -> None:
        self._connections.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
