"""What was delivered of an hour is compared with what the archive holds of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels.job_reports import JobWanted
from pichannels.channels.jobs import JobState
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.channels.reconciling import ReconcileReport
from pichannels.control.coverage import CoverageSummaries
from pichannels.coverage.reconcile import hours
from pichannels.errors import PichannelsError, SettingsError, UsageError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND as SECOND

TAG = "UNIT1.SPARE.AI1"
HOUR = 3600 * SECOND
QUICK = CoverageOptions(settle=0.5, overlap=1, ahead=0.5, patience=0.5)


class Sink(BaseNode):
    """Keeps the values that come."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.values: list[Any] = []

    async def process(self, msg: Message) -> Message:
        self.values += [sample.value for sample in msg.payload]
        return msg


class Told:
    """Keeps what comparing by itself has told."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []

    def note(self, event: Event) -> None:
        if event.name == "coverage.reconciled":
            self.facts.append(event.facts)


class Delivered:
    """A channel that has delivered three hours of a tag, and one whole hour of them."""

    def __init__(
        self,
        channel: PIWebChannel,
        sink: Sink,
        journal: Journal,
        simulator: Simulator,
    ) -> None:
        self.channel, self.sink, self.journal = channel, sink, journal
        now = simulator.clock.now()
        self.start, self.end = hours(now - 3 * HOUR, now)[0]

    async def compare(self) -> ReconcileReport:
        assert self.channel.reconciling is not None
        return await self.channel.reconciling.run([TAG], self.start, self.end)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self._look_again()

    async def _look_again(self) -> None:
        await asyncio.sleep(0.02)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Has a value of the tag, which comes first."""
    async with Simulator(Plant(seed=1, tags=100), poll=0.05) as running:
        running.push(TAG, -1.0)
        yield running


@asynccontextmanager
async def receiving(
    simulator: Simulator, folder: Path, coverage: CoverageOptions = QUICK
) -> AsyncIterator[Delivered]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    sink = Sink()
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        server="PLANT",
        tags=[TAG],
        poll_interval=0.05,
        coverage=coverage,
        message_store_factory=SQLiteMessageStoreFactory(),
    ).add(decode.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    try:
        await simulator.connected()
        yield Delivered(channel, sink, journal, simulator)
    finally:
        await channel.stop()
        await journal.close()


@asynccontextmanager
async def delivered(
    simulator: Simulator, folder: Path, since: int = -HOUR
) -> AsyncIterator[Delivered]:
    async with receiving(simulator, folder) as found:
        for number in range(5):
            simulator.push(TAG, float(number), found.start + number * SECOND)
        assert found.channel.backfilling is not None
        jobs = found.channel.backfilling
        jobs.create(JobWanted(tags=["*"], start=found.start + since))
        await found.until(lambda: jobs.report(1).state is JobState.DONE)
        yield found


async def test_an_hour_that_was_delivered_is_equal(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        report = await plant.compare()
    assert (report.equal, report.missing, report.extra) == (1, 0, 0)
    assert report.not_comparable == {}


async def test_an_event_that_never_came_is_found_and_repaired(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        simulator.faults.mute(TAG)
        simulator.push(TAG, 77.0, plant.start + 100 * SECOND)
        report = await plant.compare()
        assert (report.missing, report.missing_events) == (1, 1)
        await plant.until(lambda: 77.0 in plant.sink.values)
        covering = plant.channel.covering
        assert covering is not None
        await plant.until(lambda: covering.ledger.is_delivered(0, plant.start))
        assert (await plant.compare()).equal == 1


async def test_the_hour_in_which_a_tag_begins_is_compared_from_then_on(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path, since=3 * SECOND) as plant:
        assert (await plant.compare()).equal == 1
        simulator.faults.mute(TAG)
        for value, second in ((66.0, 1), (77.0, 100)):
            simulator.push(TAG, value, plant.start + second * SECOND + 1)
        report = await plant.compare()
        assert (report.missing, report.missing_events) == (1, 1)
        await plant.until(lambda: 77.0 in plant.sink.values)
        assert 66.0 not in plant.sink.values


async def test_an_event_deleted_at_the_source_is_told(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        simulator.faults.mute(TAG)
        simulator.delete(TAG, plant.start + SECOND)
        report = await plant.compare()
    (found,) = report.differences
    assert (found.tag, found.missing, found.extra) == (TAG, 0, 1)


async def test_a_value_edited_at_the_source_is_missing_and_comes_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        simulator.faults.mute(TAG)
        simulator.edit(TAG, plant.start + SECOND, 55.0)
        assert (await plant.compare()).missing_events == 1
        await plant.until(lambda: 55.0 in plant.sink.values)


async def test_what_is_not_delivered_or_not_kept_is_not_compared(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        covering, reconciling = plant.channel.covering, plant.channel.reconciling
        assert covering is not None and reconciling is not None
        covering.ledger.exclude([0], plant.start, plant.start + 1, "dead letter", 0)
        report = await plant.compare()
        assert report.not_comparable == {"not all of it is delivered": 1}
        plant.journal.delete(1)
        report = await plant.compare()
        assert report.not_comparable == {"messages of that time are not kept": 1}


async def test_comparisons_are_told_and_counted_also_those_that_fail(
    simulator: Simulator, tmp_path: Path
) -> None:
    events: list[Event] = []
    async with delivered(simulator, tmp_path) as plant:
        plant.channel.events.subscribe(events.append)
        await plant.compare()
        simulator.faults.status(401, 100)
        with pytest.raises(PichannelsError):
            await plant.compare()
        (found,) = await CoverageSummaries().of([plant.channel])
    told = [one for one in events if one.name.startswith("coverage.")]
    assert [one.name for one in told] == [
        "coverage.reconciled",
        "coverage.not_reconciled",
    ]
    assert told[0].facts["compared"] == 1
    assert found.reconciled is not None
    assert (found.reconciled.runs, found.reconciled.failures) == (1, 1)


async def test_tags_that_are_not_there_cannot_be_compared(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        assert plant.channel.reconciling is not None
        with pytest.raises(UsageError, match="no tag fits 'NOSUCH'"):
            await plant.channel.reconciling.run(["NOSUCH"], plant.start, plant.end)


async def test_what_came_late_while_nothing_ran_is_found_without_a_command(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with delivered(simulator, tmp_path) as plant:
        simulator.faults.mute(TAG)
        start = plant.start
    simulator.push(TAG, 77.0, start + 100 * SECOND)
    simulator.edit(TAG, start + SECOND, 55.0)
    told = Told()
    # The time that passed while nothing ran is made up for.
    each_second = msgspec.structs.replace(QUICK, reconcile="* * * * * *")
    async with receiving(simulator, tmp_path, each_second) as plant:
        plant.channel.events.subscribe(told.note)
        await plant.until(lambda: {77.0, 55.0} <= set(plant.sink.values))
        await plant.until(lambda: bool(told.facts))
    assert sum(one["missing_events"] for one in told.facts) == 2


async def test_hours_that_were_compared_are_not_compared_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    told = Told()
    each_second = msgspec.structs.replace(QUICK, reconcile="* * * * * *")
    async with delivered(simulator, tmp_path):
        pass
    for count in (1, 2):
        async with receiving(simulator, tmp_path, each_second) as plant:
            plant.channel.events.subscribe(told.note)
            await plant.until(lambda n=count: len(told.facts) >= n)  # type: ignore[misc]
    compared = [one["compared"] for one in told.facts]
    assert compared[0] > 0 and not any(compared[1:])


async def test_a_new_channel_has_nothing_to_compare_and_says_nothing(
    simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pichannels.channels.pi")
    told = Told()
    each_second = msgspec.structs.replace(QUICK, reconcile="* * * * * *")
    async with receiving(simulator, tmp_path, each_second) as plant:
        plant.channel.events.subscribe(told.note)
        await plant.until(lambda: bool(told.facts))
    # An hour that ends just now may be one of them.
    assert told.facts[0]["compared"] + told.facts[0]["not_comparable"] <= 1
    assert "0 hours of tags compared" not in caplog.text


def test_what_is_no_schedule_is_told() -> None:
    with pytest.raises(SettingsError, match="the minute cannot be '61'"):
        CoverageOptions(reconcile="61 4 * * *")
    with pytest.raises(SettingsError, match="no such time zone"):
        CoverageOptions(reconcile_timezone="Europe/Nowhere")
