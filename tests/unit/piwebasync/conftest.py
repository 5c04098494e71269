"""A small real server: each test says what it does with a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port as _unused_port

from pichannels.piwebasync import Controller

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers every path with `handler`, and remembers what was asked."""

    def __init__(self) -> None:
        self.handler: Handler
        self.requests: list[web.Request] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.server = TestServer(app)

    @property
    def controller(self) -> Controller:
        return Controller("http", str(self.server.host), self.server.port, "piwebapi")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that listens; set its `handler`."""
    found = Server()
    await found.server.start_server()
    yield found
    await found.server.close()


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    return _unused_port()
