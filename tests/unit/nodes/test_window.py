"""Windows as nodes: what goes out when, and what becomes of it when things fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nodes import split, window
from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Delivery
from pichannels.errors import CodecError, RetryLater, SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.persistence import MemoryPersistence, Persistence
from pichannels.retry import RetryPolicy
from pichannels.states import State
from pichannels.testing import RecordingNode
from pichannels.values import TICKS_PER_SECOND, DigitalState, Sample, Tag

START = 1_700_000_000 // 60 * 60
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
QUICK: dict[str, Any] = {"max_hold": 0.01}


def message(tag: str = "TI1", /, **values: Any) -> Message:
    """Values by the second after the start: `s5=1.5`."""
    name = Tag(tag, f"\\\\PI\\{tag}", server="PI", key="7", units="K")
    samples = [
        Sample(name, (START + int(second[1:])) * TICKS_PER_SECOND, value)
        for second, value in values.items()
    ]
    return Message(payload=samples)


def found(msg: Message) -> list[tuple[str, int, Any]]:
    return [
        (s.tag.name, s.ticks // TICKS_PER_SECOND - START, s.value) for s in msg.payload
    ]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield journal
    await journal.close()


class Failing(BaseNode):
    """Fails for the messages with these numbers, counted from 1."""

    def __init__(self, error: Exception, *numbers: int) -> None:
        super().__init__()
        self.error = error
        self.numbers = numbers
        self.count = 0
        self.called = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.count += 1
        self.called.set()
        if self.count in self.numbers:
            raise self.error
        return msg


class Plant:
    """A channel with a window, and what arrives behind it."""

    def __init__(
        self,
        *nodes: BaseNode,
        journal: Journal | None = None,
        kept: Persistence | None = None,
    ) -> None:
        self.arrived: asyncio.Queue[Message] = asyncio.Queue()
        self.channel = BaseChannel("plant", retry=RetryPolicy(attempts=0, initial=0.01))
        self.channel.add(*nodes, _To(self.arrived))
        self.channel.attach(journal=journal, persistence=kept)

    async def __aenter__(self) -> Plant:
        await self.channel.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.channel.stop()

    async def next(self) -> list[tuple[str, int, Any]]:
        return found(await asyncio.wait_for(self.arrived.get(), 10))


class _To(BaseNode):
    def __init__(self, arrived: asyncio.Queue[Message]) -> None:
        super().__init__(name="sink")
        self.arrived = arrived

    def process(self, msg: Message) -> Message:
        self.arrived.put_nowait(msg.copy())
        return msg


async def test_a_window_goes_out_with_the_first_value_behind_it() -> None:
    async with Plant(window.Tumbling(60, ["mean", "max"], **QUICK)) as plant:
        await plant.channel.handle(message(s1=1.0, s2=4, s3=TIMEOUT))
        await plant.channel.handle(message(s61=9))
        msg = await plant.arrived.get()
    assert found(msg) == [("TI1.mean", 0, 2.5), ("TI1.max", 0, 4)]
    tag = msg.payload[0].tag
    assert (tag.path, tag.key, tag.units) == ("\\\\PI\\TI1.mean", "7.mean", "K")


async def test_rows_have_all_of_a_window() -> None:
    node = window.Session(10, ["count", "p50"], output="rows", **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1, s5=1, s30=2))
        rows = (await plant.arrived.get()).payload
    assert rows == [
        {
            "tag": "TI1",
            "start": "2023-11-14T22:13:01Z",
            "end": "2023-11-14T22:13:05Z",
            "count": 2,
            "p50": 1,
            "revision": 0,
        }
    ]


async def test_other_payloads_are_read_by_getters() -> None:
    node = window.Tumbling(
        *(60, ["sum"]), key="device.id", time="at", value="kWh", **QUICK
    )
    rows = [
        {"device": {"id": 7}, "at": float(START + at), "kWh": at} for at in (1, 2, 60)
    ]
    async with Plant(node) as plant:
        await plant.channel.handle(Message(payload=rows))
        assert await plant.next() == [("7.sum", 0, 3)]


async def test_lines_are_drawn_unless_the_tag_is_stepped() -> None:
    async with Plant(window.Tumbling(60, ["time_average"], **QUICK)) as plant:
        await plant.channel.handle(message(s0=0.0, s60=60.0))
        stepped = message("TI2", s0=0.0, s60=60.0)
        stepped.meta["tags"] = {"TI2": {"step": True}}
        await plant.channel.handle(stepped)
        assert await plant.next() == [("TI1.time_average", 0, 30.0)]
        assert await plant.next() == [("TI2.time_average", 0, 0.0)]


async def test_late_values_go_aside() -> None:
    node = window.Tumbling(60, ["sum"], late="side", **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1, s61=1))
        await plant.channel.handle(message(s2=5, s121=1))
        messages = [await plant.arrived.get() for _ in range(3)]
    assert [found(msg) for msg in messages] == [
        [("TI1.sum", 0, 1)],
        [("TI1.sum", 60, 1)],
        [("TI1", 2, 5)],
    ]
    assert [msg.meta.get("late") for msg in messages] == [None, None, True]
    assert node.statistics() == {"keys": 1, "results": 2, "late": 1}


async def test_late_values_change_what_was_told() -> None:
    node = window.Tumbling(60, ["sum"], late="update", keep=600, **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1, s61=1))
        await plant.channel.handle(message(s2=5, s3=2))
        messages = [await plant.arrived.get() for _ in range(2)]
    assert [found(msg)[0][2] for msg in messages] == [1, 8]
    assert [msg.payload[0].substituted for msg in messages] == [False, True]


async def test_a_repaired_hole_changes_the_average_that_was_told() -> None:
    node = window.Tumbling(60, ["time_average"], late="update", keep=600, **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s0=0, s60=60))
        await plant.channel.handle(message(s20=60, s40=60))
        messages = [await plant.arrived.get() for _ in range(2)]
    assert [found(msg)[0][2] for msg in messages] == [30, 50]
    assert [msg.payload[0].substituted for msg in messages] == [False, True]


async def test_a_value_of_the_future_does_not_make_others_late() -> None:
    node = window.Tumbling(60, ["sum"], late="side", **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1, s9999999999=7))
        assert await plant.next() == [("TI1", 9_999_999_999, 7)]
        await plant.channel.handle(message(s2=2, s61=1))
        assert await plant.next() == [("TI1.sum", 0, 3)]


async def test_corrections_are_not_counted() -> None:
    node = window.Tumbling(60, ["sum"], **QUICK)
    async with Plant(node) as plant:
        msg = message(s1=1)
        msg.meta["lane"] = "correction"
        await plant.channel.handle(msg)
        await plant.channel.handle(message(s2=2, s61=1))
        assert await plant.next() == [("TI1.sum", 0, 2)]


async def test_replays_have_windows_of_their_own() -> None:
    node = window.Tumbling(60, ["sum"], **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1, s61=1))
        await plant.next()
        again = message(s1=1, s61=1)
        again.meta["lane"] = "replay"
        await plant.channel.handle(again)
        assert await plant.next() == [("TI1.sum", 0, 1)]


class Wall:
    """A wall clock that stands where it is put; durations are real."""

    def __init__(self, second: int) -> None:
        self.ticks = (START + second) * TICKS_PER_SECOND

    def now(self) -> int:
        return self.ticks

    def monotonic(self) -> float:
        return clock.SystemClock().monotonic()


async def test_the_window_of_a_silent_tag_is_closed_by_the_clock() -> None:
    node = window.Tumbling(60, ["count"], idle=0.05, **QUICK)
    with clock.use(Wall(59)) as wall:
        async with Plant(node) as plant:
            await plant.channel.handle(message(s1=1))
            await asyncio.sleep(0.1)
            assert plant.arrived.empty()
            wall.ticks += 2 * TICKS_PER_SECOND  # type: ignore[attr-defined]
            assert await plant.next() == [("TI1.count", 0, 1)]


async def test_much_of_what_time_gives_goes_out_in_several_messages() -> None:
    node = window.Tumbling(1, ["time_average", "count"], idle=0.05, ahead=None, **QUICK)
    many = [
        Sample(Tag(f"TI{number}"), START * TICKS_PER_SECOND, 1.0) for number in range(6)
    ]
    with clock.use(Wall(900)):
        async with Plant(node) as plant:
            await plant.channel.handle(Message(payload=many))
            sizes = [len(await plant.next()) for _ in range(4)]
    # Two results for each of 899 windows of a tag.
    assert (max(sizes), sum(sizes)) == (5000, 6 * 2 * 899)


async def test_nothing_is_closed_while_the_channel_is_paused() -> None:
    node = window.Session(10, ["count"], idle=0.03, **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message(s1=1))
        await plant.channel.pause()
        await asyncio.sleep(0.1)
        assert plant.arrived.empty()
        await plant.channel.resume()
        assert await plant.next() == [("TI1.count", 1, 1)]


async def test_what_time_gives_goes_on_behind_a_case() -> None:
    node = window.Tumbling(60, ["count"], idle=0.05, **QUICK)
    arrived: asyncio.Queue[Message] = asyncio.Queue()
    channel = BaseChannel("plant")
    (branch,) = channel.case(lambda msg: True)
    branch.add(node)
    channel.add(_To(arrived))
    await channel.start()
    await channel.handle(message(s1=1))
    msg = await asyncio.wait_for(arrived.get(), 10)
    await channel.stop()
    assert found(msg) == [("TI1.count", 0, 1)]


async def test_what_fails_alone_goes_with_the_next_message(journal: Journal) -> None:
    node = window.Tumbling(60, ["count"], idle=0.05, **QUICK)
    failing = Failing(ValueError("no"), 1)
    async with Plant(node, failing, journal=journal) as plant:
        await plant.channel.accept(message(s1=1))
        await asyncio.wait_for(failing.called.wait(), 10)
        await plant.channel.accept(message("TI2", s5=1))
        assert await plant.next() == [("TI1.count", 0, 1)]


async def test_a_message_that_runs_again_counts_once(journal: Journal) -> None:
    node = window.Tumbling(60, ["sum"], **QUICK)
    failing = Failing(RetryLater("not now", 0.01), 1, 2)
    async with Plant(split.Split(1), node, failing, journal=journal) as plant:
        await plant.channel.accept(message(s1=1, s61=2, s62=3))
        assert await plant.next() == [("TI1.sum", 0, 1)]
        await plant.channel.accept(message(s121=4))
        assert await plant.next() == [("TI1.sum", 60, 5)]


async def test_a_dead_letter_gives_its_windows_when_it_is_redriven(
    journal: Journal,
) -> None:
    node = window.Tumbling(60, ["sum"], **QUICK)
    async with Plant(node, Failing(ValueError("no"), 1), journal=journal) as plant:
        await plant.channel.accept(message(s1=1, s61=2))
        await plant.channel.drain()
        # The windows are told, not the failure: it goes on, also after a restart.
        await plant.channel.restart()
        (record,) = await journal.search("plant", state=State.ERROR)
        delivery = Delivery()
        delivery.is_redrive, delivery.seq = True, record.seq
        await plant.channel.run_from(record.message(), delivery)
        assert await plant.next() == [("TI1.sum", 0, 1)]
        await plant.channel.accept(message(s121=4))
        assert await plant.next() == [("TI1.sum", 60, 2)]


async def test_open_windows_outlive_the_process(journal: Journal) -> None:
    def node() -> window.Tumbling:
        return window.Tumbling(60, ["first", "p99", "stddev", "sum"], **QUICK)

    state = DigitalState("Open", 3)
    for msg in (message(s1=state, s2=1), message(s3=3)):
        async with Plant(node(), journal=journal) as plant:
            await plant.channel.accept(msg)
    async with Plant(node(), journal=journal) as plant:
        await plant.channel.accept(message(s61=9))
        values = [value for _, _, value in await plant.next()]
    assert values == [
        state,
        pytest.approx(3, rel=0.01),
        pytest.approx(2**0.5),
        4,
    ]


async def test_a_message_that_was_about_to_settle_counts_once() -> None:
    memory, msg = MemoryPersistence(), message(s1=1, s2=2)
    # As after a crash in a channel with a store of its own, which is told first.
    for came in (msg, msg.copy()):
        async with Plant(window.Tumbling(60, ["sum"], **QUICK), kept=memory) as plant:
            await plant.channel.handle(came)
    async with Plant(window.Tumbling(60, ["sum"], **QUICK), kept=memory) as plant:
        await plant.channel.handle(message(s61=1))
        assert await plant.next() == [("TI1.sum", 0, 3)]


async def test_other_windows_begin_anew_and_that_is_told(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async with Plant(window.Tumbling(60, ["sum"], **QUICK), journal=journal) as plant:
        await plant.channel.accept(message(s1=1))
    with caplog.at_level(logging.WARNING):
        node = window.Tumbling(30, ["sum"], name="Tumbling", **QUICK)
        async with Plant(node, journal=journal) as plant:
            await plant.channel.accept(message(s2=2, s31=3))
            assert await plant.next() == [("TI1.sum", 0, 2)]
    assert "the windows of 1 keys begin anew" in caplog.text


async def test_a_message_is_settled_when_its_state_is_saved(journal: Journal) -> None:
    node = window.Tumbling(60, ["sum"], max_hold=30)
    reached = Failing(ValueError())
    async with Plant(reached, node, journal=journal) as plant:
        await plant.channel.accept(message(s1=1))
        await asyncio.wait_for(reached.called.wait(), 10)
        assert journal.count_unsettled("plant") == 1
        await plant.channel.abort()
    saved = await node.restore_data("state.0")
    assert saved


async def test_values_are_joined_with_the_last_ones_of_others() -> None:
    node = window.Join(
        *("FI*", {"density": "DI1"}),
        tolerance=60,
        compute=lambda v, density: v * density,
        **QUICK,
    )
    async with Plant(node) as plant:
        await plant.channel.handle(message("DI1", s1=2, s10=3))
        await plant.channel.handle(message("FI1", s5=10, s10=10))
        await plant.channel.handle(message("DI1", s16=4))
        assert await plant.next() == [("FI1", 5, 20), ("FI1", 10, 30)]


async def test_a_join_gives_rows_and_tells_what_is_missing() -> None:
    node = window.Join("FI1", {"temp": ["TI1", "TI2"]}, tolerance=10, **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message("TI1", s1=20.5))
        await plant.channel.handle(message("FI1", s5=1, s12=2, s18=3))
        rows = (await plant.arrived.get()).payload
    assert [(row["value"], row["temp"]) for row in rows] == [(1, 20.5), (2, None)]
    assert rows[0]["time"] == "2023-11-14T22:13:05Z"


async def test_an_error_in_the_computation_is_the_value() -> None:
    node = window.Join("FI1", {"d": "DI1"}, compute=lambda v, d: v / d, **QUICK)
    async with Plant(node) as plant:
        await plant.channel.handle(message("DI1", s1=0))
        await plant.channel.handle(message("FI1", s5=1, s16=1))
        sample = (await plant.arrived.get()).payload[0]
    assert not sample.good and "division by zero" in sample.value.message


async def test_what_is_no_batch_is_told() -> None:
    async with Plant(window.Tumbling(60)) as plant:
        with pytest.raises(UsageError, match=r"decode\.PI"):
            await plant.channel.handle(Message(payload={"a": 1}))


async def test_what_cannot_be_saved_is_told_before_anything_changes() -> None:
    node = window.Tumbling(60, ["last"], time="at", value="v", **QUICK)
    async with Plant(node) as plant:
        with pytest.raises(CodecError, match="no codec"):
            await plant.channel.handle(Message(payload={"at": START, "v": object()}))
    assert node.statistics()["keys"] == 0


@pytest.mark.parametrize(
    "options",
    [{"tag": "{aggregate}"}, {"tag": "{tag}"}, {"output": "row"}, {"idle": 0}],
    ids=str,
)
def test_what_cannot_be_is_told(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        window.Tumbling(60, **options)


async def test_without_a_delivery_it_can_be_called_in_a_test() -> None:
    node = window.Hopping(60, 30, ["count"])
    result = node.process(message(s1=1, s31=1))
    assert isinstance(result, Message)
    assert found(result) == [("TI1.count", -30, 1)]


async def test_a_sample_without_time_is_no_value() -> None:
    recording = RecordingNode()
    async with Plant(window.Tumbling(60, ["count"], **QUICK), recording) as plant:
        await plant.channel.handle(Message(payload=[Sample(Tag("TI1"), 0, None)]))
        await plant.channel.handle(message(s1=1))
    assert recording.messages == []
