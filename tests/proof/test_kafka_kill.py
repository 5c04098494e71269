"""Members of a group that come, go and are killed, and a broker that restarts."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pichannels.adapters.kafka import Producer
from pichannels.channels.kafka import KafkaChannel
from pichannels.dataflow import Cache, fresh
from pichannels.dataflow.topic import Record, Topic
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from tests.proof.consuming import POISON
from tests.servers.kafka import Kafka

PROGRAM = Path(__file__).with_name("consuming.py")
ROOT = PROGRAM.parents[2]
KEYS = 7
KILLS = 3
SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.2)


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    kafka.needs("rebalance that a second member survives")
    name = uuid4().hex
    await kafka.make_topic(name, partitions=4)
    return name


class Publisher:
    """Publishes numbers, each with one of seven keys, in order for each."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self.count = 0
        self.is_over = False
        self._producer = producer
        self._topic = topic

    async def run(self) -> None:
        while not self.is_over:
            number = self.count
            await self._producer.write(
                self._topic,
                value=str(number).encode(),
                key=str(number % KEYS).encode(),
            )
            self.count += 1


@pytest.fixture
async def publisher(kafka: Kafka, topic: str) -> AsyncIterator[Publisher]:
    options = {"bootstrap_servers": [kafka.address], "enable_idempotence": True}
    producer = await Producer.open(options, "Kafka")
    publisher = Publisher(producer, topic)
    running = asyncio.create_task(publisher.run())
    yield publisher
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await producer.abort()


async def until(condition: Callable[[], bool], limit: float = 30) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def assert_in_order(found: list[int]) -> None:
    """What came first came in order for each key."""
    for key in range(KEYS):
        firsts = list(dict.fromkeys(n for n in found if n % KEYS == key))
        assert firsts == sorted(firsts)


class Noted(BaseNode):
    """Notes what comes, slowly now and then."""

    def __init__(self, found: list[int]) -> None:
        super().__init__()
        self._found = found

    async def process(self, msg: Message) -> Message:
        number = int(msg.payload)
        if number % 97 == 0:
            await asyncio.sleep(0.05)
        self._found.append(number)
        return msg


def member(kafka: Kafka, topic: str, found: list[int]) -> KafkaChannel:
    channel = KafkaChannel(
        "member",
        servers=kafka.address,
        topics=topic,
        group=topic,
        lanes=4,
        session_timeout=2,
        reconnect=SOON,
    )
    channel.add(Noted(found))
    return channel


async def test_members_share_what_comes_in_order(
    kafka: Kafka, topic: str, publisher: Publisher
) -> None:
    found: list[int] = []
    first, second = member(kafka, topic, found), member(kafka, topic, found)
    await first.start()
    await until(lambda: len(found) > 50)
    await second.start()
    await until(lambda: second.statistics()["partitions"] == 2)
    await until(lambda: second.messages > 50)
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)
    count = len(found)
    await until(lambda: len(found) > count + 50)
    await first.stop()
    await until(lambda: second.statistics()["partitions"] == 4)
    publisher.is_over = True
    await until(lambda: set(found) >= set(range(publisher.count)))
    await second.stop()
    assert_in_order(found)


async def read(topic: Topic, found: list[int]) -> None:
    async with topic:
        async for record in topic:
            found.append(int(record.value))
            if len(found) % 97 == 0:
                await asyncio.sleep(0.05)


async def test_topics_of_a_group_share_what_comes_in_order(
    kafka: Kafka, topic: str, publisher: Publisher
) -> None:
    found: list[int] = []
    settings = {
        "bootstrap_servers": kafka.address,
        "group_id": topic,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": 2000,
        "heartbeat_interval_ms": 300,
    }
    with fresh():
        first, second = (Topic(topic, settings) for _ in range(2))
    one = asyncio.create_task(read(first, found))
    await until(lambda: len(found) > 50)
    two = asyncio.create_task(read(second, found))
    await until(lambda: len(found) > 500)
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)
    await until(lambda: len(found) > 1000)
    # It leaves in the midst, and what it has not settled comes again.
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    publisher.is_over = True
    await until(lambda: set(found) >= set(range(publisher.count)))
    two.cancel()
    await asyncio.gather(two, return_exceptions=True)
    assert_in_order(found)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kind", ["channel", "application"])
async def test_nothing_is_lost_by_kills(
    kafka: Kafka, topic: str, publisher: Publisher, tmp_path: Path, kind: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    processes: list[Process] = []
    try:
        for _ in range(KILLS):
            processes.append(await start(tmp_path, kind, kafka, topic))
            await asyncio.sleep(rng.uniform(0, 0.4))
            processes[-1].kill()
            await processes[-1].wait()
        last = await start(tmp_path, kind, kafka, topic)
        processes.append(last)
        publisher.is_over = True
        await until_delivered(tmp_path, publisher)
        last.terminate()
        assert await last.wait() == 0
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert_in_order(delivered(tmp_path))
    assert await dead(tmp_path, kind) == set(range(0, publisher.count, POISON))
    if kind == "application":
        assert await state(tmp_path) == last_of_each_key(publisher.count)


async def state(folder: Path) -> dict[Any, Any]:
    """What the application has kept."""
    with await asyncio.to_thread(Cache, str(folder / "cache")) as cache:
        return dict(cache.items())


def last_of_each_key(count: int) -> dict[str, int]:
    """The last number of each key that is no poison."""
    return {str(n % KEYS): n for n in range(count) if n % POISON}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
async def test_what_is_settled_and_not_committed_comes_again(
    kafka: Kafka, topic: str, publisher: Publisher, tmp_path: Path
) -> None:
    await until(lambda: publisher.count > 120)
    publisher.is_over = True
    killed = await start(tmp_path, "application", kafka, topic, "100")
    assert await killed.wait() == -signal.SIGKILL
    before = await asyncio.to_thread(delivered, tmp_path)
    last = await start(tmp_path, "application", kafka, topic)
    await until_delivered(tmp_path, publisher)
    last.terminate()
    assert await last.wait() == 0
    found = await asyncio.to_thread(delivered, tmp_path)
    assert_in_order(found)
    assert set(found[len(before) :]) & set(before)
    assert await state(tmp_path) == last_of_each_key(publisher.count)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
async def test_windows_that_are_open_outlive_a_kill(
    kafka: Kafka, topic: str, publisher: Publisher, tmp_path: Path
) -> None:
    await until(lambda: publisher.count > 280)
    publisher.is_over = True
    killed = await start(tmp_path, "windows", kafka, topic, "105")
    assert await killed.wait() == -signal.SIGKILL
    expected = {
        f"{key} {begin} {sum(n for n in range(begin, begin + 70) if n % KEYS == key)}"
        for key in range(KEYS)
        for begin in range(0, publisher.count, 70)
        if any(n % KEYS == key for n in range(begin + 70, publisher.count))
    }
    last = await start(tmp_path, "windows", kafka, topic)
    found: set[str] = set()
    async with asyncio.timeout(30):
        while not expected <= found:
            await asyncio.sleep(0.05)
            text = await asyncio.to_thread((tmp_path / "delivered").read_text)
            found = set(text.splitlines())
    last.terminate()
    assert (await last.wait(), found) == (0, expected)


async def test_a_handler_slower_than_the_session_loses_nothing(
    kafka: Kafka, topic: str, publisher: Publisher
) -> None:
    found: list[int] = []
    settings = {
        "bootstrap_servers": kafka.address,
        "group_id": topic,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": 1000,
        "heartbeat_interval_ms": 300,
        "rebalance_timeout_ms": 1000,
    }
    await until(lambda: publisher.count > 20)
    publisher.is_over = True
    with fresh() as application:
        topics = [Topic(topic, settings) for _ in range(2)]

        @application.handle(*topics)
        async def slowly(record: Record) -> None:
            # Longer than a member may be silent.
            await asyncio.sleep(0 if found else 2.5)
            found.append(int(record.value))

        running = asyncio.create_task(application.stream())
        await until(lambda: set(found) == set(range(publisher.count)))
        application.stop()
        await running
    assert_in_order(found)


def delivered(folder: Path) -> list[int]:
    path = folder / "delivered"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


async def start(
    folder: Path, kind: str, kafka: Kafka, topic: str, *end: str
) -> Process:
    """A member that has delivered something."""
    before = await asyncio.to_thread(lambda: len(delivered(folder)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), kind, str(folder), kafka.address, topic, *end),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while await asyncio.to_thread(lambda: len(delivered(folder))) == before:
        assert process.returncode is None
        await asyncio.sleep(0.02)
    return process


async def until_delivered(folder: Path, publisher: Publisher) -> None:
    """Until all that were published are there, but for the poison."""
    missing = {-1}
    for _ in range(500):
        missing = {n for n in range(publisher.count) if n % POISON}
        missing -= set(await asyncio.to_thread(delivered, folder))
        if not missing:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"there are missing {sorted(missing)[:20]}")


async def dead(folder: Path, kind: str) -> set[int]:
    """What was set aside."""
    if kind == "application":
        return set(map(int, (folder / "dead").read_text().split()))
    journal = Journal(folder / "journal.db")
    await journal.open()
    letters = await journal.search("killed", state="error", count=10_000)
    await journal.close()
    return {int(letter.message().payload) for letter in letters}
