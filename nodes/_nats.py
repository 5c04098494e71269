"""publish.NATS: samples and payloads to streams of NATS JetStream."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final

from nodes._brokers import BrokerSink, Part, Parts, Record
from nodes._options import at_least
from pichannels.adapters.nats import (
    Connection,
    Login,
    Refused,
    checked_servers,
    ensure_installed,
)
from pichannels.errors import RetryLater, SettingsError, TryAgain
from pichannels.formats.codec import ICodec
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample

__all__ = ["NATS"]

_EXAMPLES: Final = "pi.{name}, plant.%(meta.unit)s.alarm"
# In a subject these would be wildcards, or end it.
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f*>]")
_CHANGES: Final = frozenset({"correction", "delete"})

_Waiting = dict[bytes, tuple[Part, asyncio.Future[None]]]


class NATS(BrokerSink):
    """Publish to NATS JetStream: a message for each sample of a batch, in order.

    The subject of a sample may have `{name}`, `{path}`, `{server}`, `{key}` and
    `{units}` of its tag, and that of any message values such as `%(meta.plant)s`; what
    means something in a subject, but for dots, is escaped. A sample is a JSON object
    like those of `publish.HTTP`; bytes and text go as they are, anything else as JSON.
    Headers say the `event_id` of a sample and its `quality` (`good`, `questionable` or
    `bad`), or else the `message_id`; and the `lane` and the `content_type`.
    `Nats-Msg-Id` is that id, so that a stream keeps once what is published twice
    within its duplicate window.

    A message is settled when a stream has acknowledged all that was published for it.
    What a lost connection leaves unacknowledged is published again, in order. Of each
    tag one sample is under way at a time, as a stream may refuse one and take the next.

    Args:
        servers: `nats://host:port`, or `tls://` for TLS, of one or several servers.
        subject: a text with patterns, or a function of the sample (of the message
            where it is no batch).
        stream: its name, where only that one is to take what is published.
        codec: makes the values of samples, and of what is neither bytes nor text;
            by default JSON.
        user: name of the user.
        password: best a `Secret`, like the next ones; looked up for each connection.
        token: in place of a user.
        nkey: the seed of an NKey, in place of a user.
        credentials: the text of a `.creds` file, best `Secret.file`.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        client_id: what servers call us in their logs.
        in_flight: how many messages may be unacknowledged.
        timeout: seconds for a connection, and for an acknowledgement.
        retry: how often and how soon what failed is published again; by default
            without end, so that nothing fails because a server or stream is away.
        queue_bytes: how much may wait to be published.
        options: those of every node.

    Raises:
        CodecError: the codec has nothing for the payload; fails this message only.
        MessageError: the message lacks a value, or has no usable subject.
        Refused: through the acknowledgement: the message is too large.
        SampleErrors: the same for some samples.
        SettingsError: an option is not usable, or the extra `nats` is missing.
    """

    overhead: ClassVar[int] = 200

    def __init__(
        self,
        servers: str | Sequence[str],
        subject: str | Callable[[Any], str],
        *,
        stream: str | None = None,
        codec: ICodec | None = None,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        token: str | Secret | None = None,
        nkey: str | Secret | None = None,
        credentials: str | Secret | None = None,
        tls: bool | SSLContext = False,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        client_id: str = "pichannels",
        in_flight: int = 1000,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        ensure_installed()
        at_least("in_flight", in_flight, 1)
        self._login = Login(
            checked_servers(servers),
            user,
            password,
            token,
            nkey,
            credentials,
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
        self.set_topic("subject", subject, _EXAMPLES)
        self._stream = stream
        self._in_flight = in_flight
        self._connection: Connection | None = None

    async def stop(self) -> None:
        """Publish what is queued, and disconnect."""
        await super().stop()
        await self.disconnect()

    def statistics(self) -> dict[str, int]:
        """Counts of values, of failures, and whether there is a connection."""
        connection = self._connection
        is_open = connection is not None and connection.error is None
        return super().statistics() | {"connected": int(is_open)}

    async def probe(self) -> list[Finding]:
        """Look whether a server takes us, and a stream the subject."""
        try:
            found = await Connection.open(self._login)
        except (TryAgain, SettingsError) as exc:
            return [Finding(False, "server", str(exc))]
        try:
            streams = [
                await self._probe_stream(found, subject)
                for subject in self.fixed_topics()
            ]
        finally:
            await found.close()
        taken = Finding(True, "server", f"{self.target} takes us")
        return [taken, *streams, *await self.probe_schema()]

    async def _probe_stream(self, connection: Connection, subject: str) -> Finding:
        try:
            name = await connection.stream_of(subject)
        except TryAgain as exc:
            reason = exc.reason if isinstance(exc, RetryLater) else str(exc)
            return Finding(False, "stream", reason)
        is_right = self._stream in (None, name)
        return Finding(is_right, "stream", f"stream {name} takes {subject}")

    # Messages

    def checked_topic(self, topic: Any, *, is_made: bool) -> str:
        text = str(topic)
        if not is_made:
            text = _UNFIT.sub(lambda match: f"%{ord(match[0]):02X}", text)
        if _UNFIT.search(text) or "" in text.split("."):
            raise ValueError(f"{text!r} is no subject")
        return text

    def key_of(self, msg: Message, sample: Sample | None) -> bytes | None:
        if sample is None:
            return None
        tag = sample.tag
        return f"{tag.server}/{tag.key or tag.path or tag.name}".encode()

    def _headers(self, record: Record) -> dict[str, str]:
        facts = record.facts
        id = f"{record.id}/{facts.lane}" if facts.lane in _CHANGES else record.id
        headers = {"Nats-Msg-Id": id, facts.id_name: record.id}
        if record.quality:
            headers["quality"] = record.quality
        headers.update(facts.pairs())
        if self._stream is not None:
            headers["Nats-Expected-Stream"] = self._stream
        return headers

    # Publishing

    async def connect(self) -> None:
        connection = self._connection
        if connection is not None and connection.error is not None:
            await self.disconnect()
        if self._connection is None:
            self._connection = await Connection.open(self._login)

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def publish(self, group: Sequence[Parts], limit: asyncio.Timeout) -> None:
        connection = self._connection
        assert connection is not None
        waiting: _Waiting = {}
        for item in group:
            for place, each in list(item.left.items()):
                key = each.key or each.topic.encode()
                if key in waiting:
                    await self._acknowledged(*waiting.pop(key))
                while len(waiting) >= self._in_flight:
                    await self._acknowledged(*waiting.pop(next(iter(waiting))))
                await self._send(connection, Part(item, place), each, key, waiting)
                limit.reschedule(self.until())
        for part, ack in waiting.values():
            await self._acknowledged(part, ack)
            limit.reschedule(self.until())

    async def _send(
        self,
        connection: Connection,
        part: Part,
        record: Record,
        key: bytes,
        waiting: _Waiting,
    ) -> None:
        try:
            ack = await connection.publish(
                record.topic, record.value, self._headers(record)
            )
        except Refused as exc:
            self.leave([part], exc)
        else:
            waiting[key] = part, ack

    async def _acknowledged(self, part: Part, ack: asyncio.Future[None]) -> None:
        """Wait until a stream has a part, or refuses it."""
        refused: Refused | None = None
        try:
            await ack
        except Refused as exc:
            refused = exc
        self.leave([part], refused)
