"""Summaries compared with what is calculated by hand."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest

from pichannels.simulator import Simulator
from pichannels.simulator.simtime import SECOND, parse_time, time_text

TEMP, FLOW, STATUS = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW", "UNIT1.PUMP1.STATUS"
COUNT = "UNIT1.PRODUCT.COUNT"
NOON = parse_time("2024-05-01T12:00:00Z", 0)
NO_DATA = "No good data available for summary calculation."
Option = tuple[str, str]


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


def span(start: float, end: float) -> list[Option]:
    return [("startTime", time_text(at(start))), ("endTime", time_text(at(end)))]


@pytest.fixture
def pushed(sim: Simulator) -> Simulator:
    """The temperature goes from 10 to 20 in 10 s, and in 20 s more to 0."""
    for seconds, value in ((0, 10.0), (10, 20.0), (30, 0.0)):
        sim.push(TEMP, value, at(seconds))
    return sim


async def summary(
    client: Any, sim: Simulator, *query: Option, tag: str = TEMP
) -> list[Any]:
    """The items of a summary."""
    path = f"/streams/{sim.plant.tag(tag).web_id}/summary"
    status, body = await client.get(path, *query)
    assert status == 200, body
    return list(body["Items"])


async def values(
    client: Any, sim: Simulator, *query: Option, tag: str = TEMP
) -> dict[str, Any]:
    """The values of a summary of one interval, failures as None."""
    items = await summary(client, sim, *query, tag=tag)
    return {
        item["Type"]: item["Value"]["Value"] if item["Value"]["Good"] else None
        for item in items
    }


def kinds(*names: str) -> list[Option]:
    return [("summaryType", name) for name in names]


async def test_lines_between_values_are_weighted_by_time(
    pushed: Simulator, client: Any
) -> None:
    # 10 s at 15 on average and 20 s at 10; the squares of a line from a to b have
    # the mean (aa + ab + bb) / 3.
    average = (10 * 15 + 20 * 10) / 30
    squares = (10 * (100 + 200 + 400) / 3 + 20 * 400 / 3) / 30
    variance = squares - average**2
    found = await values(client, pushed, *span(0, 30), *kinds("All"))
    assert found == pytest.approx(
        {
            "Total": average * 30 / 86400,
            "Average": average,
            "Minimum": 0.0,
            "Maximum": 20.0,
            "Range": 20.0,
            "StdDev": sqrt(variance * 3 / 2),
            "PopulationStdDev": sqrt(variance),
            "Count": 30.0,
            "PercentGood": 100.0,
        }
    )


async def test_the_ends_of_a_range_are_interpolated(
    pushed: Simulator, client: Any
) -> None:
    found = await values(
        client, pushed, *span(5, 20), *kinds("Average", "Minimum", "Maximum")
    )
    average = (5 * 17.5 + 10 * 15) / 15
    assert found == pytest.approx(
        {"Average": average, "Minimum": 10.0, "Maximum": 20.0}
    )


@pytest.mark.parametrize(
    ("basis", "average"),
    [
        ("TimeWeighted", (10 * 15 + 20 * 10) / 30),
        ("timeweightedcontinuous", (10 * 15 + 20 * 10) / 30),
        ("TimeWeightedDiscrete", (10 * 10 + 20 * 20) / 30),
        ("EventWeighted", 10.0),
        ("EventWeightedExcludeMostRecentEvent", 15.0),
        ("EventWeightedExcludeEarliestEvent", 10.0),
        ("EventWeightedIncludeBothEnds", 10.0),
    ],
)
async def test_the_basis_says_what_a_value_weighs(
    pushed: Simulator, client: Any, basis: str, average: float
) -> None:
    query = [*span(0, 30), *kinds("Average"), ("calculationBasis", basis)]
    assert await values(client, pushed, *query) == {"Average": pytest.approx(average)}


async def test_events_count_once_each(pushed: Simulator, client: Any) -> None:
    query = [*span(0, 30), *kinds("All"), ("calculationBasis", "EventWeighted")]
    found = await values(client, pushed, *query)
    assert found == pytest.approx(
        {
            "Total": 30.0,
            "Average": 10.0,
            "Minimum": 0.0,
            "Maximum": 20.0,
            "Range": 20.0,
            "StdDev": 10.0,
            "PopulationStdDev": sqrt(200 / 3),
            "Count": 3.0,
            "PercentGood": 100.0,
        }
    )


async def test_one_event_has_no_standard_deviation(
    pushed: Simulator, client: Any
) -> None:
    query = [
        *span(5, 15),
        *kinds("StdDev", "Average"),
        ("calculationBasis", "EventWeighted"),
    ]
    assert await values(client, pushed, *query) == {"Average": 20.0, "StdDev": None}


async def test_steps_hold_and_totals_are_by_day(sim: Simulator, client: Any) -> None:
    sim.push(COUNT, 4, at(0))
    sim.push(COUNT, 8, at(10))
    found = await values(
        client, sim, *span(0, 40), *kinds("Average", "Total"), tag=COUNT
    )
    assert found == pytest.approx({"Average": 7.0, "Total": 7.0 * 40 / 86400})


async def test_a_rate_is_totalled_in_its_own_time_with_uom(
    sim: Simulator, client: Any
) -> None:
    sim.push(FLOW, 36.0, at(0))
    sim.push(FLOW, 36.0, at(100))
    query = [*span(0, 100), *kinds("TotalWithUOM", "Total")]
    by_day, with_uom = await summary(client, sim, *query, tag=FLOW)
    assert with_uom["Value"]["Value"] == pytest.approx(1.0)
    assert with_uom["Value"]["UnitsAbbreviation"] == "m3"
    assert by_day["Value"]["Value"] == pytest.approx(100 / 2400)


async def test_bad_data_counts_for_nothing_but_the_percentage(
    sim: Simulator, client: Any
) -> None:
    for seconds, value in ((0, 10.0), (10, "I/O Timeout"), (30, 40.0), (40, 40.0)):
        sim.push(TEMP, value, at(seconds))
    names = kinds("Average", "Count", "PercentGood", "Total", "Maximum")
    found = await values(client, sim, *span(0, 40), *names)
    assert found == pytest.approx(
        {
            "Average": 25.0,
            "Count": 20.0,
            "PercentGood": 50.0,
            # As if the average held while data were bad.
            "Total": 25.0 * 40 / 86400,
            "Maximum": 40.0,
        }
    )


@pytest.mark.parametrize("basis", ["TimeWeighted", "EventWeighted"])
async def test_without_good_data_there_is_an_error(
    sim: Simulator, client: Any, basis: str
) -> None:
    sim.push(TEMP, "Bad Input", at(0))
    query = [
        *span(0, 60),
        *kinds("Average", "PercentGood"),
        ("calculationBasis", basis),
    ]
    average, good = (item["Value"] for item in await summary(client, sim, *query))
    assert average["Value"] == {"Errors": [NO_DATA]} and average["Good"] is False
    assert (good["Value"], good["UnitsAbbreviation"]) == (0.0, "%")


async def test_nothing_is_good_after_the_present(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 5.0, sim.clock.now() - 100 * SECOND)
    query = [("startTime", "*-50s"), ("endTime", "*+50s"), *kinds("PercentGood")]
    assert await values(client, sim, *query) == {"PercentGood": 50.0}


async def test_each_duration_has_a_summary(pushed: Simulator, client: Any) -> None:
    query = [*span(0, 25), *kinds("Average"), ("summaryDuration", "10s")]
    found = [item["Value"] for item in await summary(client, pushed, *query)]
    assert [one["Value"] for one in found] == pytest.approx([15.0, 15.0, 7.5])
    assert [one["Timestamp"] for one in found] == [
        time_text(at(seconds)) for seconds in (0, 10, 20)
    ]


async def test_types_follow_each_other_and_intervals_go_back(
    pushed: Simulator, client: Any
) -> None:
    query = [*span(20, 0), *kinds("Maximum", "Average"), ("summaryDuration", "10s")]
    found = await summary(client, pushed, *query)
    assert [(one["Type"], one["Value"]["Value"]) for one in found] == [
        ("Average", 15.0),
        ("Average", 15.0),
        ("Maximum", 20.0),
        ("Maximum", 20.0),
    ]
    assert found[0]["Value"]["Timestamp"] == time_text(at(10))


@pytest.mark.parametrize(
    ("ends", "counts"), [((0, 30), [1, 1, 0]), ((30, 0), [1, 0, 1])]
)
async def test_an_event_at_a_bound_belongs_to_one_interval(
    pushed: Simulator, client: Any, ends: tuple[int, int], counts: list[int]
) -> None:
    query = [
        *span(*ends),
        *kinds("Count"),
        ("calculationBasis", "EventWeighted"),
        ("summaryDuration", "10s"),
    ]
    found = await summary(client, pushed, *query)
    assert [one["Value"]["Value"] for one in found] == counts


@pytest.mark.parametrize(
    ("time_type", "low", "average"),
    [("Auto", 30, 0), ("EarliestTime", 0, 0), ("MostRecentTime", 40, 40)],
)
async def test_the_time_of_a_summary(
    pushed: Simulator, client: Any, time_type: str, low: int, average: int
) -> None:
    query = [*span(0, 40), *kinds("Minimum", "Average"), ("timeType", time_type)]
    found = await summary(client, pushed, *query)
    times = {item["Type"]: item["Value"]["Timestamp"] for item in found}
    assert times == {"Average": time_text(at(average)), "Minimum": time_text(at(low))}


async def test_samples_stand_for_recorded_values(
    pushed: Simulator, client: Any
) -> None:
    query = [
        *span(0, 30),
        *kinds("Average", "Count"),
        ("calculationBasis", "EventWeighted"),
        ("sampleType", "Interval"),
        ("sampleInterval", "5s"),
    ]
    sampled = [10, 15, 20, 15, 10, 5, 0]
    assert await values(client, pushed, *query) == pytest.approx(
        {"Average": sum(sampled) / 7, "Count": 7.0}
    )


async def test_samples_are_joined_by_lines(pushed: Simulator, client: Any) -> None:
    query = [
        *span(0, 30),
        *kinds("Average"),
        ("sampleType", "Interval"),
        ("sampleInterval", "20s"),
    ]
    average = (20 * (10 + 10) / 2 + 10 * (10 + 0) / 2) / 30
    assert await values(client, pushed, *query) == {"Average": pytest.approx(average)}


async def test_small_differences_of_large_values_are_seen(
    sim: Simulator, client: Any
) -> None:
    for seconds in range(4):
        sim.push(TEMP, 1e9 + seconds % 2, at(seconds))
    query = [
        *span(0, 3),
        *kinds("PopulationStdDev"),
        ("calculationBasis", "EventWeighted"),
    ]
    found = await values(client, sim, *query)
    assert found == {"PopulationStdDev": pytest.approx(0.5, rel=1e-6)}


async def test_the_total_of_the_last_day_is_the_default(
    sim: Simulator, client: Any
) -> None:
    sim.push(TEMP, 12.0, sim.clock.now() - 200_000 * SECOND)
    assert await values(client, sim) == {"Total": pytest.approx(12.0)}


async def test_texts_and_states_can_be_counted(sim: Simulator, client: Any) -> None:
    for seconds, value in ((0, "RUNNING"), (10, "Bad Input"), (30, "STOPPED")):
        sim.push(STATUS, value, at(seconds))
    query = [*span(0, 40), *kinds("AllForNonNumeric")]
    assert await values(client, sim, *query, tag=STATUS) == {
        "Count": 20.0,
        "PercentGood": 50.0,
    }


@pytest.mark.parametrize("kind", ["Average", "All", "Total"])
async def test_texts_and_states_have_no_numbers(
    sim: Simulator, client: Any, kind: str
) -> None:
    path = f"/streams/{sim.plant.tag(STATUS).web_id}/summary"
    status, body = await client.get(path, *span(0, 40), ("summaryType", kind))
    assert status == 409 and "not numeric" in body["Errors"][0]


async def test_a_stream_of_a_set_fails_alone(pushed: Simulator, client: Any) -> None:
    pushed.faults.tag(FLOW, 404)
    query = [("webId", pushed.plant.tag(n).web_id) for n in (STATUS, FLOW, TEMP)]
    _, body = await client.get(
        "/streamsets/summary", *query, *span(0, 30), *kinds("Range", "Average")
    )
    *failed, found = body["Items"]
    assert all(one["Items"][1]["Value"]["Errors"] for one in failed)
    assert [item["Value"]["Value"] for item in found["Items"]] == [35 / 3, 20.0]


@pytest.mark.parametrize(
    "option",
    [
        ("summaryType", "Median"),
        ("summaryType", "Total, Average"),
        ("calculationBasis", "ByWeight"),
        ("timeType", "Noon"),
        ("summaryDuration", "0h"),
        ("summaryDuration", "10ms"),
        ("sampleType", "Interval"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    sim: Simulator, client: Any, option: Option
) -> None:
    path = f"/streams/{sim.plant.tag(TEMP).web_id}/summary"
    status, body = await client.get(path, option)
    assert status == 400 and body["Errors"]
