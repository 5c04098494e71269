"""Topics of Kafka: a sink for keys and values, and a source of records."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from pichannels.adapters.kafka import (
    Producer,
    Refused,
    ensure_installed,
    known_options,
)
from pichannels.adapters.kafka_admin import Administration
from pichannels.adapters.kafka_login import checked_servers, is_topic
from pichannels.adapters.kafka_reading import Finish, Reading, Start, checked_start
from pichannels.dataflow.application import Conf, current
from pichannels.dataflow.codecs import ICodec, decoded
from pichannels.dataflow.deadlines import Deadlines
from pichannels.dataflow.interfaces import KeyedSink, Stream, Streamed
from pichannels.dataflow.topic_stream import Record, TopicStream
from pichannels.errors import (
    NotConnected,
    SettingsError,
    TryAgain,
    UsageError,
    nearest,
)
from pichannels.formats.codec import SchemaCodec, encoded
from pichannels.formats.patience import learned
from pichannels.secrets import reveal_in_thread

__all__ = ["READ_FROM_END", "READ_FROM_START", "Record", "Topic"]

logger: Final = logging.getLogger("pichannels.dataflow")

READ_FROM_START: Final = -2
"""As an offset: the first record that there is."""
READ_FROM_END: Final = -1
"""As an offset: behind the last record."""

_NAMED: Final = {
    READ_FROM_START: "earliest",
    READ_FROM_END: "latest",
}
_BROKER: Final = "localhost:9092"
_RESETS: Final = ("earliest", "latest")
_OURS: Final = ("enable_auto_commit", "max_poll_interval_ms", "transactional_id")
_SERIALIZERS: Final = (
    "key_serializer",
    "value_serializer",
    "key_deserializer",
    "value_deserializer",
)

Serialize = Callable[[Any], Any]
Headers = Mapping[str, str | bytes] | Sequence[tuple[str, bytes]]


class Topic(KeyedSink, Streamed):
    """A topic of Kafka.

    `await topic(key, value)` writes a record and waits until the brokers have it;
    `async for record in topic` and `await anext(topic)` read. It connects when it is
    used, and is closed when the stream of its application has ended, by `close`, or at
    the end of `async with topic`.

    A record is settled when handlers and sinks are done with it, or when the next one
    is asked for. What is settled is committed soon, in order for each partition, also
    before a partition goes to another member of the group. What was not comes again.

    Args:
        name: the topic.
        conf: settings of aiokafka, added to those of `Conf`. Values may be secrets.
        offset: where to go before the first record, whatever was committed: an offset,
            offsets by partition, `READ_FROM_START`, `READ_FROM_END`, or a time.
        codec: makes bytes of values, and values of bytes.
        dry: write nothing, and log what would have been written.
        dead_letters: gets records that the codec cannot read: another topic, without a
            codec, or a function, plain or async, of the raw record and the error. By
            default they are logged.
        at_once: how many records handlers may work on beside each other; those with
            the same key stay in order.

    Raises:
        SettingsError: an option is not usable, or the extra `kafka` is missing.

    Attributes:
        conf: the settings that it has.
        dead: how many records could not be read.
    """

    def __init__(
        self,
        name: str,
        conf: Mapping[str, Any] | None = None,
        offset: int | Start | None = None,
        codec: ICodec | None = None,
        dry: bool = False,
        *,
        dead_letters: Topic | Callable[[Any, Exception], Any] | None = None,
        at_once: int = 1,
    ) -> None:
        ensure_installed()
        if at_once < 1:
            raise SettingsError("1 or more", key="at_once", found=at_once)
        if not is_topic(name):
            raise SettingsError("not a name of a topic", key="name", found=name)
        self.name = name
        self._codec = codec
        self._schema = codec if isinstance(codec, SchemaCodec) else None
        self.conf: dict[str, Any] = {**Conf(), **(conf or {})}
        self.dead = 0
        self._settings = _checked(self.conf)
        self._offset = None if offset is None else _start(offset)
        if isinstance(dead_letters, Topic) and dead_letters._codec is not None:
            raise SettingsError("dead letters are bytes", key="dead_letters")
        self._dry = dry
        self._at_once = at_once
        self._dead_letters = dead_letters
        limit = self._settings.get("request_timeout_ms", 40_000) / 1000
        self._serializers: tuple[Serialize | None, Serialize | None] = (
            self._settings.get("key_serializer"),
            partial(_written, codec)
            if codec is not None
            else self._settings.get("value_serializer"),
        )
        self._deadlines = Deadlines(limit, self._late)
        self._producer: Producer | None = None
        self._opening = asyncio.Lock()
        self._stream: TopicStream | None = None
        self._is_paused = False
        current().exit_hook(self.close)

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"

    @property
    def target(self) -> str:
        """The brokers, as errors show them."""
        return "Kafka at " + ", ".join(self._servers)

    @property
    def _servers(self) -> list[str]:
        return checked_servers(self._settings.get("bootstrap_servers", _BROKER))

    # Writing

    async def __call__(
        self,
        key: Any,
        value: Any,
        headers: Headers | None = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Write a record; the brokers have it when this returns.

        Args:
            key: text or bytes decide on the partition; None for any.
            value: by the codec; without one text or bytes. None deletes the key.
            headers: names and texts or bytes.
            partition: instead of that of the key.
            timestamp_ms: the time of the record, instead of now.

        Raises:
            CodecError: the codec has no bytes for the value.
            SchemaRefused: its registry does not take the schema.
            Refused: the brokers do not take it.
            TryAgain: they do not answer.
            SettingsError: an option is not usable, or the login is refused.
        """
        if self._dry:
            logger.warning("dry: nothing is written to %s: %r", self.name, key)
            return
        of_key, of_value = self._serializers
        key_bytes, value_bytes = self._bytes(of_key, key), self._bytes(of_value, value)
        if self._schema is not None and value_bytes is not None:
            value_bytes = await self._schema.frame(self.name) + value_bytes
        producer = self._producer or await self._connected()
        try:
            await producer.write(
                self.name,
                value_bytes,
                key_bytes,
                partition,
                timestamp_ms,
                _headers(headers) if headers else (),
                self._deadlines.add,
            )
        except (NotConnected, Refused):
            # It would go on trying what has failed here, and the numbers of an
            # idempotent producer have a gap now.
            await self._drop(producer)
            raise

    def _bytes(self, serialize: Serialize | None, value: Any) -> bytes | None:
        if serialize is not None:
            value = serialize(value)
        if type(value) is str:
            return value.encode()
        if value is None or isinstance(value, bytes):
            return value
        if isinstance(value, str | int | float):
            return str(value).encode()
        raise UsageError(
            f"{self!r} has no codec, and {type(value).__name__} is neither text nor"
            " bytes; give it one, such as codec=JsonCodec()"
        )

    def _late(self) -> NotConnected:
        return NotConnected(self.target, "no acknowledgement came")

    async def _connected(self) -> Producer:
        async with self._opening:
            if self._producer is None:
                options = {"acks": "all", "enable_idempotence": True}
                options |= await self._options(0)
                self._producer = await Producer.open(options, self.target)
            return self._producer

    async def _drop(self, producer: Producer) -> None:
        if self._producer is producer:
            self._producer = None
            await producer.abort()

    async def _options(self, kind: int) -> dict[str, Any]:
        """What the library's producer (0), consumer (1) or administrator (2) takes."""
        known = known_options()[kind]
        options = {n: v for n, v in self._settings.items() if n in known}
        for name in _SERIALIZERS:
            options.pop(name, None)
        options = await reveal_in_thread(options)
        options["bootstrap_servers"] = self._servers
        is_tls = str(options.get("security_protocol", "")).endswith("SSL")
        if is_tls and options.get("ssl_context") is None:
            context = await asyncio.to_thread(ssl.create_default_context)
            options["ssl_context"] = context
        return options

    # Reading

    async def open_stream(self) -> Stream:
        """Connect, and join the group; what comes from now on is given.

        Where no broker answers, it is tried again when a record is asked for.

        Raises:
            SettingsError: an option is not usable, or the login is refused.
            UsageError: it is being read already.
        """
        if self._stream is not None and not self._stream.is_closed:
            raise UsageError(f"{self!r} is being read already")
        stream = self._reader()
        try:
            with suppress(TryAgain):
                await stream.open()
        except BaseException:
            self._stream = None
            raise
        return stream

    def _reader(self) -> TopicStream:
        if self._stream is None or self._stream.is_closed:
            grace = self._settings.get("rebalance_timeout_ms", 10_000) / 1000 * 0.8
            self._stream = TopicStream(
                self._make,
                self.decode,
                self._set_aside,
                self._offset,
                grace,
                self._at_once,
            )
            self._stream.held(self._is_paused)
        return self._stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        """The next record; the last one is settled with that.

        Raises:
            SettingsError: an option is not usable, or the login is refused.
        """
        return await anext(self._reader())

    async def _make(self, finish: Finish) -> Reading:
        return await self.reading(finish, self._settings.get("group_id"))

    async def reading(self, finish: Finish, group: str | None = None) -> Reading:
        """What reads it; with None as group all of it, beside others that do.

        Raises:
            SettingsError: an option is not usable.
        """
        options = await self._options(1)
        start = options.pop("auto_offset_reset", "latest")
        options.pop("group_id", None)
        options.setdefault("rebalance_timeout_ms", 10_000)
        if group is None:
            options.pop("group_instance_id", None)
        prepare = self._learn if isinstance(self._codec, SchemaCodec) else None
        return Reading(options, self.target, [self.name], group, start, finish, prepare)

    async def _learn(self, records: Sequence[Any]) -> None:
        """Ask the codec's registry for what it does not know yet."""
        await learned(repr(self), self._codec, [record.value for record in records])

    def decode(self, raw: Any) -> Record:
        """A record as readers get it.

        Raises:
            Exception: the codec cannot read it.
        """
        return Record(
            raw.topic,
            raw.partition,
            raw.offset,
            raw.timestamp,
            self._value("key_deserializer", raw.key),
            self._value("value_deserializer", raw.value),
            raw.headers,
        )

    def _value(self, deserializer: str, data: bytes | None) -> Any:
        if deserializer[0] == "v" and self._codec is not None:
            return decoded(self._codec, data)
        deserialize = self._settings.get(deserializer)
        if deserialize is not None:
            return None if data is None else deserialize(data)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            return data

    async def _set_aside(self, raw: Any, error: Exception) -> None:
        self.dead += 1
        where = f"{raw.topic}/{raw.partition}/{raw.offset}"
        logger.warning("%s cannot be read: %s", where, error)
        dead_letters = self._dead_letters
        if isinstance(dead_letters, Topic):
            more = [("error", str(error).encode()), ("came_from", where.encode())]
            await dead_letters(raw.key, raw.value, [*raw.headers, *more])
        elif dead_letters is not None:
            done = dead_letters(raw, error)
            if hasattr(done, "__await__"):
                await done

    async def commit(self) -> None:
        """Settle the last record, and commit now.

        Raises:
            TryAgain: brokers do not answer, or the partition went to another member.
            SettingsError: we may not.
        """
        if self._stream is not None:
            await self._stream.commit()

    async def seek(self, offset: int | Start) -> None:
        """Go on from there in all partitions that are ours.

        Args:
            offset: as for the topic.

        Raises:
            SettingsError: it is nothing of the kind, or the login is refused.
            TryAgain: brokers do not answer.
        """
        await self._reader().seek(_start(offset))

    def pause(self) -> None:
        """Give no more records; waiting for one goes on at `resume`."""
        self._is_paused = True
        if self._stream is not None:
            self._stream.held(True)

    def resume(self) -> None:
        """Go on at once."""
        self._is_paused = False
        if self._stream is not None:
            self._stream.held(False)

    # The topic itself

    async def create(
        self,
        *,
        partitions: int = 1,
        copies: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> bool:
        """Make the topic.

        Returns:
            False where it is there already.

        Raises:
            TryAgain: no broker answers.
            Refused: it may not have such a name.
            SettingsError: the brokers do not want it so.
        """
        return await (await self.admin()).create(
            self.name, partitions=partitions, copies=copies, settings=settings
        )

    async def describe(self) -> dict[str, Any]:
        """Its partitions, each with its leader and its copies.

        Raises:
            RetryLater: there is no such topic.
            TryAgain: no broker answers.
        """
        return await (await self.admin()).describe(self.name)

    async def admin(self) -> Administration:
        """What makes, describes and deletes topics.

        Raises:
            SettingsError: a secret is missing.
        """
        return Administration(await self._options(2), self.target)

    async def close(self) -> None:
        """Write what is under way, commit what is settled, and disconnect."""
        stream, self._stream = self._stream, None
        producer, self._producer = self._producer, None
        self._deadlines.close()
        try:
            if stream is not None:
                await stream.close()
        finally:
            if producer is not None:
                await producer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _checked(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by aiokafka's names; `group.id` is `group_id`."""
    known = frozenset().union(*known_options(), _SERIALIZERS)
    settings = {}
    for key, value in conf.items():
        name = "".join(c if c.isalnum() else "_" for c in key)
        if name not in known:
            raise SettingsError(
                f"aiokafka has no such setting{nearest(name, known)}", key=key
            )
        if name in _OURS and value:
            raise SettingsError("a topic sees to that itself", key=key, found=value)
        if name == "auto_offset_reset" and value not in _RESETS:
            allowed = ", ".join(_RESETS)
            raise SettingsError("no place", key=key, found=value, allowed=allowed)
        settings[name] = value
    for name in _OURS:
        settings.pop(name, None)
    checked_servers(settings.get("bootstrap_servers", _BROKER))
    return settings


def _start(offset: Any) -> Start:
    """A place in a topic; READ_FROM_START and READ_FROM_END are numbers."""
    if isinstance(offset, int) and offset in _NAMED:
        return _NAMED[offset]
    return checked_start("offset", offset)


def _written(codec: ICodec, value: Any) -> Any:
    """What stands behind the frame, where the codec has one."""
    if value is not None and isinstance(codec, SchemaCodec):
        return codec.body(value)
    return encoded(codec, value)


def _headers(found: Headers) -> list[tuple[str, bytes]]:
    items = found.items() if isinstance(found, Mapping) else found
    return [(n, v.encode() if isinstance(v, str) else v) for n, v in items]
