"""After any outage what is missing comes from the archive, and the ledger knows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodes import decode
from pichannels import clock
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.coverage.views import coverage, totals
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND as SECOND, Sample

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
QUICK = CoverageOptions(settle=0.5, overlap=1, ahead=0.5, patience=0.5)
TAG = "UNIT1.SPARE.AI1"


class Sink(BaseNode):
    """Keeps what comes; waits while it is closed."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self.lanes: list[str] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        await self.opened.wait()
        async with self._changed:
            self.samples += msg.payload
            self.lanes += [msg.meta["lane"]] * len(msg.payload)
            self._changed.notify_all()
        return msg

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    @property
    def pairs(self) -> list[tuple[Sample, str]]:
        """The samples with their lanes."""
        return list(zip(self.samples, self.lanes, strict=True))

    def of(self, tag: str) -> list[Any]:
        return [sample.value for sample in self.samples if sample.tag.name == tag]


class Plugged:
    """A channel of the simulator's tags with a ledger that is in no hurry to wait."""

    def __init__(self, channel: PIWebChannel, sink: Sink) -> None:
        self.channel = channel
        self.sink = sink

    @property
    def now(self) -> int:
        assert self.channel.covering is not None
        return self.channel.covering.server.now()

    async def covered(self, until: int) -> None:
        """Until nothing is missing of any tag from its origin to `until`."""
        covering = self.channel.covering
        assert covering is not None
        await self.reached(until)
        async with asyncio.timeout(30):
            while self.missing(until):
                await self._look_again()

    async def reached(self, until: int) -> None:
        """Until the server's time, as far as the channel knows it, is after that."""
        while self.now <= until:
            await self._look_again()

    async def began(self, before: int) -> None:
        """Until the first tag is covered from a time before that on."""
        covering = self.channel.covering
        assert covering is not None
        async with asyncio.timeout(10):
            while covering.ledger.tags.pasts[0].origin >= before:
                await self._look_again()

    async def _look_again(self) -> None:
        await asyncio.sleep(0.05)

    def missing(self, until: int) -> list[Any]:
        """The holes, and what is in flight, before `until`."""
        covering = self.channel.covering
        assert covering is not None
        found: list[Any] = []
        for tag in range(len(covering.ledger.tags)):
            one = coverage(covering.ledger, tag, self.now)
            found += [hole for hole in one.holes if hole.start < until]
            found += [span for span in one.in_flight if span[0] < until]
        return found

    async def hole(self, reason: str) -> None:
        """Until there is a hole with this reason."""
        async with asyncio.timeout(30):
            while reason not in self.reasons():
                await self._look_again()

    def reasons(self) -> set[str]:
        covering = self.channel.covering
        assert covering is not None
        return set(totals(covering.ledger, self.now).holes)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100), poll=0.05) as running:
        yield running


@asynccontextmanager
async def running(
    simulator: Simulator, folder: Path, **options: Any
) -> AsyncIterator[Plugged]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    sink = Sink()
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        server="PLANT",
        tags=options.pop("tags", [TAG]),
        heartbeat=2,
        poll_interval=0.05,
        reconnect=SOON,
        **{"coverage": QUICK, **options},
    ).add(decode.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield Plugged(channel, sink)
    finally:
        await channel.stop()
        await journal.close()


async def settled(simulator: Simulator, plugged: Plugged) -> int:
    """Wait until the beginning is behind us; the server's time then."""
    await simulator.connected()
    now = simulator.clock.now()
    await plugged.covered(now - SECOND)
    return now


async def test_what_came_during_an_outage_is_read_from_the_archive(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        simulator.push(TAG, 1.0)
        await plugged.sink.until(lambda: 1.0 in plugged.sink.of(TAG))
        simulator.faults.status(503, count=None)
        simulator.faults.drop()
        for value in (2.0, 3.0, 4.0):
            simulator.push(TAG, value)
        simulator.faults.clear()
        await plugged.sink.until(lambda: 4.0 in plugged.sink.of(TAG))
        simulator.push(TAG, 5.0)
        await plugged.covered(simulator.clock.now())
        assert {1.0, 2.0, 3.0, 4.0, 5.0} <= set(plugged.sink.of(TAG))
        assert "repair" in plugged.sink.lanes


async def test_live_values_do_not_hide_what_is_missing_before_them(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        simulator.faults.status(503, count=None, path="recorded")
        simulator.faults.drop()
        lost = simulator.push(TAG, 2.0)
        await simulator.connected()
        simulator.push(TAG, 3.0)
        await plugged.sink.until(lambda: 3.0 in plugged.sink.of(TAG))
        await plugged.reached(lost.ticks + SECOND)
        assert plugged.missing(lost.ticks + 1)
        simulator.faults.clear()
        await plugged.covered(lost.ticks + 1)
        assert 2.0 in plugged.sink.of(TAG)


async def test_what_is_not_settled_is_in_flight_and_not_delivered(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        plugged.sink.opened.clear()
        event = simulator.push(TAG, 2.0)
        await plugged.reached(event.ticks + 2 * SECOND)
        assert plugged.missing(event.ticks + 1)
        plugged.sink.opened.set()
        await plugged.covered(event.ticks + 1)
        assert 2.0 in plugged.sink.of(TAG)


async def test_a_new_run_reads_what_came_while_nothing_ran(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
    simulator.push(TAG, 2.0)
    await asyncio.sleep(0.2)
    simulator.push(TAG, 3.0)
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        await plugged.covered(simulator.clock.now())
        assert {2.0, 3.0} <= set(plugged.sink.of(TAG))


async def test_a_clock_of_ours_that_is_ahead_makes_nothing_count(
    tmp_path: Path,
) -> None:
    start = clock.now() - 3600 * SECOND
    async with Simulator(Plant(seed=1, tags=100), poll=0.05, start=start) as simulator:
        for _ in range(2):
            async with running(simulator, tmp_path) as plugged:
                await simulator.connected()
                await plugged.began(simulator.clock.now())
                now = await settled(simulator, plugged)
                assert plugged.channel.covering is not None
                ledger = plugged.channel.covering.ledger
                found = coverage(ledger, 0, now, now + 7200 * SECOND).delivered
                assert found.last is not None and found.last <= simulator.clock.now()


async def test_history_before_the_first_start_is_delivered_where_asked_for(
    simulator: Simulator, tmp_path: Path
) -> None:
    start = simulator.clock.now() - 20 * SECOND
    for second in range(10):
        simulator.push(TAG, float(second), start + second * SECOND)
    options = CoverageOptions(settle=0.5, overlap=1, ahead=0.5, backfill=60)
    async with running(simulator, tmp_path, coverage=options) as plugged:
        await settled(simulator, plugged)
        assert set(map(float, range(10))) <= set(plugged.sink.of(TAG))


async def test_live_and_repaired_values_have_the_same_event_id(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        event = simulator.push(TAG, 2.0)
        await plugged.sink.until(lambda: 2.0 in plugged.sink.of(TAG))
        await plugged.covered(event.ticks + 1)
        covering = plugged.channel.covering
        assert covering is not None
        before = plugged.sink.of(TAG).count(2.0)
        covering.ledger.reopen([0], event.ticks, event.ticks + 1, "asked", plugged.now)
        await plugged.sink.until(lambda: plugged.sink.of(TAG).count(2.0) > before)
        assert {"live", "repair"} <= set(plugged.sink.lanes)
    ids = {s.event_id for s in plugged.sink.samples if s.value == 2.0}
    assert len(ids) == 1


async def test_what_pi_threw_away_without_a_sign_is_read_from_the_archive(
    tmp_path: Path,
) -> None:
    options = msgspec.structs.replace(QUICK, burst=50)
    plant = Plant(seed=1, tags=100)
    async with (
        Simulator(plant, poll=0.05, overflow=60) as simulator,
        running(simulator, tmp_path, coverage=options) as plugged,
    ):
        await settled(simulator, plugged)
        told: list[Any] = []
        plugged.channel.events.subscribe(
            lambda event: told.append(event.name) if "overflow" in event.name else None
        )
        for number in range(100):
            simulator.push(TAG, float(number))
        await plugged.hole("overflow")
        assert simulator.channels[0].lost
        await plugged.covered(simulator.clock.now())
        assert set(map(float, range(100))) <= set(plugged.sink.of(TAG))
    assert told == ["coverage.overflow"]


async def test_what_comes_of_the_time_delivered_has_lanes_of_its_own(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as plugged:
        await settled(simulator, plugged)
        sink, at = plugged.sink, simulator.push(TAG, 2.0).ticks
        # What PI had of that time has come by now, and is not late.
        await plugged.covered(at + SECOND)
        simulator.push(TAG, 3.0, at + SECOND // 10)
        simulator.edit(TAG, at, 4.0)
        simulator.push(TAG, 5.0)
        await sink.until(lambda: 5.0 in sink.of(TAG))
        simulator.delete(TAG, at)
        await sink.until(lambda: "delete" in sink.lanes)
    came = {(sample.value, lane) for sample, lane in sink.pairs}
    assert {(3.0, "late"), (4.0, "correction"), (5.0, "live")} <= came
    assert [sample.ticks for sample, lane in sink.pairs if lane == "delete"] == [at]


async def test_current_values_of_many_tags_are_no_overflow(tmp_path: Path) -> None:
    options = msgspec.structs.replace(QUICK, burst=50, repair=False)
    async with (
        Simulator(Plant(seed=1, tags=100, activity=0), poll=0.05) as simulator,
        running(simulator, tmp_path, tags=["*"], coverage=options) as plugged,
    ):
        await plugged.sink.until(lambda: len(plugged.sink.samples) >= 100)
        await plugged.reached(plugged.now + SECOND // 2)
        assert "overflow" not in plugged.reasons()
