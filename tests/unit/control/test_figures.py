"""What an instance tells of its nodes and sinks, and how a sink is paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nodes.publish import Call
from pichannels.channels import BaseChannel
from pichannels.channels.measuring import measure
from pichannels.config import Config, ControlConfig
from pichannels.control.client import CommandFailed, ControlClient, connect
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.metrics import render
from pichannels.node import BaseNode
from pichannels.project import Project

TOKEN = "0123456789abcdef"


class Check(BaseNode):
    def process(self, msg: Message) -> Message:
        if msg.payload == "bad":
            raise ValueError("bad payload")
        return msg


async def publish(payload: Any) -> None:
    await asyncio.sleep(0.002)
    if payload == "refused":
        raise OSError("the plant says no")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A channel with a step, and a sink in a fork."""
    channel = BaseChannel("boiler")
    channel.add(Check(name="check"))
    channel.fork("out").add(Call(publish, what="payload", name="sink"))
    config = Config(project_name="plant", control=ControlConfig(token=TOKEN))
    async with Engine(Project([channel], config), data_dir=tmp_path) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[ControlClient]:
    async with await connect(engine.data_dir) as client:
        yield client


async def send(engine: Engine, *payloads: Any) -> None:
    boiler = engine.project.channel("boiler")
    for channel in engine.project.all_channels():
        for chain in channel.chains():
            measure(chain)
    for payload in payloads:
        await boiler.run(Message(payload=payload))


async def test_each_node_has_its_figures(engine: Engine, client: ControlClient) -> None:
    await send(engine, "a", "bad", "refused")
    boiler, fork = (await client.status())["channels"]
    check, sink = boiler["nodes"][0], fork["nodes"][0]
    facts = [(n["came"], n["left"], n["failed"]) for n in (check, sink)]
    assert facts == [(3, 2, 1), (2, 1, 1)]
    assert check["share"] + sink["share"] == pytest.approx(1.0)
    assert sink["times"]["p99"] >= sink["times"]["p50"] >= 0.0015
    boxes = (await client.command("graph"))["boxes"]
    drawn = {box["id"]: box["figures"] for box in boxes if box["figures"]}
    assert drawn == {"boiler.check": check, "boiler.out.sink": sink}


async def test_a_sink_tells_how_it_does(engine: Engine, client: ControlClient) -> None:
    await send(engine, "a", "refused")
    (sink,) = (await client.status())["sinks"]
    assert (sink["name"], sink["error"]) == ("boiler.out.sink", "the plant says no")
    assert sink["acks"]["p50"] >= 0.0015
    text = render(engine.metrics())
    failed = 'pichannels_node_stopped_total{node="boiler.out.sink",state="failed"} 1'
    assert failed in text
    told = 'pichannels_sink_acknowledged_seconds{sink="boiler.out.sink",quantile="0.5"}'
    assert told in text


async def test_ready_names_a_paused_sink_and_stays_ready(
    engine: Engine, client: ControlClient
) -> None:
    paused = await client.command("pause-sink", sink="boiler.out.sink")
    assert paused["is_paused"]
    async with aiohttp.ClientSession(engine.control_url) as http:
        async with http.get("/ready") as answer:
            told = (answer.status, await answer.json())
    assert told == (200, {"ready": True, "paused": ["boiler.out.sink"]})
    resumed = await client.command("resume-sink", sink="boiler.out.sink")
    assert not resumed["is_paused"]
    with pytest.raises(CommandFailed, match="is no sink"):
        await client.command("pause-sink", sink="boiler.check")


# Taps


async def test_a_tap_shows_what_comes_and_what_leaves(
    engine: Engine, client: ControlClient
) -> None:
    tap = await client.command("tap", node="boiler.check")
    reading = asyncio.create_task(
        client.command("tap", node="boiler.check", after=tap["next"], wait=10)
    )
    while not reading.done():
        await send(engine, ["a"] * 30)
        await asyncio.sleep(0.01)
    found = await reading
    seen = found["passed"][0]
    assert (found["missed"], seen["error"]) == (0, "")
    assert seen["came"]["payload"] == seen["left"][0]["payload"] == ["a"] * 20
    assert seen["came"]["omitted"] == "10 more items"


async def test_what_fails_at_a_tapped_node_tells_why(
    engine: Engine, client: ControlClient
) -> None:
    after = (await client.command("tap", node="boiler.check"))["next"]
    while not (found := await client.command("tap", node="boiler.check", after=after))[
        "passed"
    ]:
        await send(engine, "bad")
        await asyncio.sleep(0.01)
    seen = found["passed"][0]
    assert (seen["came"]["payload"], seen["left"]) == ("bad", [])
    assert seen["error"] == "bad payload"


async def test_a_node_that_does_not_exist_cannot_be_tapped(
    client: ControlClient,
) -> None:
    with pytest.raises(CommandFailed, match="did you mean 'boiler.check'"):
        await client.command("tap", node="boiler.chek")
