"""Kafka channels and a real broker: what comes, what is committed, who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pichannels import clock
from pichannels.adapters.kafka import Consumer, Place, Producer
from pichannels.channels.kafka import KafkaChannel
from pichannels.errors import Rejected, SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from tests.servers.kafka import PASSWORD, USER, Kafka

SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.1)


class Kept(BaseNode):
    """Keeps what comes, when it is open; rejects what is bad."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()

    async def process(self, msg: Message) -> Message:
        await self.open.wait()
        if msg.payload == b"bad":
            raise Rejected("bad")
        self.messages.append(msg.copy())
        return msg

    @property
    def payloads(self) -> list[bytes]:
        return [msg.payload for msg in self.messages]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield journal
    await journal.close()


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    """A topic of which nobody has heard, with four partitions."""
    name = uuid4().hex
    await kafka.make_topic(name, partitions=4)
    return name


@pytest.fixture
async def producer(kafka: Kafka) -> AsyncIterator[Producer]:
    options = {"bootstrap_servers": [kafka.address]}
    producer = await Producer.open(options, "Kafka")
    yield producer
    await producer.close()


def make(
    kafka: Kafka, topic: str, journal: Journal | None, **options: Any
) -> KafkaChannel:
    common: dict[str, Any] = {
        "servers": kafka.address,
        "topics": topic,
        "group": topic,
        "reconnect": SOON,
        "session_timeout": 2,
    }
    channel = KafkaChannel("in", **common | options)
    channel.add(Kept())
    channel.attach(journal=journal)
    return channel


def kept(channel: KafkaChannel) -> Kept:
    node = channel.steps[0]
    assert isinstance(node, Kept)
    return node


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*channels: KafkaChannel) -> AsyncIterator[None]:
    try:
        for channel in channels:
            await channel.start()
        await until(lambda: all(channel.is_ready for channel in channels))
        yield
    finally:
        for channel in channels:
            await channel.stop()


async def write(producer: Producer, topic: str, *values: str, **more: Any) -> None:
    for value in values:
        await producer.write(topic, value=value.encode(), **more)


async def committed(kafka: Kafka, topic: str, partition: int = 0) -> int | None:
    """Where the group of a test would go on."""

    async def nothing(places: Any) -> None:
        return

    options = {"bootstrap_servers": [kafka.address], "group_id": topic}
    consumer = Consumer(options, "Kafka", [topic], nothing, nothing)
    await consumer.open()
    found = await consumer.committed(Place(topic, partition))
    await consumer.close()
    return found


async def test_a_record_is_a_message(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal
) -> None:
    channel = make(kafka, topic, journal)
    headers = [("content_type", b"text/csv"), ("raw", b"\xff")]
    more = {"key": b"TI1", "headers": headers, "partition": 2, "timestamp_ms": 1000}
    await write(producer, topic, "1.5", **more)
    async with running(channel):
        await until(lambda: bool(kept(channel).messages))
    (msg,) = kept(channel).messages
    assert (msg.content_type, msg.payload) == ("text/csv", b"1.5")
    assert {name: msg.meta[name] for name in MEANT} == {
        "topic": topic,
        "partition": 2,
        "offset": 0,
        "key": "TI1",
        "headers": {"content_type": "text/csv", "raw": b"\xff"},
        "timestamp": "1970-01-01T00:00:01Z",
        "lane": "live",
    }


MEANT = ("topic", "partition", "offset", "key", "headers", "timestamp", "lane")


@pytest.mark.parametrize("has_journal", [True, False])
async def test_what_was_settled_does_not_come_again(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal, has_journal: bool
) -> None:
    kafka.needs("rebalance that a second member survives")
    kept_in = journal if has_journal else None
    await write(producer, topic, "a", "b", "bad", "c", partition=0)
    first = make(kafka, topic, kept_in)
    async with running(first):
        await until(lambda: len(kept(first).messages) == 3)
    assert await committed(kafka, topic) == 4
    await write(producer, topic, "d", partition=0)
    second = make(kafka, topic, kept_in)
    async with running(second):
        await until(lambda: bool(kept(second).messages))
    assert (kept(first).payloads, kept(second).payloads) == ([b"a", b"b", b"c"], [b"d"])


async def test_without_a_journal_nothing_unsettled_is_committed(
    kafka: Kafka, topic: str, producer: Producer
) -> None:
    kafka.needs("rebalance that a second member survives")
    await write(producer, topic, "a", "b", partition=0)
    first = make(kafka, topic, None, drain_timeout=0.2)
    kept(first).open.clear()
    async with running(first):
        await until(lambda: first.messages == 1)
    assert await committed(kafka, topic) is None
    second = make(kafka, topic, None)
    async with running(second):
        await until(lambda: len(kept(second).messages) == 2)
    assert kept(second).payloads == [b"a", b"b"]


async def test_a_slow_partition_holds_no_other_one(
    kafka: Kafka, topic: str, producer: Producer
) -> None:
    channel = make(kafka, topic, None, lanes=4, batch=1)
    kept(channel).open.clear()
    await write(producer, topic, "slow", "next", partition=0)
    async with running(channel):
        for number in (1, 2, 3):
            await write(producer, topic, f"p{number}", partition=number)
        await until(lambda: channel.messages == 4)
        kept(channel).open.set()
        await until(lambda: len(kept(channel).messages) == 5)
    found = kept(channel).payloads
    assert found.index(b"slow") < found.index(b"next")


async def test_it_can_begin_at_a_time_and_go_back(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal
) -> None:
    kafka.needs("offsets by time")
    for number, value in enumerate("abcd"):
        await write(producer, topic, value, partition=1, timestamp_ms=1000 * number)
    start = datetime.fromtimestamp(2, UTC)
    channel = make(kafka, topic, journal, start=start)
    async with running(channel):
        await until(lambda: kept(channel).payloads == [b"c", b"d"])
        await channel.seek({1: 1})
        await until(lambda: len(kept(channel).messages) == 5)
        await write(producer, topic, "e", partition=1)
        await until(lambda: len(kept(channel).messages) == 6)
    lanes = [msg.meta["lane"] for msg in kept(channel).messages]
    assert kept(channel).payloads[2:] == [b"b", b"c", b"d", b"e"]
    assert lanes == ["live"] * 2 + ["replay"] * 3 + ["live"]


async def test_the_latest_is_what_comes_from_now_on(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal
) -> None:
    await write(producer, topic, "old", partition=0)
    channel = make(kafka, topic, journal, start="latest")
    async with running(channel):
        # When the end was looked up nothing tells.
        while not kept(channel).messages:
            await write(producer, topic, "new", partition=0)
            await asyncio.sleep(0.05)
    assert set(kept(channel).payloads) == {b"new"}


async def test_a_pause_stores_and_goes_on(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal
) -> None:
    channel = make(kafka, topic, journal)
    async with running(channel):
        await channel.pause()
        await write(producer, topic, "a", partition=0)
        await until(lambda: journal.count_unsettled("in") == 1)
        assert not kept(channel).messages
        await channel.resume()
        await until(lambda: bool(kept(channel).messages))


async def test_without_a_journal_a_paused_channel_stays_a_member(
    kafka: Kafka, topic: str, producer: Producer
) -> None:
    channel = make(kafka, topic, None)
    async with running(channel):
        await channel.pause()
        await write(producer, topic, "a", "b", partition=0)
        await until(lambda: channel.messages == 1)
        assert not kept(channel).messages
        await channel.resume()
        await until(lambda: kept(channel).payloads == [b"a", b"b"])
    assert channel.losses == 0


async def test_a_pattern_finds_topics_and_a_login_is_used(
    kafka: Kafka, topic: str, producer: Producer, journal: Journal
) -> None:
    kafka.needs("logins")
    login = {"user": USER, "password": PASSWORD, "tls": True, "ca": kafka.certificate}
    options = {"servers": kafka.secure_address, **login}
    channel = make(kafka, topic, journal, topics=f"^{topic[:-1]}.", **options)
    await write(producer, topic, "a", partition=0)
    async with running(channel):
        await until(lambda: bool(kept(channel).messages))
        statistics = channel.statistics()
    assert (statistics["connected"], statistics["partitions"]) == (1, 4)
    assert [finding.ok for finding in await channel.probe()] == [True]


async def test_a_probe_names_what_is_missing(kafka: Kafka) -> None:
    broker, missing = await make(kafka, "nowhere", None).probe()
    (nobody,) = await make(kafka, "nowhere", None, servers="127.0.0.1:1").probe()
    assert (broker.ok, missing.ok, nobody.ok) == (True, False, False)
    assert "'nowhere'" in missing.text


async def test_only_a_connected_channel_can_go_back(kafka: Kafka) -> None:
    with pytest.raises(UsageError, match="not connected"):
        await make(kafka, "t", None).seek("earliest")


@pytest.mark.parametrize(
    "options",
    [
        {"servers": "kafka"},
        {"topics": []},
        {"topics": ["^a", "b"]},
        {"topics": "^("},
        {"topics": "pi values"},
        {"start": "then"},
        {"start": clock},
        {"start": datetime(2026, 1, 1)},
        {"start": {0: -1}},
        {"batch": 0},
        {"mechanism": "PLAN"},
        {"session_timeout": -1},
    ],
)
def test_options_are_looked_at(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        KafkaChannel("in", **({"servers": "k:9092", "topics": "t"} | options))
