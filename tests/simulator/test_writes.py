"""Written values: what is answered for each, and what the archive holds then."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pichannels.simulator import SYSTEM_STATES, Event, Plant, Rules, Simulator
from pichannels.simulator.simtime import SECOND, parse_time

TEMP, FLOW, PUMP = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW", "UNIT1.PUMP1.STATUS"
BATCH, COUNT, LAST = "UNIT1.BATCH.ID", "UNIT1.PRODUCT.COUNT", "UNIT1.LAST.SAMPLE"
NOON = "2024-05-01T12:00:00.1234567Z"
TICKS = parse_time(NOON, 0)
UNIT = r"\\SIMAF\Plant\Site\Area1\Unit1"
BODIES = Path(__file__).parents[1] / "fixtures" / "piwebapi"
DIRECT = ("bufferOption", "DoNotBuffer")


def example(name: str) -> Any:
    """The body that the fixtures have of it."""
    (path,) = BODIES.glob(f"{name}_*.json")
    return json.loads(path.read_text("utf-8"))


def web_id(sim: Simulator, name: str) -> str:
    return sim.plant.tag(name).web_id


def held(sim: Simulator, name: str) -> list[Any]:
    """The values at noon."""
    return [event.value for event in sim.truth(name, TICKS, TICKS)]


def value(of: Any, time: str = NOON, **fields: Any) -> dict[str, Any]:
    return {"Timestamp": time, "Value": of, **fields}


async def recorded(
    client: Any, name: str, *values: Any, update: str = "Replace"
) -> tuple[int, Any]:
    path = f"/streams/{web_id(client.sim, name)}/recorded"
    status, body, _ = await client.send(
        "POST", path, list(values), ("updateOption", update), DIRECT
    )
    return status, body


async def test_a_value_is_archived_to_100_ns(sim: Simulator, client: Any) -> None:
    path = f"/streams/{web_id(sim, TEMP)}/value"
    status, body, headers = await client.send(
        "POST", path, value(71.5, Questionable=True), DIRECT
    )
    assert (status, body) == (204, None) and headers["Location"] == sim.url + path
    assert sim.truth(TEMP, TICKS, TICKS) == [Event(TICKS, 71.5, questionable=True)]


async def test_what_may_be_buffered_is_accepted(sim: Simulator, client: Any) -> None:
    path = f"/streams/{web_id(sim, TEMP)}/value"
    status, body, _ = await client.send("POST", path, value(71.5))
    assert (status, body) == (202, None)
    assert held(sim, TEMP) == [71.5]


async def test_a_value_without_time_is_of_now(sim: Simulator, client: Any) -> None:
    start = sim.clock.now()
    await client.send("POST", f"/streams/{web_id(sim, TEMP)}/value", {"Value": 71.5})
    (event,) = sim.truth(TEMP, start, sim.clock.now())
    assert event.value == 71.5


async def test_each_value_of_a_list_has_a_status(sim: Simulator, client: Any) -> None:
    path = f"/streams/{web_id(sim, TEMP)}/recorded"
    body = [value(71.5), value("hot", "2024-05-01T12:00:01Z")]
    status, answer, _ = await client.send("POST", path, body)
    assert (status, answer) == (207, example("d34"))
    assert held(sim, TEMP) == [71.5]


async def test_a_set_answers_for_each_stream(sim: Simulator, client: Any) -> None:
    body = [
        {"WebId": web_id(sim, TEMP), "Items": [value(71.5)]},
        {"WebId": "oops", "Items": [value(1.0)]},
    ]
    status, answer, _ = await client.send("POST", "/streamsets/recorded", body, DIRECT)
    assert (status, answer) == (207, example("d35"))


async def test_a_set_of_single_values_is_written(sim: Simulator, client: Any) -> None:
    body = [
        {"WebId": web_id(sim, name), "Value": value(of)}
        for name, of in ((TEMP, 71.5), (PUMP, "TRIPPED"), (FLOW, "fast"))
    ]
    status, answer, _ = await client.send("POST", "/streamsets/value", body)
    assert [one["Substatus"] for one in answer["Items"]] == [202, 202, 409]
    assert status == 207 and held(sim, PUMP)[0].name == "TRIPPED"


async def test_a_set_without_failures_says_nothing(sim: Simulator, client: Any) -> None:
    body = [
        {"WebId": web_id(sim, name), "Items": [value(1.5)]} for name in (TEMP, FLOW)
    ]
    status, answer, _ = await client.send("POST", "/streamsets/recorded", body)
    assert (status, answer, held(sim, FLOW)) == (202, None, [1.5])


@pytest.mark.parametrize(
    ("update", "before", "after"),
    [
        ("Replace", [1.0], [2.0]),
        ("Replace", [], [2.0]),
        ("Replace", [1.0, 1.5], [1.5, 2.0]),
        ("Insert", [1.0], [1.0, 2.0]),
        ("InsertNoCompression", [1.0], [1.0, 2.0]),
        ("NoReplace", [1.0], [1.0]),
        ("NoReplace", [], [2.0]),
        ("ReplaceOnly", [1.0], [2.0]),
        ("ReplaceOnly", [], []),
        ("Remove", [1.0, 1.5], [1.5]),
        ("Remove", [], []),
    ],
)
async def test_update_options(
    sim: Simulator, client: Any, update: str, before: list[float], after: list[float]
) -> None:
    for one in before:
        sim.push(TEMP, one, TICKS)
    status, _ = await recorded(client, TEMP, value(2.0), update=update)
    assert (status, held(sim, TEMP)) == (204, after)


async def test_what_replaces_a_value_is_substituted(
    sim: Simulator, client: Any
) -> None:
    await recorded(client, TEMP, value(1.0), value(2.0))
    (event,) = sim.truth(TEMP, TICKS, TICKS)
    assert event.value == 2.0 and event.substituted


@pytest.mark.parametrize(
    ("name", "written", "found"),
    [
        (TEMP, 71, 71.0),
        (TEMP, "71.5", 71.5),
        (TEMP, True, 1.0),
        (TEMP, "bad input", SYSTEM_STATES["Bad Input"]),
        (COUNT, 12.0, 12),
        (COUNT, "12", 12),
        (BATCH, "B-7", "B-7"),
        (BATCH, 7, "7"),
        (BATCH, "Bad Input", "Bad Input"),
        (LAST, "2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"),
    ],
)
async def test_values_are_held_as_the_point_type_wants(
    sim: Simulator, client: Any, name: str, written: Any, found: Any
) -> None:
    status, _ = await recorded(client, name, value(written))
    assert (status, held(sim, name)) == (204, [found])


@pytest.mark.parametrize("written", ["RUNNING", "running", 1, 1.0])
async def test_a_digital_state_is_written_by_name_or_number(
    sim: Simulator, client: Any, written: Any
) -> None:
    status, _ = await recorded(client, PUMP, value(written))
    assert status == 204 and held(sim, PUMP)[0].name == "RUNNING"


@pytest.mark.parametrize(
    ("name", "item", "status"),
    [
        (TEMP, value("hot"), 409),
        (TEMP, value({"Name": "Bad Input", "Value": 255}), 400),
        (TEMP, value([1.0]), 501),
        (TEMP, {"Timestamp": NOON}, 400),
        (TEMP, value(1.0, "no time"), 400),
        (TEMP, value(1.0, "*+1h"), 409),
        (TEMP, value(1.0, "2019-01-01T00:00:00Z"), 409),
        (TEMP, value(1.0, UnitsAbbreviation="bar"), 409),
        (TEMP, value(1.0, Good="yes"), 400),
        (TEMP, "71.5", 400),
        (COUNT, value(1 << 31), 409),
        (PUMP, value("FLYING"), 409),
        (PUMP, value(3), 409),
        (PUMP, value(-1), 409),
        (LAST, value(12), 409),
        (LAST, value("soon"), 409),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_alone(
    client: Any, name: str, item: Any, status: int
) -> None:
    answered, body = await recorded(client, name, item)
    assert (answered, body["Items"][0]["Substatus"]) == (207, status)
    assert body["Items"][0]["Message"]


async def test_a_future_point_takes_what_lies_ahead(
    sim: Simulator, client: Any
) -> None:
    status, _ = await recorded(client, "UNIT1.FEED.FORECAST", value(1.0, "*+3h"))
    now = sim.clock.now()
    assert status == 204
    assert len(sim.truth("UNIT1.FEED.FORECAST", now, now + 4 * 3600 * SECOND)) == 1


async def test_written_values_come_on_channels(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        await recorded(client, TEMP, value(71.5))
        await recorded(client, TEMP, value(0), update="Remove")
        sim.tick()
        (stream,) = (await channel.receive_json(timeout=5))["Items"]
    assert [one["Timestamp"] for one in stream["Items"]] == [NOON, NOON]
    assert stream["Items"][1]["Value"]["Name"] == "No Data"


async def test_an_attribute_writes_to_its_point(sim: Simulator, client: Any) -> None:
    attribute = sim.assets.attribute(UNIT + r"\Boiler|Temperature")
    assert attribute is not None
    path = f"/streams/{attribute.web_id_as('Full')}/recorded"
    status, _, _ = await client.send("POST", path, [value(71.5)])
    assert (status, held(sim, TEMP)) == (202, [71.5])


async def test_a_static_attribute_has_no_stream_to_write_to(
    sim: Simulator, client: Any
) -> None:
    attribute = sim.assets.attribute(UNIT + r"\Boiler|Manufacturer")
    assert attribute is not None
    path = f"/streams/{attribute.web_id_as('Full')}/value"
    status, body, _ = await client.send("POST", path, value("Kessel"))
    assert status == 409 and "data reference" in body["Errors"][0]


async def test_the_value_of_a_static_attribute_is_put(
    sim: Simulator, client: Any
) -> None:
    attribute = sim.assets.attribute(UNIT + r"\Boiler|Design Pressure")
    assert attribute is not None
    path = f"/attributes/{attribute.web_id_as('Full')}/value"
    status, _, _ = await client.send("PUT", path, {"Value": 25})
    assert (status, attribute.value) == (204, 25.0)


@pytest.mark.parametrize(
    ("name", "put", "status"),
    [("Temperature", 25, 409), ("Design Pressure", "high", 409)],
)
async def test_a_value_that_cannot_be_put(
    sim: Simulator, client: Any, name: str, put: Any, status: int
) -> None:
    attribute = sim.assets.attribute(rf"{UNIT}\Boiler|{name}")
    assert attribute is not None
    path = f"/attributes/{attribute.web_id_as('Full')}/value"
    answered, _, _ = await client.send("PUT", path, {"Value": put})
    assert answered == status


async def test_a_set_below_an_element_is_of_its_own_only(
    sim: Simulator, client: Any
) -> None:
    unit = sim.assets.element(UNIT)
    inside = sim.assets.attribute(UNIT + r"\Boiler|Temperature")
    outside = sim.assets.attribute(UNIT.replace("1", "2") + r"\Boiler|Temperature")
    assert unit and inside and outside is None
    other = sim.assets.attribute(r"\\SIMAF\Plant\Site\Area1\Unit2\Boiler|Temperature")
    assert other is not None
    body = [
        {"WebId": one.web_id_as("IDOnly"), "Items": [value(71.5)]}
        for one in (inside, other)
    ]
    path = f"/streamsets/{unit.web_id_as('Full')}/recorded"
    _, answer, _ = await client.send("POST", path, body)
    statuses = [one["Items"][0]["Substatus"] for one in answer["Items"]]
    assert statuses == [202, 400]


async def test_a_tag_that_refuses_is_told_for_each_value(
    sim: Simulator, client: Any
) -> None:
    sim.faults.refuse(TEMP, 403)
    body = [
        {"WebId": web_id(sim, name), "Items": [value(1.0)] * 2} for name in (TEMP, FLOW)
    ]
    status, answer, _ = await client.send("POST", "/streamsets/recorded", body)
    each = [[one["Substatus"] for one in s["Items"]] for s in answer["Items"]]
    assert (status, each) == (207, [[403, 403], [202, 202]])


async def test_some_of_many_values_are_refused(sim: Simulator, client: Any) -> None:
    sim.faults.refuse(status=503, count=1, after=1)
    values = [value(float(n), f"2024-05-01T12:00:0{n}Z") for n in range(3)]
    _, answer = await recorded(client, TEMP, *values)
    assert [one["Substatus"] for one in answer["Items"]] == [204, 503, 204]
    assert sim.faults.counts["refuse"] == 1


async def test_a_refusal_ends(sim: Simulator, client: Any) -> None:
    sim.faults.refuse(TEMP)
    sim.faults.refuse(TEMP, None)
    status, _ = await recorded(client, TEMP, value(1.0))
    assert status == 204


async def test_a_tag_without_access_cannot_be_written(
    sim: Simulator, client: Any
) -> None:
    sim.faults.tag(TEMP, 403)
    status, body = await recorded(client, TEMP, value(1.0))
    assert status == 403 and "is denied" in body["Errors"][0]


async def test_a_fault_of_posts_leaves_reads_alone(sim: Simulator, client: Any) -> None:
    sim.faults.status(503, None, path="recorded", method="POST")
    read, _ = await client.get(f"/streams/{web_id(sim, TEMP)}/recorded")
    status, _, _ = await client.send("POST", "/streamsets/recorded", [])
    assert (read, status) == (200, 503)


async def test_a_write_can_end_in_an_exception(sim: Simulator, client: Any) -> None:
    sim.faults.web_exception(method="POST")
    status, body = await recorded(client, TEMP, value(1.0))
    assert status == 200 and body["WebException"]["StatusCode"] == 502


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"Value": 1.0}, ()),
        ([value(1.0)], (("updateOption", "Overwrite"),)),
        ([value(1.0)], (("bufferOption", "Perhaps"),)),
    ],
)
async def test_a_request_that_is_wrong_as_a_whole(
    sim: Simulator, client: Any, body: Any, query: tuple[tuple[str, str], ...]
) -> None:
    path = f"/streams/{web_id(sim, TEMP)}/recorded"
    status, answer, _ = await client.send("POST", path, body, *query)
    assert status == 400 and answer["Errors"]


async def test_a_body_that_is_no_json(sim: Simulator, client: Any) -> None:
    path = f"/streams/{web_id(sim, TEMP)}/recorded"
    async with client.session.post(sim.url + path, data=b"{oops") as answer:
        assert answer.status == 400 and (await answer.json())["Errors"]


async def test_a_body_may_be_large(sim: Simulator, client: Any) -> None:
    second = TICKS - TICKS % SECOND
    values = [value(float(n), f"2024-05-01T12:00:00.{n:05}Z") for n in range(20_000)]
    url = f"{sim.url}/streams/{web_id(sim, TEMP)}/recorded?updateOption=Insert"
    body = io.BytesIO(json.dumps(values).encode())
    async with client.session.post(url, data=body) as answer:
        assert answer.status == 202
    assert len(sim.truth(TEMP, second, second + SECOND)) == 20_000


async def test_writes_need_the_header_against_forgery(sim: Simulator) -> None:
    url = f"{sim.url}/streams/{web_id(sim, TEMP)}/value"
    async with aiohttp.ClientSession() as bare, bare.post(url, json=value(1)) as answer:
        assert answer.status == 400
        assert "X-Requested-With" in (await answer.json())["Errors"][0]


async def test_a_server_without_that_defence_wants_no_header() -> None:
    plant = Plant(tags=50, activity=0)
    async with (
        Simulator(plant, rules=Rules(csrf=False)) as sim,
        aiohttp.ClientSession() as bare,
        bare.post(f"{sim.url}/streams/{web_id(sim, TEMP)}/value", json=value(1)) as it,
    ):
        assert it.status == 202


async def test_a_server_can_take_no_writes(session: aiohttp.ClientSession) -> None:
    rules = Rules(writes=False)
    async with Simulator(Plant(tags=50, activity=0), rules=rules) as sim:
        url = f"{sim.url}/streams/{web_id(sim, TEMP)}"
        async with session.post(url + "/value", json=value(1)) as answer:
            assert answer.status == 403
        async with session.post(url + "/updates") as answer:
            assert answer.status == 200


async def test_a_server_without_buffer_writes_at_once(
    session: aiohttp.ClientSession,
) -> None:
    rules = Rules(buffering=False)
    async with Simulator(Plant(tags=50, activity=0), rules=rules) as sim:
        url = f"{sim.url}/streams/{web_id(sim, TEMP)}/value"
        async with session.post(url, json=value(1)) as answer:
            assert answer.status == 204
        buffered = session.post(url, json=value(1), params={"bufferOption": "Buffer"})
        async with buffered as answer:
            assert answer.status == 409


async def test_written_values_survive_a_restart(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    state = tmp_path / "truth.jsonl"
    for number in (1.0, 2.0):
        async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
            url = f"{sim.url}/streams/{web_id(sim, TEMP)}/value"
            async with session.post(url, json=value(number)) as answer:
                assert answer.status == 202
    async with Simulator(Plant(tags=50, activity=0), state=state) as sim:
        assert held(sim, TEMP) == [2.0]


async def test_a_batch_can_write(sim: Simulator, client: Any) -> None:
    part = {
        "Method": "POST",
        "Resource": f"{sim.url}/streams/{web_id(sim, TEMP)}/value",
        "Content": json.dumps(value(71.5)),
    }
    status, body, _ = await client.send("POST", "/batch", {"1": part})
    assert (status, body["1"]["Status"], held(sim, TEMP)) == (207, 202, [71.5])
