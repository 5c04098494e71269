"""Floods: frames rendered ahead, of the shape that was asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pichannels.errors import UsageError
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.flood import flood_frames
from pichannels.simulator.simtime import SECOND, parse_time

PLANT = Plant(tags=50)
FLOATS = [tag for tag in PLANT.tags if tag.kind == "float"]
NOON = parse_time("2024-05-01T12:00:00Z", 0)


def payload(frame: bytes) -> Any:
    return json.loads(frame[frame.index(b"{") :])


async def test_a_flood_brings_what_was_asked_for(sim: Simulator, client: Any) -> None:
    async with client.channel(["UNIT1.BOILER.TEMP"]) as channel:
        await sim.connected()
        flood = asyncio.create_task(sim.flood(streams=4, events=3, frames=200))
        messages = [json.loads(await channel.receive_str()) for _ in range(200)]
        assert await flood == 2400
    events = [e for m in messages for s in m["Items"] for e in s["Items"]]
    assert len({event["Timestamp"] for event in events}) == 2400


async def test_a_flood_keeps_its_rate(sim: Simulator, client: Any) -> None:
    async with client.channel(["UNIT1.BOILER.TEMP"]) as channel:
        await sim.connected()
        loop = asyncio.get_running_loop()
        began = loop.time()
        flood = asyncio.create_task(sim.flood(1, 1, frames=20, rate=200))
        for _ in range(20):
            await channel.receive_str()
        await flood
    assert loop.time() - began > 0.09


async def test_two_floods_do_not_repeat_a_timestamp(
    sim: Simulator, client: Any
) -> None:
    found = set()
    async with client.channel(["UNIT1.BOILER.TEMP"]) as channel:
        await sim.connected()
        for _ in range(2):
            await sim.flood(1, 1, frames=3)
            for _ in range(3):
                items = json.loads(await channel.receive_str())["Items"]
                found.add(items[0]["Items"][0]["Timestamp"])
    assert len(found) == 6


async def test_a_flood_of_more_streams_than_there_are_is_refused(
    sim: Simulator, client: Any
) -> None:
    async with client.channel(["UNIT1.BOILER.TEMP"]):
        await sim.connected()
        with pytest.raises(UsageError, match="float tags, not 1000"):
            await sim.flood(streams=1000, frames=1)


async def test_a_client_that_is_gone_does_not_hold_a_flood_up(
    sim: Simulator, client: Any
) -> None:
    async with client.channel(["UNIT1.BOILER.TEMP"]):
        await sim.connected()
        sim.faults.drop("reset")
        assert await sim.flood(10, 10, frames=100) == 10_000


def test_all_timestamps_have_seven_digits() -> None:
    frame = next(flood_frames(FLOATS[:10], 10, 1, NOON))
    items = [e for s in payload(frame)["Items"] for e in s["Items"]]
    assert {len(item["Timestamp"]) for item in items} == {28}


def test_units_with_a_percent_sign_are_kept() -> None:
    tag = PLANT.tag("UNIT1.TANK1.LEVEL")
    message = payload(next(flood_frames([tag], 1, 1, NOON)))
    assert message["Items"][0]["UnitsAbbreviation"] == "%"


def test_a_new_second_begins_before_the_ticks_run_out() -> None:
    frames = flood_frames(FLOATS[:2], 3, 4, NOON, dense=12)
    first = [payload(f)["Items"][0]["Items"][0]["Timestamp"] for f in frames]
    seconds = [(parse_time(text, 0) - NOON) // SECOND for text in first]
    assert seconds == [0, 0, 1, 1]
