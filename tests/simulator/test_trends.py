"""`interpolated`, `interpolatedattimes`, `plot` and `recordedattime(s)` over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.simulator import Plant, Simulator
from pichannels.simulator.simtime import SECOND, parse_time, time_text

TEMP, STATUS, BATCH = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS", "UNIT1.BATCH.ID"
FLOW, FORECAST = "UNIT1.FEED.FLOW", "UNIT1.FEED.FORECAST"
BOILER = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler"
NOON = parse_time("2024-05-01T12:00:00Z", 0)
Option = tuple[str, str]


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


def when(*seconds: float, name: str = "time") -> list[Option]:
    return [(name, time_text(at(one))) for one in seconds]


def span(start: float, end: float) -> list[Option]:
    return when(start, name="startTime") + when(end, name="endTime")


@pytest.fixture
def pushed(sim: Simulator) -> Simulator:
    """The temperature is 0 at noon and ten times the seconds until 5 s after it."""
    for n in range(6):
        sim.push(TEMP, 10.0 * n, at(n))
    return sim


async def items(
    client: Any, sim: Simulator, action: str, *query: Option, tag: str = TEMP
) -> list[Any]:
    """The items that a read of a stream answers."""
    path = f"/streams/{sim.plant.tag(tag).web_id}/{action}"
    status, body = await client.get(path, *query)
    assert status == 200, body
    return list(body["Items"])


async def values(
    client: Any, sim: Simulator, action: str, *query: Option, tag: str = TEMP
) -> list[Any]:
    """The values that a read of a stream answers, states by their names."""
    found = [
        item["Value"] for item in await items(client, sim, action, *query, tag=tag)
    ]
    return [one["Name"] if isinstance(one, dict) else one for one in found]


async def test_values_stand_at_equal_distances(pushed: Simulator, client: Any) -> None:
    found = await items(
        client, pushed, "interpolated", *span(0.5, 3), ("interval", "1s")
    )
    assert [item["Value"] for item in found] == pytest.approx([5.0, 15.0, 25.0])
    assert [item["Timestamp"] for item in found] == [
        time_text(at(seconds)) for seconds in (0.5, 1.5, 2.5)
    ]


async def test_they_go_back_from_a_later_start(pushed: Simulator, client: Any) -> None:
    query = [*span(3, 0.5), ("interval", "1s")]
    assert await values(client, pushed, "interpolated", *query) == [30.0, 20.0, 10.0]


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [("Inside", [30.0]), ("Outside", [10.0, 30.0, 50.0])],
)
async def test_they_are_in_step_with_the_sync_time(
    pushed: Simulator, client: Any, boundary: str, expected: list[float]
) -> None:
    query = [
        *span(1.5, 3.5),
        *when(-99, name="syncTime"),
        ("interval", "2s"),
        ("syncTimeBoundaryType", boundary),
    ]
    assert await values(client, pushed, "interpolated", *query) == expected


async def test_the_default_is_a_value_for_each_hour_of_a_day(
    sim: Simulator, client: Any
) -> None:
    assert len(await items(client, sim, "interpolated")) == 25


async def test_there_is_no_data_before_the_tag_was_made_and_after_the_present(
    sim: Simulator, client: Any
) -> None:
    query = [("startTime", "2019-12-31"), ("endTime", "2020-01-02"), ("interval", "1d")]
    assert await values(client, sim, "interpolated", *query) == [
        "No Data",
        "Pt Created",
        "Pt Created",
    ]
    ahead = [("startTime", "*+1h"), ("endTime", "*+2h")]
    assert await values(client, sim, "interpolated", *ahead) == ["No Data"] * 2


async def test_a_future_tag_has_values_ahead(session: Any) -> None:
    async with Simulator(Plant(tags=50), poll=60) as sim:
        path = f"{sim.url}/streams/{sim.plant.tag(FORECAST).web_id}/interpolated"
        query = {"startTime": "*+1h", "endTime": "*+3h"}
        async with session.get(path, params=query) as answer:
            found = (await answer.json())["Items"]
    assert [item["Good"] for item in found] == [True] * 3


async def test_step_tags_hold_their_value(sim: Simulator, client: Any) -> None:
    sim.push(STATUS, "RUNNING", at(0))
    sim.push(STATUS, "STOPPED", at(2))
    query = [*span(0, 3), ("interval", "1s")]
    assert await values(client, sim, "interpolated", *query, tag=STATUS) == [
        "RUNNING",
        "RUNNING",
        "STOPPED",
        "STOPPED",
    ]


async def test_nothing_is_drawn_to_or_from_a_system_state(
    sim: Simulator, client: Any
) -> None:
    for seconds, value in enumerate([10.0, "I/O Timeout", 30.0]):
        sim.push(TEMP, value, at(seconds * 2))
    found = await items(
        client, sim, "interpolatedattimes", *when(1, 2, 3), ("sortOrder", "Ascending")
    )
    assert found[0]["Value"] == 10.0 and [i["Good"] for i in found] == [True, 0, 0]


@pytest.mark.parametrize(
    ("order", "expected"), [("", [5.0, 15.0, 40.0]), ("descending", [40.0, 15.0, 5.0])]
)
async def test_values_at_times_are_sorted(
    pushed: Simulator, client: Any, order: str, expected: list[float]
) -> None:
    query = [*when(4, 0.5, 1.5), ("sortOrder", order)]
    found = await values(client, pushed, "interpolatedattimes", *query)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mode", "time", "expected"),
    [
        ("", 1.5, 10.0),
        ("Auto", 1, 10.0),
        ("AtOrBefore", 2, 20.0),
        ("AtOrBefore", 2.5, 20.0),
        ("Before", 2, 10.0),
        ("AtOrAfter", 2, 20.0),
        ("AtOrAfter", 2.5, 30.0),
        ("After", 2, 30.0),
        ("Exact", 3, 30.0),
    ],
)
async def test_a_recorded_value_is_found_around_a_time(
    pushed: Simulator, client: Any, mode: str, time: float, expected: float
) -> None:
    path = f"/streams/{pushed.plant.tag(TEMP).web_id}/recordedattime"
    query = [*when(time), ("retrievalMode", mode)]
    _, body = await client.get(path, *query)
    assert body["Value"] == expected and body["UnitsAbbreviation"] == "°C"
    assert await values(client, pushed, "recordedattimes", *query) == [expected]


@pytest.mark.parametrize(
    ("mode", "time"), [("Exact", "*"), ("After", "*"), ("Before", "2020-01-01")]
)
async def test_without_a_recorded_value_there_is_no_data(
    pushed: Simulator, client: Any, mode: str, time: str
) -> None:
    path = f"/streams/{pushed.plant.tag(TEMP).web_id}/recordedattime"
    _, body = await client.get(path, ("time", time), ("retrievalMode", mode))
    assert body["Value"]["Name"] == "No Data" and body["Good"] is False


async def test_before_all_events_auto_finds_the_first(
    sim: Simulator, client: Any
) -> None:
    query = [("time", "2019-01-01")]
    assert await values(client, sim, "recordedattimes", *query) == ["Pt Created"]


async def test_a_plot_has_first_last_lowest_highest_and_bad(
    sim: Simulator, client: Any
) -> None:
    readings = [3.0, 5.0, 9.0, 4.0, "Bad Input", 1.0, 6.0, 5.0]
    for seconds, value in enumerate(readings):
        sim.push(TEMP, value, at(seconds))
    found = await values(client, sim, "plot", *span(0, 7), ("intervals", "1"))
    assert found == [3.0, 9.0, "Bad Input", 1.0, 5.0]


async def test_a_plot_has_at_most_five_values_for_an_interval(session: Any) -> None:
    async with Simulator(Plant(tags=50), poll=60) as sim:
        path = f"{sim.url}/streams/{sim.plant.tag(TEMP).web_id}/plot"
        query = {"startTime": "*-1h", "intervals": "10"}
        async with session.get(path, params=query) as answer:
            found = (await answer.json())["Items"]
    times = [parse_time(item["Timestamp"], 0) for item in found]
    assert 30 < len(found) <= 50 and times == sorted(times)


async def test_the_ends_of_a_plot_are_interpolated(
    pushed: Simulator, client: Any
) -> None:
    query = [*span(0.5, 2.5), ("intervals", "2")]
    found = await values(client, pushed, "plot", *query)
    assert found == pytest.approx([5.0, 10.0, 20.0, 25.0])


async def test_a_plot_goes_back_from_a_later_start(
    pushed: Simulator, client: Any
) -> None:
    assert await values(client, pushed, "plot", *span(2, 0)) == [20.0, 10.0, 0.0]


async def test_a_plot_of_texts_has_their_changes(sim: Simulator, client: Any) -> None:
    for seconds, text in enumerate(["A", "B", "C"]):
        sim.push(BATCH, text, at(seconds))
    query = [*span(0, 2), ("intervals", "3")]
    assert await values(client, sim, "plot", *query, tag=BATCH) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ("interpolated", ("interval", "often")),
        ("interpolated", ("interval", "0s")),
        ("interpolated", ("interval", "10ms")),
        ("interpolated", ("syncTimeBoundaryType", "Between")),
        ("interpolated", ("filterExpression", "'.' > 3")),
        ("interpolatedattimes", ("sortOrder", "Ascending")),
        ("interpolatedattimes", ("time", "soon")),
        ("plot", ("intervals", "0")),
        ("plot", ("intervals", "200000")),
        ("recordedattime", ("time", "soon")),
        ("recordedattime", ("retrievalMode", "Auto")),
        ("recordedattimes", ("sortOrder", "None")),
    ],
)
async def test_what_makes_no_sense_is_refused(
    sim: Simulator, client: Any, action: str, query: Option
) -> None:
    path = f"/streams/{sim.plant.tag(TEMP).web_id}/{action}"
    status, body = await client.get(path, query)
    assert status == 400 and body["Errors"]


@pytest.mark.parametrize(
    "action", ["interpolated", "interpolatedattimes", "plot", "recordedattimes"]
)
async def test_a_stream_of_a_set_fails_alone(
    pushed: Simulator, client: Any, action: str
) -> None:
    pushed.faults.tag(STATUS, 403)
    query = [("webId", pushed.plant.tag(name).web_id) for name in (STATUS, TEMP)]
    _, body = await client.get(f"/streamsets/{action}", *query, *when(1), *span(0, 1))
    failed, found = body["Items"]
    assert "denied" in failed["Items"][0]["Errors"][0]["Message"][0]
    assert found["Name"] == TEMP and found["Items"][0]["Good"]


async def joined(client: Any, sim: Simulator, *query: Option) -> list[Any]:
    """Names and values of the temperature joined with others."""
    base = ("baseWebId", sim.plant.tag(TEMP).web_id)
    status, body = await client.get("/streamsets/joined", base, *query)
    assert status == 200, body
    return [
        (stream["Name"], [item["Value"] for item in stream["Items"]])
        for stream in body["Items"]
    ]


async def test_others_are_joined_at_the_times_of_the_first(
    pushed: Simulator, client: Any
) -> None:
    for seconds, value in ((0, 0.0), (4, 1.0)):
        pushed.push(FLOW, value, at(seconds))
    others = [("subordinateWebId", pushed.plant.tag(FLOW).web_id)]
    query = [*others, *span(1, 4), ("maxCount", "3")]
    assert await joined(client, pushed, *query) == [
        (TEMP, [10.0, 20.0, 30.0]),
        (FLOW, [0.25, 0.5, 0.75]),
    ]


async def test_one_that_is_joined_fails_alone(pushed: Simulator, client: Any) -> None:
    pushed.faults.tag(STATUS, 403)
    names = [STATUS, FLOW]
    query = [("subordinateWebId", pushed.plant.tag(name).web_id) for name in names]
    found = await joined(client, pushed, *query, *span(1, 2))
    assert [(name, len(values)) for name, values in found] == [
        (TEMP, 2),
        (STATUS, 1),
        (FLOW, 2),
    ]


async def test_the_attributes_of_an_element_are_a_set(
    pushed: Simulator, client: Any
) -> None:
    element = pushed.assets.element(BOILER)
    assert element is not None
    path = f"/streamsets/{element.web_id_as('Full')}/recordedattime"
    _, body = await client.get(path, *when(1.5))
    found = {item["Name"]: item["Value"] for item in body["Items"]}
    assert found["Temperature"]["Value"] == 10.0
    assert found["Design Pressure"]["Errors"]


@pytest.mark.parametrize("action", ["plot", "summary", "recordedattime"])
async def test_static_attributes_have_no_history(
    sim: Simulator, client: Any, action: str
) -> None:
    found = sim.assets.attribute(BOILER + "|Design Pressure")
    assert found is not None
    path = f"/streams/{found.web_id_as('Full')}/{action}"
    assert (await client.get(path, *when(1)))[0] == 409


@pytest.mark.parametrize("action", ["interpolated", "summary", "plot"])
async def test_a_set_has_no_more_values_than_the_server_gives(
    session: Any, action: str
) -> None:
    plant = Plant(tags=9)
    async with Simulator(plant, poll=60, max_items=30) as sim:
        query = [("webId", plant.tags[n].web_id) for n in range(3)]
        query += [("startTime", "*-1h"), ("interval", "5m")]
        query += [("summaryDuration", "5m"), ("intervals", "20")]
        async with session.get(f"{sim.url}/streamsets/{action}", params=query) as got:
            assert got.status == 400
