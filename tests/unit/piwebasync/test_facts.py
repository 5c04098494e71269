"""Facts of tags: what one tag lacks costs no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.piwebasync import HTTPClient
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.facts import TagFacts, fetch_facts
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Plant, Simulator
from pichannels.values import Tag

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

TEMP = "UNIT1.BOILER.TEMP"
BOILER = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler"
POINT = Tag("T", rf"\\SIMSRV\{TEMP}")
ATTRIBUTE = Tag("A", BOILER + "|Temperature")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=50, activity=0), poll=60) as running:
        yield running


async def facts_of(sim: Simulator, *tags: Tag, **options: Any) -> TagFacts:
    server = PIServer(url=sim.url)
    async with server.client() as client:
        return await fetch_facts(client, server.controller(), tags, **options)


@pytest.mark.parametrize(
    "tag", [Tag("NAMED"), Tag("B", "no path"), Tag("C", web_id="none"), Tag("D|E")]
)
async def test_a_tag_that_cannot_be_asked_for_costs_no_other(
    sim: Simulator, tag: Tag
) -> None:
    found = await facts_of(sim, POINT, tag, ATTRIBUTE)
    assert list(found.facts) == [POINT, ATTRIBUTE] and list(found.failures) == [tag]


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_limits_that_may_not_be_read_are_left_out(
    sim: Simulator, status: int
) -> None:
    sim.faults.status(status, count=None, path="attributes", after=1)
    found = await facts_of(sim, ATTRIBUTE, limits=True)
    assert "limits" not in found.facts[ATTRIBUTE]


@pytest.mark.parametrize("status", [403, 404])
async def test_point_attributes_that_may_not_be_read_are_left_out(
    sim: Simulator, status: int
) -> None:
    sim.faults.status(status, count=None, path="attributes")
    found = await facts_of(sim, POINT, point_attributes=["excdev"])
    assert found.facts[POINT]["units"] == "°C"
    assert "excdev" not in found.facts[POINT]


async def test_a_server_in_trouble_is_told(sim: Simulator) -> None:
    sim.faults.status(503, count=None)
    with pytest.raises(HTTPStatusError, match="503"):
        await facts_of(sim, POINT)


async def test_changed_limits_are_seen(sim: Simulator) -> None:
    sim.describe(BOILER + "|Temperature|Hi", value=150.0)
    found = await facts_of(sim, ATTRIBUTE, limits=True)
    assert found.facts[ATTRIBUTE]["limits"]["hi"] == 150.0


async def test_an_item_that_spoils_a_request_is_found(server: Server) -> None:
    async def answer(request: web.Request) -> web.Response:
        paths = request.query.getall("path")
        if any("BAD" in path for path in paths):
            return web.json_response({"Errors": ["not understood"]}, status=400)
        items = [
            {"Identifier": p, "Object": {"WebId": p, "Name": p, "Path": p}}
            for p in paths
        ]
        return web.json_response({"Items": items})

    server.handler = answer
    tags = [Tag(str(n), rf"\\SRV\{n}") for n in range(20)]
    bad = Tag("BAD", r"\\SRV\BAD")
    async with HTTPClient() as client:
        found = await fetch_facts(client, server.controller, [*tags, bad])
    assert list(found.facts) == tags
    assert found.failures == {bad: "not understood"}


async def test_a_server_that_refuses_everything_is_not_flooded(server: Server) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"Errors": ["no"]}, status=400)

    server.handler = answer
    tags = [Tag(str(n), rf"\\SRV\{n}") for n in range(1000)]
    async with HTTPClient() as client:
        with pytest.raises(HTTPStatusError, match="400"):
            await fetch_facts(client, server.controller, tags)
    assert len(server.requests) < 120
