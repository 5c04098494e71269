"""publish.Kafka and a real broker: keys, headers, acknowledgements, what breaks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import (  # type: ignore[import-untyped,unused-ignore]
    AIOKafkaConsumer,
    TopicPartition,
)

from nodes import publish
from pichannels.adapters.kafka import Refused
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import SampleErrors, SettingsError
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample, Tag
from tests.servers.kafka import PASSWORD, USER, Kafka
from tests.servers.proxy import Proxy

SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.1)


def batch(*names: str, lane: str = "live", first: int = 0) -> Message:
    samples = [
        Sample(Tag(name, server="S"), 10**16 + first + n, float(first + n))
        for n, name in enumerate(names)
    ]
    return Message(payload=samples, meta={"lane": lane})


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    """A topic of which nobody has heard, with four partitions."""
    name = uuid4().hex
    await kafka.make_topic(name, partitions=4)
    return name


async def send(node: publish.Kafka, *messages: Message) -> list[Outcome]:
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    try:
        return list(await asyncio.gather(*map(channel.run, messages)))
    finally:
        await channel.stop()


async def read(kafka: Kafka, topic: str) -> list[Any]:
    """All that is in a topic, in order for each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        count = sum((await consumer.end_offsets(places)).values())
        found: list[Any] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


async def test_each_sample_is_a_record_with_the_key_of_its_tag(
    kafka: Kafka, topic: str
) -> None:
    msg = batch("TI1", lane="repair")
    (outcome,) = await send(publish.Kafka(kafka.address, topic), msg)
    (record,) = await read(kafka, topic)
    line = json.loads(record.value)
    assert outcome.error is None
    assert (record.key, line["tag"], line["value"]) == (b"TI1", "TI1", 0.0)
    assert dict(record.headers) == {
        "event_id": msg.payload[0].event_id.encode(),
        "quality": b"good",
        "lane": b"repair",
        "content_type": b"application/json",
    }


async def test_topic_key_and_time_are_those_asked_for(kafka: Kafka, topic: str) -> None:
    node = publish.Kafka(
        kafka.address,
        f"{topic[:-4]}%(meta.end)s",
        key="{server}.{name}",
        event_time=True,
        compression="gzip",
    )
    msg = batch("TI1")
    msg.meta["end"] = topic[-4:]
    await send(node, msg)
    (record,) = await read(kafka, topic)
    assert (record.key, record.timestamp) == (b"S.TI1", 10**16 // 10**4)


async def test_other_payloads_are_one_record(kafka: Kafka, topic: str) -> None:
    node = publish.Kafka(kafka.address, topic, key="%(meta.unit)s")
    msg = Message("text/csv", "a;b", {"unit": "u{1}"})
    await send(node, msg)
    (record,) = await read(kafka, topic)
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"u{1}", b"a;b")
    assert headers["message_id"] == msg.uuid.encode()


async def test_many_keys_stay_in_order_over_many_batches(
    kafka: Kafka, topic: str
) -> None:
    names = [f"T{n % 7}" for n in range(300)]
    messages = [batch(*names, first=300 * n) for n in range(20)]
    await send(publish.Kafka(kafka.address, topic, batch_bytes=4096), *messages)
    seen: dict[bytes, list[float]] = {}
    for record in await read(kafka, topic):
        seen.setdefault(record.key, []).append(json.loads(record.value)["value"])
    assert all(values == sorted(values) for values in seen.values())
    assert sum(map(len, seen.values())) == 6000


async def test_a_lost_connection_loses_nothing(kafka: Kafka, topic: str) -> None:
    names = [f"T{n % 5}" for n in range(100)]
    node = publish.Kafka(kafka.address, topic, retry=SOON, timeout=10)
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    await channel.run(batch(*names))
    await asyncio.to_thread(kafka.kill)
    waiting = [
        asyncio.create_task(channel.run(batch(*names, first=100 * n)))
        for n in range(1, 10)
    ]
    await asyncio.to_thread(kafka.start)
    outcomes = await asyncio.gather(*waiting)
    await channel.stop()
    assert {outcome.error for outcome in outcomes} == {None}
    firsts: dict[bytes, dict[float, None]] = {}
    for record in await read(kafka, topic):
        found = firsts.setdefault(record.key, {})
        found[json.loads(record.value)["value"]] = None
    assert sum(map(len, firsts.values())) == 1000
    assert all(list(found) == sorted(found) for found in firsts.values())


async def test_what_is_not_acknowledged_in_time_is_published_again(
    kafka: Kafka, topic: str
) -> None:
    async with Proxy(kafka.port) as proxy:
        node = publish.Kafka(f"127.0.0.1:{proxy.port}", topic, timeout=0.3, retry=SOON)
        channel = BaseChannel("out")
        channel.add(node)
        await channel.start()
        proxy.swallow("answered")
        running = asyncio.create_task(channel.run(batch("TI1")))
        while not node.errors:  # noqa: ASYNC110 - it is a counter
            await asyncio.sleep(0.01)
        proxy.heal()
        assert (await running).error is None
        await channel.stop()
    assert await read(kafka, topic)


async def test_what_a_broker_refuses_is_set_aside_alone(
    kafka: Kafka, topic: str
) -> None:
    kafka.needs("limit for the size of a record")
    msg = batch("a", "b", "c")
    msg.payload[1] = msg.payload[1].with_value("x" * 2_000_000)
    node = publish.Kafka(kafka.address, topic, queue_bytes=2**23)
    first, second = await send(node, msg, batch("d"))
    errors = first.sample_errors
    assert (errors, second.error, node.failed) == (1, None, 1)
    assert sorted(r.key for r in await read(kafka, topic)) == [b"a", b"c", b"d"]


async def test_a_message_alone_fails_with_what_the_broker_said(
    kafka: Kafka, topic: str
) -> None:
    kafka.needs("limit for the size of a record")
    (outcome,) = await send(
        publish.Kafka(kafka.address, topic), Message("text/plain", "x" * 2_000_000)
    )
    assert isinstance(outcome.error, Refused | SampleErrors)


async def test_tls_and_a_login_are_used(kafka: Kafka, topic: str) -> None:
    kafka.needs("logins")
    login: dict[str, Any] = {"user": USER, "tls": True, "ca": kafka.certificate}
    password = Secret("", PASSWORD)
    node = publish.Kafka(kafka.secure_address, topic, password=password, **login)
    (outcome,) = await send(node, batch("a"))
    (wrong,) = await publish.Kafka(
        kafka.secure_address, topic, password="wrong", **login
    ).probe()
    (right,) = await node.probe()
    assert (outcome.error, right.ok, wrong.ok) == (None, True, False)
    assert "uthentication" in wrong.text


async def test_nobody_there_is_told() -> None:
    (found,) = await publish.Kafka("127.0.0.1:1", "t").probe()
    assert not found.ok and "127.0.0.1:1" in found.text


@pytest.mark.parametrize(
    "options",
    [
        {"servers": "kafka"},
        {"servers": []},
        {"topic": ""},
        {"topic": "{nam}"},
        {"topic": "pi values"},
        {"key": "{nam}"},
        {"mechanism": "PLAN"},
        {"compression": "zip"},
        {"timeout": 0},
    ],
)
def test_options_are_looked_at(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        publish.Kafka(**({"servers": "k:9092", "topic": "t"} | options))


async def test_a_topic_that_cannot_be_fails_the_message(tmp_path: Path) -> None:
    node = publish.Kafka("127.0.0.1:1", "{name}")
    (outcome,) = await send(node, batch("a b"))
    assert "is no topic" in str(outcome.error)
