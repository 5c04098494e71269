"""Elements and attributes are found in bulk, page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.errors import DecodeError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.assets import (
    Attribute,
    attribute_name,
    fetch_attributes,
    fetch_elements,
    find_attributes,
    find_template_attributes,
)
from pichannels.piwebasync.bulk import parse_multiple
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.webids import decode
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

DATABASE = r"\\SIMAF\Plant"
UNIT = DATABASE + r"\Site\Area1\Unit1"
BOILER = UNIT + r"\Boiler"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=100, activity=0), poll=60) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[HTTPClient]:
    async with HTTPClient() as opened:
        yield opened


def controller_of(sim: Simulator) -> Controller:
    return PIServer(url=sim.url).controller()


async def test_attributes_of_many_paths_come_in_few_requests(
    sim: Simulator, client: HTTPClient
) -> None:
    elements = list(sim.assets.elements())
    paths = [a.path for element in elements for a in element.attributes]
    found = await fetch_attributes(
        client, controller_of(sim), [*paths, BOILER + "|Nothing"], url_limit=2000
    )
    assert [one.path for one in found.objects.values()] == paths
    assert list(found.failures) == [BOILER + "|Nothing"]


async def test_attributes_are_fetched_by_web_id_too(
    sim: Simulator, client: HTTPClient
) -> None:
    attribute = sim.assets.attribute(BOILER + "|Temperature")
    assert attribute is not None
    web_id = attribute.web_id_as("IDOnly")
    found = await fetch_attributes(client, controller_of(sim), [web_id])
    assert found.objects[web_id].default_units_name == "degree Celsius"


async def test_elements_say_their_template(sim: Simulator, client: HTTPClient) -> None:
    found = await fetch_elements(client, controller_of(sim), [BOILER, UNIT])
    templates = [one.template_name for one in found.objects.values()]
    assert templates == ["Boiler", "Unit"]


@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_all_pages_of_a_hierarchy_are_read(
    sim: Simulator, client: HTTPClient, page: int
) -> None:
    found = await find_attributes(
        client, controller_of(sim), UNIT, ["Temp*", "Status"], hierarchy=True, page=page
    )
    names = sorted(one.path.removeprefix(UNIT) for one in found)
    assert names == [
        r"\Boiler|Temperature",
        r"\Feed|Temperature",
        *(rf"\Pump{n}|Status" for n in (1, 2, 3, 4)),
        r"\Tank1|Temperature",
        r"\Tank2|Temperature",
    ]


async def test_without_hierarchy_only_the_element_itself_counts(
    sim: Simulator, client: HTTPClient
) -> None:
    found = await find_attributes(client, controller_of(sim), BOILER, ["*e*"])
    assert {one.element_path for one in found} == {BOILER}
    assert {one.name for one in found if not one.is_live} == {
        "Design Pressure",
        "Manufacturer",
    }


async def test_a_whole_database_can_be_searched(
    sim: Simulator, client: HTTPClient
) -> None:
    found = await find_attributes(
        client, controller_of(sim), DATABASE, ["Power"], hierarchy=True
    )
    assert [one.element_path[-5:] for one in found] == ["Unit1", "Unit2"]


@pytest.mark.parametrize(("root", "count"), [(DATABASE, 8), (UNIT, 4), (BOILER, 0)])
async def test_attributes_of_a_template_are_found_below_a_root(
    sim: Simulator, client: HTTPClient, root: str, count: int
) -> None:
    found = await find_template_attributes(
        client, controller_of(sim), root, "Pump", ["Speed"], page=3
    )
    assert len(found) == count


async def test_an_element_that_is_not_there_is_told(
    sim: Simulator, client: HTTPClient
) -> None:
    with pytest.raises(HTTPStatusError, match="404"):
        await find_attributes(client, controller_of(sim), UNIT + r"\Nothing")


async def test_a_tag_of_an_attribute_has_both_guids_as_key(
    sim: Simulator, client: HTTPClient
) -> None:
    (found,) = await find_attributes(client, controller_of(sim), BOILER, ["Level"])
    tag = found.tag("plant")
    assert tag.name == r"Site\Area1\Unit1\Boiler|Level"
    assert tag.key == "/".join(map(str, decode(found.web_id).ids[1:]))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"\\AF\DB\E|A", "E|A"),
        (r"\\AF\DB\E\F|A|B", r"E\F|A|B"),
        (r"\\AF\DB|A", ""),
        (r"\\SRV\TAG", ""),
        ("", ""),
    ],
)
def test_an_attribute_is_named_by_element_and_attribute(path: str, name: str) -> None:
    assert attribute_name(path) == name


async def test_a_next_link_of_another_host_is_followed_on_ours(
    server: Server, client: HTTPClient
) -> None:
    other = "https://inside.example/piwebapi/elements/W/attributes?startindex=1"

    async def answer(request: web.Request) -> web.Response:
        if "path" in request.query:
            return web.json_response({"WebId": "W"})
        start = request.query["startIndex"]
        item = {"WebId": start, "Name": start, "Path": start}
        links = {"Next": other} if start == "0" else {}
        return web.json_response({"Links": links, "Items": [item]})

    server.handler = answer
    found = await find_attributes(client, server.controller, UNIT)
    assert [one.name for one in found] == ["0", "1"]


@pytest.mark.parametrize(
    "body",
    [
        {"Links": {"Next": "x?startIndex=0"}, "Items": []},
        {"Links": {"Next": "x?startIndex=far"}, "Items": []},
        {"Items": [{"Name": "no WebId"}]},
        ["no object"],
    ],
)
async def test_a_page_that_leads_nowhere_is_told(
    server: Server, client: HTTPClient, body: Any
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"WebId": "W"} if "path" in request.query else body)

    server.handler = answer
    with pytest.raises(DecodeError):
        await find_attributes(client, server.controller, UNIT)


def test_an_object_of_an_odd_form_costs_no_other() -> None:
    good = {"WebId": "A", "Name": "A", "Path": "A"}
    raw = json.dumps(
        {
            "Items": [
                {"Identifier": "A", "Object": good},
                {"Identifier": "B", "Object": {"Name": 3}},
            ]
        }
    ).encode()
    found = parse_multiple(raw, ["A", "B", "a"], Attribute)
    assert list(found.objects) == ["A"] and list(found.failures) == ["B", "a"]
