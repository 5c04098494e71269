"""The channel whose source are topics of Kafka: a message for each record."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from ssl import SSLContext
from typing import Any, Final

from pichannels.adapters.kafka import Place, ensure_installed
from pichannels.adapters.kafka_admin import Administration
from pichannels.adapters.kafka_login import (
    Login,
    checked_mechanism,
    checked_servers,
    is_topic,
)
from pichannels.adapters.kafka_reading import Reading, Start, checked_start
from pichannels.channels.base import BaseChannel
from pichannels.channels.ticking import seconds
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    JournalError,
    NotConnected,
    SettingsError,
    TryAgain,
    UsageError,
)
from pichannels.formats.codec import ICodec, checked_codec
from pichannels.formats.steps import DecodeStep
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.tracing import incoming
from pichannels.values import format_ticks

__all__ = ["KafkaChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_BYTES: Final = "application/octet-stream"
_TICKS_PER_MS: Final = 10_000
_WAIT_FOR_JOURNAL: Final = 1.0
_WHILE_PAUSED: Final = 0.25
_LOOK: Final = 0.2
"""Seconds after which a reader without records looks around."""


class _Lane:
    """What was read of one partition and is not settled."""

    __slots__ = ("is_over", "records", "task", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.records: deque[Any] = deque()
        self.task: asyncio.Task[None] | None = None
        self.is_over = False


class KafkaChannel(BaseChannel):
    """Runs a message through its nodes for each record of topics of Kafka.

    The payload is bytes, or what `codec` makes of them; None where the record deletes
    its key. `meta` has `topic`,
    `partition`, `offset`, `key`, `headers` and `timestamp`; keys and headers are text
    where they are UTF-8.

    Partitions are read beside each other, each in order. The offset of a record is
    committed when the message is durable in the journal; without a journal when it is
    settled. What was not committed comes again: after a crash, and where a partition
    has gone to another member of the group. With several lanes messages of one
    partition stay in order, unless `key` says otherwise.

    Args:
        args: the name, and what every channel takes.
        servers: `host:port` of one or several brokers.
        topics: one or several, or a regular expression that begins with `^`.
        group: members of a group share the partitions; by default `pichannels-` and
            the name of the channel.
        member: a name of this member that outlives restarts, so that its partitions
            wait for it for `session_timeout`.
        start: where to begin where the group has committed nothing: `earliest`,
            `latest`, an offset, offsets by partition, or a time.
        committed_only: leave out what transactions have not committed.
        codec: makes values of the bytes, in a node `codec` before all others; what it
            cannot read is a dead letter.
        batch: how many records are read at once; as many of a partition may wait.
        session_timeout: seconds after which a silent member loses its partitions.
        rebalance_timeout: seconds that a message under way gets before its partition
            goes to another member.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        mechanism: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        client_id: what brokers call us in their logs.
        timeout: seconds for a connection, and for an answer.
        reconnect: how soon a connection is opened again.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable, or the extra `kafka` is missing.
    """

    def __init__(
        self,
        *args: Any,
        servers: str | Sequence[str],
        topics: str | Sequence[str],
        group: str | None = None,
        member: str | None = None,
        start: Start = "earliest",
        committed_only: bool = False,
        codec: ICodec | None = None,
        batch: int = 500,
        session_timeout: float = 10.0,
        rebalance_timeout: float = 60.0,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        mechanism: str = "PLAIN",
        tls: bool | SSLContext = False,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        client_id: str = "pichannels",
        timeout: float = 30.0,
        reconnect: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("key", _partition)
        super().__init__(*args, **kwargs)
        ensure_installed()
        if codec is not None:
            self.add(DecodeStep(checked_codec(codec), name="codec"))
        self.topics = _topics(topics)
        self.group = group or f"pichannels-{self.name}"
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
            seconds("timeout", timeout),
        )
        self._from = checked_start("start", start)
        self._batch = _count("batch", batch)
        self._patience_of_group = seconds("rebalance_timeout", rebalance_timeout)
        session = int(seconds("session_timeout", session_timeout) * 1000)
        self._options: dict[str, Any] = {
            "group_instance_id": member,
            "session_timeout_ms": session,
            "heartbeat_interval_ms": max(1, session // 3),
            "rebalance_timeout_ms": int(rebalance_timeout * 1000),
            "isolation_level": f"read_{'' if committed_only else 'un'}committed",
        }
        self._reconnect = reconnect or _AGAIN
        self._reading: Reading | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._partitions: dict[Place, _Lane] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._replayed: dict[Place, int] = {}
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._is_leaving = False
        self.messages = 0
        self.losses = 0

    @property
    def origin(self) -> str:
        return f"{self._login.target}: {', '.join(self.topics)}"

    @property
    def is_ready(self) -> bool:
        """Whether it is a member of the group."""
        return self._reading is not None

    def statistics(self) -> dict[str, Any]:
        """How many messages came, how often it broke, and how far it is behind."""
        reading = self._reading
        return {
            "connected": int(reading is not None),
            "messages": self.messages,
            "losses": self.losses,
            "partitions": len(reading.places) if reading else 0,
            "behind": reading.behind if reading else 0,
        }

    async def probe(self) -> list[Finding]:
        """Look whether brokers take us and have the topics; joins no group."""
        target = self._login.target
        try:
            options = await self._login.options()
            known = await Administration(options, target).topics()
        except (TryAgain, SettingsError) as exc:
            return [Finding(False, "broker", str(exc))]
        missing = [
            Finding(False, "topic", f"{target} has no topic {topic!r}")
            for topic in self.topics
            if topic not in known and not topic.startswith("^")
        ]
        return [Finding(True, "broker", f"{target} takes us"), *missing]

    async def seek(self, start: Start) -> None:
        """Read again, or skip: go on from there in all partitions that we have.

        What had been read before comes with the lane `replay`.

        Args:
            start: `earliest`, `latest`, an offset, offsets by partition, or a time.

        Raises:
            SettingsError: it is nothing of the kind.
            TryAgain: brokers do not answer.
            UsageError: the channel is not connected.
        """
        place = checked_start("start", start)
        reading = self._reading
        if reading is None:
            raise UsageError(f"channel {self.name!r} is not connected")
        before = await reading.seek(place)
        for each, offset in before.items():
            self._replayed[each] = max(offset, self._replayed.get(each, 0))
            if lane := self._partitions.get(each):
                lane.records.clear()

    async def start_source(self) -> None:
        self._is_leaving = False
        self._receiver = asyncio.create_task(self._run(), name=f"{self.name}: receiver")

    async def stop_source(self) -> None:
        self._is_leaving = True
        self._changed.set()
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        try:
            # It ends by itself: settles what is under way, commits, leaves the group.
            await asyncio.wait([receiver], timeout=self.drain_timeout)
        finally:
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)

    # Connections

    async def _run(self) -> None:
        failures = 0
        while not self._is_leaving:
            losses = self.losses
            try:
                await self._receive()
            except (TryAgain, SettingsError) as exc:
                self._tell("kafka.lost", str(exc))
            except ChannelStopped:
                return
            except Exception:
                # A fault of ours must not end the source for good.
                logger.exception("%s: the source failed", self.name)
            if self._is_leaving:
                return
            failures = 1 if self.losses > losses else failures + 1
            delay = self._reconnect.delay(failures, NotConnected(self._login.target))
            if delay is None:
                return self._tell("kafka.given_up", "all attempts have failed")
            await asyncio.sleep(delay)

    def _tell(self, event: str, error: str) -> None:
        logger.warning("%s: %s: %s", self.name, event, error)
        self.events.fire(event, channel=self.name, error=error)

    async def _receive(self) -> None:
        """Be a member of the group, until that ends."""
        reading = Reading(
            await self._login.options() | self._options,
            self._login.target,
            self.topics,
            self.group,
            self._from,
            self._finish,
        )
        self._failure = None
        try:
            await reading.open()
            self._reading = reading
            logger.info("%s: connected to %s", self.name, self._login.target)
            self.events.fire("kafka.connected", channel=self.name, group=self.group)
            while not self._is_leaving:
                await self._read(reading)
        finally:
            try:
                await self._finish(list(self._partitions))
            finally:
                if self._reading is not None:
                    self._reading = None
                    self.losses += not self._is_leaving
                await self._end_lanes()
                await reading.close()

    async def _read(self, reading: Reading) -> None:
        if self._failure is not None:
            raise self._failure
        places = reading.places
        free = [place for place in places if self._has_room(place)]
        if places and not free:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._changed.wait()
            return
        for place, records in (await reading.take(free, _LOOK, self._batch)).items():
            self._put(reading, place, records)

    def _has_room(self, place: Place) -> bool:
        lane = self._partitions.get(place)
        return lane is None or len(lane.records) < self._batch

    # Partitions

    def _put(self, reading: Reading, place: Place, records: list[Any]) -> None:
        turn = reading.turn(place)
        lane = self._partitions.get(place)
        if lane is None or lane.is_over:
            lane = self._partitions[place] = _Lane(turn)
        if lane.turn != turn:
            lane.records.clear()
            lane.turn = turn
        lane.records.extend(records)
        if lane.task is None:
            name = f"{self.name}: {place.topic} {place.partition}"
            lane.task = asyncio.create_task(self._work(reading, place, lane), name=name)

    async def _work(self, reading: Reading, place: Place, lane: _Lane) -> None:
        """Take what waits of a partition, in order."""
        take = self._handled if self.journal is None else self._accepted
        try:
            while lane.records and not lane.is_over:
                turn = lane.turn
                last = await take(place, lane.records)
                reading.settled(place, last, turn)
                self._changed.set()
        except ChannelStopped:
            return
        except Exception as exc:
            self._failure = exc
        finally:
            lane.task = None
            self._changed.set()

    async def _finish(self, places: Sequence[Place]) -> None:
        """Begin nothing more of these partitions, and end what is under way."""
        lanes = [self._partitions.pop(p) for p in places if p in self._partitions]
        for lane in lanes:
            lane.is_over = True
            lane.records.clear()
        tasks = [lane.task for lane in lanes if lane.task is not None]
        if tasks:
            left = {task for task in self._ending if not task.done()}
            self._ending = left | set(tasks)
            await asyncio.wait(tasks, timeout=self._patience_of_group * 0.8)

    async def _end_lanes(self) -> None:
        """End what did not by itself."""
        tasks = [task for task in self._ending if not task.done()]
        self._ending.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Messages

    async def _accepted(self, place: Place, records: deque[Any]) -> int:
        """Accept all records; returns the offset of the last one."""
        batch = list(records)
        records.clear()
        found = await asyncio.gather(
            *(self._accept(place, each) for each in batch), return_exceptions=True
        )
        for error in found:
            if error is not None:
                raise error
        return int(batch[-1].offset)

    async def _accept(self, place: Place, record: Any) -> None:
        self.messages += 1
        while True:
            try:
                msg = self._message(record)
                return await self.accept(msg, lane=self._lane(record))
            except JournalError as exc:
                if self._is_leaving:
                    raise ChannelStopped(self.name) from exc
                logger.error("%s: the journal takes nothing: %s", self.name, exc)
            await asyncio.sleep(_WAIT_FOR_JOURNAL)

    async def _handled(self, place: Place, records: deque[Any]) -> int:
        """Handle one record; returns its offset."""
        record = records.popleft()
        self.messages += 1
        while True:
            msg = self._message(record)
            msg.meta["lane"] = self._lane(record)
            try:
                await self.handle(msg)
            except ChannelPaused as exc:
                # Kafka keeps what is not committed.
                if self._is_leaving:
                    raise ChannelStopped(self.name) from exc
                await asyncio.sleep(_WHILE_PAUSED)
                continue
            except ChannelStopped:
                raise
            except Exception as exc:
                # The channel has told it, and the next record comes.
                logger.debug("%s: a message failed: %s", self.name, exc)
            return int(record.offset)

    def _message(self, record: Any) -> Message:
        msg = _message(record)
        if self.tracer is not None:
            msg.meta |= incoming(msg.meta["headers"])
        return msg

    def _lane(self, record: Any) -> str:
        until = self._replayed.get(Place(record.topic, record.partition), 0)
        return "replay" if record.offset < until else "live"


def _message(record: Any) -> Message:
    headers = {name: _text(value) for name, value in record.headers}
    meta: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": _text(record.key),
        "headers": headers,
        "timestamp": format_ticks(record.timestamp * _TICKS_PER_MS),
    }
    content_type = headers.get("content_type")
    if not isinstance(content_type, str):
        content_type = _BYTES
    return Message(content_type, record.value, meta)


def _text(data: bytes | None) -> str | bytes | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return data


def _partition(msg: Message) -> tuple[Any, Any]:
    return msg.meta.get("topic"), msg.meta.get("partition")


# Options


def _topics(found: Any) -> list[str]:
    topics = [found] if isinstance(found, str) else list(found)
    patterns = [each for each in topics if str(each).startswith("^")]
    if not topics or not all(isinstance(each, str) and each for each in topics):
        raise SettingsError("there are none", key="topics", found=found)
    if patterns and len(topics) > 1:
        raise SettingsError(
            "a regular expression stands alone", key="topics", found=found
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as exc:
            raise SettingsError(str(exc), key="topics", found=pattern) from exc
    if not patterns and not all(map(is_topic, topics)):
        raise SettingsError("not names of topics", key="topics", found=found)
    return topics


def _count(key: str, found: Any) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise SettingsError("not a usable number", key=key, found=found, allowed="1...")
    return found
