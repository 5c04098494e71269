"""publish.Kafka: samples and payloads to the topics of Kafka."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final, NamedTuple

from nodes._batches import is_batch
from nodes._lines import encode_lines, encode_payload
from nodes._options import at_least, function, one_of
from nodes._queue import Item, QueueingSink, is_raw
from nodes._topics import checked_template, has_fields, made_of
from nodes._web import media_type
from pichannels.adapters.kafka import (
    Place,
    Producer,
    Refused,
    ensure_installed,
    partition_of,
)
from pichannels.adapters.kafka_login import Login, checked_mechanism, checked_servers
from pichannels.errors import (
    MessageError,
    NotConnected,
    SampleErrors,
    SettingsError,
    TryAgain,
)
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.values import Sample

__all__ = ["Kafka"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_JSON: Final = b"application/json"
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_KEYS_KEPT: Final = 100_000
_TICKS_PER_MS: Final = 10_000
_OVERHEAD: Final = 100
"""About how many bytes a record takes beside its value."""

Headers = list[tuple[str, bytes]]


class _Record(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes
    headers: Headers
    time: int | None


class _Parts(Item):
    """What one message becomes, and what is needed where some of it fails."""

    __slots__ = ("causes", "left", "origin")

    def __init__(self, msg: Message, data: list[_Record]) -> None:
        super().__init__(msg, data, sum(len(each.value) + _OVERHEAD for each in data))
        self.origin = msg.derive(msg.payload) if self.is_batch else None
        self.causes: dict[int, Exception] = {}
        # What the broker does not have yet, by its place.
        self.left = dict(enumerate(data))


class _Sent(NamedTuple):
    """A batch on its way, and which records of which items are in it."""

    result: asyncio.Future[Any]
    records: list[tuple[_Parts, int]]


class Kafka(QueueingSink):
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

    takes_numbers: ClassVar[bool] = True

    def __init__(
        self,
        servers: str | Sequence[str],
        topic: str | Callable[[Any], str],
        *,
        key: str | Callable[[Any], str | bytes | None] | None = None,
        event_time: bool = False,
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
        super().__init__(queue_bytes=queue_bytes, **options)
        ensure_installed()
        at_least("timeout", timeout, 0.001)
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
        self._topic = _checked("topic", topic)
        self._key = None if key is None else _checked("key", key)
        self._has_event_time = event_time
        self._options: dict[str, Any] = {
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": compression,
            "max_batch_size": batch_bytes,
            "max_request_size": max(batch_bytes, 2**20),
        }
        self._timeout = timeout
        self._policy = retry or _AGAIN
        self._producer: Producer | None = None
        self.places: dict[tuple[str, bytes], Place] = {}
        self.target = self._login.target

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: a secret is missing.
        """
        await super().start()
        logins: Any = [self._login.user, self._login.password]
        await reveal_in_thread(logins)

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
        return [Finding(True, "broker", f"{self.target} takes us")]

    # Messages

    def encode(self, msg: Message) -> list[_Record]:
        lane = str(msg.meta.get("lane", "live")).encode()
        if is_batch(msg.payload):
            return self._of_samples(msg, lane)
        payload = encode_payload(msg) if not is_raw(msg) else msg.payload
        content_type = media_type(msg.content_type).encode() if is_raw(msg) else _JSON
        headers = [
            ("message_id", msg.uuid.encode()),
            ("lane", lane),
            ("content_type", content_type),
        ]
        return [
            _Record(
                self._topic_of(msg, None),
                self._key_of(msg, None),
                payload.encode() if isinstance(payload, str) else payload,
                headers,
                msg.ticks // _TICKS_PER_MS if self._has_event_time else None,
            )
        ]

    def item(self, msg: Message) -> Item:
        return _Parts(msg, self.encode(msg))

    def _of_samples(self, msg: Message, lane: bytes) -> list[_Record]:
        lines = encode_lines(msg).split(b"\n")[: len(msg.payload)]
        fixed = self._fixed_topic(msg)
        return [
            _Record(
                fixed or self._topic_of(msg, sample),
                self._key_of(msg, sample),
                line,
                [
                    ("event_id", sample.event_id.encode()),
                    ("quality", _quality(sample)),
                    ("lane", lane),
                    ("content_type", _JSON),
                ],
                sample.ticks // _TICKS_PER_MS if self._has_event_time else None,
            )
            for sample, line in zip(msg.payload, lines, strict=True)
        ]

    def _fixed_topic(self, msg: Message) -> str | None:
        """The topic where it is the same for all samples of a message."""
        given = self._topic
        if callable(given) or has_fields(given):
            return None
        return self._topic_of(msg, None)

    def _topic_of(self, msg: Message, sample: Sample | None) -> str:
        topic = str(self._made(self._topic, msg, sample))
        if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
            raise MessageError(f"{self.fullpath()}: {topic!r} is no topic")
        return topic

    def _key_of(self, msg: Message, sample: Sample | None) -> bytes | None:
        if self._key is None:
            return None if sample is None else sample.tag.name.encode()
        key = self._made(self._key, msg, sample)
        return key if key is None or isinstance(key, bytes) else str(key).encode()

    def _made(self, given: Any, msg: Message, sample: Sample | None) -> Any:
        try:
            if callable(given):
                return given(msg if sample is None else sample)
            return made_of(given, msg, sample)
        except (ValueError, KeyError) as exc:
            raise MessageError(f"{self.fullpath()}: {exc}") from exc

    # Publishing

    async def deliver(self, group: Sequence[Item]) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._deliver_once(
                    [item for item in group if not item.is_done]
                )
            except (TryAgain, SettingsError) as exc:
                self.errors += 1
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            await self.pause(delay)

    async def _deliver_once(self, group: Sequence[Item]) -> None:
        is_whole = False
        try:
            async with asyncio.timeout(self._timeout) as limit:
                producer = await self._connected()
                is_whole = True
                for sent in await _Batches(self, producer, limit).publish(group):
                    is_whole &= await self._acknowledged(producer, sent)
                    limit.reschedule(self.until())
        except TimeoutError as exc:
            is_whole = False
            raise NotConnected(self.target, "no acknowledgement came") from exc
        except BaseException:
            is_whole = False
            raise
        finally:
            if not is_whole:
                # What was published is published again: in order, and by a new
                # producer, as the numbers of this one have a gap.
                producer_now, self._producer = self._producer, None
                if producer_now is not None:
                    await producer_now.abort()

    def until(self) -> float:
        """When to wait no longer, by the clock of the loop."""
        return asyncio.get_running_loop().time() + self._timeout

    async def _connected(self) -> Producer:
        if self._producer is None:
            options = await self._login.options() | self._options
            self._producer = await Producer.open(options, self.target)
            self.places.clear()
        return self._producer

    async def place(self, producer: Producer, record: _Record) -> Place:
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
        """Wait until the broker has a batch; with its last one an item is settled."""
        refused: Refused | None = None
        try:
            await producer.acknowledged(sent.result)
        except Refused as exc:
            refused = exc
        self.leave(sent.records, refused)
        return refused is None

    def leave(self, records: list[tuple[_Parts, int]], why: Exception | None) -> None:
        """These records are published, or never will be."""
        for item, place in records:
            del item.left[place]
            if why is not None:
                item.causes[place] = why
            if item.left:
                continue
            if item.causes:
                self._refuse(item)
            else:
                self.settle([item])

    def _refuse(self, item: _Parts) -> None:
        """Let the samples fail that the broker refuses, or else the message."""
        causes, origin = item.causes, item.origin
        self.errors += len(causes)
        if origin is None or len(causes) == item.count:
            self.fail([item], next(iter(causes.values())))
            return
        self.written += item.count - len(causes)
        item.count = len(causes)
        failed = origin.derive([origin.payload[index] for index in causes])
        self.fail([item], SampleErrors(causes, failed=failed))


class _Batches:
    """Batches of records in the making, one for each partition."""

    def __init__(self, node: Kafka, producer: Producer, limit: asyncio.Timeout) -> None:
        self._node = node
        self._producer = producer
        self._limit = limit
        self._filling: dict[Place, tuple[Any, list[tuple[_Parts, int]]]] = {}
        self._any: dict[str, Place] = {}
        self._sent: list[_Sent] = []

    async def publish(self, group: Sequence[Item]) -> list[_Sent]:
        """Hand over all records that are left, in order for each partition."""
        for item in group:
            assert isinstance(item, _Parts)
            for index, record in list(item.left.items()):
                if not self._added(item, index, record):
                    await self._add(item, index, record)
            # What is full is sent while the next ones are made.
            await asyncio.sleep(0)
        for place in list(self._filling):
            await self._send(place)
        return self._sent

    def _added(self, item: _Parts, index: int, record: _Record) -> bool:
        """Whether there is a batch for it that has room; nothing is awaited."""
        key = record.key
        if key is None:
            place = self._any.get(record.topic)
        else:
            place = self._node.places.get((record.topic, key))
        filling = None if place is None else self._filling.get(place)
        if filling is None or not self._appended(filling[0], record):
            return False
        filling[1].append((item, index))
        return True

    async def _add(self, item: _Parts, index: int, record: _Record) -> None:
        try:
            place = await self._place(record)
        except Refused as exc:
            self._node.leave([(item, index)], exc)
            return
        if place in self._filling:
            batch, records = self._filling[place]
            if self._appended(batch, record):
                records.append((item, index))
                return
            await self._send(place)
        batch = self._producer.batch()
        # The first one goes in, however large it is.
        self._appended(batch, record)
        self._filling[place] = (batch, [(item, index)])

    async def _place(self, record: _Record) -> Place:
        """Records without a key share a partition, so that batches are full."""
        if record.key is not None:
            return await self._node.place(self._producer, record)
        if record.topic not in self._any:
            self._any[record.topic] = await self._node.place(self._producer, record)
        return self._any[record.topic]

    @staticmethod
    def _appended(batch: Any, record: _Record) -> bool:
        done = batch.append(
            key=record.key,
            value=record.value,
            timestamp=record.time,
            headers=record.headers,
        )
        return done is not None

    async def _send(self, place: Place) -> None:
        batch, records = self._filling.pop(place)
        self._limit.reschedule(self._node.until())
        self._sent.append(_Sent(await self._producer.send(batch, place), records))


def _quality(sample: Sample) -> bytes:
    if not sample.good:
        return b"bad"
    return b"questionable" if sample.questionable else b"good"


def _checked(key: str, found: Any) -> Any:
    if callable(found):
        return function("publish.Kafka", found, may_be_async=False)
    if not isinstance(found, str) or not found:
        raise SettingsError(
            f"this is no {key}", key=key, found=found, allowed="plant, {name}"
        )
    return checked_template(key, found)
