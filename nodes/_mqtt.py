"""publish.MQTT: samples and payloads to the topics of an MQTT broker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from secrets import token_hex
from ssl import SSLContext
from typing import Any, Final

from nodes._brokers import BrokerSink, Part, Parts, Record
from nodes._options import at_least, one_of
from nodes._queue import Item
from pichannels.errors import NotConnected, SettingsError
from pichannels.formats.codec import ICodec
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
from pichannels.secrets import Secret

__all__ = ["MQTT", "Refused"]

_EXAMPLES: Final = "plant/{name}, plant/%(meta.unit)s/alarm"
_AT_ONCE: Final = 1000
"""How many messages are published before the first is settled."""
_WILDCARDS: Final = str.maketrans({"+": "%2B", "#": "%23", "\x00": "%00"})


class MQTT(BrokerSink):
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
        codec: makes the values of samples, and of what is neither bytes nor text;
            by default JSON.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        tls: True for TLS, as with `mqtts://`, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
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

    def __init__(
        self,
        url: str,
        topic: str | Callable[[Any], str],
        *,
        qos: int = 1,
        retain: bool = False,
        expiry: float | None = None,
        codec: ICodec | None = None,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        tls: bool | SSLContext = False,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        protocol: str = "5",
        client_id: str | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
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
            tls,
            verify,
            ca,
            certificate,
            cert_key,
            protocol,
            timeout=timeout,
        )
        super().__init__(
            self._login,
            codec=codec,
            timeout=timeout,
            retry=retry,
            queue_bytes=queue_bytes,
            **options,
        )
        _check_wildcards(topic)
        self.set_topic("topic", topic, _EXAMPLES)
        self._qos = qos
        self._retain = retain
        self._common: dict[str, Any] = {}
        if expiry is not None:
            self._common["message_expiry_interval"] = int(expiry)
        self._client_id = client_id or f"pichannels-{token_hex(8)}"
        self._connection: Connection | None = None

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
        taken = Finding(True, "broker", f"{self.target} takes us")
        return [taken, *await self.probe_schema()]

    # Messages

    def checked_topic(self, topic: Any, *, is_made: bool) -> str:
        return check_topic(str(topic) if is_made else topic.translate(_WILDCARDS))

    def _packet(self, record: Record) -> Publish:
        facts = record.facts
        properties = {
            **self._common,
            "content_type": facts.content_type,
            "user_property": [
                (facts.id_name, record.id),
                ("lane", facts.lane),
                *facts.trace.items(),
            ],
        }
        return Publish(record.topic, record.value, self._qos, self._retain, properties)

    # Publishing

    def take(self) -> list[Item]:
        """What is published together."""
        count = min(len(self._queue), _AT_ONCE)
        return [self._queue.popleft() for _ in range(count)]

    async def connect(self) -> None:
        connection = self._connection
        if connection is not None and connection.error is not None:
            await self.disconnect()
        if self._connection is None:
            self._connection = await Connection.open(self._login, self._client_id)

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def publish(self, group: Sequence[Parts], limit: asyncio.Timeout) -> None:
        connection = self._connection
        assert connection is not None
        waiting: list[tuple[Part, asyncio.Future[None]]] = []
        for item in group:
            for place, each in item.left.items():
                await connection.room()
                waiting.append((Part(item, place), self._sent(connection, each)))
                limit.reschedule(self.until())
        for part, ack in waiting:
            await self._acknowledged(part, ack)
            limit.reschedule(self.until())

    def _sent(self, connection: Connection, each: Record) -> asyncio.Future[None]:
        try:
            return connection.publish(self._packet(each))
        except Refused as exc:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(exc)
            # Perhaps nobody comes to it, as the connection is lost before.
            refused.exception()
            return refused

    async def _acknowledged(self, part: Part, ack: asyncio.Future[None]) -> None:
        """Wait until the broker has a part, or refuses it."""
        refused: Refused | None = None
        try:
            await ack
        except Refused as exc:
            refused = exc
        self.leave([part], refused)


def _check_wildcards(topic: Any) -> None:
    """A text has none, also beside fields; in what fields give they are escaped."""
    if isinstance(topic, str) and set(topic) & {"+", "#"}:
        raise SettingsError(
            "this is no topic", key="topic", found=topic, allowed=_EXAMPLES
        )
