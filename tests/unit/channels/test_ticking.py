"""Timers and crons: which instants run, which do not, and that stopping stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.channels.cron import CronChannel, CronSchedule
from pichannels.channels.ticking import TickingChannel
from pichannels.channels.timer import IntervalSchedule, TimerChannel
from pichannels.errors import SettingsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.testing import ManualClock, RecordingNode
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

BEGIN = "2026-03-01T12:00:00Z"
BERLIN = ZoneInfo("Europe/Berlin")


class Hands(ManualClock):
    """A clock that a test moves, and the waiting that goes by it."""

    def __init__(self) -> None:
        super().__init__(BEGIN)
        self._waiting: list[asyncio.Future[None]] = []

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def pass_by(self, seconds: float, step: float | None = None) -> None:
        """Let time pass, at once or in steps, and all that is due happen."""
        await rest()
        for _ in range(1 if step is None else round(seconds / step)):
            self.advance(seconds if step is None else step)
            await self.wake()

    async def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        await rest()


async def rest() -> None:
    """Let everything happen that need not wait."""
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
def hands() -> Iterator[Hands]:
    with Hands() as hands:
        yield hands


class Gate(BaseNode):
    """Lets messages pass when it is open."""

    def __init__(self) -> None:
        super().__init__(name="gate")
        self.is_open = asyncio.Event()

    async def process(self, msg: Message) -> Message:
        await self.is_open.wait()
        return msg


def every(interval: float, hands: Hands, **options: Any) -> TimerChannel:
    channel = TimerChannel("timer", interval=interval, **options)
    channel.sleep = hands.sleep
    channel.add(RecordingNode(name="sink"))
    return channel


def at(cron: str, hands: Hands, **options: Any) -> CronChannel:
    channel = CronChannel("cron", cron=cron, **{"timezone": "UTC", **options})
    channel.sleep = hands.sleep
    channel.add(RecordingNode(name="sink"))
    return channel


def messages(channel: TickingChannel) -> list[Message]:
    sink = next(node for node in channel.nodes() if node.name == "sink")
    assert isinstance(sink, RecordingNode)
    return sink.messages


def times(channel: TickingChannel) -> list[str]:
    return [f"{msg.payload:%H:%M:%S}" for msg in messages(channel)]


# Instants


async def test_a_timer_runs_every_so_often_from_its_start(hands: Hands) -> None:
    channel = every(10, hands)
    await channel.start()
    await hands.pass_by(35, step=5)
    assert times(channel) == ["12:00:10", "12:00:20", "12:00:30"]
    await channel.stop()


async def test_a_timer_can_run_at_once(hands: Hands) -> None:
    channel = every(10, hands, at_once=True)
    await channel.start()
    await hands.pass_by(12, step=4)
    assert times(channel) == ["12:00:00", "12:00:10"]
    await channel.stop()


async def test_a_timer_can_keep_to_full_hours(hands: Hands) -> None:
    hands.advance(1000)
    channel = every(3600, hands, aligned=True, timezone="Europe/Berlin")
    await channel.start()
    await hands.pass_by(7200, step=60)
    assert times(channel) == ["14:00:00", "15:00:00"]
    await channel.stop()


async def test_a_cron_runs_at_its_times(hands: Hands) -> None:
    channel = at("*/15 * * * *", hands)
    await channel.start()
    await hands.pass_by(3600, step=30)
    assert times(channel) == ["12:15:00", "12:30:00", "12:45:00", "13:00:00"]
    await channel.stop()


async def test_with_six_fields_the_second_comes_first(hands: Hands) -> None:
    channel = at("*/20 1 * * * *", hands)
    await channel.start()
    await hands.pass_by(180, step=5)
    assert times(channel) == ["12:01:00", "12:01:20", "12:01:40"]
    await channel.stop()


async def test_the_payload_is_an_aware_datetime_of_the_schedule(hands: Hands) -> None:
    channel = at("30 13 * * *", hands, timezone="Europe/Berlin")
    await channel.start()
    await hands.pass_by(1800 + 7)
    (msg,) = messages(channel)
    planned = datetime(2026, 3, 1, 13, 30, tzinfo=BERLIN)
    assert (msg.payload, msg.payload.tzinfo) == (planned, BERLIN)
    assert msg.meta["actual"] == planned + timedelta(seconds=7)
    await channel.stop()


@pytest.mark.parametrize(
    ("begin", "runs"),
    [
        ("2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
    ],
)
def test_a_daily_cron_runs_once_on_days_of_23_and_25_hours(
    begin: str, runs: list[str]
) -> None:
    schedule = CronSchedule("30 2 * * *", BERLIN)
    instant: int | None = parse_ticks(begin)
    found = []
    for _ in runs:
        assert instant is not None
        instant = schedule.after(instant)
        assert instant is not None
        found.append(format_ticks(instant))
    assert found == runs


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["*/7 * * * *", "0 3 * * 1", "15,45 8-17 * * *", "*/40 * * * * *"]),
    st.integers(0, 40 * 366 * 86400),
    st.integers(0, 86400),
)
def test_going_back_gives_the_instants_of_going_on(
    cron: str, begin: int, length: int
) -> None:
    schedule = CronSchedule(cron, UTC)
    first, until = begin * TICKS_PER_SECOND, (begin + length) * TICKS_PER_SECOND
    found, instant = [], schedule.after(first - TICKS_PER_SECOND)
    while instant is not None and instant <= until:
        found.append(instant)
        instant = schedule.after(instant)
    assert schedule.between(first, until, 50) == found[-50:]


@settings(deadline=None)
@given(
    st.integers(1, 10**10),
    st.integers(0, 10**17),
    st.integers(0, 10**12),
    st.booleans(),
)
def test_instants_of_an_interval_follow_each_other(
    interval: int, now: int, length: int, aligned: bool
) -> None:
    seconds = interval / TICKS_PER_SECOND
    schedule = IntervalSchedule(seconds, aligned=aligned, at_once=False)
    first = schedule.begin(None, now)
    assert first is not None and now < first <= now + interval
    found = schedule.between(first, first + length, 20)
    assert found[-1] <= first + length < (schedule.after(found[-1]) or 0)
    steps = {b - a for a, b in zip(found, found[1:], strict=False)}
    assert steps <= {schedule._interval}


# Starting and stopping


async def test_after_stop_nothing_runs(hands: Hands) -> None:
    channel = every(10, hands)
    await channel.start()
    await channel.stop()
    await hands.pass_by(100, step=5)
    assert (times(channel), channel.is_stopped()) == ([], True)


@pytest.mark.parametrize("make", [every, lambda _, hands: at("* * * * *", hands)])
async def test_a_restart_does_not_double_the_ticks(
    hands: Hands, make: Callable[[float, Hands], TickingChannel]
) -> None:
    channel = make(60, hands)
    for _ in range(3):
        await channel.start()
        await hands.pass_by(1)
        await channel.stop()
    await channel.start()
    await hands.pass_by(120, step=5)
    assert len(messages(channel)) == 2
    await channel.stop()


async def test_stop_waits_for_the_message_in_work(hands: Hands) -> None:
    channel, gate = every(10, hands), Gate()
    channel.steps.insert(0, gate)
    await channel.start()
    await hands.pass_by(10)
    stopping = asyncio.create_task(channel.stop())
    await rest()
    gate.is_open.set()
    await stopping
    assert times(channel) == ["12:00:10"]


async def test_no_task_is_left_after_stop(hands: Hands) -> None:
    before = asyncio.all_tasks()
    channel = every(10, hands, drain_timeout=0.01)
    channel.steps.insert(0, Gate())
    await channel.start()
    await hands.pass_by(10)
    await channel.stop()
    assert asyncio.all_tasks() == before


# Overlap


async def test_what_comes_while_one_is_in_work_is_left_out(hands: Hands) -> None:
    channel, gate = every(10, hands), Gate()
    channel.steps.insert(0, gate)
    await channel.start()
    await hands.pass_by(30, step=10)
    gate.is_open.set()
    await rest()
    await hands.pass_by(10)
    assert times(channel) == ["12:00:10", "12:00:40"]
    assert messages(channel)[1].meta["missed"] == 2
    assert channel.statistics()["overlapped"] == 2
    await channel.stop()


async def test_with_overlap_each_runs(hands: Hands) -> None:
    channel, gate = every(10, hands, overlap=True), Gate()
    channel.steps.insert(0, gate)
    await channel.start()
    await hands.pass_by(30, step=10)
    gate.is_open.set()
    await rest()
    assert times(channel) == ["12:00:10", "12:00:20", "12:00:30"]
    await channel.stop()


async def test_a_failure_does_not_end_the_schedule(hands: Hands) -> None:
    class Failing(RecordingNode):
        def process(self, msg: Message) -> Message:
            super().process(msg)
            raise ValueError("no")

    channel = TimerChannel("timer", interval=10)
    channel.sleep = hands.sleep
    channel.add(Failing(name="sink"))
    await channel.start()
    await hands.pass_by(30, step=10)
    assert (len(messages(channel)), channel.failed) == (3, 3)
    await channel.stop()


# What was missed


@pytest.mark.parametrize(
    ("catch_up", "ran"),
    [
        ("none", ["15:00:00"]),
        ("last", ["14:00:00", "15:00:00"]),
        ("all", ["13:00:00", "14:00:00", "15:00:00"]),
    ],
)
async def test_after_the_machine_has_slept(
    hands: Hands, catch_up: str, ran: list[str]
) -> None:
    channel = at("0 * * * *", hands, catch_up=catch_up)
    await channel.start()
    await hands.pass_by(2.5 * 3600)
    await hands.pass_by(1800)
    assert times(channel) == ran
    assert channel.missed == 3 - len(ran)
    await channel.stop()


async def test_what_is_a_little_late_runs(hands: Hands) -> None:
    channel = at("0 * * * *", hands)
    await channel.start()
    await hands.pass_by(3600 + 59)
    assert (times(channel), channel.missed) == (["13:00:00"], 0)
    await channel.stop()


async def test_a_clock_that_is_set_back_does_not_stop_a_timer(hands: Hands) -> None:
    channel = every(10, hands)
    await channel.start()
    await rest()
    hands.set("2026-03-01T02:00:00Z")
    await hands.wake()
    await hands.pass_by(20, step=5)
    assert times(channel) == ["02:00:10", "02:00:20"]
    await channel.stop()


async def test_a_clock_that_is_set_back_repeats_no_time(hands: Hands) -> None:
    channel = at("0 * * * *", hands)
    await channel.start()
    await hands.pass_by(3600)
    await rest()
    hands.set("2026-03-01T12:30:00Z")
    await hands.wake()
    await hands.pass_by(3 * 1800, step=60)
    assert times(channel) == ["13:00:00", "14:00:00"]
    await channel.stop()


# With a journal


@pytest.fixture
async def journal(tmp_path: Path, hands: Hands) -> AsyncIterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite", durability="normal")
    await opened.open()
    yield opened
    await opened.close()


async def until_settled(channel: TickingChannel, journal: Journal) -> None:
    async with asyncio.timeout(30):
        while True:
            await journal.flush()
            await rest()
            if not journal.count_unsettled(channel.name) and not channel._unsettled:
                return


async def test_a_tick_is_durable_before_the_first_node(
    hands: Hands, journal: Journal
) -> None:
    channel, gate = every(10, hands), Gate()
    channel.steps.insert(0, gate)
    channel.attach(journal=journal)
    await channel.start()
    await hands.pass_by(10)
    async with asyncio.timeout(30):
        while not channel.received:
            await journal.flush()
    assert journal.count_unsettled("timer") == 1
    await hands.pass_by(10)
    gate.is_open.set()
    await until_settled(channel, journal)
    assert (times(channel), channel.overlapped) == (["12:00:10"], 1)
    await channel.stop()


@pytest.mark.parametrize(
    ("catch_up", "ran"),
    [("none", []), ("last", ["15:00:00"]), ("all", ["14:00:00", "15:00:00"])],
)
async def test_after_a_restart(
    hands: Hands, journal: Journal, catch_up: str, ran: list[str]
) -> None:
    first = at("0 * * * *", hands, catch_up=catch_up)
    first.attach(journal=journal)
    await first.start()
    await hands.pass_by(3600)
    await until_settled(first, journal)
    await first.stop()
    hands.advance(2 * 3600 + 600)
    second = at("0 * * * *", hands, catch_up=catch_up)
    second.attach(journal=journal)
    await second.start()
    async with asyncio.timeout(30):
        while len(messages(second)) < len(ran):
            await journal.flush()
            await rest()
    await until_settled(second, journal)
    assert times(second) == ran
    await second.stop()


# Options


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("", "there is none"),
        ("* * *", "it has 3 fields"),
        ("61 * * * *", "the minute cannot be '61'"),
        ("* * * * * FOO", "the day-of-week cannot be 'FOO'"),
        ("99 * * * * *", "the second cannot be '99'"),
        ("0 0 30 2 *", "the day-of-month cannot be '30'"),
    ],
)
def test_a_wrong_cron_string_is_told_with_what_is_wrong(cron: str, told: str) -> None:
    with pytest.raises(SettingsError, match="cron string is wrong") as caught:
        CronChannel("cron", cron=cron)
    assert told in str(caught.value)
    assert (caught.value.key, caught.value.found) == ("cron", cron)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": "1 h"}, "interval"),
        ({"interval": 1, "timezone": "Europe/Belin"}, "'Europe/Berlin'"),
        ({"interval": 1, "catch_up": "al"}, "did you mean 'all'"),
        ({"interval": 1, "grace": -1}, "grace"),
    ],
)
def test_options_that_are_not_usable_are_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        TimerChannel("timer", **options)


def test_without_a_zone_a_cron_takes_that_of_the_machine() -> None:
    channel = CronChannel("cron", cron="0 7 * * *")
    assert channel.timezone.utcoffset(datetime(2026, 1, 1)) is not None
