"""Points, elements and attributes that are made, changed and deleted over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pichannels.simulator import Member, Plant, Simulator

TEMP = "UNIT1.BOILER.TEMP"
DATABASE = r"\\SIMAF\Plant"
UNIT = DATABASE + r"\Site\Area1\Unit1"
NOON = "2024-05-01T12:00:00Z"


def servers(sim: Simulator) -> str:
    return f"/dataservers/{sim.plant.server.web_id()}/points"


def elements(sim: Simulator, path: str = UNIT) -> str:
    found = sim.assets.element(path)
    assert found is not None
    return f"/elements/{found.web_id_as('Full')}"


def point(name: str, **fields: Any) -> dict[str, Any]:
    return {"Name": name, "PointClass": "classic", "PointType": "Float32"} | fields


async def created(client: Any, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Status, and the object that the answer says has been made."""
    status, _, headers = await client.send("POST", path, body)
    where = headers["Location"].removeprefix(client.sim.url)
    return status, (await client.get(where))[1]


async def test_a_point_is_made(sim: Simulator, client: Any) -> None:
    body = point("COPY.TEMP", EngineeringUnits="°C", Zero=20, Span=180.0)
    status, found = await created(client, servers(sim), body)
    assert (status, found["Path"]) == (201, r"\\SIMSRV\COPY.TEMP")
    assert (found["EngineeringUnits"], found["Zero"]) == ("°C", 20)


async def test_a_new_point_takes_values(sim: Simulator, client: Any) -> None:
    _, found = await created(client, servers(sim), point("COPY.TEMP"))
    path = f"/streams/{found['WebId']}/value"
    assert (await client.get(path))[1]["Value"]["Name"] == "Pt Created"
    await client.send("POST", path, {"Timestamp": NOON, "Value": 71.5})
    assert (await client.get(path))[1]["Value"] == 71.5


async def test_a_digital_point_has_the_states_of_its_set(
    sim: Simulator, client: Any
) -> None:
    body = point("COPY.PUMP", PointType="Digital", DigitalSetName="PUMP_STATES")
    _, found = await created(client, servers(sim), body)
    path = f"/streams/{found['WebId']}/value"
    await client.send("POST", path, {"Timestamp": NOON, "Value": "TRIPPED"})
    assert (await client.get(path))[1]["Value"]["Value"] == 2


async def test_a_future_point_is_made(sim: Simulator, client: Any) -> None:
    _, found = await created(client, servers(sim), point("COPY.PLAN", Future=True))
    path = f"/streams/{found['WebId']}/value"
    status, _, _ = await client.send("POST", path, {"Timestamp": "*+1d", "Value": 1})
    assert (status, found["Future"]) == (202, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (point(TEMP), 409),
        (point("A*"), 400),
        ({"PointType": "Float32"}, 400),
        (point("COPY", PointType="Blob"), 400),
        (point("COPY", PointType="Digital", DigitalSetName="NONE"), 409),
        (point("COPY", Zero="low"), 400),
        (point("COPY", Colour="red"), 400),
        ([], 400),
    ],
)
async def test_a_point_that_cannot_be_made(
    sim: Simulator, client: Any, body: Any, status: int
) -> None:
    answered, answer, _ = await client.send("POST", servers(sim), body)
    assert (answered, len(sim.tags)) == (status, 100) and answer["Errors"]


async def test_a_point_is_changed_and_deleted(sim: Simulator, client: Any) -> None:
    path = f"/points/{sim.plant.tag(TEMP).web_id_as('IDOnly')}"
    changes = {"Name": "OLD.TEMP", "Descriptor": "Was replaced"}
    assert (await client.send("PATCH", path, changes))[0] == 204
    _, found = await client.get(path)
    assert (found["Name"], found["Descriptor"]) == ("OLD.TEMP", "Was replaced")
    assert (await client.send("DELETE", path))[0] == 204
    assert (await client.get(path))[0] == 404


async def test_what_a_point_is_cannot_be_changed(sim: Simulator, client: Any) -> None:
    path = f"/points/{sim.plant.tag(TEMP).web_id}"
    status, _, _ = await client.send("PATCH", path, {"PointType": "String"})
    assert status == 400


async def test_the_attribute_of_a_deleted_point_has_no_value(
    sim: Simulator, client: Any
) -> None:
    attribute = sim.assets.attribute(UNIT + r"\Boiler|Temperature")
    assert attribute is not None
    path = f"/streams/{attribute.web_id_as('Full')}/value"
    await client.send("DELETE", f"/points/{sim.plant.tag(TEMP).web_id}")
    status, body = await client.get(path)
    assert status == 404 and TEMP in body["Errors"][0]


async def test_the_name_of_a_deleted_point_is_free(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 1.0)
    await client.send("DELETE", f"/points/{sim.plant.tag(TEMP).web_id}")
    _, found = await created(client, servers(sim), point(TEMP))
    assert found["Id"] == 101
    assert sim.truth(TEMP, sim.plant.created + 1, sim.clock.now()) == []


async def test_a_deleted_point_is_in_no_list(sim: Simulator, client: Any) -> None:
    await client.send("DELETE", f"/points/{sim.plant.tag(TEMP).web_id}")
    _, body = await client.get(servers(sim), ("nameFilter", "UNIT1.BOILER.T*"))
    assert body["Items"] == []


@pytest.mark.parametrize("path", [DATABASE, UNIT])
async def test_an_element_is_made(sim: Simulator, client: Any, path: str) -> None:
    database = f"/assetdatabases/{sim.assets.server.database_web_id()}"
    owner = database if path == DATABASE else elements(sim)
    body = {"Name": "Pump9", "TemplateName": "Pump", "Description": "Spare"}
    status, found = await created(client, owner + "/elements", body)
    assert (status, found["Path"]) == (201, path + r"\Pump9")
    assert (found["TemplateName"], found["Description"]) == ("Pump", "Spare")


async def test_a_new_element_has_what_is_static_in_its_template(
    sim: Simulator, client: Any
) -> None:
    body = {"Name": "Pump9", "TemplateName": "Pump"}
    _, found = await created(client, elements(sim) + "/elements", body)
    _, attributes = await client.get(f"/elements/{found['WebId']}/attributes")
    names = [one["Name"] for one in attributes["Items"]]
    assert names == ["Rated Power", "Manufacturer"]


async def test_a_static_attribute_is_made_and_set(sim: Simulator, client: Any) -> None:
    body = {"Name": "Serial", "Type": "String"}
    status, found = await created(client, elements(sim) + "/attributes", body)
    value = f"/attributes/{found['WebId']}/value"
    await client.send("PUT", value, {"Value": "K-17"})
    assert (status, (await client.get(value))[1]["Value"]) == (201, "K-17")


async def test_an_attribute_of_a_point_is_made(sim: Simulator, client: Any) -> None:
    body = {
        "Name": "Copy",
        "DefaultUnitsName": "degree Celsius",
        "DataReferencePlugIn": "PI Point",
        "ConfigString": rf"\\SIMSRV?0f3c\{TEMP}?1",
    }
    _, found = await created(client, elements(sim) + "/attributes", body)
    sim.push(TEMP, 71.5)
    _, value = await client.get(f"/streams/{found['WebId']}/value")
    assert (value["Value"], value["UnitsAbbreviation"]) == (71.5, "°C")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("elements", {"Name": "Boiler"}, 409),
        ("elements", {"Name": "A", "TemplateName": "Rocket"}, 409),
        ("elements", {"Description": "nameless"}, 400),
        ("attributes", {"Name": "Commissioned"}, 409),
        ("attributes", {"Name": "A", "DefaultUnitsName": "parsec"}, 409),
        ("attributes", {"Name": "A", "DataReferencePlugIn": "Formula"}, 400),
        (
            "attributes",
            {
                "Name": "A",
                "DataReferencePlugIn": "PI Point",
                "ConfigString": r"\\SIMSRV\NONE",
            },
            409,
        ),
        ("attributes", {"Name": "A", "IsHidden": "yes"}, 400),
    ],
)
async def test_what_cannot_be_made(
    sim: Simulator, client: Any, kind: str, body: Any, status: int
) -> None:
    path = f"{elements(sim)}/{kind}"
    assert (await client.send("POST", path, body))[0] == status


async def test_a_batch_goes_on_with_what_it_has_made(
    sim: Simulator, client: Any
) -> None:
    parts = {
        "made": {
            "Method": "POST",
            "Resource": f"{sim.url}{elements(sim)}/elements",
            "Content": json.dumps({"Name": "Skid"}),
        },
        "found": {
            "Method": "GET",
            "Resource": "$.made.Headers.Location",
            "ParentIds": ["made"],
        },
    }
    _, body, _ = await client.send("POST", "/batch", parts)
    assert body["found"]["Content"]["Path"] == UNIT + r"\Skid"


async def test_elements_and_attributes_are_changed(sim: Simulator, client: Any) -> None:
    path = elements(sim)
    await client.send("PATCH", path, {"Name": "UnitA", "Description": "First"})
    assert (await client.get(path))[1]["Path"] == UNIT[:-1] + "A"
    attribute = sim.assets.attribute(UNIT[:-1] + "A|Commissioned")
    assert attribute is not None
    path = f"/attributes/{attribute.web_id_as('IDOnly')}"
    await client.send("PATCH", path, {"Name": "Begun"})
    assert (await client.get(path))[1]["Name"] == "Begun"


async def test_elements_and_attributes_are_deleted(sim: Simulator, client: Any) -> None:
    boiler = elements(sim, UNIT + r"\Boiler")
    attribute = sim.assets.attribute(UNIT + "|Commissioned")
    assert attribute is not None
    for path in (boiler, f"/attributes/{attribute.web_id_as('Full')}"):
        assert (await client.send("DELETE", path))[0] == 204
        assert (await client.get(path))[0] == 404


async def test_a_made_element_is_gone_with_the_one_above(
    sim: Simulator, client: Any
) -> None:
    _, outer = await created(client, elements(sim) + "/elements", {"Name": "Skid"})
    path = f"/elements/{outer['WebId']}"
    _, inner = await created(client, path + "/elements", {"Name": "Pump"})
    await client.send("DELETE", path)
    assert (await client.get(f"/elements/{inner['WebId']}"))[0] == 404


async def test_what_was_made_is_there_after_a_restart(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    state = tmp_path / "truth.jsonl"
    async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
        path = elements(sim)
        for where, body in (
            (servers(sim), point("COPY.TEMP")),
            (path + "/elements", {"Name": "Skid"}),
        ):
            async with session.post(sim.url + where, json=body) as answer:
                assert answer.status == 201
        made = answer.headers["Location"].removeprefix(sim.url)
        sim.rename("COPY.TEMP", "COPY.T")
        sim.push("COPY.T", 1.0)
        async with session.delete(f"{sim.url}/points/{sim.plant.tag(TEMP).web_id}"):
            pass
    async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
        assert len(sim.truth("COPY.T", sim.plant.created + 1, sim.clock.now())) == 1
        assert sim.plant.find(TEMP) is None
        async with session.get(sim.url + made) as answer:
            assert answer.status == 200


async def test_what_is_made_is_there_at_all_members(
    sim: Simulator, client: Any
) -> None:
    async with Member(sim) as other:
        await created(client, servers(sim), point("COPY.TEMP"))
        async with client.session.get(
            other.url + "/points", params={"path": r"\\SIMSRV\COPY.TEMP"}
        ) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/system", "/system/cacheinstances"])
async def test_system_has_its_parts(client: Any, path: str) -> None:
    status, body = await client.get(path)
    assert status == 200 and body.keys() <= {"Links", "Items"}


async def test_the_configuration_tells_of_writes(client: Any) -> None:
    _, body = await client.get("/system/configuration")
    assert (body["DisableWrites"], body["EnableCSRFDefense"]) == (False, True)
