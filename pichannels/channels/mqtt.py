"""The channel whose source is an MQTT broker: a message for each of its messages."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from secrets import token_hex
from ssl import SSLContext
from typing import Any, Final

from pichannels.channels.base import BaseChannel
from pichannels.channels.ticking import seconds
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    JournalError,
    NotConnected,
    SettingsError,
    nearest,
)
from pichannels.message import Message
from pichannels.mqtt import (
    Connection,
    Login,
    Publish,
    Session,
    check_filter,
    checked_url,
)
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret

__all__ = ["MQTTChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_PROTOCOLS: Final = ("5", "3.1.1")
_BYTES: Final = "application/octet-stream"
_WAIT_FOR_JOURNAL: Final = 1.0
_WHILE_PAUSED: Final = 0.25
_LAST_BATCH: Final = 5.0
"""Seconds that a stop waits for what has come to be accepted."""


class MQTTChannel(BaseChannel):
    """Runs a message through its nodes for each message of an MQTT broker.

    The payload is bytes. `meta` has `topic`, `qos`, `retain` (whether the broker had
    kept it from before), `duplicate` where the broker may have sent it before, and
    with MQTT 5 `properties`, whose `user_property` is a list of names and values.

    A message of QoS 1 or 2 is acknowledged when it is durable in the journal, and not
    before: what the broker has handed over is not lost, and what it has not is sent
    again. For that the broker keeps a session under `client_id`.

    Args:
        args: the name, and what every channel takes.
        url: `mqtt://host:port`, or `mqtts://` for TLS.
        topics: one or several, with the wildcards `+` and `#`; a mapping gives each a
            QoS of its own.
        qos: how messages come: 0 at most once, 1 at least once, 2 once in a session.
        group: the name of a shared subscription: each message goes to one of the
            clients that have it.
        client_id: what the broker knows the session by; unique among its clients. By
            default one that is made once and kept in the journal.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        tls: True for TLS, as with `mqtts://`, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        protocol: `5` or `3.1.1`.
        clean_start: whether the broker is to forget at the start what it kept for us.
        session_expiry: seconds for which the broker keeps the session while we are
            away; MQTT 3.1.1 leaves that to the broker.
        receive_maximum: how many messages may come without acknowledgement (MQTT 5).
        max_bytes: how large a message may be.
        keep_alive: seconds after which a silent connection is tried.
        timeout: seconds for a connection, and for an answer.
        reconnect: how soon a connection is opened again.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        url: str,
        topics: str | Sequence[str] | Mapping[str, int],
        qos: int = 1,
        group: str = "",
        client_id: str | None = None,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        tls: bool | SSLContext = False,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        protocol: str = "5",
        clean_start: bool = False,
        session_expiry: float = 7 * 86400,
        receive_maximum: int = 1000,
        max_bytes: int = 16 * 2**20,
        keep_alive: float = 30.0,
        timeout: float = 10.0,
        reconnect: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.filters = _filters(topics, qos, group)
        self.client_id = client_id
        self.clean_start = clean_start
        self._login = Login(
            checked_url(url),
            user,
            password,
            tls,
            verify,
            ca,
            certificate,
            cert_key,
            _protocol(protocol),
            seconds("keep_alive", keep_alive),
            seconds("timeout", timeout),
        )
        self._options: dict[str, Any] = {
            "session_expiry": seconds("session_expiry", session_expiry),
            "receive_maximum": _count("receive_maximum", receive_maximum, 65535),
            "packet_bytes": _count("max_bytes", max_bytes, 268_435_455),
        }
        self._reconnect = reconnect or _AGAIN
        self._session = Session()
        self._connection: Connection | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._is_ending = False
        self._was_connected = False
        self.refused: dict[str, str] = {}
        self.messages = 0
        self.losses = 0

    @property
    def origin(self) -> str:
        return f"{self._login.target} {', '.join(self.filters)}"

    @property
    def is_ready(self) -> bool:
        """Whether it is connected, and the broker takes all subscriptions."""
        return self._connection is not None and not self.refused

    def statistics(self) -> dict[str, Any]:
        """Where the messages come from, how many came, and how often it broke."""
        return {
            "url": self._login.target,
            "connected": int(self._connection is not None),
            "messages": self.messages,
            "losses": self.losses,
            "refused": len(self.refused),
        }

    async def probe(self) -> list[Finding]:
        """Look whether the broker is there and takes us; subscribes to nothing."""
        try:
            found = await Connection.open(self._login, f"pichannels-{token_hex(4)}")
        except (NotConnected, SettingsError) as exc:
            return [Finding(False, "broker", str(exc))]
        await found.close()
        return [Finding(True, "broker", f"{self._login.target} takes us")]

    async def start_source(self) -> None:
        self._is_ending = self._was_connected = False
        self._session = Session()
        client_id = self.client_id or await self._kept_id()
        self._receiver = asyncio.create_task(
            self._run(client_id), name=f"{self.name}: receiver"
        )

    async def stop_source(self) -> None:
        self._is_ending = True
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        try:
            if self._connection is not None:
                # What has come already is taken; then the task ends by itself.
                self._connection.end_messages()
                await asyncio.wait([receiver], timeout=_LAST_BATCH)
        finally:
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)

    async def _kept_id(self) -> str:
        """The client id that was made at the first start."""
        made = f"pichannels-{self.name}-{token_hex(4)}"
        if self.journal is None:
            return made
        place = f"channel:{self.name}"
        kept = await self.journal.restore(place, "client_id", None)
        if not isinstance(kept, str):
            kept = made
            await self.journal.save(place, "client_id", kept)
        return kept

    # Connections

    async def _run(self, client_id: str) -> None:
        failures = 0
        while not self._is_ending:
            losses = self.losses
            try:
                await self._receive(client_id)
            except (NotConnected, SettingsError) as exc:
                self._tell("mqtt.lost", error=str(exc))
            except ChannelStopped:
                return
            except Exception:
                # A fault of ours must not end the source for good.
                logger.exception("%s: the source failed", self.name)
            if self._is_ending:
                return
            failures = 1 if self.losses > losses else failures + 1
            delay = self._reconnect.delay(failures, NotConnected(self._login.target))
            if delay is None:
                return self._tell("mqtt.given_up", error="all attempts have failed")
            await asyncio.sleep(delay)

    async def _receive(self, client_id: str) -> None:
        """Take the messages of one connection, until it ends."""
        connection = await Connection.open(
            self._login,
            client_id,
            session=self._session,
            clean_start=self.clean_start and not self._was_connected,
            **self._options,
        )
        try:
            await self._subscribe(connection)
            self._connection = connection
            while batch := await connection.messages():
                await self._take(connection, batch)
        finally:
            if self._connection is not None:
                self._connection = None
                self.losses += not self._is_ending
            await connection.close()

    async def _subscribe(self, connection: Connection) -> None:
        if self._was_connected and not connection.session_present:
            # Nobody knows what came meanwhile.
            self._tell("mqtt.session_lost", error="the broker has forgotten us")
        self.refused = await connection.subscribe(self.filters)
        for name, why in self.refused.items():
            self._tell("mqtt.refused", topic=name, error=why)
        self._was_connected = True
        logger.info("%s: connected to %s", self.name, self._login.target)
        self.events.fire("mqtt.connected", channel=self.name, url=self._login.target)

    def _tell(self, event: str, **facts: str) -> None:
        said = ": ".join(facts.values())
        logger.warning("%s: %s: %s", self.name, event, said)
        self.events.fire(event, channel=self.name, **facts)

    # Messages

    async def _take(self, connection: Connection, batch: Sequence[Publish]) -> None:
        """Accept messages in order, and acknowledge those that are accepted."""
        if self.journal is None:
            for each in batch:
                await self._handled(each)
                connection.acknowledge(each)
            return
        found = await asyncio.gather(
            *map(self._accepted, batch), return_exceptions=True
        )
        for each, error in zip(batch, found, strict=True):
            if error is not None:
                raise error
            connection.acknowledge(each)

    async def _accepted(self, publish: Publish) -> None:
        self.messages += 1
        while True:
            try:
                return await self.accept(_message(publish))
            except JournalError as exc:
                if self._is_ending:
                    raise ChannelStopped(self.name) from exc
                logger.error("%s: the journal takes nothing: %s", self.name, exc)
            await asyncio.sleep(_WAIT_FOR_JOURNAL)

    async def _handled(self, publish: Publish) -> None:
        self.messages += 1
        while True:
            try:
                await self.handle(_message(publish))
            except ChannelPaused as exc:
                # The broker keeps what is not acknowledged.
                if self._is_ending:
                    raise ChannelStopped(self.name) from exc
                await asyncio.sleep(_WHILE_PAUSED)
                continue
            except ChannelStopped:
                raise
            except Exception as exc:
                # The channel has told it, and the next message comes.
                logger.debug("%s: a message failed: %s", self.name, exc)
            return


def _message(publish: Publish) -> Message:
    properties = dict(publish.properties)
    meta: dict[str, Any] = {
        "topic": publish.topic,
        "qos": publish.qos,
        "retain": publish.retain,
    }
    if publish.is_duplicate:
        meta["duplicate"] = True
    if properties:
        if "user_property" in properties:
            properties["user_property"] = [*map(list, properties["user_property"])]
        meta["properties"] = properties
    return Message(properties.get("content_type") or _BYTES, publish.payload, meta)


# Options


def _filters(topics: Any, qos: int, group: str) -> dict[str, int]:
    if isinstance(topics, str):
        topics = [topics]
    named = topics if isinstance(topics, Mapping) else dict.fromkeys(topics, qos)
    if not named:
        raise SettingsError("there are none", key="topics", allowed="at least one")
    for each in named.values():
        if isinstance(each, bool) or each not in (0, 1, 2):
            raise SettingsError(
                "there is no such QoS", key="qos", found=each, allowed="0, 1, 2"
            )
    return {
        check_filter(f"$share/{group}/{name}" if group else name): each
        for name, each in named.items()
    }


def _protocol(found: Any) -> str:
    if found not in _PROTOCOLS:
        raise SettingsError(
            f"no such version{nearest(str(found), _PROTOCOLS)}",
            key="protocol",
            found=found,
            allowed=", ".join(_PROTOCOLS),
        )
    return str(found)


def _count(key: str, found: Any, most: int) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found <= most:
        raise SettingsError(
            "not a usable number", key=key, found=found, allowed=f"1 to {most}"
        )
    return found
