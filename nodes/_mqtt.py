"""publish.MQTT: samples and payloads to the topics of an MQTT broker."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from secrets import token_hex
from ssl import SSLContext
from typing import Any, ClassVar, Final

from nodes._batches import is_batch
from nodes._lines import encode_lines, encode_payload
from nodes._options import at_least, function, one_of
from nodes._queue import Item, QueueingSink, is_raw
from nodes._topics import checked_template, made_of
from nodes._web import media_type
from pichannels.errors import (
    MessageError,
    NotConnected,
    SampleErrors,
    SettingsError,
    TryAgain,
)
from pichannels.message import Message
from pichannels.mqtt import (
    Connection,
    Login,
    Publish,
    Refused,
    check_topic,
    checked_url,
)
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.values import Sample

__all__ = ["MQTT", "Refused"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_AT_ONCE: Final = 1000
"""How many messages are published before the first is settled."""
_WILDCARDS: Final = str.maketrans({"+": "%2B", "#": "%23", "\x00": "%00"})


class _Parts(Item):
    """What one message becomes, and what is needed where some of it fails."""

    __slots__ = ("causes", "left", "origin")

    def __init__(self, msg: Message, data: list[Publish]) -> None:
        super().__init__(msg, data, sum(len(each.payload) for each in data))
        self.origin = msg.derive(msg.payload) if self.is_batch else None
        self.causes: dict[int, Exception] = {}
        # What the broker does not have yet, by its place.
        self.left = dict(enumerate(data))


class MQTT(QueueingSink):
    """Publish to an MQTT broker: a message for each sample of a batch, in order.

    The topic of a sample may have `{name}`, `{path}`, `{server}`, `{key}` and `{units}`
    of its tag, and that of any message values such as `%(meta.plant)s`; wildcards in
    them are escaped. A sample is a JSON object like those of `publish.HTTP`; bytes and
    text go as they are, anything else as JSON. With MQTT 5 the user properties say the
    `event_id` of a sample, or the `message_id`, and the `lane`.

    A message is settled when the broker has acknowledged all that was published for
    it; with QoS 0, when that is sent. What a lost connection leaves unacknowledged is
    published again, in order.

    Args:
        url: `mqtt://host:port`, or `mqtts://` for TLS.
        topic: a text with patterns, or a function of the sample (of the message where
            it is no batch).
        qos: 0 at most once, 1 at least once, 2 once in a connection.
        retain: let the broker keep the last message of each topic for new subscribers.
        expiry: seconds after which the broker forgets a message that nobody took
            (MQTT 5).
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        ssl: with `mqtts://`, False for no check of the certificate, or an
            `ssl.SSLContext`.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        key: a file with its key, where that is another one.
        protocol: `5` or `3.1.1`.
        client_id: unique among the clients of the broker; by default one that is made.
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
        SettingsError: an option is not usable.
    """

    takes_numbers: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        topic: str | Callable[[Any], str],
        *,
        qos: int = 1,
        retain: bool = False,
        expiry: float | None = None,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        ssl: bool | SSLContext = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        protocol: str = "5",
        client_id: str | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("timeout", timeout, 0.001)
        at_least("expiry", expiry, 1)
        if isinstance(qos, bool) or qos not in (0, 1, 2):
            raise SettingsError(
                "there is no such QoS", key="qos", found=qos, allowed="0, 1, 2"
            )
        one_of("protocol", protocol, ("5", "3.1.1"))
        self._login = Login(
            checked_url(url),
            user,
            password,
            ssl,
            ca,
            certificate,
            key,
            protocol,
            timeout=timeout,
        )
        self._topic = _checked_topic(topic)
        self._qos = qos
        self._retain = retain
        self._common: dict[str, Any] = {}
        if expiry is not None:
            self._common["message_expiry_interval"] = int(expiry)
        self._client_id = client_id or f"pichannels-{token_hex(8)}"
        self._timeout = timeout
        self._policy = retry or _AGAIN
        self._connection: Connection | None = None
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
        """Publish what is queued, and say goodbye."""
        await super().stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def statistics(self) -> dict[str, int]:
        """Counts of values, of failures, and whether there is a connection."""
        connection = self._connection
        is_open = connection is not None and connection.error is None
        return super().statistics() | {"connected": int(is_open)}

    async def probe(self) -> list[Finding]:
        """Look whether the broker is there and takes us; nothing is published."""
        try:
            found = await Connection.open(self._login, f"pichannels-{token_hex(8)}")
        except (NotConnected, SettingsError) as exc:
            return [Finding(False, "broker", str(exc))]
        await found.close()
        return [Finding(True, "broker", f"{self.target} takes us")]

    # Messages

    def encode(self, msg: Message) -> list[Publish]:
        if is_batch(msg.payload):
            return self._of_samples(msg)
        payload = encode_payload(msg) if not is_raw(msg) else msg.payload
        content_type = media_type(msg.content_type) if is_raw(msg) else _JSON
        data = payload.encode() if isinstance(payload, str) else payload
        topic = self._topic_of(msg, None)
        return [self._publish(topic, data, content_type, "message_id", msg.uuid, msg)]

    def item(self, msg: Message) -> Item:
        return _Parts(msg, self.encode(msg))

    def _of_samples(self, msg: Message) -> list[Publish]:
        lines = encode_lines(msg).split(b"\n")[: len(msg.payload)]
        return [
            self._publish(
                self._topic_of(msg, sample),
                line,
                _JSON,
                "event_id",
                sample.event_id,
                msg,
            )
            for sample, line in zip(msg.payload, lines, strict=True)
        ]

    def _publish(
        self,
        topic: str,
        data: bytes,
        content_type: str,
        id_name: str,
        id: str,
        msg: Message,
    ) -> Publish:
        lane = str(msg.meta.get("lane", "live"))
        properties = {
            **self._common,
            "content_type": content_type,
            "user_property": [(id_name, id), ("lane", lane)],
        }
        return Publish(topic, data, self._qos, self._retain, properties)

    def _topic_of(self, msg: Message, sample: Sample | None) -> str:
        given = self._topic
        try:
            if callable(given):
                return check_topic(str(given(msg if sample is None else sample)))
            return check_topic(made_of(given, msg, sample).translate(_WILDCARDS))
        except (ValueError, KeyError) as exc:
            raise MessageError(f"{self.fullpath()}: {exc}") from exc

    # Publishing

    def take(self) -> list[Item]:
        """What is published together."""
        count = min(len(self._queue), _AT_ONCE)
        return [self._queue.popleft() for _ in range(count)]

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
        connection = await self._connected()
        try:
            waiting: list[tuple[_Parts, int, asyncio.Future[None]]] = []
            async with asyncio.timeout(self._timeout) as limit:
                for item in group:
                    assert isinstance(item, _Parts)
                    for place, each in item.left.items():
                        await connection.room()
                        ack = self._published(connection, item, place, each)
                        waiting.append((item, place, ack))
                        limit.reschedule(self._until())
                for item, place, ack in waiting:
                    await self._acknowledged(item, place, ack)
                    limit.reschedule(self._until())
        except TimeoutError as exc:
            self._connection = None
            await connection.close()
            raise NotConnected(self.target, "no acknowledgement came") from exc
        except BaseException:
            # What was published is published again: in order, and on a new connection.
            self._connection = None
            await connection.close()
            raise

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None and connection.error is not None:
            await connection.close()
            connection = None
        if connection is None:
            connection = await Connection.open(self._login, self._client_id)
            self._connection = connection
        return connection

    def _published(
        self, connection: Connection, item: _Parts, place: int, publish: Publish
    ) -> asyncio.Future[None]:
        try:
            return connection.publish(publish)
        except Refused as exc:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(exc)
            # Perhaps nobody comes to it, as the connection is lost before.
            refused.exception()
            return refused

    async def _acknowledged(
        self, item: _Parts, place: int, ack: asyncio.Future[None]
    ) -> None:
        """Wait until the broker has a part; with the last one the item is settled."""
        try:
            await ack
        except Refused as exc:
            item.causes[place] = exc
        del item.left[place]
        if item.left:
            return
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


_JSON: Final = "application/json"


def _checked_topic(topic: Any) -> Any:
    if callable(topic):
        return function("publish.MQTT", topic, may_be_async=False)
    if not isinstance(topic, str) or not topic or set(topic) & {"+", "#"}:
        raise SettingsError(
            "this is no topic",
            key="topic",
            found=topic,
            allowed="plant/{name}, plant/%(meta.unit)s/alarm",
        )
    return checked_template("topic", topic)
