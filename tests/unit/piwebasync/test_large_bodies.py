"""A large body goes out in parts, whole each time, and with its length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.bodies import Point
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

LONG = "x" * 3_000_000


async def test_a_body_of_megabytes_arrives_at_the_server() -> None:
    async with Simulator(Plant(tags=5), poll=60) as sim:
        pi = Controller.from_url(sim.url)
        body = Point(name="LONG", point_type="Float32", descriptor=LONG)
        request = pi.dataservers.create_point(sim.plant.server.web_id(), body)
        async with HTTPClient() as client:
            (await client.post(request)).raise_for_status()
            path = rf"\\{sim.plant.server.name}\LONG"
            found = await client.get(pi.points.get_by_path(path))
    assert found.descriptor == LONG


@pytest.mark.parametrize("status", [307, 308])
async def test_a_large_body_is_sent_again_after_a_redirection(
    server: Server, status: int
) -> None:
    got: list[tuple[int | None, int]] = []

    async def once_more(request: web.Request) -> web.Response:
        size = 0
        async for part in request.content.iter_any():
            size += len(part)
        got.append((request.content_length, size))
        if len(got) == 1:
            return web.Response(status=status, headers={"Location": "/again"})
        return web.Response(status=204)

    server.handler = once_more
    request = server.controller.streams.update_values("W", [{"Value": LONG}])
    async with HTTPClient(follow_redirects=True) as client:
        (await client.post(request)).raise_for_status()
    assert got == [(len(LONG) + 14, len(LONG) + 14)] * 2
    assert server.requests[1].headers["Content-Type"] == "application/json"
    assert "Content-Disposition" not in server.requests[1].headers
