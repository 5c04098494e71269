"""Elements, templates and attributes of AF as tags of a `PIWebChannel`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import decode, enrich, publish
from pichannels.channels.pi import PIWebChannel
from pichannels.channels.tags import Element, Template, checked_tags
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

DATABASE = r"\\SIMAF\Plant"
UNIT = DATABASE + r"\Site\Area1\Unit1"
BOILER = UNIT + r"\Boiler"
TEMP = "UNIT1.BOILER.TEMP"
NAME = r"Site\Area1\Unit1\Boiler|Temperature"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=100, activity=0), poll=0.02) as running:
        yield running


class Watched:
    """A running channel, and the messages at its end."""

    def __init__(self, channel: PIWebChannel) -> None:
        self.channel = channel
        self.messages: asyncio.Queue[Message] = asyncio.Queue(1000)

    async def value(self, value: Any) -> Message:
        """The first message with a sample of this value."""
        while True:
            msg = await self.messages.get()
            if any(sample.value == value for sample in msg.payload):
                return msg

    @property
    def paths(self) -> list[str]:
        return sorted(found.path for found in self.channel.points)


@asynccontextmanager
async def running(
    simulator: Simulator, folder: Path, *tags: Any
) -> AsyncIterator[Watched]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant", url=simulator.url, server="PLANT", tags=tags, reconnect=SOON
    )
    watched = Watched(channel)
    keep = publish.Call(watched.messages.put_nowait)
    channel.add(decode.PI(), enrich.PI(), keep)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield watched
    finally:
        await channel.stop()
        await journal.close()


async def test_values_of_an_element_arrive_under_its_attributes(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, f"af:{BOILER}") as watched:
        await simulator.connected()
        simulator.push(TEMP, 71.5)
        msg = await watched.value(71.5)
    (sample,) = (s for s in msg.payload if s.value == 71.5)
    assert (sample.tag.name, sample.tag.path) == (NAME, BOILER + "|Temperature")
    assert msg.meta["tags"][NAME]["template"] == "Boiler"


@pytest.mark.parametrize(
    ("tag", "paths"),
    [
        (f"af:{BOILER}|T*", [BOILER + "|Temperature"]),
        (f"AF:{UNIT}|Power;Stack Nox", [UNIT + "|Power", UNIT + "|Stack Nox"]),
        (f"af:{UNIT}\\**|Speed", [rf"{UNIT}\Pump{n}|Speed" for n in (1, 2, 3, 4)]),
        (BOILER + "|Level", [BOILER + "|Level"]),
        (
            f"af:{UNIT}[Feed]|*e*",
            [UNIT + r"\Feed|Forecast", UNIT + r"\Feed|Temperature"],
        ),
        (
            Element(DATABASE, "Oxygen", hierarchy=True),
            [rf"{DATABASE}\Site\Area1\Unit{n}\Boiler|Oxygen" for n in (1, 2)],
        ),
        (
            Template(DATABASE, "Tank", ("Level",)),
            [
                rf"{DATABASE}\Site\Area1\Unit{unit}\Tank{n}|Level"
                for unit in (1, 2)
                for n in (1, 2)
            ],
        ),
        (
            Template(UNIT, "Boiler"),
            [f"{BOILER}|{n}" for n in ("Level", "Oxygen", "Pressure", "Temperature")],
        ),
    ],
)
async def test_what_is_named_is_subscribed_to(
    simulator: Simulator, tmp_path: Path, tag: Any, paths: list[str]
) -> None:
    async with running(simulator, tmp_path, tag) as watched:
        await simulator.connected()
        assert watched.paths == paths
        assert len(simulator.channels[0].streams) == len(paths)


async def test_points_and_attributes_share_a_pi_channel(
    simulator: Simulator, tmp_path: Path
) -> None:
    tags = (TEMP, Element(BOILER), BOILER + "|Temperature")
    async with running(simulator, tmp_path, *tags) as watched:
        await simulator.connected()
        simulator.push(TEMP, 5.0)
        msg = await watched.value(5.0)
    assert {s.tag.name for s in msg.payload if s.value == 5.0} == {TEMP, NAME}


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (Element(UNIT + r"\Nothing"), "was not found"),
        (Template(DATABASE, "Reactor"), "no such attribute"),
        (Element(BOILER, "Manufacturer"), "no such attribute"),
        (BOILER + "|Manufacturer", "static"),
        (BOILER + "|Nothing", "was not found"),
    ],
)
async def test_what_is_not_there_costs_no_other(
    simulator: Simulator, tmp_path: Path, tag: Any, reason: str
) -> None:
    async with running(simulator, tmp_path, TEMP, tag) as watched:
        await simulator.connected()
        assert list(watched.channel.unresolved) == [str(tag)]
        assert reason in watched.channel.unresolved[str(tag)]
        (absent,) = [one for one in watched.channel.tag_states() if one.reason]
        assert absent.state == ("static" if reason == "static" else "unresolved")


async def test_attributes_found_serve_a_restart_without_http(
    simulator: Simulator, tmp_path: Path
) -> None:
    tags = (TEMP, Element(BOILER))
    async with running(simulator, tmp_path, *tags) as watched:
        await simulator.connected()
        before = watched.paths
    await simulator.disconnected()
    for path in ("elements", "points", "attributes"):
        simulator.faults.status(500, count=None, path=f"piwebapi/{path}")
    async with running(simulator, tmp_path, *tags) as watched:
        await simulator.connected()
        assert watched.paths == before and len(before) == 5


async def test_facts_serve_a_restart_without_http(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, Element(BOILER)) as watched:
        await simulator.connected()
        simulator.push(TEMP, 1.0)
        await watched.value(1.0)
    await simulator.disconnected()
    simulator.faults.status(503, count=None, path="multiple")
    async with running(simulator, tmp_path, Element(BOILER)) as watched:
        await simulator.connected()
        simulator.push(TEMP, 2.0)
        msg = await watched.value(2.0)
    facts = msg.meta["tags"][NAME]
    assert (facts["categories"], facts["meta_version"]) == (["Measurement"], 1)


@pytest.mark.parametrize(
    "tag",
    [
        "af:",
        "af:SIMAF",
        r"af:\\SIMAF",
        Element(r"\\SIMAF\Plant\A|B"),
        Element(UNIT, ""),
        Element(UNIT, ()),
        Template("Plant", "Boiler"),
        Template(DATABASE, ""),
        r"af:\\SIMAF\Plant[]",
    ],
)
def test_tags_that_are_none_are_told(tag: Any) -> None:
    with pytest.raises(UsageError, match="tags holds"):
        checked_tags([TEMP, tag])


@pytest.mark.parametrize(
    "tag",
    [
        Element(UNIT, ("A*", "B"), hierarchy=True),
        Element(UNIT, ("*",)),
        Template(DATABASE, "Boiler", ("A*", "B")),
    ],
)
def test_the_text_of_an_asset_is_read_back(tag: Element | Template) -> None:
    assert checked_tags(str(tag)) == [tag]
