"""Data servers and points over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.simulator import Simulator

TEMP = "UNIT1.BOILER.TEMP"


def points_of(sim: Simulator) -> str:
    return f"/dataservers/{sim.plant.server.web_id()}/points"


async def test_points_are_filtered_by_name(sim: Simulator, client: Any) -> None:
    _, body = await client.get(points_of(sim), ("nameFilter", "unit?.boiler.temp"))
    names = [item["Name"] for item in body["Items"]]
    assert names == ["UNIT1.BOILER.TEMP", "UNIT2.BOILER.TEMP"]


async def test_points_are_paged_without_links(sim: Simulator, client: Any) -> None:
    page = [("startIndex", "90"), ("maxCount", "40")]
    _, body = await client.get(points_of(sim), *page)
    assert (len(body["Items"]), body["Links"]) == (10, {})


async def test_selected_fields_are_found_in_any_case(
    sim: Simulator, client: Any
) -> None:
    _, body = await client.get(
        points_of(sim),
        ("SELECTEDFIELDS", "items.name;Items.Links.self"),
        ("maxcount", "1"),
    )
    (item,) = body["Items"]
    assert list(item) == ["Name", "Links"] and list(item["Links"]) == ["Self"]


async def test_selecting_nothing_that_is_there_gives_an_empty_object(
    client: Any,
) -> None:
    assert await client.get("/dataservers", ("selectedFields", "x.y")) == (200, {})


@pytest.mark.parametrize(
    "form", ["Full", "IDOnly", "PathOnly", "LocalIDOnly", "DefaultIDOnly"]
)
async def test_a_point_is_found_by_any_form_of_web_id(
    sim: Simulator, client: Any, form: str
) -> None:
    web_id = sim.plant.tag(TEMP).web_id_as(form)
    _, body = await client.get(f"/points/{web_id}", ("webIdType", form.lower()))
    assert (body["Name"], body["WebId"]) == (TEMP, web_id)


async def test_a_point_is_found_by_path(client: Any) -> None:
    _, body = await client.get("/points", ("path", f"\\\\simsrv\\{TEMP.lower()}"))
    assert body["Name"] == TEMP


async def test_the_attributes_of_a_point_are_chosen_by_name(
    sim: Simulator, client: Any
) -> None:
    path = f"/points/{sim.plant.tag(TEMP).web_id}/attributes"
    _, body = await client.get(path, ("name", "compdev"), ("name", "EngUnits"))
    values = {item["Name"]: item["Value"] for item in body["Items"]}
    assert values == {"compdev": pytest.approx(0.72), "engunits": "°C"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/points/F1DPnonsense!", 400),
        ("/points/F1DPUpo8Dw1vPk-aQSp9XBuOYA____fw", 404),
        ("/points?path=%5C%5CSIMSRV%5Cnosuch", 404),
        ("/points", 400),
        ("/points/multiple", 400),
        ("/dataservers?name=OTHER", 404),
        ("/dataservers/F1DSUpo8Dw1vPk-aQSp9XBuOYA/points?maxCount=0", 400),
        ("/dataservers/F1DSUpo8Dw1vPk-aQSp9XBuOYA/points?startIndex=x", 400),
        ("/dataservers/F1DSAAAADw1vPk-aQSp9XBuOYA/points", 404),
        ("/dataservers?webIdType=Short", 400),
    ],
)
async def test_what_does_not_fit_is_refused(
    client: Any, path: str, status: int
) -> None:
    found, body = await client.get(path)
    assert found == status and list(body) == ["Errors"]


@pytest.mark.parametrize(
    "query", [("name", "simsrv"), ("path", "\\\\PIServers[SIMSRV]")]
)
async def test_the_data_server_is_found(client: Any, query: tuple[str, str]) -> None:
    _, body = await client.get("/dataservers", query)
    assert body["Name"] == "SIMSRV"


async def test_the_data_server_tells_its_time(sim: Simulator, client: Any) -> None:
    sim.clock.advance(10 * 86400)
    _, body = await client.get(f"/dataservers/{sim.plant.server.web_id()}")
    _, status = await client.get("/system/status")
    assert body["ServerTime"] <= status["ServerTime"]


@pytest.mark.parametrize(
    ("mode", "identifiers"),
    [("All", 2), ("ItemsWithException", 1), ("itemswithoutexception", 1)],
)
async def test_multiple_tells_what_is_asked_for(
    sim: Simulator, client: Any, mode: str, identifiers: int
) -> None:
    query = [("webId", sim.plant.tag(TEMP).web_id), ("webId", "nonsense")]
    status, body = await client.get("/points/multiple", *query, ("includeMode", mode))
    assert (status, len(body["Items"])) == (207, identifiers)


async def test_multiple_without_failures_is_200(sim: Simulator, client: Any) -> None:
    query = ("webId", sim.plant.tag(TEMP).web_id)
    status, _ = await client.get("/points/multiple", query)
    assert status == 200


async def test_a_method_that_is_not_there_is_refused(
    sim: Simulator, client: Any
) -> None:
    async with client.session.post(sim.url + "/dataservers") as answer:
        assert answer.status == 405


async def test_the_date_header_is_the_simulated_time(
    sim: Simulator, client: Any
) -> None:
    sim.clock.advance(-20 * 365 * 86400)
    async with client.session.get(sim.url + "/") as answer:
        assert " 20" in answer.headers["Date"] and answer.headers["Server"]
        assert int(answer.headers["Date"].split()[3]) < 2020
