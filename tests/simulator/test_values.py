"""`value`, `end` and `recorded` over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.simulator import Plant, Simulator
from pichannels.simulator.simtime import SECOND, parse_time, time_text

TEMP, STATUS = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS"
NOON = parse_time("2024-05-01T12:00:00Z", 0)


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


@pytest.fixture
def pushed(sim: Simulator) -> Simulator:
    """Values 0 to 9 of the temperature, a second apart."""
    for n in range(10):
        sim.push(TEMP, float(n), at(n))
    return sim


async def read(
    sim: Simulator, client: Any, start: float, end: float, **options: str
) -> list[Any]:
    """The recorded values of the temperature."""
    span = [("startTime", time_text(at(start))), ("endTime", time_text(at(end)))]
    path = f"/streams/{sim.plant.tag(TEMP).web_id}/recorded"
    status, body = await client.get(path, *span, *options.items())
    assert status == 200, body
    return [item["Value"] for item in body["Items"]]


async def test_both_ends_of_a_range_belong_to_it(
    pushed: Simulator, client: Any
) -> None:
    assert await read(pushed, client, 2, 4) == [2.0, 3.0, 4.0]


async def test_a_range_from_late_to_early_descends(
    pushed: Simulator, client: Any
) -> None:
    assert await read(pushed, client, 4, 2) == [4.0, 3.0, 2.0]


async def test_max_count_cuts_a_range(pushed: Simulator, client: Any) -> None:
    assert await read(pushed, client, 2, 9, maxCount="2") == [2.0, 3.0]


async def test_max_count_cuts_a_descending_range(
    pushed: Simulator, client: Any
) -> None:
    assert await read(pushed, client, 9, 2, MAXCOUNT="2") == [9.0, 8.0]


@pytest.mark.parametrize(("start", "end"), [(2.5, 4.5), (4.5, 2.5)])
async def test_outside_has_the_neighbours(
    pushed: Simulator, client: Any, start: float, end: float
) -> None:
    found = await read(pushed, client, start, end, boundaryType="Outside")
    assert sorted(found) == [2.0, 3.0, 4.0, 5.0] and (found[0] < found[-1]) == (
        start < end
    )


async def test_interpolated_has_the_values_at_both_ends(
    pushed: Simulator, client: Any
) -> None:
    found = await read(pushed, client, 2.5, 4, boundaryType="interpolated")
    assert found == pytest.approx([2.5, 3.0, 4.0])


async def test_paging_by_the_last_timestamp_reads_everything(
    pushed: Simulator, client: Any
) -> None:
    for _ in range(3):
        pushed.push(TEMP, 5.5, at(5))
    first = await read(pushed, client, 0, 9, maxCount="7")
    second = await read(pushed, client, 5, 9, maxCount="7")
    assert first == [0, 1, 2, 3, 4, 5, 5.5] and second == [5, 5.5, 5.5, 5.5, 6, 7, 8]


async def test_the_default_range_is_the_last_day(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 1.0, sim.clock.now() - 86500 * SECOND)
    sim.push(TEMP, 2.0, sim.clock.now() - 86300 * SECOND)
    _, body = await client.get(f"/streams/{sim.plant.tag(TEMP).web_id}/recorded")
    assert [item["Value"] for item in body["Items"]] == [2.0]


async def test_times_without_offset_are_local_to_the_zone(
    pushed: Simulator, client: Any
) -> None:
    path = f"/streams/{pushed.plant.tag(TEMP).web_id}/recorded"
    times = [("startTime", "2024-05-01T14:00:03"), ("endTime", "2024-05-01T14:00:04")]
    _, body = await client.get(path, *times, ("timeZone", "W. Europe Standard Time"))
    assert [item["Value"] for item in body["Items"]] == [3.0, 4.0]


@pytest.mark.parametrize(
    "query",
    [
        ("startTime", "soon"),
        ("maxCount", "150001"),
        ("boundaryType", "Near"),
        ("timeZone", "Moon/Sea"),
        ("filterExpression", "'.' > 3"),
    ],
)
async def test_what_does_not_fit_is_refused(
    sim: Simulator, client: Any, query: tuple[str, str]
) -> None:
    path = f"/streams/{sim.plant.tag(TEMP).web_id}/recorded"
    status, body = await client.get(path, query)
    assert status == 400 and list(body) == ["Errors"]


async def test_a_set_counts_all_its_values_together(session: Any) -> None:
    plant = Plant(tags=50, activity=0)
    async with Simulator(plant, max_items=5) as sim:
        for n in range(3):
            sim.push(TEMP, float(n))
            sim.push("UNIT1.FEED.FLOW", float(n))
        query = [("webId", plant.tags[n].web_id) for n in (0, 2)] + [("maxCount", "5")]
        async with session.get(f"{sim.url}/streamsets/recorded", params=query) as got:
            assert got.status == 400


async def test_a_value_in_the_past_is_interpolated(
    pushed: Simulator, client: Any
) -> None:
    path = f"/streams/{pushed.plant.tag(TEMP).web_id}/value"
    _, body = await client.get(path, ("time", time_text(at(3.25))))
    assert body["Value"] == pytest.approx(3.25)


async def test_the_end_of_a_future_tag_lies_ahead(session: Any) -> None:
    async with Simulator(Plant(tags=50)) as sim:
        web_id = sim.plant.tag("UNIT1.FEED.FORECAST").web_id
        async with session.get(f"{sim.url}/streams/{web_id}/end") as answer:
            end = (await answer.json())["Timestamp"]
        assert parse_time(end, 0) > sim.clock.now()


async def test_values_of_a_set_come_in_the_order_of_the_request(
    pushed: Simulator, client: Any
) -> None:
    query = [("webId", pushed.plant.tag(name).web_id) for name in (STATUS, TEMP)]
    _, body = await client.get("/streamsets/end", *query)
    assert [item["Name"] for item in body["Items"]] == [STATUS, TEMP]


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_a_refused_tag_is_refused_alone_and_marked_in_a_set(
    pushed: Simulator, client: Any, status: int
) -> None:
    pushed.faults.tag(TEMP, status)
    web_id = pushed.plant.tag(TEMP).web_id
    alone, _ = await client.get(f"/streams/{web_id}/value")
    together, body = await client.get("/streamsets/value", ("webId", web_id))
    assert (alone, together) == (status, 200)
    assert body["Items"][0]["Value"]["Errors"]


async def test_numbers_that_json_has_not_are_words(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, float("nan"))
    _, body = await client.get(f"/streams/{sim.plant.tag(TEMP).web_id}/value")
    assert body["Value"] == "NaN"


async def test_a_week_of_history_can_be_read(session: Any) -> None:
    async with Simulator(Plant(tags=50)) as sim:
        web_id = sim.plant.tag("UNIT1.PUMP2.SPEED").web_id
        query = {
            "startTime": "*-7d",
            "maxCount": "150000",
            "selectedFields": "Items.Good",
        }
        path = f"{sim.url}/streams/{web_id}/recorded"
        async with session.get(path, params=query) as answer:
            assert len((await answer.json())["Items"]) > 5000
