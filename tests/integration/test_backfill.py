"""Jobs deliver what the archive has of a time before the first start, or again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nodes import decode
from pichannels.channels.backfilling import Backfilling
from pichannels.channels.job_reports import JobReport, JobWanted
from pichannels.channels.jobs import CANCELLED, PAUSED, JobState
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.control.coverage import CoverageSummaries
from pichannels.coverage.views import totals
from pichannels.errors import UsageError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND as SECOND, Sample

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
QUICK = CoverageOptions(settle=0.5, overlap=1, ahead=0.5, patience=0.5)
TAG = "UNIT1.SPARE.AI1"
HOUR = 3600 * SECOND
HISTORY = {float(number) for number in range(10)}


class Sink(BaseNode):
    """Keeps what comes, with its lane; waits while it is closed."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.got: list[tuple[str, Any]] = []
        self.opened = asyncio.Event()
        self.opened.set()

    async def process(self, msg: Message) -> Message:
        await self.opened.wait()
        samples: list[Sample] = msg.payload
        self.got += [(msg.meta["lane"], each.value) for each in samples]
        return msg

    def of(self, lane: str) -> list[Any]:
        return [value for known, value in self.got if known == lane]


class Plugged:
    """A channel of one tag, and its jobs."""

    def __init__(self, channel: PIWebChannel, sink: Sink) -> None:
        self.channel = channel
        self.sink = sink

    @property
    def jobs(self) -> Backfilling:
        assert self.channel.backfilling is not None
        return self.channel.backfilling

    @property
    def reasons(self) -> tuple[set[str], set[str]]:
        """Why there are holes, and why time is excluded."""
        assert self.channel.covering is not None
        covering = self.channel.covering
        found = totals(covering.ledger, covering.server.now())
        return set(found.holes), set(found.excluded)

    def report(self) -> JobReport:
        return self.jobs.report(1)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self._look_again()

    async def _look_again(self) -> None:
        await asyncio.sleep(0.02)

    async def ended(self) -> JobReport:
        await self.until(lambda: self.report().state is JobState.DONE)
        return self.report()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Has ten events of a tag, an hour ago."""
    async with Simulator(Plant(seed=1, tags=100), poll=0.05) as running:
        start = running.clock.now() - HOUR
        for number in range(10):
            running.push(TAG, float(number), start + number * SECOND)
        yield running


@asynccontextmanager
async def running(simulator: Simulator, folder: Path) -> AsyncIterator[Plugged]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    sink = Sink()
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        server="PLANT",
        tags=[TAG],
        heartbeat=2,
        poll_interval=0.05,
        reconnect=SOON,
        coverage=QUICK,
    ).add(decode.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    try:
        await simulator.connected()
        yield Plugged(channel, sink)
    finally:
        sink.opened.set()
        await channel.stop()
        await journal.close()


def wanted(simulator: Simulator) -> JobWanted:
    """The time around the events."""
    now = simulator.clock.now()
    return JobWanted(
        tags=["UNIT1.SPARE.*"],
        start=now - 2 * HOUR,
        end=now - HOUR // 2,
        who="ann",
        reason="first start",
    )


async def test_history_before_the_first_start_comes_by_a_job(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        created = plugged.jobs.create(wanted(simulator))
        assert (created.id, created.done, created.tag_count) == ("plant-1", 0, 1)
        done = await plugged.ended()
        assert HISTORY <= set(plugged.sink.of("backfill"))
        assert (done.left, done.done, done.values >= 10) == (0, 1, True)


async def test_a_job_is_told_from_its_creation_to_its_end(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        events: list[Event] = []
        plugged.channel.events.subscribe(events.append)
        plugged.jobs.create(wanted(simulator))
        plugged.jobs.pause(1)
        plugged.jobs.resume(1)
        done = await plugged.ended()
        (found,) = await CoverageSummaries().of([plugged.channel])
    told = [each for each in events if each.name.startswith("backfill.")]
    names = [each.name for each in told if each.name != "backfill.progress"]
    assert names == [f"backfill.{x}" for x in ("created", "paused", "resumed", "done")]
    assert told[-1].facts == {
        "channel": "plant",
        "job": done.id,
        "state": "done",
        "done": 1,
        "values": done.values,
        "unreadable": 0,
    }
    assert (found.jobs, found.job_values) == ({"done": 1}, done.values)


async def test_the_time_after_a_job_that_nobody_asked_for_is_excluded(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        plugged.jobs.create(wanted(simulator))
        await plugged.ended()
        assert plugged.reasons[1] == {"not asked for"}


async def test_a_paused_job_reads_nothing_and_has_no_holes(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        plugged.jobs.create(wanted(simulator))
        paused = plugged.jobs.pause(1)
        planner = plugged.channel.covering
        assert (
            planner is not None and planner.planner.next(planner.server.now()) is None
        )
        assert (paused.state, PAUSED in plugged.reasons[1]) == (JobState.PAUSED, True)
        plugged.jobs.resume(1)
        await plugged.ended()
        assert HISTORY <= set(plugged.sink.of("backfill"))


async def test_what_is_left_of_a_cancelled_job_is_excluded(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        plugged.jobs.create(wanted(simulator))
        cancelled = plugged.jobs.cancel(1)
        assert (cancelled.state, cancelled.ended is None) == ("cancelled", False)
        assert "backfill" not in plugged.reasons[0]
        assert CANCELLED in plugged.reasons[1]


async def test_a_cancelled_range_can_be_asked_for_anew(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        job = wanted(simulator)
        plugged.jobs.create(job)
        plugged.jobs.cancel(1)
        plugged.jobs.create(job)
        await plugged.until(lambda: plugged.jobs.report(2).state is JobState.DONE)
        assert HISTORY <= set(plugged.sink.of("backfill"))
        assert CANCELLED not in plugged.reasons[1]


async def test_a_restart_in_the_middle_goes_on(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.status(503, count=None, path="recorded")
    async with running(simulator, tmp_path) as plugged:
        plugged.jobs.create(wanted(simulator))
    simulator.faults.clear()
    async with running(simulator, tmp_path) as plugged:
        assert (plugged.report().who, plugged.report().done) == ("ann", 0)
        await plugged.ended()
        assert HISTORY <= set(plugged.sink.of("backfill"))


async def test_a_paused_job_is_paused_after_a_restart(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        plugged.jobs.create(wanted(simulator))
        plugged.jobs.pause(1)
    async with running(simulator, tmp_path) as plugged:
        assert plugged.report().state is JobState.PAUSED
        assert PAUSED in plugged.reasons[1]


async def test_what_is_not_settled_is_left_to_deliver(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        plugged.sink.opened.clear()
        plugged.jobs.create(wanted(simulator))
        await plugged.until(lambda: plugged.report().values >= 10)
        assert plugged.report().state is JobState.RUNNING
        plugged.sink.opened.set()
        assert (await plugged.ended()).done == 1


async def test_what_is_delivered_comes_again_only_on_request(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        job = wanted(simulator)
        plugged.jobs.create(job)
        await plugged.ended()
        with pytest.raises(UsageError, match="delivered.* with --again"):
            plugged.jobs.create(job)
        plugged.jobs.create(replace(job, again=True))
        await plugged.until(lambda: plugged.sink.of("backfill").count(7.0) == 2)


async def test_a_job_that_cannot_be_is_refused(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        with pytest.raises(UsageError, match="no tag fits 'NOSUCH'"):
            plugged.jobs.create(JobWanted(tags=["NOSUCH"], start=0))
        with pytest.raises(UsageError, match="is not before"):
            plugged.jobs.create(JobWanted(tags=["*"], start=simulator.clock.now()))
