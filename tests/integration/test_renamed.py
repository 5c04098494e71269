"""Tags get other names, go, come back and are forbidden while they are received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.coverage.tags import TagState
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

OLD, NEW, OTHER = "UNIT1.SPARE.AI1", "UNIT1.FEED.AI1", "UNIT2.SPARE.AI1"
SERVER = r"\\SIMSRV"
FLOW = r"\\SIMAF\Plant\Site\Area1\Unit1\Feed|Flow"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


class Sink(BaseNode):
    """Keeps the names and values that come."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.came: set[tuple[str, object]] = set()

    async def process(self, msg: Message) -> Message:
        self.came |= {(s.tag.name, s.value) for s in msg.payload if s.good}
        return msg


class Running:
    """A channel that receives, its sink, and what it told."""

    def __init__(self, channel: PIWebChannel, sink: Sink) -> None:
        assert channel.covering is not None
        self.channel, self.sink, self.covering = channel, sink, channel.covering
        self.events: list[Event] = []
        channel.events.subscribe(self.events.append)

    def renamed(self) -> list[tuple[str, str]]:
        told = [event for event in self.events if event.name == "tag.renamed"]
        return [(event.facts["old"], event.facts["new"]) for event in told]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await _a_moment()

    @property
    def states(self) -> list[TagState]:
        tags = self.covering.ledger.tags
        return [tags.state(tag) for tag in range(len(tags))]


async def _a_moment() -> None:
    await asyncio.sleep(0.02)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100, activity=0), poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    sim: Simulator, folder: Path, *tags: str, **options: Any
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
        refresh=0,
        coverage=CoverageOptions(settle=0.5, overlap=1, patience=0.5),
        **options,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    found = Running(channel, sink)
    await channel.start()
    try:
        await found.until(lambda: channel.is_ready)
        yield found
    finally:
        await channel.stop()
        await journal.close()


async def test_a_rename_is_told_and_the_tag_goes_on(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD) as found:
        sim.rename(OLD, NEW)
        await found.channel.refresh_tags()
        assert found.renamed() == [(rf"{SERVER}\{OLD}", rf"{SERVER}\{NEW}")]
        assert found.states == [TagState.LIVE]
        assert found.channel.losses == 0
        sim.push(NEW, 7.0)
        await found.until(lambda: (NEW, 7.0) in found.sink.came)


async def test_a_rename_is_told_once_and_quiet_comparisons_tell_nothing(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, OTHER) as found:
        await found.channel.refresh_tags()
        assert not found.renamed()
        sim.rename(OLD, NEW)
        for _ in range(2):
            await found.channel.refresh_tags()
        assert len(found.renamed()) == 1


async def test_a_tag_that_a_search_finds_may_be_renamed(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, "UNIT1.*") as found:
        sim.rename(OLD, NEW)
        await found.channel.refresh_tags()
        assert found.renamed() == [(rf"{SERVER}\{OLD}", rf"{SERVER}\{NEW}")]


async def test_an_attribute_may_be_renamed(sim: Simulator, tmp_path: Path) -> None:
    async with running(sim, tmp_path, FLOW) as found:
        sim.rename(FLOW, "Flow2")
        await found.channel.refresh_tags()
        assert found.renamed() == [(FLOW, FLOW + "2")]
        assert found.states == [TagState.LIVE]


async def test_a_renamed_tag_is_found_again_by_the_next_run(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, OTHER) as found:
        sim.rename(OLD, NEW)
        await found.channel.refresh_tags()
    async with running(sim, tmp_path, OLD, OTHER) as found:
        await found.channel.update_tags([OLD])
        assert [point.name for point in found.channel.points] == [NEW]
        assert not found.channel.unresolved


async def test_a_tag_without_access_keeps_its_holes_until_it_is_back(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, OTHER) as found:
        sim.faults.tag(OLD, 403)
        await found.channel.refresh_tags()
        assert sorted(found.states) == [TagState.LIVE, TagState.NO_ACCESS]
        assert "denied" in found.channel.unresolved[OLD]
        (absent,) = [one for one in found.channel.tag_states() if one.reason]
        assert (absent.tag, absent.state) == (OLD, "no access")
        sim.faults.tag(OLD, None)
        await found.channel.refresh_tags()
        assert found.states == [TagState.LIVE] * 2
        sim.push(OLD, 7.0)
        await found.until(lambda: (OLD, 7.0) in found.sink.came)


async def test_a_tag_that_is_gone_is_removed_until_it_is_back(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, OTHER) as found:
        sim.faults.tag(OLD, 404)
        await found.channel.refresh_tags()
        assert sorted(found.states) == [TagState.LIVE, TagState.REMOVED]
        (absent,) = [one for one in found.channel.tag_states() if one.reason]
        assert (absent.tag, absent.state) == (OLD, "removed")
        sim.faults.tag(OLD, None)
        await found.channel.refresh_tags()
        assert found.states == [TagState.LIVE] * 2


async def test_a_failure_of_the_server_changes_no_tag(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, OLD, OTHER) as found:
        sim.faults.tag(OLD, 500)
        await found.channel.refresh_tags()
        assert found.states == [TagState.LIVE] * 2
        assert not found.channel.unresolved


async def test_what_changes_of_a_tag_is_told(sim: Simulator, tmp_path: Path) -> None:
    async with running(sim, tmp_path, OLD, FLOW) as found:
        sim.describe(OLD, units="kPa")
        await found.channel.refresh_tags()
        (told,) = [event for event in found.events if event.name == "tag.changed"]
    assert told.facts["tag"] == rf"{SERVER}\{OLD}"
    assert told.facts["after"] == {"engineering_units": "kPa"}


async def test_a_change_that_pi_tells_of_is_looked_at_at_once(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, FLOW, transport="updates") as found:
        sim.rename(FLOW, "Flow2")
        await found.until(lambda: found.renamed() == [(FLOW, FLOW + "2")])
        await found.until(lambda: found.channel.is_ready)
        assert found.states == [TagState.LIVE]
