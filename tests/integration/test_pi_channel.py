"""`PIWebChannel` against the simulator, with faults from the simulator's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.coverage.views import totals
from pichannels.errors import UsageError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.manifest import decode_manifest
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND as SECOND, DigitalState, Sample

QUIET = "UNIT1.SPARE.AI1"
"""A tag that the plant itself never writes."""
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


class Sink(BaseNode):
    """Keeps what comes, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.samples: list[Sample] = []
        self.messages: list[Message] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            self.samples.extend(s for s in msg.payload if s.tag.name == QUIET)
            self.messages.append(msg)
            self._changed.notify_all()
        return msg

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    @property
    def values(self) -> list[Any]:
        return [sample.value for sample in self.samples]


class Watched:
    """A running channel, its sink and the events that it fired."""

    def __init__(self, channel: PIWebChannel, sink: Sink, journal: Journal) -> None:
        self.channel = channel
        self.sink = sink
        self.journal = journal
        self.events: list[Event] = []
        self._heard = asyncio.Event()
        channel.events.subscribe(self._listen)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self._heard.set()

    async def event(self, name: str, count: int = 1) -> Event:
        while True:
            found = [event for event in self.events if event.name == name]
            if len(found) >= count:
                return found[count - 1]
            self._heard.clear()
            await self._heard.wait()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100), poll=0.02) as running:
        yield running


@asynccontextmanager
async def running(
    simulator: Simulator, folder: Path, **options: Any
) -> AsyncIterator[Watched]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    options.setdefault("tags", [QUIET])
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        server="PLANT",
        heartbeat=2,
        reconnect=SOON,
        message_store_factory=SQLiteMessageStoreFactory(),
        **options,
    )
    sink = Sink()
    channel.add(decode.PI(), sink)
    channel.attach(journal=journal)
    watched = Watched(channel, sink, journal)
    await channel.start()
    try:
        yield watched
    finally:
        await channel.stop()
        await journal.close()


async def test_live_values_arrive_as_samples(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await simulator.connected()
        simulator.push(QUIET, 12.5)
        await watched.sink.until(lambda: 12.5 in watched.sink.values)
        sample = watched.sink.samples[-1]
    assert (sample.tag.server, sample.tag.key.isdigit(), sample.good) == (
        "PLANT",
        True,
        True,
    )


async def test_a_system_state_is_no_number(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await simulator.connected()
        simulator.push(QUIET, "I/O Timeout")
        state = DigitalState("I/O Timeout", 246, True)
        await watched.sink.until(lambda: state in watched.sink.values)
    assert not watched.sink.samples[-1].good


async def test_messages_are_kept_with_a_manifest(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await simulator.connected()
        simulator.push(QUIET, 1.0)
        await watched.sink.until(lambda: 1.0 in watched.sink.values)
        sample = watched.sink.samples[-1]
        stored = watched.sink.messages[-1].store_id
        assert stored is not None
        record = await watched.journal.get("plant", int(stored))
    assert record is not None and record.manifest is not None
    (entry,) = decode_manifest(record.manifest)
    assert (entry.last, entry.count) == (sample.ticks, 1)


@pytest.mark.parametrize("how", ["close", "fin", "reset"])
async def test_a_lost_channel_is_opened_again(
    simulator: Simulator, tmp_path: Path, how: str
) -> None:
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.connected")
        simulator.faults.inject("drop", how=how)
        await watched.event("pi.lost")
        await watched.event("pi.connected", 2)
        simulator.push(QUIET, 7.0)
        await watched.sink.until(lambda: 7.0 in watched.sink.values)
    assert watched.channel.losses == 1


async def test_a_frame_that_is_no_json_costs_itself_alone(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.connected")
        simulator.send(b'{"Items": [{"WebId"')
        await watched.event("message.failed")
        simulator.push(QUIET, 3.0)
        await watched.sink.until(lambda: 3.0 in watched.sink.values)
        failed = await watched.journal.search("plant", state="error")
    assert [record.message().payload for record in failed] == [b'{"Items": [{"WebId"']


async def test_a_stalled_server_is_noticed(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, poll_interval=0.1) as watched:
        await watched.event("pi.connected")
        simulator.faults.stall()
        lost = await watched.event("pi.lost")
        simulator.faults.resume()
        await watched.event("pi.connected", 2)
    assert lost.facts["reason"] == "silence"


async def test_half_a_message_is_not_processed(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.connected")
        simulator.faults.half_message()
        simulator.push(QUIET, 4.0)
        await watched.event("pi.connected", 2)
        simulator.push(QUIET, 5.0)
        await watched.sink.until(lambda: 5.0 in watched.sink.values)
    assert watched.channel.failed == 0


async def test_a_tag_that_is_not_there_costs_no_other(
    simulator: Simulator, tmp_path: Path
) -> None:
    tags = [QUIET, r"\\SIMSRV\NO.SUCH.TAG"]
    async with running(simulator, tmp_path, tags=tags) as watched:
        await watched.event("pi.connected")
        simulator.push(QUIET, 6.0)
        await watched.sink.until(lambda: 6.0 in watched.sink.values)
        unresolved = watched.channel.unresolved
    assert list(unresolved) == [r"\\SIMSRV\NO.SUCH.TAG"]


async def test_many_tags_share_few_pi_channels(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, tags=["UNIT*"], url_length=2000) as watched:
        await simulator.connected(2)
        facts = watched.channel.statistics()
    assert (facts["tags"], facts["pi_channels"]) == (100, 3)


async def test_tags_are_resolved_again_until_the_server_answers(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.status(503, count=None)
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.unresolved")
        before = watched.channel.statistics()["trouble"]
        simulator.faults.clear()
        await watched.event("pi.connected")
        after = watched.channel.statistics()["trouble"]
    assert watched.channel.points[0].name == QUIET
    assert ("503" in before, after) == (True, "")


async def test_resolved_tags_serve_a_restart_without_http(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.connected")
    simulator.faults.status(500, count=None, path="points")
    async with running(simulator, tmp_path) as watched:
        await watched.event("pi.connected")
        simulator.push(QUIET, 8.0)
        await watched.sink.until(lambda: 8.0 in watched.sink.values)
    assert not [event for event in watched.events if event.name == "pi.unresolved"]


async def test_a_forgotten_web_id_is_resolved_again(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, tags=[QUIET, "UNIT1.FEED.FLOW"]) as first:
        await first.event("pi.connected")
    simulator.faults.tag("UNIT1.FEED.FLOW", 404)
    simulator.faults.status(404, path="channel")
    async with running(simulator, tmp_path, tags=[QUIET, "UNIT1.FEED.FLOW"]) as watched:
        await watched.event("pi.connected")
    assert list(watched.channel.unresolved) == ["UNIT1.FEED.FLOW"]


async def test_frames_that_wait_become_one_message(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, initial_values=False) as watched:
        await watched.event("pi.connected")
        for number in range(200):
            simulator.push(QUIET, float(number))
            simulator.tick()
        await watched.sink.until(lambda: len(watched.sink.samples) >= 200)
    assert watched.sink.values == [float(number) for number in range(200)]
    assert len(watched.sink.messages) < 200


async def test_what_was_received_is_accepted_at_the_stop(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with running(simulator, tmp_path, initial_values=False) as watched:
        await watched.event("pi.connected")
        for number in range(50):
            simulator.push(QUIET, float(number))
            simulator.tick()
        await watched.sink.until(lambda: len(watched.sink.samples) >= 1)
    received = watched.channel.statistics()["events"]
    assert len(watched.sink.samples) == received


@pytest.mark.parametrize("url", ["pi.example.com", "ftp://pi/piwebapi", "", "https://"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="looks like https://pi"):
        PIWebChannel("plant", url=url, tags=["A"])


@pytest.mark.parametrize("tags", [[], [""], [3]])
def test_tags_that_are_none_are_told(tags: list[Any]) -> None:
    with pytest.raises(UsageError, match="tags"):
        PIWebChannel("plant", url="https://pi/piwebapi", tags=tags)


class Gate(BaseNode):
    """A sink that acknowledges nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__(name="gate")
        self.open = asyncio.Event()

    def process(self, msg: Message) -> Pending:
        return Pending(msg, self.open.wait())


async def push_until(
    simulator: Simulator, value: float, end: Coroutine[Any, Any, None]
) -> None:
    ended = asyncio.create_task(end)
    while not ended.done():
        simulator.push(QUIET, value)
        simulator.tick()
        await asyncio.sleep(0.001)


async def test_intake_without_room_closes_the_channel_and_comes_back(
    simulator: Simulator, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite", budget=20_000)
    await journal.open()
    channel = PIWebChannel(
        "plant",
        url=simulator.url,
        tags=[QUIET],
        initial_values=False,
        buffer_bytes=2_000,
        max_block=0.2,
        reconnect=SOON,
    )
    gate, sink = Gate(), Sink()
    channel.add(decode.PI(), sink, gate)
    channel.attach(journal=journal)
    watched = Watched(channel, sink, journal)
    await channel.start()
    await watched.event("pi.connected")
    await push_until(simulator, 1.0, simulator.disconnected())
    # It is told while nothing moves.
    lost = await watched.event("pi.lost")
    assert channel.statistics()["open"] == 0 and journal.is_full
    assert channel.covering is not None
    ledger, now = channel.covering.ledger, channel.covering.server.now()
    assert "backpressure" in totals(ledger, now + 60 * SECOND).holes
    gate.open.set()
    # Sent again and again, since a busy machine may lose the channel once more.
    await push_until(simulator, 2.0, sink.until(lambda: 2.0 in sink.values))
    await channel.stop()
    await journal.close()
    assert lost.facts["reason"] == "backpressure"
