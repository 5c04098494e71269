"""Tags of open connections of which nothing comes: quiet sources, or we are blind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes import decode
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.control.coverage import coverage_report
from pichannels.control.coverage_reports import CoverageWanted
from pichannels.control.tags import TagsChange, change_tags
from pichannels.coverage.repair import Plan
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample, format_ticks

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
TAG = "UNIT1.SPARE.AI1"
MORE = "UNIT2.*"
"""So many more tags that the PI channel is not opened again for one."""
PATH = rf"\\SIMSRV\{TAG}"
_PATIENCE = 40.0
"""Seconds, also on a machine that is busy."""


def watching(**options: Any) -> CoverageOptions:
    """In a hurry: whoever is quiet for 0.3 s is asked for."""
    hurry = {"settle": 0.2, "overlap": 0.2, "ahead": 0.1, "patience": 0.3}
    silence = {"expect": 0.1, "probe": 0.1, "grace": 0.2, "stale": 1e12}
    return CoverageOptions(**{**hurry, **silence, **options})


class Sink(BaseNode):
    """Keeps what comes."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.came: list[tuple[str, Sample]] = []

    async def process(self, msg: Message) -> Message:
        self.came += [(msg.meta["lane"], sample) for sample in msg.payload]
        return msg

    def values(self, tag: str, lane: str) -> list[Any]:
        return [s.value for kind, s in self.came if s.tag.name == tag and kind == lane]


class Running:
    """A channel that receives, and what it told."""

    def __init__(self, channel: PIWebChannel, sink: Sink) -> None:
        assert channel.covering is not None
        self.channel, self.sink = channel, sink
        self.covering = channel.covering
        self.events: list[Event] = []
        channel.events.subscribe(self.events.append)

    @property
    def probes(self) -> int:
        probing = self.channel.probing
        assert probing is not None
        return probing.probes

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not condition():
                await _a_moment()

    async def listening(self, sim: Simulator) -> None:
        """Until PI channels are to give what happens now to the first tag.

        What closes the hole before that reads a little of what is after it.
        """
        ledger = self.covering.ledger
        await self.until(
            lambda: any(
                segment.start + Plan().overlap < sim.clock.now()
                for segment in ledger.subscriptions_of(0)
            )
        )

    def holes(self, until: int) -> list[Any]:
        now = self.covering.server.now()
        found = coverage(self.covering.ledger, 0, now).holes
        return [hole for hole in found if hole.start < until]


async def _a_moment() -> None:
    await asyncio.sleep(0.02)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100, activity=0), poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    sim: Simulator, folder: Path, options: CoverageOptions, *tags: str
) -> AsyncIterator[Running]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant",
        url=sim.url,
        server="PLANT",
        tags=tags or [TAG],
        heartbeat=2,
        poll_interval=0.02,
        reconnect=SOON,
        coverage=options,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    found = Running(channel, sink)
    await channel.start()
    try:
        await sim.connected()
        await found.listening(sim)
        yield found
    finally:
        await channel.stop()
        await journal.close()


async def test_a_quiet_plant_is_asked_and_raises_nothing(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching()) as found:
        await found.until(lambda: found.probes >= 3)
        assert not found.told("coverage.blind") + found.told("tag.stale")
        assert not found.covering.marks
        assert found.channel.losses == 0


async def test_marks_of_tags_are_told_where_people_look(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(stale=20.0)) as found:
        project = Project([found.channel])
        journal = found.channel.journal
        assert journal is not None

        async def told() -> list[Any]:
            tags = await change_tags(project, TagsChange(channel="plant"))
            report = await coverage_report(project, journal, CoverageWanted(count=1))
            (channel,), (tag,) = report.channels, report.tags
            return [tags.streams[0].mark, tag.mark, channel.marks]

        before = len(found.told("tag.stale"))
        event = sim.push(TAG, 7.0)
        await found.until(lambda: found.covering.ledger.tags)
        await found.until(lambda: found.sink.values(TAG, "live"))
        hearing = found.covering.hearing
        assert hearing is not None
        await found.until(lambda: hearing.quiet)
        assert await told() == ["quiet", "quiet", {"quiet": 1}]
        await found.until(lambda: len(found.told("tag.stale")) > before)
        assert await told() == ["stale", "stale", {"stale": 1}]
        tags = await change_tags(project, TagsChange(channel="plant"))
        assert tags.streams[0].mark_since == format_ticks(event.ticks)
        sim.push(TAG, 8.0)
        await found.until(lambda: not hearing.marks)
        assert await told() == ["", None, {}]


async def test_what_a_silent_tag_misses_is_a_hole_that_repair_closes(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(), TAG, MORE) as found:
        sim.faults.mute(TAG)
        event = sim.push(TAG, 7.0)
        await found.until(lambda: found.told("coverage.blind"))
        assert found.told("coverage.blind")[0].facts["tag"] == PATH
        assert found.covering.marks[PATH].verdict == "blind"
        await found.until(lambda: 7.0 in found.sink.values(TAG, "repair"))
        await found.until(lambda: not found.holes(event.ticks + 1))


async def test_a_silent_tag_that_always_has_new_values_in_pi_is_noticed(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(grace=1.0), TAG, MORE) as found:
        sim.faults.mute(TAG)
        for value in range(200):
            sim.push(TAG, float(value))
            await asyncio.sleep(0.05)
            if found.told("coverage.blind"):
                break
        assert found.told("coverage.blind")


async def test_a_tag_of_which_pi_has_more_than_came_is_no_quiet_one(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(grace=1e6), TAG, MORE) as found:
        hearing = found.covering.hearing
        assert hearing is not None
        await found.until(lambda: 0 in hearing.quiet)
        sim.faults.mute(TAG)
        sim.push(TAG, 7.0)
        await found.until(lambda: 0 not in hearing.quiet)
        assert not found.covering.marks


@pytest.mark.parametrize("status", [403, 404])
async def test_silent_tags_of_which_pi_tells_nothing_are_no_quiet_ones(
    status: int, sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(), TAG, MORE) as found:
        event = sim.push(TAG, 7.0)
        await found.until(lambda: found.sink.values(TAG, "live"))
        sim.faults.tag(TAG, status)
        await found.until(lambda: found.told("coverage.blind"))
        await found.until(lambda: found.told("pi.tags_changed"))
        assert not found.covering.ledger.is_delivered(0, event.ticks + 1)


async def test_a_refused_tag_that_a_search_lists_is_without_access_until_it_is_back(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(), "UNIT1.SPARE.AI1*", MORE) as found:
        tags = found.covering.ledger.tags
        event = sim.push(TAG, 7.0)
        await found.until(lambda: found.sink.values(TAG, "live"))
        sim.faults.tag(TAG, 403)
        await found.until(lambda: tags.state(0) is TagState.NO_ACCESS)
        (absent,) = [one for one in found.channel.tag_states() if one.reason]
        assert (absent.tag, absent.state) == (PATH, "no access")
        assert not found.covering.ledger.is_delivered(0, event.ticks + 1)
        await found.channel.refresh_tags()
        assert tags.state(0) is TagState.NO_ACCESS
        sim.faults.tag(TAG, None)
        await found.channel.refresh_tags()
        assert tags.state(0) is TagState.LIVE and not found.channel.unresolved
        sim.push(TAG, 8.0)
        await found.until(lambda: 8.0 in [s.value for _, s in found.sink.came])


async def test_the_hole_of_a_silent_tag_tells_its_reason(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(repair=False), TAG, MORE) as found:
        sim.faults.mute(TAG)
        event = sim.push(TAG, 7.0)
        await found.until(lambda: found.told("coverage.blind"))
        assert "blind" in {hole.reason for hole in found.holes(event.ticks + 1)}


async def test_the_connection_of_silent_tags_is_opened_again_once(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching()) as found:
        sim.faults.mute(TAG)
        sim.push(TAG, 7.0)
        await found.until(lambda: len(found.told("pi.connected")) == 2)
        sim.faults.mute(TAG, on=False)
        sim.push(TAG, 8.0)
        await found.until(lambda: 8.0 in found.sink.values(TAG, "live"))
        await found.until(lambda: not found.covering.marks)
        assert found.told("tag.recovered")[0].facts["was"] == "blind"


async def test_a_few_silent_tags_of_many_interrupt_no_others(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(), "*") as found:
        sim.faults.mute(TAG)
        sim.push(TAG, 7.0)
        await found.until(lambda: 7.0 in found.sink.values(TAG, "repair"))
        # It is told again for as long as nothing was read, so that is not counted.
        assert {e.facts["tag"] for e in found.told("coverage.blind")} == {PATH}
        assert len(found.told("pi.connected")) == 1


async def test_a_source_that_is_quiet_for_long_is_stale_until_it_sends(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(stale=5.0)) as found:
        sim.push(TAG, 7.0)
        await found.until(lambda: found.told("tag.stale"))
        assert found.covering.marks[PATH].verdict == "stale"
        assert not found.told("coverage.blind")
        sim.push(TAG, 8.0)
        await found.until(lambda: found.told("tag.recovered"))


async def test_values_that_stay_the_same_are_a_flat_line(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(flat=0.5)) as found:
        async with asyncio.timeout(_PATIENCE):
            while not found.told("tag.flat"):
                sim.push(TAG, 7.0)
                await asyncio.sleep(0.05)
        assert found.covering.marks[PATH].verdict == "flat"
        async with asyncio.timeout(_PATIENCE):
            while not found.told("tag.recovered"):
                sim.push(TAG, 8.0)
                await asyncio.sleep(0.05)


async def test_values_that_change_between_probes_are_no_flat_line(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running(sim, tmp_path, watching(flat=0.5)) as found:
        before = found.probes
        while found.probes < before + 15:
            for value in (8.0, 7.0):
                sim.push(TAG, value)
            await asyncio.sleep(0.05)
        assert not found.told("tag.flat")


async def test_a_thousand_quiet_tags_are_asked_for_in_few_requests(
    tmp_path: Path,
) -> None:
    plant = Plant(seed=1, tags=1000, activity=0)
    async with Simulator(plant, poll=0.02) as sim:
        options = watching(probe=0.5)
        async with running(sim, tmp_path, options, "*") as found:
            before, probes = sim.requests, found.probes
            await found.until(lambda: found.probes >= probes + 2000)
            looks = (found.probes - probes) / 1000
            assert sim.requests - before <= 25 * looks
            assert not found.told("coverage.blind")


async def test_a_tag_that_its_interface_does_not_collect_may_be_silent(
    sim: Simulator, tmp_path: Path
) -> None:
    other = "UNIT2.SPARE.AI1"
    sim.describe(TAG, scan=0)
    # All are looked at in turn; 600 s are expected of points that are collected.
    options = watching(expect=None, stale=1, flat=1e9)
    async with running(sim, tmp_path, options, TAG, other) as found:
        await found.until(lambda: found.told("tag.stale"))
        before = found.probes
        await found.until(lambda: found.probes >= before + 4)
        stale = {event.facts["tag"] for event in found.told("tag.stale")}
        assert stale == {rf"\\SIMSRV\{other}"}
