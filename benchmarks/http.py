"""Requests to an `HttpChannel`, against a bare handler of aiohttp.

The requests come from a process of their own over a few connections; what is
measured is the process of the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.payloads import TEXTS
from benchmarks.processes import run_module
from msgstore.null import NullMessageStoreFactory
from pichannels.channels.http import HttpChannel
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.journal import Journal

__all__ = ["prepare"]

_CONNECTIONS: Final = 16
_PATH: Final = "/plants/{name}"
_FLOOR: Final = "a handler of aiohttp"

Server = Callable[[], AbstractAsyncContextManager[int]]


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


@asynccontextmanager
async def _channel() -> AsyncIterator[int]:
    endpoint = HTTPEndpoint(port=0)
    channel = HttpChannel(
        "bench",
        endpoint=endpoint,
        method="POST",
        url=_PATH,
        message_store_factory=NullMessageStoreFactory(),
    )
    await channel.start()
    yield endpoint.bound_port
    await channel.stop()


def _accepting(folder: Path) -> Server:
    @asynccontextmanager
    async def accepting() -> AsyncIterator[int]:
        endpoint = HTTPEndpoint(port=0)
        channel = HttpChannel(
            "bench", endpoint=endpoint, method="POST", url=_PATH, accepted=True
        )
        journal = Journal(folder / "http.sqlite")
        await journal.open()
        channel.attach(journal=journal)
        await channel.start()
        yield endpoint.bound_port
        await channel.stop()
        await journal.close()

    return accepting


def _run(server: Server) -> Callable[[int], Awaitable[Measured]]:
    async def run(count: int) -> Measured:
        async with server() as port:
            job = {
                "path": "/plants/north",
                "port": port,
                "body": TEXTS[0],
                "count": count,
                "connections": _CONNECTIONS,
            }
            with Stopwatch() as watch:
                load = await run_module("benchmarks.http_load", job)
        assert load.count == count, f"{load.count} of {count} requests went well"
        return Measured(count, load.wall, watch.cpu)

    return run


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The bare handler, and channels."""
    count = options.count(16_000) // _CONNECTIONS * _CONNECTIONS
    yield Benchmark(
        "http",
        f"Requests with {len(TEXTS[0])} bytes, echoed",
        "requests",
        ("cpu", "wall"),
        [
            Case(_FLOOR, _run(_handler), count),
            Case("HttpChannel, null store", _run(_channel), count, Aim(_FLOOR, 0.6)),
            Case(
                "HttpChannel, 202 when durable",
                _run(_accepting(options.directory)),
                count,
                Aim(_FLOOR),
            ),
        ],
        [f"{_CONNECTIONS} connections from a process of their own."],
    )
