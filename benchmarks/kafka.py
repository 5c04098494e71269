"""Topics of Kafka and `publish.Kafka` against bare aiokafka, on one broker.

Readers and writers have the same settings and make the same text of keys and values;
the explicit batches have the same records as those of the node, encoded by its own
functions, in batches of the same size.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import aiokafka  # type: ignore[import-untyped,unused-ignore]

from benchmarks import payloads
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from nodes import publish
from nodes._lines import encode_lines
from pichannels.adapters.kafka import partition_of
from pichannels.dataflow import Application, Topic, fresh
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.values import TICKS_PER_SECOND, Sample, Tag
from tests.servers.kafka import Kafka, why_missing
from tests.servers.kafka_mock import KafkaMock

__all__ = ["prepare"]

_PARTITIONS: Final = 4
_TAGS: Final = 100
_OF_A_MESSAGE: Final = 100
_AT_A_TIME: Final = 500
_BATCH: Final = 256 * 2**10
_GROUPS: Final = itertools.count()
_FIRST: Final = 17_000_000_000 * TICKS_PER_SECOND // 10

Run = Callable[[int], Awaitable[Measured]]


class _Broker:
    """A broker, and topics with records for readers."""

    def __init__(self, server: Kafka | KafkaMock) -> None:
        self.address = server.address
        self._server = server
        self._made: set[str] = set()

    async def topic(self, name: str) -> str:
        """A topic of this name, made where it is not there."""
        if name not in self._made:
            self._made.add(name)
            await self._server.make_topic(name, _PARTITIONS)
        return name

    async def filled(self, count: int) -> str:
        """A topic with so many records."""
        name = f"filled{count}"
        if name not in self._made:
            await self.topic(name)
            async with self.producer() as producer:
                for number in range(count):
                    await producer.send(name, *_bytes(number))
        return name

    def producer(self) -> Any:
        """The library's, as safe as ours."""
        return aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.address,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH,
        )

    def reading(self) -> dict[str, Any]:
        """The settings of a reader in a group of its own."""
        return {
            "bootstrap_servers": self.address,
            "auto_offset_reset": "earliest",
            "group_id": f"readers{next(_GROUPS)}",
        }


def _text(number: int) -> tuple[str, str]:
    return payloads.TEXTS[number % payloads.DROPPED_OF], str(number % _TAGS)


def _bytes(number: int) -> tuple[bytes, bytes]:
    value, key = _text(number)
    return value.encode(), key.encode()


# Reading: the first record is not measured, as joining a group takes its time.


async def each_of_library(broker: _Broker, count: int) -> Measured:
    consumer = aiokafka.AIOKafkaConsumer(await broker.filled(count), **broker.reading())
    async with consumer:
        await consumer.getone()
        left, size = count - 1, 0
        with Stopwatch() as watch:
            async for record in consumer:
                size += len(record.key.decode()) + len(record.value.decode())
                left -= 1
                if not left:
                    break
    return watch.measured(count)


async def many_of_library(broker: _Broker, count: int) -> Measured:
    consumer = aiokafka.AIOKafkaConsumer(await broker.filled(count), **broker.reading())
    async with consumer:
        await consumer.getone()
        left, size = count - 1, 0
        with Stopwatch() as watch:
            while left:
                found = await consumer.getmany(timeout_ms=1000, max_records=500)
                for records in found.values():
                    for record in records:
                        size += len(record.key.decode()) + len(record.value.decode())
                        left -= 1
    return watch.measured(count)


async def each_of_topic(broker: _Broker, count: int) -> Measured:
    with fresh():
        topic = Topic(await broker.filled(count), broker.reading())
    async with topic:
        await anext(topic)
        left, size = count - 1, 0
        with Stopwatch() as watch:
            async for record in topic:
                size += len(record.key) + len(record.value)
                left -= 1
                if not left:
                    break
    return watch.measured(count)


async def handled(broker: _Broker, count: int) -> Measured:
    application, watch = Application(), Stopwatch()
    with fresh():
        topic = Topic(await broker.filled(count), broker.reading())
    found = size = 0

    def take(record: Any) -> None:
        nonlocal found, size
        size += len(record.key) + len(record.value)
        found += 1
        if found == 1:
            watch.__enter__()
        elif found == count:
            watch.__exit__(None, None, None)
            application.stop()

    application.handle(topic)(take)
    await application.stream()
    await topic.close()
    return watch.measured(count)


# Writing


async def _one_by_one(write: Callable[..., Awaitable[Any]], count: int) -> Measured:
    await write(*reversed(_text(0)))
    with Stopwatch() as watch:
        for number in range(count):
            value, key = _text(number)
            await write(key, value)
    return watch.measured(count)


async def _many_at_once(write: Callable[..., Awaitable[Any]], count: int) -> Measured:
    await write(*reversed(_text(0)))
    with Stopwatch() as watch:
        for first in range(0, count, _AT_A_TIME):
            texts = map(_text, range(first, min(first + _AT_A_TIME, count)))
            await asyncio.gather(*(write(key, value) for value, key in texts))
    return watch.measured(count)


def by_library(work: Callable[..., Awaitable[Measured]]) -> Callable[..., Any]:
    async def run(broker: _Broker, count: int) -> Measured:
        topic = await broker.topic("written")
        async with broker.producer() as producer:

            async def write(key: str, value: str) -> None:
                await producer.send_and_wait(topic, value.encode(), key.encode())

            return await work(write, count)

    return run


def by_topic(work: Callable[..., Awaitable[Measured]]) -> Callable[..., Any]:
    async def run(broker: _Broker, count: int) -> Measured:
        name = await broker.topic("written")
        settings = {"bootstrap_servers": broker.address, "max_batch_size": _BATCH}
        with fresh():
            topic = Topic(name, settings)
        async with topic:
            return await work(topic, count)

    return run


# Publishing


def _messages(count: int) -> list[Message]:
    """Samples in messages of a hundred, one for each of as many tags."""
    tags = [Tag(f"UNIT{number}.TEMP", server="PISRV01") for number in range(_TAGS)]
    return [
        Message(
            payload=[
                Sample(tags[n % _TAGS], _FIRST + n * TICKS_PER_SECOND, 20.25 + n)
                for n in range(first, first + _OF_A_MESSAGE)
            ]
        )
        for first in range(0, count, _OF_A_MESSAGE)
    ]


def _records(messages: Iterable[Message]) -> list[tuple[bytes, bytes, Any]]:
    """What the node makes of messages: key, value and headers."""
    return [
        (
            sample.tag.name.encode(),
            line,
            [
                ("event_id", sample.event_id.encode()),
                ("quality", b"good"),
                ("lane", b"live"),
                ("content_type", b"application/json"),
            ],
        )
        for msg in messages
        for sample, line in zip(
            msg.payload, encode_lines(msg).split(b"\n"), strict=False
        )
    ]


def _lines(msg: Message) -> list[bytes]:
    return encode_lines(msg).split(b"\n")[: len(msg.payload)]


async def _in_batches(producer: Any, topic: str, records: Iterable[Any]) -> None:
    """Explicit batches, as the library's guide makes them."""
    partitions = sorted(await producer.partitions_for(topic))
    places: dict[bytes, int] = {}
    batches: dict[int, Any] = {}
    sent = []
    for key, value, headers in records:
        place = places.get(key)
        if place is None:
            place = places[key] = partition_of(key, partitions)
        batch = batches.get(place)
        if batch is None:
            batch = batches[place] = producer.create_batch()
        record = {"key": key, "value": value, "timestamp": None, "headers": headers}
        if batch.append(**record) is None:
            batch.close()
            sent.append(await producer.send_batch(batch, topic, partition=place))
            batch = batches[place] = producer.create_batch()
            batch.append(**record)
    for place, batch in batches.items():
        batch.close()
        sent.append(await producer.send_batch(batch, topic, partition=place))
    await asyncio.gather(*sent)


async def encoded_by_hand(broker: _Broker, count: int) -> Measured:
    messages, topic = _messages(count), await broker.topic("published")
    async with broker.producer() as producer:
        await producer.partitions_for(topic)
        with Stopwatch() as watch:
            await _in_batches(producer, topic, _records(messages))
    return watch.measured(count)


async def ready_made(broker: _Broker, count: int) -> Measured:
    records, topic = _records(_messages(count)), await broker.topic("published")
    async with broker.producer() as producer:
        await producer.partitions_for(topic)
        with Stopwatch() as watch:
            await _in_batches(producer, topic, records)
    return watch.measured(count)


async def by_node(broker: _Broker, count: int) -> Measured:
    node = publish.Kafka(broker.address, await broker.topic("published"))
    await node.start()
    await _published(node, _messages(_OF_A_MESSAGE))
    messages = _messages(count)
    with Stopwatch() as watch:
        await _published(node, messages)
    await node.stop()
    return watch.measured(count)


async def _published(node: publish.Kafka, messages: Iterable[Message]) -> None:
    acknowledgements = []
    for msg in messages:
        pending = node.process(msg)
        if not isinstance(pending, Pending):
            pending = await pending
        acknowledgements.append(pending.ack)
    await asyncio.gather(*acknowledgements)


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases."""
    notes: list[str] = []
    if reason := why_missing():
        notes.append(f"{reason}; this is librdkafka's mock cluster, which is no broker")
    server = await asyncio.to_thread(_server)
    try:
        await asyncio.to_thread(server.start)
        cases = _cases(_Broker(server), options)
        yield Benchmark("kafka", "Kafka", "records", ("cpu", "wall"), cases, notes)
    finally:
        await asyncio.to_thread(server.close)


def _server() -> Kafka | KafkaMock:
    return KafkaMock() if why_missing() else Kafka()


def _cases(broker: _Broker, options: Options) -> list[Case]:
    many, few = options.count(40_000), options.count(8000)
    reading, single = "aiokafka, async for", "aiokafka, write and wait"
    group, batches = f"{single}, {_AT_A_TIME} at once", "aiokafka, explicit batches"
    found: list[tuple[str, Callable[..., Any], int, Aim | None]] = [
        (reading, each_of_library, many, None),
        ("aiokafka, getmany", many_of_library, many, Aim(reading)),
        ("Topic, async for", each_of_topic, many, Aim(reading, 0.9)),
        ("Topic by handle", handled, many, Aim(reading, 0.9)),
        (single, by_library(_one_by_one), few, None),
        ("Topic, write", by_topic(_one_by_one), few, Aim(single, 0.9)),
        (group, by_library(_many_at_once), many, None),
        (
            f"Topic, write, {_AT_A_TIME} at once",
            by_topic(_many_at_once),
            many,
            Aim(group, 0.9),
        ),
        (batches, encoded_by_hand, many, None),
        (f"{batches}, records ready", ready_made, many, Aim(batches)),
        ("publish.Kafka", by_node, many, Aim(batches, 0.7)),
    ]
    return [
        Case(name, partial(run, broker), count, floor)
        for name, run, count, floor in found
    ]
