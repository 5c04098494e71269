"""Codecs on a real broker: node, channel and topic understand each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from nodes import decode, publish
from pichannels.channels import BaseChannel
from pichannels.channels.kafka import KafkaChannel
from pichannels.dataflow.codecs import (
    AvroCodec,
    CsvCodec,
    JsonCodec,
    ProtobufCodec,
    SchemaRegistry,
)
from pichannels.dataflow.topic import Topic
from pichannels.delivery import Outcome
from pichannels.formats.codec import ICodec
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.values import DigitalState, Sample, Tag
from tests.servers.kafka import Kafka
from tests.servers.registry import Registry, recorded

SOON = RetryPolicy(attempts=0, initial=0.02, maximum=0.05)
ONCE = RetryPolicy(attempts=1)


class Kept(BaseNode):
    """Keeps the payloads that come."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[Any] = []

    def process(self, msg: Message) -> Message:
        self.payloads.append(msg.payload)
        return msg


def batch() -> list[Sample]:
    values = [1.5, DigitalState("Open", 1), None]
    return [Sample(Tag("T", server="S"), 10**16 + n, v) for n, v in enumerate(values)]


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    """A topic of which nobody has heard."""
    name = uuid4().hex
    await kafka.make_topic(name, partitions=1)
    return name


async def send(node: BaseNode, *payloads: Any) -> list[Outcome]:
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    try:
        return [await channel.run(Message(payload=each)) for each in payloads]
    finally:
        await channel.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def received(channel: KafkaChannel, count: int) -> list[Any]:
    node = Kept()
    channel.add(node)
    await channel.start()
    try:
        await until(lambda: len(node.payloads) >= count)
        return node.payloads
    finally:
        await channel.stop()


def make_codec(name: str, url: str) -> ICodec:
    registry = SchemaRegistry(url, retry=ONCE)
    if name == "avro":
        return AvroCodec(registry=registry, subject="record")
    if name == "protobuf":
        return ProtobufCodec(registry=registry, subject="record")
    return CsvCodec() if name == "csv" else JsonCodec()


@pytest.mark.parametrize("name", ["avro", "protobuf", "csv", "json"])
async def test_what_a_node_publishes_a_channel_and_a_topic_read(
    kafka: Kafka, topic: str, name: str
) -> None:
    file = "protobuf" if name == "protobuf" else "avro"
    async with Registry(recorded(file)) as server:
        node = publish.Kafka(kafka.address, topic, codec=make_codec(name, server.url))
        (outcome,) = await send(node, batch())
        channel = KafkaChannel(
            "in",
            servers=kafka.address,
            topics=topic,
            codec=make_codec(name, server.url),
        )
        records = await received(channel, 3)
        settings = {
            "bootstrap_servers": kafka.address,
            "auto_offset_reset": "earliest",
        }
        async with Topic(topic, settings, codec=make_codec(name, server.url)) as reader:
            first = await anext(reader)
            await reader("k", batch()[0])
            again = [await anext(reader) for _ in range(3)][-1]
    ids = [sample.event_id for sample in batch()]
    assert (outcome.error, [each["event_id"] for each in records]) == (None, ids)
    assert first.value == records[0]
    if name != "json":
        assert again.value["event_id"] == ids[0]


async def test_a_registry_that_is_away_is_waited_for(kafka: Kafka, topic: str) -> None:
    async with Registry(recorded("avro")) as server:
        server.is_away = True
        codec = make_codec("avro", server.url)
        node = publish.Kafka(kafka.address, topic, codec=codec, retry=SOON)
        sending = asyncio.create_task(send(node, batch()))
        await until(lambda: node.errors > 1)
        assert (node.written, node.failed) == (0, 0)
        server.is_away = False
        (outcome,) = await sending
        server.is_away = True
        channel = KafkaChannel("in", servers=kafka.address, topics=topic)
        channel.add(decode.Avro(registry=SchemaRegistry(server.url), samples=True))
        asked = len(server.asked)
        receiving = asyncio.create_task(received(channel, 3))
        await until(lambda: len(server.asked) > asked)
        server.is_away = False
        found = await receiving
    assert outcome.error is None
    assert [(s.event_id, s.value) for (s,) in found] == [
        (s.event_id, s.value) for s in batch()
    ]


async def test_a_schema_that_is_refused_is_told_and_nothing_is_lost(
    kafka: Kafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    exchanges = recorded("refused", "accepted")[1:]
    async with Registry(exchanges) as server:
        codec = AvroCodec(
            registry=SchemaRegistry(server.url), subject=lambda *_: "plant-value"
        )
        node = publish.Kafka(kafka.address, topic, codec=codec, retry=SOON)
        taken, schema = await node.probe()
        (outcome,) = await send(node, batch())
    assert (taken.ok, schema.ok, outcome.error) == (True, False, None)
    assert "tag at /fields/0" in schema.text
    assert "refuses the schema of plant-value" in caplog.text


async def test_what_a_codec_cannot_read_is_a_dead_letter(
    kafka: Kafka, topic: str
) -> None:
    await send(publish.Kafka(kafka.address, topic), b"{", {"a": 1})
    failed = Kept()
    channel = KafkaChannel("in", servers=kafka.address, topics=topic, codec=JsonCodec())
    channel.add_fail_nodes(failed)
    assert await received(channel, 1) == [{"a": 1}]
    assert failed.payloads == [b"{"]
