"""publish.Kafka: samples and payloads to the topics of Kafka."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final, NamedTuple

from nodes._brokers import BrokerSink, Facts, Part, Parts, Record, checked_text
from nodes._options import at_least, one_of
from pichannels.adapters.kafka import (
    Place,
    Producer,
    Refused,
    ensure_installed,
    partition_of,
)
from pichannels.adapters.kafka_login import (
    Login,
    checked_mechanism,
    checked_servers,
    is_topic,
)
from pichannels.errors import NotConnected, SettingsError, TryAgain
from pichannels.formats.codec import ICodec
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample

__all__ = ["Kafka"]

_EXAMPLES: Final = "plant, {name}"
_KEYS_KEPT: Final = 100_000
_TICKS_PER_MS: Final = 10_000


_Headers = list[tuple[str, bytes]]


class _Sent(NamedTuple):
    """A batch on its way, and which records of which items are in it."""

    result: asyncio.Future[Any]
    parts: list[Part]


class Kafka(BrokerSink):
    """Publish to Kafka: a record for each sample of a batch, in order.

    Topic and key of a sample may have `{name}`, `{path}`, `{server}`, `{key}` and
    `{units}` of its tag, and those of any message values such as `%(meta.plant)s`. A
    sample is a JSON object like those of `publish.HTTP`; bytes and text go as they
    are, anything else as JSON. The headers say the `event_id` of a sample and its
    `quality` (`good`, `questionable` or `bad`), or else the `message_id`; and the
    `lane` and the `content_type`.

    A message is settled when all copies that Kafka keeps in sync have its records.
    What waits goes in batches, one for each partition; the producer is idempotent, so
    that its own repetitions are written once. What a lost connection leaves
    unacknowledged is published again, in order.

    Args:
        servers: `host:port` of one or several brokers.
        topic: a text with patterns, or a function of the sample (of the message where
            it is no batch).
        key: what decides on the partition, likewise; by default the name of the tag.
            A function may give None: any partition.
        event_time: let records have the time of the sample, not that of publishing.
            Kafka deletes by that time what is older than its retention.
        codec: makes the values of samples, and of what is neither bytes nor text;
            by default JSON.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        mechanism: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        client_id: what brokers call us in their logs.
        compression: `gzip`, `snappy`, `lz4` or `zstd`; all but the first need cramjam.
        batch_bytes: how large a batch may be; topics take 1 MiB by default.
        timeout: seconds for a connection, and for an acknowledgement.
        retry: how often and how soon what failed is published again; by default
            without end, so that nothing fails because a broker is away.
        queue_bytes: how much may wait to be published.
        options: those of every node.

    Raises:
        CodecError: JSON has nothing for the payload; fails this message only.
        MessageError: the message lacks a value, or has no usable topic.
        Refused: through the acknowledgement: the broker said no.
        SampleErrors: the same for some samples.
        SettingsError: an option is not usable, or the extra `kafka` is missing.
    """

    overhead: ClassVar[int] = 100

    def __init__(
        self,
        servers: str | Sequence[str],
        topic: str | Callable[[Any], str],
        *,
        key: str | Callable[[Any], str | bytes | None] | None = None,
        event_time: bool = False,
        codec: ICodec | None = None,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        mechanism: str = "PLAIN",
        tls: bool | SSLContext = False,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        client_id: str = "pichannels",
        compression: str | None = None,
        batch_bytes: int = 256 * 2**10,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        ensure_installed()
        at_least("batch_bytes", batch_bytes, 1)
        if compression is not None:
            one_of("compression", compression, ("gzip", "snappy", "lz4", "zstd"))
        self._login = Login(
            checked_servers(servers),
            user,
            password,
            checked_mechanism(mechanism),
            tls,
            verify,
            ca,
            certificate,
            cert_key,
            client_id,
            timeout,
        )
        super().__init__(
            self._login,
            codec=codec,
            timeout=timeout,
            retry=retry,
            queue_bytes=queue_bytes,
            **options,
        )
        self.set_topic("topic", topic, _EXAMPLES)
        self._key = key
        if key is not None:
            self._key = checked_text("publish.Kafka", "key", key, _EXAMPLES)
        self._has_event_time = event_time
        self._options: dict[str, Any] = {
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": compression,
            "max_batch_size": batch_bytes,
            "max_request_size": max(batch_bytes, 2**20),
        }
        self._producer: Producer | None = None
        self.places: dict[tuple[str, bytes], Place] = {}

    async def stop(self) -> None:
        """Publish what is queued, and disconnect."""
        await super().stop()
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()

    def statistics(self) -> dict[str, int]:
        """Counts of values, of failures, and whether there is a connection."""
        return super().statistics() | {"connected": int(self._producer is not None)}

    async def probe(self) -> list[Finding]:
        """Look whether brokers are there and take us; nothing is published."""
        try:
            found = await Producer.open(await self._login.options(), self.target)
        except (TryAgain, SettingsError) as exc:
            return [Finding(False, "broker", str(exc))]
        await found.close()
        taken = Finding(True, "broker", f"{self.target} takes us")
        return [taken, *await self.probe_schema()]

    # Messages

    def checked_topic(self, topic: Any, *, is_made: bool) -> str:
        text = str(topic)
        if not is_topic(text):
            raise ValueError(f"{text!r} is no topic")
        return text

    def key_of(self, msg: Message, sample: Sample | None) -> bytes | None:
        if self._key is None:
            return None if sample is None else sample.tag.name.encode()
        key = self.made(self._key, msg, sample)
        return key if key is None or isinstance(key, bytes) else str(key).encode()

    def time_of(self, ticks: int) -> int | None:
        return ticks // _TICKS_PER_MS if self._has_event_time else None

    # Publishing

    async def connect(self) -> None:
        if self._producer is not None:
            return
        try:
            async with asyncio.timeout(self._timeout):
                options = await self._login.options() | self._options
                self._producer = await Producer.open(options, self.target)
        except TimeoutError as exc:
            raise NotConnected(self.target, "no broker answers") from exc
        self.places.clear()

    async def disconnect(self) -> None:
        # The numbers of this producer have a gap.
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.abort()

    async def publish(self, group: Sequence[Parts], limit: asyncio.Timeout) -> None:
        producer = self._producer
        assert producer is not None
        is_whole = True
        for sent in await _Batches(self, producer, limit).publish(group):
            is_whole &= await self._acknowledged(producer, sent)
            limit.reschedule(self.until())
        if not is_whole:
            await self.disconnect()

    async def place(self, producer: Producer, record: Record) -> Place:
        """The partition of a record, the same for the same key."""
        key = record.key
        found = None if key is None else self.places.get((record.topic, key))
        if found is None:
            partitions = await producer.partitions(record.topic)
            found = Place(record.topic, partition_of(key, partitions))
            if key is not None:
                if len(self.places) >= _KEYS_KEPT:
                    self.places.clear()
                self.places[record.topic, key] = found
        return found

    async def _acknowledged(self, producer: Producer, sent: _Sent) -> bool:
        """Wait until the broker has a batch, or refuses it."""
        refused: Refused | None = None
        try:
            await producer.acknowledged(sent.result)
        except Refused as exc:
            refused = exc
        self.leave(sent.parts, refused)
        return refused is None


class _Batches:
    """Batches of records in the making, one for each partition."""

    def __init__(self, node: Kafka, producer: Producer, limit: asyncio.Timeout) -> None:
        self._node = node
        self._producer = producer
        self._limit = limit
        self._filling: dict[Place, tuple[Any, list[Part]]] = {}
        self._any: dict[str, Place] = {}
        self._sent: list[_Sent] = []
        self._facts: Facts | None = None
        self._common: _Headers = []

    async def publish(self, group: Sequence[Parts]) -> list[_Sent]:
        """Hand over all records that are left, in order for each partition."""
        for item in group:
            for index, record in list(item.left.items()):
                if not self._added(item, index, record):
                    await self._add(item, index, record)
            # What is full is sent while the next ones are made.
            await asyncio.sleep(0)
        for place in list(self._filling):
            await self._send(place)
        return self._sent

    def _added(self, item: Parts, index: int, record: Record) -> bool:
        """Whether there is a batch for it that has room; nothing is awaited."""
        key = record.key
        if key is None:
            place = self._any.get(record.topic)
        else:
            place = self._node.places.get((record.topic, key))
        filling = None if place is None else self._filling.get(place)
        if filling is None or not self._appended(filling[0], record):
            return False
        filling[1].append(Part(item, index))
        return True

    async def _add(self, item: Parts, index: int, record: Record) -> None:
        try:
            place = await self._place(record)
        except Refused as exc:
            self._node.leave([Part(item, index)], exc)
            return
        if place in self._filling:
            batch, records = self._filling[place]
            if self._appended(batch, record):
                records.append(Part(item, index))
                return
            await self._send(place)
        batch = self._producer.batch()
        # The first one goes in, however large it is.
        self._appended(batch, record)
        self._filling[place] = (batch, [Part(item, index)])

    async def _place(self, record: Record) -> Place:
        """Records without a key share a partition, so that batches are full."""
        if record.key is not None:
            return await self._node.place(self._producer, record)
        if record.topic not in self._any:
            self._any[record.topic] = await self._node.place(self._producer, record)
        return self._any[record.topic]

    def _headers(self, record: Record) -> _Headers:
        facts = record.facts
        if facts is not self._facts:
            # The same for all records of a message.
            self._facts = facts
            self._common = [(name, text.encode()) for name, text in facts.pairs()]
        own = [(facts.id_name, record.id.encode())]
        if record.quality:
            own.append(("quality", record.quality.encode()))
        return own + self._common

    def _appended(self, batch: Any, record: Record) -> bool:
        done = batch.append(
            key=record.key,
            value=record.value,
            timestamp=record.time,
            headers=self._headers(record),
        )
        return done is not None

    async def _send(self, place: Place) -> None:
        batch, records = self._filling.pop(place)
        self._limit.reschedule(self._node.until())
        self._sent.append(_Sent(await self._producer.send(batch, place), records))
