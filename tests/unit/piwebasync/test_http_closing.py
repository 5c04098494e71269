"""A client that closes ends its requests at once, and cancels nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.limiter import Limits
from pichannels.piwebasync import HTTPClient, Limiter
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.retry import RetryPolicy

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server


class Hanging:
    """Answers begin and never end."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.go = asyncio.Event()

    async def say_nothing(self, request: web.Request) -> web.Response:
        self.came.set()
        await self.go.wait()
        return web.Response()

    async def say_half(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"half")
        self.came.set()
        await self.go.wait()
        return answer


async def closed_under_way(server: Server, hanging: Hanging, client: HTTPClient) -> Any:
    """What each of two requests got when the client closed."""
    request = server.controller.dataservers.list()
    tasks = [asyncio.create_task(client.get(request)) for _ in range(2)]
    await hanging.came.wait()
    await asyncio.sleep(0.01)
    await client.close()
    try:
        async with asyncio.timeout(10):
            return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        hanging.go.set()


SLOW = {
    "shared": {"max_connections": 1},
    "limited": {"limiter": 1},
    "alone": {"max_connections": 2},
    "tried again": {"retry": RetryPolicy(attempts=9, initial=9.0)},
}


@pytest.mark.parametrize("options", SLOW.values(), ids=list(SLOW))
@pytest.mark.parametrize("half", [True, False])
async def test_requests_under_way_are_told_that_the_client_is_closed(
    server: Server, options: dict[str, Any], half: bool
) -> None:
    hanging = Hanging()
    server.handler = hanging.say_half if half else hanging.say_nothing
    if "limiter" in options:
        options = {"limiter": Limiter(Limits(concurrency=1))}
    got = await closed_under_way(server, hanging, HTTPClient(**options))
    assert [type(error) for error in got] == [HTTPClientError] * 2
    assert all("the client is closed" in str(error) for error in got)


async def test_a_request_that_waits_to_be_tried_again_ends(server: Server) -> None:
    asked = asyncio.Event()

    async def later(request: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=503)

    server.handler = later
    client = HTTPClient(retry=RetryPolicy(attempts=9, initial=9.0, jitter=0.0))
    getting = asyncio.create_task(client.get(server.controller.home.get()))
    await asked.wait()
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(HTTPClientError, match="the client is closed"):
        async with asyncio.timeout(10):
            await getting


async def test_who_was_cancelled_stays_so_although_the_client_closes(
    server: Server,
) -> None:
    hanging = Hanging()
    server.handler = hanging.say_nothing
    client = HTTPClient()
    getting = asyncio.create_task(client.get(server.controller.home.get()))
    await hanging.came.wait()
    getting.cancel()
    await client.close()
    hanging.go.set()
    with pytest.raises(asyncio.CancelledError):
        await getting
