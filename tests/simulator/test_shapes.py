"""Bodies have the keys of the recorded ones, in the same order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pichannels.simulator import Simulator

BODIES = Path(__file__).parents[1] / "fixtures" / "piwebapi"
TEMP, STATUS = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS"


def recorded(name: str) -> Any:
    (path,) = BODIES.glob(f"{name}_*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def shape(body: Any) -> Any:
    """The keys in their order; of a list what its first element has."""
    if isinstance(body, dict):
        return [(key, shape(value)) for key, value in body.items()]
    if isinstance(body, list):
        return [shape(item) for item in body[:1]]
    return None


def path_of(sim: Simulator, tag: str, action: str) -> str:
    return f"/streams/{sim.plant.tag(tag).web_id}/{action}"


def ids(sim: Simulator, *tags: str) -> list[tuple[str, str]]:
    return [("webId", sim.plant.tag(tag).web_id) for tag in tags]


async def test_a_value(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 71.25)
    assert shape((await client.get(path_of(sim, TEMP, "value")))[1]) == shape(
        recorded("d09")
    )


async def test_a_digital_value(sim: Simulator, client: Any) -> None:
    sim.push(STATUS, "RUNNING")
    _, body = await client.get(path_of(sim, STATUS, "end"))
    assert shape(body) == shape(recorded("d10"))


async def test_the_state_before_the_first_value(sim: Simulator, client: Any) -> None:
    _, body = await client.get(path_of(sim, TEMP, "value"))
    expected = recorded("d11")
    assert body["Value"] == expected["Value"] and body["Good"] is False


@pytest.mark.parametrize(("name", "values"), [("d14", [1.0, 2.0]), ("d15", [])])
async def test_recorded_values(
    sim: Simulator, client: Any, name: str, values: list[float]
) -> None:
    for value in values:
        sim.push(TEMP, value)
    _, body = await client.get(path_of(sim, TEMP, "recorded"))
    assert shape(body) == shape(recorded(name))


async def test_recorded_values_of_a_set(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 70.0)
    _, body = await client.get("/streamsets/recorded", *ids(sim, TEMP, STATUS))
    assert shape(body) == shape(recorded("d17")) and body["Items"][1]["Items"] == []


async def test_a_stream_of_a_set_that_failed(sim: Simulator, client: Any) -> None:
    sim.faults.tag(TEMP, 404)
    _, body = await client.get("/streamsets/recorded", *ids(sim, TEMP))
    expected = recorded("d18")
    expected["Items"][0]["Links"] = {}
    assert shape(body) == shape(expected)


@pytest.mark.parametrize(
    ("name", "action"),
    [("d19", "interpolated"), ("d20", "plot"), ("d19", "recordedattimes")],
)
async def test_values_between_events(
    sim: Simulator, client: Any, name: str, action: str
) -> None:
    sim.push(TEMP, 70.0)
    query = ("startTime", "*"), ("time", "*")
    _, body = await client.get(path_of(sim, TEMP, action), *query)
    expected = recorded(name)
    assert shape(body) == shape(expected)
    assert body["UnitsAbbreviation"] == expected["UnitsAbbreviation"]
    assert body["Items"][0]["UnitsAbbreviation"] == ""


async def test_a_missing_value(client: Any, sim: Simulator) -> None:
    span = [("startTime", "2019-01-01"), ("endTime", "2019-01-02")]
    _, body = await client.get(path_of(sim, TEMP, "interpolated"), *span)
    missing = recorded("d19")["Items"][2]
    assert body["Items"][0] == missing | {"Timestamp": "2019-01-01T00:00:00Z"}


async def test_summaries(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 70.0)
    sim.push(TEMP, 71.0)
    query = ("summaryType", "All"), ("summaryType", "Average")
    _, body = await client.get(path_of(sim, TEMP, "summary"), *query)
    expected = recorded("d21")
    assert shape(body) == shape(expected)
    assert [(i["Type"], i["Value"]["UnitsAbbreviation"]) for i in body["Items"]] == [
        (i["Type"], i["Value"]["UnitsAbbreviation"]) for i in expected["Items"]
    ]


async def test_summaries_of_a_set(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 70.0)
    query = [*ids(sim, TEMP), ("summaryType", "Maximum"), ("summaryType", "Average")]
    _, body = await client.get("/streamsets/summary", *query)
    assert shape(body) == shape(recorded("d22"))


async def test_a_summary_without_good_data(sim: Simulator, client: Any) -> None:
    query = [("summaryType", "Average"), ("summaryType", "PercentGood")]
    query += [("startTime", "2023-02-11T08:00:00Z"), ("endTime", "2023-02-11T09:00Z")]
    _, body = await client.get(path_of(sim, TEMP, "summary"), *query)
    assert body == recorded("d23")


async def test_values_of_a_set(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 70.0)
    _, body = await client.get("/streamsets/value", *ids(sim, TEMP, STATUS))
    assert shape(body) == shape(recorded("d13"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/dataservers", "d27"),
        ("/system/status", "d41"),
        ("/system/userinfo", "d42"),
        ("/", "d43"),
        ("/system/configuration", "d44"),
    ],
)
async def test_the_server_itself(client: Any, path: str, name: str) -> None:
    _, body = await client.get(path)
    assert shape(body) == shape(recorded(name))


async def test_many_points_of_which_one_is_missing(client: Any) -> None:
    status, body = await client.get(
        "/points/multiple",
        ("path", f"\\\\SIMSRV\\{TEMP}"),
        ("path", "\\\\SIMSRV\\nosuch"),
        ("selectedFields", "Items.Identifier;Items.IdentifierType;Items.Exception;"
         "Items.Object.WebId;Items.Object.Id;Items.Object.Name;Items.Object.Path"),
    )  # fmt: skip
    expected = recorded("d30")
    assert status == 207 and body["Items"][1] == expected["Items"][1]
    assert shape(body) == shape(expected)


async def test_a_route_that_is_not_there(client: Any) -> None:
    status, body = await client.get("/stream/abc")
    assert status == 404 and shape(body) == shape(recorded("d37"))
    assert body["Message"].startswith(recorded("d37")["Message"].split("'")[0])


async def test_too_many_values(sim: Simulator, client: Any) -> None:
    path = path_of(sim, TEMP, "recorded")
    status, body = await client.get(path, ("maxCount", "200000"))
    assert (status, body) == (400, recorded("d36"))


async def test_too_many_requests(sim: Simulator, client: Any) -> None:
    sim.faults.status(429)
    assert await client.get("/") == (429, recorded("d38"))


async def test_an_exception_in_a_body_with_status_200(
    sim: Simulator, client: Any
) -> None:
    sim.faults.web_exception()
    assert await client.get("/system/status") == (200, recorded("d39"))


async def first_message(sim: Simulator, client: Any) -> Any:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.push(TEMP, 1.0)
        sim.push(TEMP, 2.0)
        sim.tick()
        return json.loads(await channel.receive_str())


async def test_a_channel_message(sim: Simulator, client: Any) -> None:
    assert shape(await first_message(sim, client)) == shape(recorded("d01"))


async def test_a_heartbeat(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP], heartbeatRate="1") as channel:
        await sim.connected()
        sim.tick()
        assert json.loads(await channel.receive_str()) == recorded("d02")


async def test_bad_values_on_a_channel(sim: Simulator, client: Any) -> None:
    async with client.channel([STATUS]) as channel:
        await sim.connected()
        sim.push(STATUS, "I/O Timeout")
        sim.tick()
        message = json.loads(await channel.receive_str())
    sent, expected = (m["Items"][0]["Items"][0] for m in (message, recorded("d05")))
    assert sent["Value"] == expected["Value"] and shape(sent) == shape(expected)


async def test_the_open_channels(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]):
        await sim.connected()
        _, body = await client.get("/channels/instances")
    assert shape(body) == shape(recorded("d08"))
    await asyncio.wait_for(sim.disconnected(), 5)


async def test_a_value_that_the_server_could_not_read(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.push(TEMP, None, error="PI Point not found.")
        sim.tick()
        message = json.loads(await channel.receive_str())
    event = message["Items"][0]["Items"][0]
    assert event["Value"] is None and shape(event["Errors"]) == shape(
        recorded("d12")["Errors"]
    )
