"""From one plant to another: PIWebChannel, publish.PI, and the archives of both."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nodes import decode, enrich, publish
from nodes._queue import Item
from pichannels.channels.base import BaseChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.journal import Journal
from pichannels.limiter import Limits
from pichannels.message import Message
from pichannels.piwebasync.limiting import Limiters
from pichannels.piwebasync.server import PIServer
from pichannels.retry import RetryPolicy
from pichannels.simulator import Event, Member, Plant, Server, Simulator
from pichannels.values import Sample, Tag, parse_ticks

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
TEMP, PUMP, TEXT = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS", "UNIT1.BATCH.ID"
COUNT = "UNIT1.PRODUCT.COUNT"
NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")


class Sink(publish.PI):
    """Lets a test wait until so many values are written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changed = asyncio.Event()

    def settle(self, group: Sequence[Item]) -> None:
        super().settle(group)
        self._changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.written < count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def origin() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=50, activity=0), poll=0.02) as simulator:
        yield simulator


@pytest.fixture
async def target() -> AsyncIterator[Simulator]:
    plant = Plant(tags=50, activity=0, server=Server(name="COPYSRV"))
    async with Simulator(plant, poll=0.02) as simulator:
        yield simulator


def copying(
    origin: Simulator, target: Simulator, **options: Any
) -> tuple[PIWebChannel, Sink]:
    known: dict[str, Any] = {"url": target.url, "retry": SOON}
    sink = Sink(r"\\COPYSRV\{name}", **(known | options))
    channel = PIWebChannel(
        "copy", url=origin.url, server="PLANT", tags=["UNIT1.*"], reconnect=SOON
    )
    channel.add(decode.PI(), sink)
    return channel, sink


def events(sim: Simulator, name: str) -> list[Event]:
    return sim.truth(name, sim.plant.created + 1, sim.clock.now())


async def test_a_copy_is_exact(
    origin: Simulator, target: Simulator, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel, sink = copying(origin, target)
    channel.attach(journal=journal)
    await channel.start()
    await origin.connected()
    start = origin.clock.now()
    for n in range(20):
        origin.push(TEMP, n + 0.25, start + n, questionable=n == 3)
    for name, value in ((PUMP, "TRIPPED"), (TEMP, "I/O Timeout"), (TEXT, "B-7")):
        origin.push(name, value, start + 50)
    origin.push(COUNT, 12, start + 50)
    await sink.until(24)
    await channel.stop()
    await journal.close()
    for name in (TEMP, PUMP, TEXT, COUNT):
        assert events(target, name) == events(origin, name)


async def test_an_outage_of_the_target_loses_nothing(
    origin: Simulator, target: Simulator, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel, sink = copying(origin, target)
    channel.attach(journal=journal)
    await channel.start()
    await origin.connected()
    start = origin.clock.now()
    origin.push(TEMP, 0.5, start)
    await sink.until(1)
    await target.close()
    for n in range(1, 10):
        origin.push(TEMP, n + 0.5, start + n)
    await target.open()
    await sink.until(10)
    await channel.stop()
    await journal.close()
    assert events(target, TEMP) == events(origin, TEMP)


async def test_what_was_written_but_not_settled_is_there_once_after_a_restart(
    target: Simulator, tmp_path: Path
) -> None:
    samples = [Sample(Tag(TEMP), NOON + n, n + 0.5) for n in range(5)]
    # The values are written, and the answer says that something broke.
    target.faults.web_exception(None, method="POST")
    for _ in range(2):
        journal = Journal(tmp_path / "journal.sqlite")
        await journal.open()
        channel = BaseChannel("copy", drain_timeout=0.1)
        sink = Sink(r"\\COPYSRV\{name}", url=target.url, retry=SOON)
        channel.add(sink)
        channel.attach(journal=journal)
        await channel.start()
        if samples:
            await channel.accept(Message(payload=samples))
            samples = []
        else:
            await sink.until(5)
        await channel.stop()
        await journal.close()
        target.faults.clear()
    found = target.truth(TEMP, NOON, NOON + 5)
    assert [event.value for event in found] == [0.5, 1.5, 2.5, 3.5, 4.5]


async def test_a_refused_sample_is_set_aside_and_the_others_settle(
    target: Simulator,
) -> None:
    channel = BaseChannel("copy")
    channel.add(Sink(r"\\COPYSRV\{name}", url=target.url, retry=SOON))
    await channel.start()
    payload = [Sample(Tag(TEMP), NOON + n, v) for n, v in enumerate((1.0, "hot", 3.0))]
    outcome = await channel.run(Message(payload=payload))
    await channel.stop()
    (aside,) = outcome.aside
    assert (outcome.state, outcome.sample_errors) == ("processed", 1)
    assert [sample.value for sample in aside.message.payload] == ["hot"]
    assert len(target.truth(TEMP, NOON, NOON + 2)) == 2


async def test_a_channel_writes_to_the_server_it_receives_from(
    origin: Simulator, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    sink = Sink(r"\\SIMSRV\{name}.COPY", create=True, retry=SOON)
    channel = PIWebChannel(
        "copy", url=origin.url, server="PLANT", tags=[TEMP, PUMP], reconnect=SOON
    )
    channel.add(decode.PI(), enrich.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    await origin.connected()
    origin.push(TEMP, 71.5)
    origin.push(PUMP, "TRIPPED")
    await sink.until(2)
    await channel.stop()
    await journal.close()
    copy = origin.plant.tag(TEMP + ".COPY")
    assert (copy.units, copy.template.point_type) == ("°C", "Float32")
    for name in (TEMP, PUMP):
        assert events(origin, name + ".COPY") == events(origin, name)


async def test_nothing_is_written_back_to_where_it_comes_from(
    origin: Simulator,
) -> None:
    channel = PIWebChannel("echo", url=origin.url, tags=[TEMP], reconnect=SOON)
    channel.add(decode.PI(), publish.PI("{path}", retry=SOON))
    await channel.start()
    event = {"Timestamp": "2024-05-01T12:00:00Z", "Value": 1.5, "Good": True}
    stream = {"WebId": "x", "Name": TEMP, "Path": rf"\\SIMSRV\{TEMP}", "Items": [event]}
    document = json.dumps({"Items": [stream]}).encode()
    outcome = await channel.run(Message("application/json", document))
    await channel.stop()
    assert outcome.state == "error" and "comes from there" in str(outcome.error)


async def test_writes_go_on_at_another_member(origin: Simulator) -> None:
    async with Member(origin) as other:
        channel = BaseChannel("copy")
        channel.pi_server = PIServer(url=origin.url, others=(other.url,))  # type: ignore[attr-defined]
        sink = Sink(r"\\SIMSRV\{name}", retry=SOON)
        channel.add(sink)
        await channel.start()
        await channel.run(Message(payload=[Sample(Tag(TEMP), NOON, 1.0)]))
        await origin.close()
        await channel.run(Message(payload=[Sample(Tag(TEMP), NOON + 1, 2.0)]))
        await channel.stop()
        found = other.truth(TEMP, NOON, NOON + 1)
    assert [event.value for event in found] == [1.0, 2.0]


async def storm(target: Simulator, rng: random.Random) -> None:
    """Forty faults, one soon after the other, in what the sink asks."""
    faults = target.faults
    kinds: list[Callable[..., None]] = [
        lambda **which: faults.status(503, **which),
        lambda **which: faults.web_exception(**which),
        lambda **which: faults.truncate(abort=True, **which),
        lambda **which: faults.slow(0.01, 1, **which),
    ]
    for _ in range(40):
        rng.choice(kinds)(path=rng.choice(["recorded", "multiple"]))
        faults.refuse(status=503, count=1, after=rng.randrange(5))
        await asyncio.sleep(0.01)
    faults.clear()


async def test_no_fault_loses_or_doubles_a_value(target: Simulator) -> None:
    seed = random.randrange(1 << 32)
    channel = BaseChannel("copy")
    channel.limiters = Limiters(Limits(rate=2000, slowest=0.9))
    channel.add(
        Sink(r"\\COPYSRV\{name}", url=target.url, retry=SOON, ttl=0.02, batch=20)
    )
    await channel.start()
    storming = asyncio.create_task(storm(target, random.Random(seed)), name="storm")
    runs = []
    for n in range(80):
        payload = [Sample(Tag(TEMP), NOON + n * 10 + k, n + k / 10) for k in range(5)]
        runs.append(channel.run(Message(payload=payload)))
        await asyncio.sleep(0.005)
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*runs, storming)
    await channel.stop()
    values = [event.value for event in target.truth(TEMP, NOON, NOON + 1000)]
    assert values == [n + k / 10 for n in range(80) for k in range(5)], seed
    ended = {(one.state, one.sample_errors) for one in outcomes[:-1] if one}
    assert ended == {("processed", 0)}, seed
