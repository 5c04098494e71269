"""The asset framework over HTTP: servers, databases, elements, attributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pichannels.errors import UsageError
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.assets import Assets

BODIES = Path(__file__).parents[1] / "fixtures" / "piwebapi"
DATABASE = r"\\SIMAF\Plant"
UNIT = DATABASE + r"\Site\Area1\Unit1"
BOILER = UNIT + r"\Boiler"
TEMPERATURE = BOILER + "|Temperature"
TEMP = "UNIT1.BOILER.TEMP"


def recorded(name: str) -> Any:
    (path,) = BODIES.glob(f"{name}_*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def keys(body: Any) -> Any:
    """The keys in their order; of a list what its first element has."""
    if isinstance(body, dict):
        return [(key, keys(value)) for key, value in body.items()]
    if isinstance(body, list):
        return [keys(item) for item in body[:1]]
    return None


def names(body: Any) -> list[str]:
    return [item["Name"] for item in body["Items"]]


async def web_id(client: Any, kind: str, path: str) -> str:
    _, body = await client.get(f"/{kind}", ("path", path))
    found: str = body["WebId"]
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [("/assetservers", "d28"), ("/assetservers/{}/assetdatabases", "d29")],
)
async def test_servers_and_databases_look_like_the_recorded(
    sim: Simulator, client: Any, path: str, name: str
) -> None:
    _, body = await client.get(path.format(sim.assets.server.web_id()))
    assert keys(body) == keys(recorded(name))
    assert body["Items"][0]["WebId"] == recorded(name)["Items"][0]["WebId"]


async def test_an_element_looks_like_the_recorded(client: Any) -> None:
    _, body = await client.get("/elements", ("path", UNIT + r"\Pump1"))
    expected = recorded("d25")
    assert (body["TemplateName"], body["CategoryNames"]) == ("Pump", ["Equipment"])
    assert keys(body | {"CategoryNames": []}) == keys(expected)


async def test_an_attribute_looks_like_the_recorded(client: Any) -> None:
    _, body = await client.get("/attributes", ("path", TEMPERATURE))
    expected = recorded("d24")
    assert keys(body) == keys(expected)
    assert body["DefaultUnitsName"] == expected["DefaultUnitsName"]


@pytest.mark.parametrize("form", ["Full", "IDOnly", "PathOnly", "LocalIDOnly"])
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("elements", UNIT),
        ("attributes", TEMPERATURE),
        ("attributes", f"{BOILER}|level|hi"),
    ],
)
async def test_each_form_of_web_id_leads_back(
    client: Any, form: str, kind: str, path: str
) -> None:
    _, there = await client.get(f"/{kind}", ("path", path), ("webIdType", form))
    _, back = await client.get(f"/{kind}/{there['WebId']}", ("webIdType", form))
    assert there == back and back["Path"].upper() == path.upper()


@pytest.mark.parametrize(
    "path",
    [
        "/elements?path=%5C%5CSIMAF%5CPlant%5CNowhere",
        "/attributes?path=%5C%5CSIMAF%5CPlant%5CSite%7CNothing",
        "/assetservers?name=OTHER",
        "/assetdatabases?path=%5C%5CSIMAF%5COther",
        "/elements/F1EmBH4dW8KTaEqPHsB6bSS58wqvJxPBUN7hGaOwAVXSpMEAU0lNQUY",
    ],
)
async def test_what_is_not_there_is_told(client: Any, path: str) -> None:
    status, body = await client.get(path)
    assert status == 404 and list(body) == ["Errors"]


async def test_a_text_that_is_no_web_id_is_told(client: Any) -> None:
    assert (await client.get("/elements/nonsense"))[0] == 400


async def test_the_tree_goes_from_site_to_equipment(client: Any) -> None:
    database = await web_id(client, "assetdatabases", DATABASE)
    _, body = await client.get(
        f"/assetdatabases/{database}/elements", ("searchFullHierarchy", "true")
    )
    paths = [item["Path"].removeprefix(DATABASE) for item in body["Items"]]
    assert paths[:4] == [
        r"\Site",
        r"\Site\Area1",
        r"\Site\Area1\Unit1",
        r"\Site\Area1\Unit1\Boiler",
    ]


async def test_elements_are_found_by_name_template_and_category(client: Any) -> None:
    site = await web_id(client, "elements", DATABASE + r"\Site")
    _, body = await client.get(
        f"/elements/{site}/elements",
        ("searchFullHierarchy", "true"),
        ("templateName", "pump"),
        ("categoryName", "Equipment"),
        ("nameFilter", "*2"),
    )
    assert names(body) == ["Pump2", "Pump2"] and body["Links"] == {}


async def test_pages_are_linked(client: Any) -> None:
    database = await web_id(client, "assetdatabases", DATABASE)
    body = (
        await client.get(
            f"/assetdatabases/{database}/elements",
            ("searchFullHierarchy", "true"),
            ("startIndex", "3"),
            ("maxCount", "5"),
        )
    )[1]
    starts = {n: link.rpartition("=")[2] for n, link in body["Links"].items()}
    total = len(list(Assets(Plant(tags=100)).elements()))
    assert starts == {
        "First": "0",
        "Previous": "0",
        "Next": "8",
        "Last": str(total - 5),
    }


async def test_the_links_lead_through_all_pages(
    sim: Simulator, client: Any, session: aiohttp.ClientSession
) -> None:
    database = await web_id(client, "assetdatabases", DATABASE)
    url = f"{sim.url}/assetdatabases/{database}/elements?searchFullHierarchy=true"
    url, found = f"{url}&maxCount=7&selectedFields=Items.Path;Links.Next", list[str]()
    while url:
        async with session.get(url) as answer:
            body = await answer.json()
        found += [item["Path"] for item in body["Items"]]
        url = body.get("Links", {}).get("Next", "")
    assert found == [one.path for one in sim.assets.elements()]


async def attributes(client: Any, *params: tuple[str, str]) -> list[str]:
    unit = await web_id(client, "elements", UNIT)
    return names((await client.get(f"/elements/{unit}/attributes", *params))[1])


async def test_hidden_and_excluded_attributes_are_asked_for(client: Any) -> None:
    plain = await attributes(client)
    every = await attributes(client, ("showHidden", "true"), ("showExcluded", "true"))
    assert sorted(set(every) - set(plain)) == ["Old Name", "Service Notes"]


async def test_limits_are_found_below_their_attribute(client: Any) -> None:
    boiler = await web_id(client, "elements", BOILER)
    _, body = await client.get(
        f"/elements/{boiler}/attributes",
        ("searchFullHierarchy", "true"),
        ("trait", "LimitHi"),
    )
    paths = [item["Path"].removeprefix(BOILER) for item in body["Items"]]
    assert paths[:2] == ["|Temperature|Hi", "|Pressure|Hi"]


async def test_attributes_of_all_elements_of_a_template_are_one_list(
    client: Any,
) -> None:
    database = await web_id(client, "assetdatabases", DATABASE)
    _, body = await client.get(
        f"/assetdatabases/{database}/elementattributes",
        ("searchFullHierarchy", "true"),
        ("elementTemplate", "Pump"),
        ("attributeNameFilter", "S*"),
        ("attributeCategory", "Measurement"),
    )
    assert len(body["Items"]) == 8 and set(names(body)) == {"Speed"}


async def test_many_attributes_of_which_one_is_missing(client: Any) -> None:
    status, body = await client.get(
        "/attributes/multiple",
        ("path", TEMPERATURE),
        ("path", BOILER + "|Nothing"),
        ("selectedFields", "Items.Identifier;Items.Object.Name;Items.Exception"),
    )
    assert status == 207 and body["Items"][0]["Object"] == {"Name": "Temperature"}
    assert list(body["Items"][1]) == ["Identifier", "Exception"]


async def test_values_of_an_element_are_those_of_its_tags(
    sim: Simulator, client: Any
) -> None:
    sim.push(TEMP, 71.5)
    boiler = await web_id(client, "elements", BOILER)
    _, body = await client.get(f"/streamsets/{boiler}/value")
    first = body["Items"][0]
    assert (first["Name"], first["Value"]["Value"]) == ("Temperature", 71.5)
    assert first["Links"]["Source"].endswith(f"/attributes/{first['WebId']}")


async def test_recorded_values_of_an_attribute_are_those_of_its_tag(
    sim: Simulator, client: Any
) -> None:
    sim.push(TEMP, 1.0)
    sim.push(TEMP, 2.0)
    found = await web_id(client, "attributes", TEMPERATURE)
    _, body = await client.get(f"/streams/{found}/recorded")
    assert [item["Value"] for item in body["Items"]] == [1.0, 2.0]


async def test_a_static_attribute_has_a_value_and_no_history(client: Any) -> None:
    found = await web_id(client, "attributes", BOILER + "|Design Pressure")
    _, value = await client.get(f"/attributes/{found}/value")
    _, history = await client.get(f"/streams/{found}/recorded")
    assert (value["Value"], history["Items"]) == (20.0, [])


async def test_a_channel_of_an_element_looks_like_the_recorded(
    sim: Simulator, client: Any, session: aiohttp.ClientSession
) -> None:
    boiler = await web_id(client, "elements", BOILER)
    url = f"{sim.url}/streamsets/{boiler}/channel"
    async with session.ws_connect(url) as channel:
        await sim.connected()
        sim.push(TEMP, 64.02)
        sim.tick()
        message = json.loads(await channel.receive_str())
    assert keys(message) == keys(recorded("d03"))
    assert message["Items"][0]["Path"] == TEMPERATURE


async def test_a_tag_and_its_attribute_share_a_channel(
    sim: Simulator, client: Any, session: aiohttp.ClientSession
) -> None:
    params = [("webId", sim.plant.tag(TEMP).web_id)]
    params.append(("webId", await web_id(client, "attributes", TEMPERATURE)))
    url = f"{sim.url}/streamsets/channel"
    async with session.ws_connect(url, params=params) as channel:
        await sim.connected()
        sim.push(TEMP, 1.0)
        sim.tick()
        message = json.loads(await channel.receive_str())
    assert [item["Name"] for item in message["Items"]] == [TEMP, "Temperature"]


async def test_a_renamed_point_keeps_its_id_and_its_values(
    sim: Simulator, client: Any
) -> None:
    sim.push(TEMP, 5.0)
    before = sim.plant.tag(TEMP).web_id_as("IDOnly")
    sim.rename(TEMP, "BOILER.ONE")
    _, point = await client.get(f"/points/{before}")
    _, value = await client.get(f"/streams/{before}/value")
    assert (point["Name"], value["Value"]) == ("BOILER.ONE", 5.0)
    assert (await client.get("/points", ("path", rf"\\SIMSRV\{TEMP}")))[0] == 404


async def test_facts_are_changed_by_the_admin_route(client: Any) -> None:
    await client.admin("describe", subject=TEMP, units="K", span=500.0)
    await client.admin("describe", subject=TEMPERATURE, description="New")
    _, point = await client.get("/points", ("path", rf"\\SIMSRV\{TEMP}"))
    _, attribute = await client.get("/attributes", ("path", TEMPERATURE))
    assert (point["EngineeringUnits"], point["Span"]) == ("K", 500.0)
    assert (attribute["Description"], attribute["Span"]) == ("New", 500.0)


@pytest.mark.parametrize(
    ("subject", "facts"),
    [
        (TEMP, {"compdev": 1.0}),
        (TEMP, {"name": "UNIT1.FEED.FLOW"}),
        (TEMP, {"units": 3}),
        (TEMPERATURE, {"value": 3.0}),
        (TEMPERATURE, {"name": "Level"}),
        (BOILER, {"name": r"A\B"}),
        (BOILER + "|Nothing", {"name": "Something"}),
    ],
)
async def test_changes_that_cannot_be_are_told(
    sim: Simulator, subject: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        sim.describe(subject, **facts)


async def test_changed_facts_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "truth.jsonl"
    async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
        sim.rename(BOILER, "Kettle")
        sim.describe(UNIT + r"\Kettle|Temperature", units="K")
        sim.rename(TEMP, "KETTLE.TEMP")
    async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
        found = sim.assets.attribute(UNIT + r"\Kettle|Temperature")
        assert found is not None and found.source is not None
        assert (found.units, found.source.name) == ("K", "KETTLE.TEMP")
