"""Kafka by aiokafka, which the extra `kafka` brings.

What writes, what reads, and the errors of the library as ours.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from pichannels.adapters.kafka_errors import Refused, error_of
from pichannels.adapters.later import Later
from pichannels.errors import NotConnected, SettingsError

__all__ = [
    "Consumer",
    "Place",
    "Producer",
    "Refused",
    "administrator",
    "answered",
    "ensure_installed",
    "error_of",
    "known_options",
    "new_topic",
    "partition_of",
    "translated",
]

aiokafka: Final = Later("aiokafka")
admin: Final = Later("aiokafka.admin")
conn: Final = Later("aiokafka.conn")
errors: Final = Later("aiokafka.errors")
partitioner: Final = Later("aiokafka.partitioner")

_HASHES_KEPT: Final = 10_000
_GOODBYE: Final = 5.0
"""Seconds that a connection gets to end in good order."""
_CONNECTING: Final = (
    "client_id",
    "request_timeout_ms",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


def ensure_installed() -> None:
    """Look whether the library is there.

    Raises:
        SettingsError: it is not.
    """
    if not aiokafka.is_there():
        raise SettingsError(
            "Kafka needs the extra `kafka`: pip install 'pichannels[kafka]'"
        )


def known_options() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """What the library's producer, consumer and administrator take."""
    ensure_installed()
    kinds = aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer
    producer, consumer, administrates = (
        frozenset(inspect.signature(kind).parameters)
        for kind in (*kinds, admin.AIOKafkaAdminClient)
    )
    return producer, consumer, administrates


def partition_of(key: bytes | None, partitions: Sequence[int]) -> int:
    """Where Kafka's own clients put a key, or any partition for None."""
    return Partitioner()(key, partitions, partitions)


class Partitioner:
    """Puts keys where Kafka's own clients do, and remembers the hashes of the last."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}

    def __call__(
        self, key: bytes | None, partitions: Sequence[int], available: Sequence[int]
    ) -> int:
        """The partition of a key, or any that has a leader for None."""
        if key is None:
            return random.choice(available or partitions)
        found = self._hashes.get(key)
        if found is None:
            if len(self._hashes) >= _HASHES_KEPT:
                self._hashes.clear()
            found = self._hashes[key] = partitioner.murmur2(key) & 0x7FFFFFFF
        return partitions[found % len(partitions)]


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Raise the library's errors as ours.

    Raises:
        Refused: the broker does not take a message.
        RetryLater: there is no such topic.
        NotConnected: a broker does not answer, or anything else goes wrong.
        SettingsError: an option is not usable, or the login is refused.
    """
    try:
        yield
    except (
        errors.KafkaError,
        errors.ConsumerStoppedError,
        errors.IllegalOperation,
        OSError,
    ) as exc:
        raise error_of(exc, target) from exc
    except (ValueError, TypeError, AssertionError) as exc:
        raise SettingsError(f"{target}: {exc}") from exc


async def _opened(client: Any, target: str, options: Mapping[str, Any]) -> None:
    """Start a client of the library, or leave nothing of it."""
    try:
        with translated(target):
            await client.start()
    except BaseException as exc:
        with suppress(Exception):
            async with asyncio.timeout(_GOODBYE):
                await client.stop()
        if isinstance(exc, NotConnected):
            await _look_why(target, options)
        raise


async def _look_why(target: str, options: Mapping[str, Any]) -> None:
    """Raise what the library only logs where no broker takes us."""
    named = {name: options[name] for name in _CONNECTING if name in options}
    for server in options["bootstrap_servers"]:
        host, _, port = server.rpartition(":")
        with translated(target):
            await _try_connection(conn.AIOKafkaConnection(host, int(port), **named))


async def _try_connection(connection: Any) -> None:
    try:
        await connection.connect()
    except OSError:
        # There was none.
        raise
    except errors.KafkaError:
        await asyncio.wait([connection.close()], timeout=_GOODBYE)
        raise
    await asyncio.wait([connection.close()], timeout=_GOODBYE)


def administrator(options: Mapping[str, Any], target: str) -> Any:
    """The library's client that makes and describes topics.

    Raises:
        SettingsError: an option is not usable, or aiokafka is missing.
    """
    ensure_installed()
    with translated(target):
        return admin.AIOKafkaAdminClient(**options)


def new_topic(name: str, partitions: int, copies: int, **settings: str) -> Any:
    """What the library's client takes to make a topic."""
    return admin.NewTopic(name, partitions, copies, topic_configs=settings)


def answered(code: int, reason: str | None, target: str) -> bool:
    """Whether brokers did what they were asked; False where that was there already.

    Raises:
        Refused, TryAgain, SettingsError: they did not.
    """
    error = errors.for_code(code)
    if error is errors.TopicAlreadyExistsError:
        return False
    if error is not errors.NoError:
        found = error_of(error(*filter(None, [reason])), target)
        if isinstance(found, NotConnected):
            raise SettingsError(f"{target}: {found.reason}", key="topic")
        raise found
    return True


def _made(kind: str, target: str, options: Mapping[str, Any]) -> Any:
    try:
        with translated(target):
            return getattr(aiokafka, kind)(**options)
    except RuntimeError as exc:
        # A library for compression is missing.
        raise SettingsError(f"{target}: {exc}") from exc


class Producer:
    """What writes to topics; made by `open`."""

    def __init__(self, client: Any, target: str) -> None:
        self._client = client
        self.target = target
        self._partitions: dict[str, list[int]] = {}

    @classmethod
    async def open(cls, options: Mapping[str, Any], target: str) -> Producer:
        """Connect.

        Raises:
            NotConnected: no broker answers.
            SettingsError: an option is not usable, or the login is refused.
        """
        ensure_installed()
        options = {"partitioner": Partitioner(), **options}
        client = _made("AIOKafkaProducer", target, options)
        await _opened(client, target, options)
        return cls(client, target)

    async def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic, which brokers may make at that.

        Raises:
            TryAgain: no broker answers, or there is no such topic.
            Refused: it may not have such a name.
            SettingsError: we may not write there.
        """
        known = self._partitions.get(topic)
        if known is None:
            with translated(self.target):
                known = sorted(await self._client.partitions_for(topic))
            self._partitions[topic] = known
        return known

    def batch(self) -> Any:
        """A new batch; `append(key=, value=, timestamp=, headers=)` fills it.

        `append` gives None where it has no room.
        """
        return self._client.create_batch()

    async def send(self, batch: Any, place: Place) -> asyncio.Future[Any]:
        """Hand a batch over, when there is room for it; the result is settled later.

        Raises:
            TryAgain, Refused, SettingsError: as for `partitions`.
        """
        batch.close()
        with translated(self.target):
            sent: asyncio.Future[Any] = await self._client.send_batch(
                batch, place.topic, partition=place.partition
            )
        # Perhaps nobody comes to it, as another one fails before.
        sent.add_done_callback(_seen)
        return sent

    async def acknowledged(self, sent: Awaitable[Any]) -> Any:
        """Wait until the brokers have what was handed over.

        Raises:
            TryAgain, Refused, SettingsError: they do not.
        """
        with translated(self.target):
            return await sent

    async def write(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        watch: Callable[[asyncio.Future[Any]], object] = id,
    ) -> Any:
        """Write one message and wait until the brokers have it.

        Args:
            watch: is given the future that is waited for, and may let it fail.

        Raises:
            TryAgain, Refused, SettingsError: as for `partitions`.
        """
        try:
            sent = await self._client.send(
                topic, value, key, partition, timestamp_ms, headers
            )
            watch(sent)
            return await sent
        except Exception:
            # Only where it is needed, as this is done for each message.
            with translated(self.target):
                raise

    async def close(self) -> None:
        """Write what was handed over, and disconnect."""
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._client.stop()
        except (TimeoutError, errors.KafkaError, OSError):
            await self.abort()

    async def abort(self) -> None:
        """Disconnect at once; what is not acknowledged may be written or not."""
        # Its own end would wait for acknowledgements that may never come.
        accumulator, sender = self._client._message_accumulator, self._client._sender
        accumulator.fail_all(errors.KafkaConnectionError("the connection was closed"))
        with suppress(Exception):
            await sender.close()
        with suppress(Exception):
            self._client._closed = False
            await self._client.stop()


def _seen(sent: asyncio.Future[Any]) -> None:
    if not sent.cancelled():
        sent.exception()


Listener = Callable[[Sequence[Place]], Awaitable[None]]


class Consumer:
    """What reads topics, by itself or as a member of a group.

    Args:
        options: what the library's consumer takes.
        target: where the brokers are, for errors.
        topics: names, or one regular expression that begins with `^`.
        revoked: called before partitions go to others, and waited for.
        assigned: called when partitions have come to us.

    Raises:
        SettingsError: an option is not usable, or aiokafka is missing.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        target: str,
        topics: Sequence[str],
        revoked: Listener,
        assigned: Listener,
    ) -> None:
        ensure_installed()
        self.target = target
        self._options = options
        self._client = _made("AIOKafkaConsumer", target, options)
        self._is_member = options.get("group_id") is not None
        listener = _listener(revoked, assigned)
        with translated(target):
            if len(topics) == 1 and topics[0].startswith("^"):
                self._client.subscribe(pattern=topics[0], listener=listener)
            else:
                self._client.subscribe(topics=list(topics), listener=listener)

    async def open(self) -> None:
        """Connect, and join the group if there is one.

        Raises:
            TryAgain: no broker answers.
            SettingsError: the login is refused.
        """
        await _opened(self._client, self.target, self._options)

    @property
    def assigned(self) -> list[Place]:
        """The partitions that are ours just now."""
        return [Place(*each) for each in self._client.assignment()]

    async def take(
        self, places: Iterable[Place], seconds: float, most: int
    ) -> dict[Place, list[Any]]:
        """What has come for these partitions, perhaps after a while.

        Raises:
            TryAgain: brokers do not answer.
            SettingsError: we may not read there.
        """
        with translated(self.target):
            found = await self._client.getmany(
                *(aiokafka.TopicPartition(*place) for place in places),
                timeout_ms=int(seconds * 1000),
                max_records=most,
            )
        return {Place(*place): records for place, records in found.items()}

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Let the group go on from these offsets.

        Raises:
            TryAgain: brokers do not answer, or the partitions went to others.
            SettingsError: we may not.
        """
        if not self._is_member:
            return
        with translated(self.target):
            await self._client.commit(
                {aiokafka.TopicPartition(*p): offset for p, offset in offsets.items()}
            )

    async def committed(self, place: Place) -> int | None:
        """Where the group goes on, or None.

        Raises:
            TryAgain: brokers do not answer.
            SettingsError: we may not.
        """
        if not self._is_member:
            return None
        with translated(self.target):
            found: int | None = await self._client.committed(
                aiokafka.TopicPartition(*place)
            )
        return found

    async def position(self, place: Place) -> int:
        """The offset that is read next.

        Raises:
            TryAgain: brokers do not answer.
        """
        with translated(self.target):
            return int(await self._client.position(aiokafka.TopicPartition(*place)))

    async def bounds(
        self, places: Sequence[Place], *, is_end: bool
    ) -> dict[Place, int]:
        """The first offsets of partitions, or those behind the last.

        Raises:
            TryAgain: brokers do not answer.
        """
        with translated(self.target):
            ask = self._client.end_offsets if is_end else self._client.beginning_offsets
            found = await ask([aiokafka.TopicPartition(*place) for place in places])
        return {Place(*place): offset for place, offset in found.items()}

    async def since(self, places: Sequence[Place], time_ms: int) -> dict[Place, int]:
        """The first offsets at or after a time; partitions without one are left out.

        Raises:
            TryAgain: brokers do not answer.
        """
        asked = {aiokafka.TopicPartition(*place): time_ms for place in places}
        with translated(self.target):
            found = await self._client.offsets_for_times(asked)
        return {Place(*place): at.offset for place, at in found.items() if at}

    def end(self, place: Place) -> int | None:
        """Behind the last record of a partition, as far as that is known."""
        with translated(self.target):
            found: int | None = self._client.highwater(aiokafka.TopicPartition(*place))
        return found

    def seek(self, place: Place, offset: int) -> None:
        """Read a partition from this offset on."""
        with translated(self.target):
            self._client.seek(aiokafka.TopicPartition(*place), offset)

    async def close(self) -> None:
        """Leave the group and disconnect."""
        with suppress(TimeoutError, errors.KafkaError, OSError):
            async with asyncio.timeout(_GOODBYE):
                await self._client.stop()


def _listener(revoked: Listener, assigned: Listener) -> Any:
    """What the library calls when partitions come and go."""

    kind: Any = aiokafka.ConsumerRebalanceListener

    class Listening(kind):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked_now: Any) -> None:
            await revoked([Place(*each) for each in revoked_now])

        async def on_partitions_assigned(self, assigned_now: Any) -> None:
            await assigned([Place(*each) for each in assigned_now])

    return Listening()
