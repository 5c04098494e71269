"""Avro and Protobuf as nodes: batches there and back, and registries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nodes import decode, encode
from nodes._batches import SAMPLES
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import CodecError, DecodeError
from pichannels.formats.registry import SchemaRegistry
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.values import DigitalState, Sample, Tag
from tests.servers.registry import Registry, recorded

LEVEL = {
    "type": "record",
    "name": "Level",
    "fields": [{"name": "level", "type": "double"}],
}
ONCE = RetryPolicy(attempts=1)


def batch() -> Message:
    values = [1.5, DigitalState("Open", 1), None]
    samples = [
        Sample(Tag("T", server="S", units="K"), 10**16 + n, v, good=v is not None)
        for n, v in enumerate(values)
    ]
    return Message(SAMPLES, samples, {"lane": "repair"})


async def through(msg: Message, *nodes: BaseNode) -> Outcome:
    channel = BaseChannel("c")
    channel.add(*nodes)
    await channel.start()
    try:
        return await channel.run(msg)
    finally:
        await channel.stop()


def shown(msg: Message | None) -> Any:
    assert msg is not None
    return [(s.event_id, s.value, s.good, s.tag.units) for s in msg.payload]


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (encode.Avro(), decode.Avro(samples=True)),
        (
            encode.Protobuf(),
            decode.Protobuf(name_of_message="pichannels.SampleBatch", samples=True),
        ),
    ],
    ids=["Avro", "Protobuf"],
)
async def test_a_batch_is_encoded_whole_and_comes_back(
    writer: BaseNode, reader: BaseNode
) -> None:
    written = await through(batch(), writer)
    assert written.message is not None
    assert type(written.message.payload) is bytes
    read = await through(written.message, reader)
    assert shown(read.message) == shown(batch())
    assert read.message is not None and read.message.content_type == SAMPLES


async def test_records_of_a_schema_become_a_file_and_dicts() -> None:
    msg = Message(payload=[{"level": 1.0}, {"level": 2.5}])
    found = await through(msg, encode.Avro(LEVEL), decode.Avro())
    assert found.message is not None
    assert found.message.payload == [{"level": 1.0}, {"level": 2.5}]


async def test_what_a_schema_does_not_take_fails_the_message() -> None:
    msg = Message(payload={"level": "high"})
    found = await through(msg, encode.Avro(LEVEL, framing="plain"))
    wrong = await through(Message(payload=b"{}"), decode.Avro())
    no_samples = await through(
        Message(payload={"level": 1.0}),
        encode.Avro(LEVEL, framing="plain"),
        decode.Avro(LEVEL, framing="plain", samples=True),
    )
    assert isinstance(found.error, CodecError)
    assert isinstance(wrong.error, DecodeError)
    assert isinstance(no_samples.error, DecodeError)


async def test_a_registry_that_is_away_is_waited_for() -> None:
    async with Registry(recorded("avro")) as server:
        server.is_away = True
        registry = SchemaRegistry(server.url, retry=ONCE)
        msg = Message(payload=batch().payload[0])
        running = asyncio.create_task(
            through(
                msg,
                encode.Avro(registry=registry, topic="pi-values"),
                decode.Avro(registry=registry, samples=True),
            )
        )
        while not server.asked:  # noqa: ASYNC110 - it is a list
            await asyncio.sleep(0.01)
        server.is_away = False
        found = await running
    assert shown(found.message) == shown(batch())[:1]


async def test_nothing_stays_nothing() -> None:
    found = await through(Message(payload=None), encode.Avro(), decode.Avro())
    assert found.message is not None and found.message.payload is None
