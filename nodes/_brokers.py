"""Sinks that publish to a broker: records, acknowledgements, what is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from nodes._batches import is_batch
from nodes._lines import encode_lines, encode_payload
from nodes._options import at_least, function
from nodes._queue import Item, QueueingSink, is_raw
from nodes._topics import checked_template, has_fields, made_of
from nodes._web import media_type
from pichannels.errors import (
    MessageError,
    NotConnected,
    SampleErrors,
    SettingsError,
    TryAgain,
)
from pichannels.formats.codec import (
    ICodec,
    SchemaCodec,
    body_of,
    checked_codec,
    content_type_of,
)
from pichannels.formats.framing import WireCodec
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.tracing import outgoing
from pichannels.values import Sample

__all__ = ["BrokerSink", "Facts", "Part", "Parts", "Record", "checked_text"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_JSON: Final = "application/json"


class Login(Protocol):
    """What a sink has to know of how it gets in."""

    @property
    def target(self) -> str:
        """The broker, as errors show it."""

    @property
    def secrets(self) -> list[str | Secret | None]:
        """What is looked up for each connection."""


class Facts(NamedTuple):
    """What headers say of all records of a message.

    Attributes:
        id_name: `event_id` for samples, else `message_id`.
        lane: that of the message.
        content_type: of the values.
        trace: the trace that they belong to; empty without one.
    """

    id_name: str
    lane: str
    content_type: str
    trace: Mapping[str, str] = {}

    def pairs(self) -> list[tuple[str, str]]:
        """Names and texts of what is the same for all."""
        found = [("lane", self.lane), ("content_type", self.content_type)]
        return [*found, *self.trace.items()]


class Record(NamedTuple):
    """What is published.

    Attributes:
        topic: where to.
        key: None without one.
        value: its bytes.
        id: that of the sample, or of the message.
        quality: `good`, `questionable` or `bad`; empty where it is no sample.
        facts: what else headers say.
        time: in the broker's own unit; None where that of publishing will do.
        needs_frame: what the codec's registry says is not before the value yet.
    """

    topic: str
    key: bytes | None
    value: bytes
    id: str
    quality: str
    facts: Facts
    time: int | None = None
    needs_frame: bool = False


class Parts(Item):
    """What one message becomes, and what is needed where some of it fails."""

    __slots__ = ("causes", "left", "origin")

    def __init__(self, msg: Message, data: list[Record], size: int) -> None:
        super().__init__(msg, data, size)
        self.origin = msg.derive(msg.payload) if self.is_batch else None
        self.causes: dict[int, Exception] = {}
        # What the broker does not have yet, by its place.
        self.left: dict[int, Record] = dict(enumerate(data))


class Part(NamedTuple):
    """One record of an item."""

    item: Parts
    place: int


class BrokerSink(QueueingSink):
    """Publishes a record for each sample of a batch, or one for any other message.

    A message is settled when the broker has all of its records. After a failure what
    is not acknowledged is published again, in order. A child calls `set_topic` with a
    text with patterns, or a function.

    Args:
        login: where the broker is.
        codec: makes the values; by default JSON, and bytes and text as they are.
        timeout: seconds for an acknowledgement.
        retry: how often and how soon what failed is published again.
        queue_bytes: how much may wait to be published.
        options: those of every node.
    """

    takes_numbers: ClassVar[bool] = True
    overhead: ClassVar[int] = 0
    """About how many bytes a record takes beside its value."""

    def __init__(
        self,
        login: Login,
        /,
        *,
        codec: ICodec | None,
        timeout: float,
        retry: RetryPolicy | None,
        queue_bytes: int,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("timeout", timeout, 0.001)
        self.target = login.target
        self._topic: Any = None
        self._secrets = login.secrets
        self._codec = None if codec is None else checked_codec(codec)
        self._timeout = timeout
        self._policy = retry or _AGAIN

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: a secret is missing.
        """
        await super().start()
        await reveal_in_thread(self._secrets)

    # What each broker has of its own

    def key_of(self, msg: Message, sample: Sample | None) -> bytes | None:
        """The key of a record, where the broker has keys."""
        return None

    def time_of(self, ticks: int) -> int | None:
        """The time of a record, where it has one of its own."""
        return None

    def checked_topic(self, topic: Any, *, is_made: bool) -> str:
        """The topic, made by a function or of a text.

        Raises:
            ValueError: it cannot be one.
        """
        raise NotImplementedError

    async def connect(self) -> None:
        """See that there is a connection.

        Raises:
            SettingsError: it does not take us.
            TryAgain: there is none.
        """
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Give up the connection, and what is not acknowledged."""
        raise NotImplementedError

    async def publish(self, group: Sequence[Parts], limit: asyncio.Timeout) -> None:
        """Publish what is left of these, and wait for acknowledgements.

        Raises:
            TryAgain: all that is left is to be published again.
            SettingsError: the same, and settings have to be changed first.
        """
        raise NotImplementedError

    def set_topic(self, key: str, found: Any, example: str) -> None:
        """Take the option that says where to.

        Raises:
            SettingsError: it is no topic, or a field or pattern does not exist.
            UsageError: the function is async, or a generator.
        """
        node = f"publish.{type(self).__name__}"
        self._topic = checked_text(node, key, found, example)
        for topic in self.fixed_topics():
            try:
                self.checked_topic(topic, is_made=True)
            except ValueError as exc:
                raise SettingsError(
                    str(exc), key=key, found=topic, allowed=example
                ) from exc

    def fixed_topics(self) -> list[str]:
        """The topic, where it is the same for all that comes."""
        topic = self._topic
        is_fixed = isinstance(topic, str) and not set(topic) & set("{%")
        return [topic] if is_fixed else []

    async def probe_schema(self) -> list[Finding]:
        """Look whether the registry of the codec takes the schema."""
        codec = self._codec
        if not isinstance(codec, WireCodec) or codec.registry is None:
            return []
        found = []
        for topic in self.fixed_topics():
            subject = codec.subject_of(topic)
            try:
                problems = await codec.problems(topic)
            except (TryAgain, SettingsError) as exc:
                problems = [str(exc)]
            told = "; ".join(problems) or f"{codec.registry.target} takes it"
            found.append(Finding(not problems, f"schema of {subject}", told))
        return found

    # Messages

    def encode(self, msg: Message) -> list[Record]:
        lane = str(msg.meta.get("lane", "live"))
        fixed = self._fixed_topic(msg)
        if not is_batch(msg.payload):
            return [self._of_message(msg, fixed or self._topic_of(msg, None), lane)]
        codec = self._codec
        content_type = _JSON if codec is None else content_type_of(codec)
        facts = Facts("event_id", lane, content_type, outgoing())
        return [
            Record(
                fixed or self._topic_of(msg, sample),
                self.key_of(msg, sample),
                value,
                sample.event_id,
                _quality(sample),
                facts,
                self.time_of(sample.ticks),
                codec is not None,
            )
            for sample, value in zip(msg.payload, self._values(msg, lane), strict=True)
        ]

    def _of_message(self, msg: Message, topic: str, lane: str) -> Record:
        """The record of a message that is no batch."""
        codec, is_encoded = self._codec, False
        if is_raw(msg):
            value, content_type = msg.payload, media_type(msg.content_type)
        elif codec is None:
            value, content_type = encode_payload(msg), _JSON
        else:
            value, content_type = (
                body_of(codec, msg.payload, lane),
                content_type_of(codec),
            )
            is_encoded = True
        facts = Facts("message_id", lane, content_type, outgoing())
        data = value.encode() if isinstance(value, str) else value
        key, time = self.key_of(msg, None), self.time_of(msg.ticks)
        return Record(topic, key, data, msg.uuid, "", facts, time, is_encoded)

    def item(self, msg: Message) -> Item:
        data = self.encode(msg)
        size = sum(len(each.value) for each in data) + self.overhead * len(data)
        return Parts(msg, data, size)

    def _values(self, msg: Message, lane: str) -> list[bytes]:
        codec = self._codec
        if codec is None:
            return encode_lines(msg).split(b"\n")[: len(msg.payload)]
        return [body_of(codec, sample, lane) for sample in msg.payload]

    def _fixed_topic(self, msg: Message) -> str | None:
        """The topic where it is the same for all samples of a message."""
        given = self._topic
        if callable(given) or has_fields(given):
            return None
        return self._topic_of(msg, None)

    def _topic_of(self, msg: Message, sample: Sample | None) -> str:
        found = self.made(self._topic, msg, sample)
        try:
            return self.checked_topic(found, is_made=callable(self._topic))
        except ValueError as exc:
            raise MessageError(f"{self.fullpath()}: {exc}") from exc

    def made(self, given: Any, msg: Message, sample: Sample | None) -> Any:
        """What a text with patterns, or a function, gives for a sample or a message.

        Raises:
            MessageError: a value is missing.
        """
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
                    [i for i in group if isinstance(i, Parts) and not i.is_done]
                )
            except (TryAgain, SettingsError) as exc:
                self.not_written(exc)
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            await self.pause(delay)

    async def _deliver_once(self, group: Sequence[Parts]) -> None:
        await self._frame(group)
        try:
            await self.connect()
            async with asyncio.timeout(self._timeout) as limit:
                await self.publish(group, limit)
        except TimeoutError as exc:
            await self.disconnect()
            raise NotConnected(self.target, "no acknowledgement came") from exc
        except BaseException:
            # What was published is published again: in order, and on a new connection.
            await self.disconnect()
            raise

    async def _frame(self, group: Sequence[Parts]) -> None:
        """Put before the values what the codec's registry says of their topics."""
        codec = self._codec
        if not isinstance(codec, SchemaCodec):
            return
        for item in group:
            for place, each in item.left.items():
                if each.needs_frame:
                    value = await codec.frame(each.topic) + each.value
                    item.left[place] = each._replace(value=value, needs_frame=False)

    def until(self) -> float:
        """When to wait no longer, by the clock of the loop."""
        return asyncio.get_running_loop().time() + self._timeout

    def leave(self, parts: Sequence[Part], why: Exception | None) -> None:
        """These records are published, or never will be; the last settles its item."""
        for item, place in parts:
            del item.left[place]
            if why is not None:
                item.causes[place] = why
            if item.left:
                continue
            if item.causes:
                self._refuse(item)
            else:
                self.settle([item])

    def _refuse(self, item: Parts) -> None:
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


def checked_text(node: str, key: str, found: Any, example: str) -> Any:
    """A text with patterns, or a function of the sample or the message.

    Raises:
        SettingsError: it is neither, or a field or pattern does not exist.
        UsageError: the function is async, or a generator.
    """
    if callable(found):
        return function(node, found, may_be_async=False)
    if not isinstance(found, str) or not found:
        raise SettingsError(f"this is no {key}", key=key, found=found, allowed=example)
    return checked_template(key, found)


def _quality(sample: Sample) -> str:
    if not sample.good:
        return "bad"
    return "questionable" if sample.questionable else "good"
