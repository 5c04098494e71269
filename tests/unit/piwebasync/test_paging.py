"""Lists are read to their end, with links to the next page and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.errors import DecodeError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.paging import items
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server


async def test_points_come_although_pi_gives_no_links() -> None:
    async with Simulator(Plant(tags=95), poll=60) as sim, HTTPClient() as client:
        pi = Controller.from_url(sim.url)
        request = pi.dataservers.get_points(sim.plant.server.web_id())
        found = [one["Name"] async for one in items(client, request, page=10)]
    assert found == [tag.name for tag in sim.tags]


async def test_elements_come_by_the_links_of_pi() -> None:
    async with Simulator(Plant(tags=200), poll=60) as sim, HTTPClient() as client:
        pi = Controller.from_url(sim.url)
        request = pi.assetdatabases.get_elements(
            sim.assets.server.database_web_id(), search_full_hierarchy=True
        )
        pages = [one["Path"] async for one in items(client, request, page=7)]
        whole = [one["Path"] async for one in items(client, request, page=1000)]
    assert pages == whole
    assert len(pages) > 20


async def test_a_list_begins_where_its_request_begins() -> None:
    async with Simulator(Plant(tags=30), poll=60) as sim, HTTPClient() as client:
        pi = Controller.from_url(sim.url)
        request = pi.dataservers.get_points(
            sim.plant.server.web_id(), start_index=20, max_count=4
        )
        found = [one["Name"] async for one in items(client, request)]
    assert found == [tag.name for tag in sim.tags[20:]]


@pytest.mark.parametrize(
    "body",
    [
        {"Items": 1},
        {"Items": [1]},
        {"Items": [{}], "Links": {"Next": "https://h/x?startIndex=0"}},
    ],
)
async def test_what_is_no_page_is_told(server: Server, body: dict[str, Any]) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(body)

    server.handler = answer
    async with HTTPClient() as client:
        with pytest.raises(DecodeError):
            [o async for o in items(client, server.controller.dataservers.list())]
