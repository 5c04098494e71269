"""Requests for history, as the controllers make them, are answered and understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.parsing import parse_stream, parse_stream_set, to_samples
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.simtime import SECOND, parse_time, time_text
from pichannels.values import DigitalState

TEMP, STATUS = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS"
NOON = parse_time("2024-05-01T12:00:00Z", 0)
START, MIDDLE, END = (time_text(NOON + n * SECOND) for n in (0, 5, 10))


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """From noon to ten seconds later the temperature rises from 0 to 10."""
    async with Simulator(Plant(tags=50, activity=0), poll=60) as running:
        for seconds, value, state in ((0, 0.0, "RUNNING"), (10, 10.0, "STOPPED")):
            running.push(TEMP, value, NOON + seconds * SECOND)
            running.push(STATUS, state, NOON + seconds * SECOND)
        yield running


@pytest.fixture
def pi(sim: Simulator) -> Controller:
    return PIServer(url=sim.url).controller()


async def asked(request: APIRequest) -> bytes:
    async with HTTPClient() as client:
        response = await client.get(request)
    response.raise_for_status()
    return response.raw_response


SPAN = {"start_time": START, "end_time": END}
READS: list[tuple[str, dict[str, Any], list[float]]] = [
    ("get_recorded", SPAN, [0.0, 10.0]),
    ("get_recorded_at_times", {"time": [END, MIDDLE]}, [0.0, 10.0]),
    ("get_interpolated", SPAN | {"interval": "5s"}, [0.0, 5.0, 10.0]),
    ("get_interpolated_at_times", {"time": [MIDDLE, START]}, [0.0, 5.0]),
    ("get_plot", SPAN | {"intervals": 2}, [0.0, 10.0]),
]


@pytest.mark.parametrize(("method", "options", "values"), READS)
async def test_the_values_of_a_stream_are_read(
    sim: Simulator,
    pi: Controller,
    method: str,
    options: dict[str, Any],
    values: list[float],
) -> None:
    request = getattr(pi.streams, method)(sim.plant.tag(TEMP).web_id, **options)
    (stream,) = parse_stream(await asked(request)).streams
    assert [event.value for event in stream.events] == values


@pytest.mark.parametrize(("method", "options", "values"), READS)
async def test_the_values_of_several_streams_are_read(
    sim: Simulator,
    pi: Controller,
    method: str,
    options: dict[str, Any],
    values: list[float],
) -> None:
    web_ids = [sim.plant.tag(name).web_id for name in (TEMP, STATUS)]
    request = getattr(pi.streamsets, f"{method}_adhoc")(web_ids, **options)
    samples = to_samples(parse_stream_set(await asked(request))).samples
    read: dict[str, list[Any]] = {TEMP: [], STATUS: []}
    for sample in samples:
        read[sample.tag.name].append(sample.value)
    assert read[TEMP] == values
    assert all(isinstance(value, DigitalState) for value in read[STATUS])


@pytest.mark.parametrize("mode", ["Before", "AtOrBefore", "Auto"])
async def test_one_recorded_value_of_several_streams_is_read(
    sim: Simulator, pi: Controller, mode: str
) -> None:
    request = pi.streamsets.get_recorded_at_time_adhoc(
        [sim.plant.tag(TEMP).web_id], MIDDLE, retrieval_mode=mode
    )
    (sample,) = to_samples(parse_stream_set(await asked(request))).samples
    assert (sample.value, sample.ticks) == (0.0, NOON)


async def test_summaries_are_read(sim: Simulator, pi: Controller) -> None:
    request = pi.streamsets.get_summary_adhoc(
        [sim.plant.tag(TEMP).web_id],
        **SPAN,
        summary_type=["Average", "Maximum"],
        calculation_basis="TimeWeighted",
    )
    async with HTTPClient() as client:
        answer = await client.get(request)
    assert answer.select("Items.Items.Type", "Items.Items.Value.Value") == {
        "Items.Items.Type": [["Average", "Maximum"]],
        "Items.Items.Value.Value": [[5.0, 10.0]],
    }
