"""Name filters are evaluated again while values come; tags appear and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.channels.timezones import timezone_of
from pichannels.errors import SettingsError, UsageError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.bodies import Point
from pichannels.piwebasync.server import PIServer
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

OLD, NEW = "UNIT1.SPARE.AI1", "UNIT1.SPARE.NEW1"
BOILER = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


class Sink(BaseNode):
    """Keeps what comes, by tag, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.values: dict[str, list[Any]] = {}
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            for sample in msg.payload:
                self.values.setdefault(sample.tag.name, []).append(sample.value)
            self._changed.notify_all()
        return msg

    async def until(self, tag: str, value: Any) -> None:
        def came() -> bool:
            return value in self.values.get(tag, ())

        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(came)


class Running:
    """A channel that receives, its sink, and what it told."""

    def __init__(self, channel: PIWebChannel, sink: Sink) -> None:
        self.channel, self.sink = channel, sink
        self.events: list[Event] = []
        self._heard = asyncio.Event()
        channel.events.subscribe(self._listen)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self._heard.set()

    async def event(self, name: str) -> Event:
        async with asyncio.timeout(30):
            while True:
                for event in self.events:
                    if event.name == name:
                        return event
                self._heard.clear()
                await self._heard.wait()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100, activity=0), poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    sim: Simulator, folder: Path, *tags: str, refresh: Any = 0
) -> AsyncIterator[Running]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant",
        url=sim.url,
        tags=tags,
        server="PLANT",
        poll_interval=0.02,
        heartbeat=50,
        reconnect=SOON,
        refresh=refresh,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    found = Running(channel, sink)
    await channel.start()
    try:
        await sim.connected()
        yield found
    finally:
        await channel.stop()
        await journal.close()


async def make(sim: Simulator, name: str) -> None:
    server = PIServer(url=sim.url)
    body = Point(name=name, point_type="Float32")
    web_id = sim.plant.server.web_id()
    request = server.controller().dataservers.create_point(web_id, body)
    async with server.client() as client:
        (await client.post(request)).raise_for_status()


async def delete(sim: Simulator, name: str) -> None:
    server = PIServer(url=sim.url)
    request = server.controller().points.delete(sim.plant.tag(name).web_id)
    async with server.client() as client:
        (await client.delete(request)).raise_for_status()


def names(channel: PIWebChannel) -> list[str]:
    return sorted(stream.name for stream in channel.points)


async def test_a_new_match_is_received_and_the_others_are_not_touched(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, "UNIT1.SPARE.*") as plant:
        before = sim.channels
        await make(sim, NEW)
        await plant.channel.refresh_tags()
        await sim.connected(2)
        sim.push(NEW, 1.5)
        await plant.sink.until(NEW, 1.5)
        told = await plant.event("pi.tags_changed")
        assert before[0] in sim.channels
    assert (told.facts["added"], told.facts["removed"]) == (1, 0)
    assert told.facts["names_added"] == [rf"\\SIMSRV\{NEW}"]


async def test_a_match_that_is_gone_is_dropped_without_a_gap_in_the_others(
    sim: Simulator, tmp_path: Path
) -> None:
    await make(sim, NEW)
    async with running(sim, tmp_path, "UNIT1.SPARE.*") as plant:
        await delete(sim, NEW)
        refreshing = asyncio.create_task(plant.channel.refresh_tags())
        count = 0
        while not refreshing.done():
            count += 1
            sim.push(OLD, float(count))
            await asyncio.sleep(0.002)
        await plant.sink.until(OLD, float(count))
        assert NEW not in names(plant.channel) and OLD in names(plant.channel)
    values = plant.sink.values[OLD]
    assert values[values.index(1.0) :] == [*map(float, range(1, count + 1))]


async def test_attributes_of_an_element_are_looked_up_again(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, rf"af:{BOILER}|Temp*;Fresh*") as plant:
        before = names(plant.channel)
        sim.rename(rf"{BOILER}|Pressure", "Fresh")
        await plant.channel.refresh_tags()
        told = await plant.event("pi.tags_changed")
        assert "Fresh" in names(plant.channel) and set(before) < {*names(plant.channel)}
    assert (told.facts["added"], told.facts["removed"]) == (1, 0)


@pytest.mark.parametrize("refresh", [0.05, "* * * * * *"])
async def test_searches_are_evaluated_on_a_schedule(
    sim: Simulator, tmp_path: Path, refresh: Any
) -> None:
    # Looks into files, and remembers what it has found.
    await asyncio.to_thread(timezone_of, None)
    async with running(sim, tmp_path, "UNIT1.SPARE.*", refresh=refresh) as plant:
        await make(sim, NEW)
        await plant.event("pi.tags_changed")
        assert NEW in names(plant.channel)


async def test_a_tag_that_was_not_there_is_found_later(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, NEW, refresh=0.05) as plant:
        assert list(plant.channel.unresolved) == [NEW]
        await make(sim, NEW)
        await plant.event("pi.tags_changed")
        assert (plant.channel.unresolved, names(plant.channel)) == ({}, [OLD, NEW])


async def test_tags_that_were_not_found_are_remembered_over_a_restart(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, NEW):
        pass
    async with running(sim, tmp_path, OLD, NEW) as plant:
        assert list(plant.channel.unresolved) == [NEW]


async def test_a_search_that_fails_leaves_the_tags_as_they_are(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, "UNIT1.SPARE.*") as plant:
        before = names(plant.channel)
        sim.faults.status(503, count=None, path="points")
        await plant.channel.refresh_tags()
        await plant.event("pi.unresolved")
        assert names(plant.channel) == before


async def test_tags_stay_as_they_are_when_they_cannot_be_compared(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD) as plant:
        sim.faults.status(503, count=None)
        await plant.channel.refresh_tags()
        assert "503" in (await plant.event("pi.unresolved")).facts["error"]
        assert [point.name for point in plant.channel.points] == [OLD]


async def test_tags_are_added_and_removed(sim: Simulator, tmp_path: Path) -> None:
    async with running(sim, tmp_path, OLD, "UNIT1.BOILER.TEMP") as plant:
        await plant.channel.change_tags(add=["UNIT1.FEED.FLOW", OLD], remove=OLD)
        states = {each.tag: each.state for each in plant.channel.tag_states()}
    assert plant.channel.tags == ["UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW", OLD]
    assert len(states) == 3 and states[rf"\\SIMSRV\{OLD}"] == "open"


async def test_a_tag_that_is_not_asked_for_cannot_be_removed(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD) as plant:
        with pytest.raises(UsageError, match="did you mean"):
            await plant.channel.change_tags(remove="UNIT1.SPARE.AI2")


@pytest.mark.parametrize("refresh", [-1, True, "61 * * * *", [], "often"])
def test_a_schedule_that_is_none_is_told(refresh: Any) -> None:
    with pytest.raises(SettingsError, match="refresh"):
        PIWebChannel("plant", url="https://pi.test", tags=["A*"], refresh=refresh)
