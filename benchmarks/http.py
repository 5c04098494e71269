"""Requests to an `HttpChannel`, against a bare handler of aiohttp.

The requests come from a process of their own over a few connections; what is
measured is the process of the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from aiohttp import web

from benchmarks.listening import CONNECTIONS, Server, journaled, kept_busy, started
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.payloads import TEXTS
from msgstore.null import NullMessageStoreFactory
from pichannels.channels.http import HttpChannel
from pichannels.endpoints.http import HTTPEndpoint

__all__ = ["prepare"]

_PATH: Final = "/plants/{name}"
_FLOOR: Final = "a handler of aiohttp"


@asynccontextmanager
async def _handler() -> AsyncIterator[int]:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(body=body, content_type=request.content_type)

    app = web.Application()
    app.router.add_post(_PATH, echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _channel(**options: Any) -> tuple[HttpChannel, HTTPEndpoint]:
    endpoint = HTTPEndpoint(port=0)
    channel = HttpChannel(
        "bench", endpoint=endpoint, method="POST", url=_PATH, **options
    )
    return channel, endpoint


def _run(server: Server) -> Callable[[int], Awaitable[Measured]]:
    return kept_busy(
        server, "benchmarks.http_load", path="/plants/north", body=TEXTS[0]
    )


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The bare handler, and channels."""
    file = options.directory / "http.sqlite"
    null = partial(_channel, message_store_factory=NullMessageStoreFactory())
    count = options.count(16_000) // CONNECTIONS * CONNECTIONS
    yield Benchmark(
        "http",
        f"Requests with {len(TEXTS[0])} bytes, echoed",
        "requests",
        ("cpu", "wall"),
        [
            Case(_FLOOR, _run(_handler), count),
            Case(
                "HttpChannel, null store", _run(started(null)), count, Aim(_FLOOR, 0.6)
            ),
            Case(
                "HttpChannel, 202 when durable",
                _run(journaled(partial(_channel, accepted=True), file)),
                count,
                Aim(_FLOOR),
            ),
        ],
        [f"{CONNECTIONS} connections from a process of their own."],
    )
