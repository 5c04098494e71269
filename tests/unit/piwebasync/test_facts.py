"""Facts of tags: what one tag lacks costs no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.piwebasync import HTTPClient
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.facts import LIMITS, TagFacts, fetch_facts
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.assets import Attribute
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


def limits_of(attribute: Attribute) -> dict[str, Any] | None:
    """The limits as the plant has them."""
    found = {
        LIMITS[child.template.trait]: child.value
        for child in attribute.children
        if child.template.trait in LIMITS
    }
    return found or None


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


@pytest.mark.parametrize(
    ("batch_limit", "requests"), [(1000, 10 + 3), (0, 10 + 1 + 500)]
)
async def test_500_points_take_few_requests(batch_limit: int, requests: int) -> None:
    plant = Plant(tags=500, activity=0)
    tags = [Tag(tag.name, web_id=tag.web_id) for tag in plant.tags]
    async with Simulator(
        plant, poll=60, rate_limit=0, batch_limit=batch_limit
    ) as running:
        found = await facts_of(running, *tags, point_attributes=["excdev"])
        assert running.requests == requests
    assert {tag.name: found.facts[tag]["excdev"] for tag in tags} == {
        tag.name: tag.excdev for tag in plant.tags
    }


async def test_one_point_whose_attributes_are_refused_costs_no_other(
    sim: Simulator,
) -> None:
    sim.faults.status(404, path=sim.plant.tag(TEMP).web_id + "/attributes")
    tags = [Tag(tag.name, web_id=tag.web_id) for tag in sim.plant.tags[:20]]
    found = await facts_of(sim, *tags, point_attributes=["excdev"])
    lacking = [tag.name for tag in tags if "excdev" not in found.facts[tag]]
    assert lacking == [TEMP]


@pytest.mark.parametrize("batch_size", [1, 2, 200])
async def test_limits_of_many_elements_are_asked_for_in_batches(
    sim: Simulator, batch_size: int
) -> None:
    unit = sim.assets.element(BOILER.rpartition("\\")[0])
    measured = [
        attribute
        for element in sim.assets.elements(unit)
        for attribute in element.attributes
        if attribute.source is not None
    ]
    tags = [Tag(one.path, one.path) for one in measured]
    found = await facts_of(sim, *tags, limits=True, batch_size=batch_size)
    assert {tag.name: found.facts[tag].get("limits") for tag in tags} == {
        one.path: limits_of(one) for one in measured
    }


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
