"""A connection to a broker; nothing is acknowledged by itself."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from pichannels.errors import DecodeError, MessageError, NotConnected, RetryLater
from pichannels.mqtt.login import Login
from pichannels.mqtt.packets import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    Ack,
    Connack,
    Decoder,
    Disconnect,
    Packet,
    Publish,
    Suback,
    encode_ack,
    encode_connect,
    encode_publish,
    encode_subscribe,
)
from pichannels.mqtt.reasons import in_words, is_temporary

__all__ = ["Connection", "Refused", "Session"]

_NO: Final = 0x80
_IDS: Final = 65535
_MOST_WAITING: Final = 1000
_MOST_WAITING_BYTES: Final = 2**20
_GRACE: Final = 1.0
# Of MQTT 5: what is retained comes with a new subscription, not each connection.
_RETAINED_IF_NEW: Final = 0x10


class Refused(MessageError):
    """The broker does not take a message."""


class Session:
    """What outlives a connection: which messages of QoS 2 we have already.

    By their numbers. What they are is remembered too: a broker that has restarted may
    give a number to another message.
    """

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}

    def take(self, publish: Publish) -> None:
        """We have this message from now on."""
        self._taken[publish.id] = hash(publish[:2])

    def has(self, publish: Publish) -> bool:
        """Whether this is one that we have."""
        known = self._taken.get(publish.id)
        return publish.is_duplicate and known == hash(publish[:2])

    def forget(self, id: int) -> None:
        """The broker does not send the message with this number again."""
        self._taken.pop(id, None)

    def clear(self) -> None:
        """The broker knows nothing of the session."""
        self._taken.clear()


class Connection(asyncio.Protocol):
    """One connection, from `open` to `close`.

    Messages that come wait until `messages` takes them; where too many wait, nothing
    more is read from the network.

    Attributes:
        session_present: whether the broker has kept the session.
        most_in_flight: how many messages the broker takes without acknowledgement.
    """

    def __init__(self, login: Login, session: Session, packet_bytes: int) -> None:
        self.target = login.target
        self.session_present = False
        self.most_in_flight = _IDS
        self._login = login
        self._version = login.version
        self._session = session
        self._decoder = Decoder(login.version, packet_bytes)
        self._transport: asyncio.Transport
        self._greeted: asyncio.Future[Connack] = self._future()
        self._subscribed: dict[int, asyncio.Future[Suback]] = {}
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._ids: Iterator[int] = itertools.cycle(range(1, _IDS + 1))
        self._waiting: deque[Publish] = deque()
        self._waiting_bytes = 0
        self._is_paused = False
        self._is_ending = False
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._is_stuck = False
        self._closed = asyncio.Event()
        self._awaits_pong = False
        self._pinging: asyncio.Task[None] | None = None
        self._facts: dict[str, Any] = {}
        self.error: NotConnected | None = None

    @classmethod
    async def open(
        cls,
        login: Login,
        client_id: str,
        *,
        session: Session | None = None,
        clean_start: bool = True,
        session_expiry: float = 0,
        receive_maximum: int = _IDS,
        packet_bytes: int = 16 * 2**20,
    ) -> Self:
        """Connect and log in.

        Args:
            login: where, and how.
            client_id: what the broker knows the session by.
            session: of earlier connections with the same id.
            clean_start: whether the broker is to forget what it has kept.
            session_expiry: seconds that it keeps the session without a connection.
            receive_maximum: how many messages may come without acknowledgement.
            packet_bytes: how large one may be.

        Raises:
            NotConnected: it does not answer, or refuses us.
            SettingsError: a secret or a certificate is missing.
        """
        user, password = await login.credentials()
        context = await login.context()
        made = cls(login, session or Session(), packet_bytes)
        properties = {
            "session_expiry_interval": min(int(session_expiry), 0xFFFFFFFF),
            "receive_maximum": receive_maximum,
            "maximum_packet_size": packet_bytes,
        }
        hello = encode_connect(
            login.version,
            client_id,
            clean_start=clean_start,
            keep_alive=min(int(login.keep_alive) + 1, _IDS),
            user=user,
            password=password,
            properties=properties,
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(login.timeout):
                await loop.create_connection(
                    lambda: made, login.host, login.port, ssl=context
                )
                made._send(hello)
                made._begin(await made._greeted)
        except BaseException as exc:
            made._abort()
            if isinstance(exc, OSError):
                reason = str(exc) or f"no answer within {login.timeout:g} s"
                raise NotConnected(login.target, reason) from exc
            raise
        return made

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _begin(self, greeting: Connack) -> None:
        self.session_present = greeting.session_present
        self._facts = greeting.properties
        self.most_in_flight = self._facts.get("receive_maximum", _IDS)
        if not self.session_present:
            self._session.clear()
        seconds = self._facts.get("server_keep_alive") or self._login.keep_alive
        self._pinging = asyncio.create_task(
            self._ping_every(seconds), name=f"{self.target}: keep-alive"
        )

    # Receiving

    async def subscribe(self, filters: Mapping[str, int]) -> dict[str, str]:
        """Ask for the messages of topics, with a QoS for each filter.

        Returns:
            Which filters the broker refuses, and why.

        Raises:
            NotConnected: the connection is lost, or no answer comes.
        """
        id = self._free_id()
        answer = self._subscribed[id] = self._future()
        self._send(
            encode_subscribe(self._version, id, filters, options=_RETAINED_IF_NEW)
        )
        try:
            async with asyncio.timeout(self._login.timeout):
                suback = await answer
        except TimeoutError as exc:
            raise NotConnected(self.target, "no answer to a subscription") from exc
        finally:
            self._subscribed.pop(id, None)
        answers = zip(filters, suback.codes, strict=True)
        return {name: in_words(code) for name, code in answers if code >= _NO}

    async def messages(self) -> list[Publish]:
        """The messages that have come; waits for the first.

        Returns:
            None of them after `end_messages`.

        Raises:
            NotConnected: the connection is lost.
        """
        while not self._waiting:
            if self._is_ending:
                return []
            if self.error is not None:
                raise NotConnected(self.target, self.error.reason)
            self._news.clear()
            await self._news.wait()
        found = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._is_paused and not self._is_ending:
            self._is_paused = False
            self._transport.resume_reading()
        return found

    def end_messages(self) -> None:
        """Read no more; `messages` gives what has come, then nothing."""
        self._is_ending = True
        self._pause()
        self._news.set()

    def acknowledge(self, publish: Publish) -> None:
        """Take a message over: the broker may forget it.

        After the connection was lost it is not told, and sends the message again.
        """
        if publish.qos == 1:
            self._send(encode_ack(PUBACK, publish.id))
        elif publish.qos == 2:
            self._session.take(publish)
            self._send(encode_ack(PUBREC, publish.id))

    # Sending

    def publish(self, publish: Publish) -> asyncio.Future[None]:
        """Send a message; done when the broker has it (QoS 0: when it is sent).

        The future fails with `NotConnected`, `RetryLater` or `Refused`.

        Raises:
            NotConnected: the connection is lost.
            Refused: the message does not fit.
        """
        if self.error is not None:
            raise NotConnected(self.target, self.error.reason)
        if publish.qos > self._facts.get("maximum_qos", 2):
            raise Refused(f"{self.target} does not have QoS {publish.qos}")
        done: asyncio.Future[None] = self._future()
        if publish.qos:
            publish = publish._replace(id=self._free_id())
        try:
            packet = encode_publish(self._version, publish)
        except ValueError as exc:
            raise Refused(str(exc)) from exc
        if len(packet) > self._facts.get("maximum_packet_size", len(packet)):
            raise Refused(f"{len(packet)} bytes are too many for {self.target}")
        if publish.qos:
            self._acks[publish.id] = done
        else:
            done.set_result(None)
        self._send(packet)
        return done

    async def room(self) -> None:
        """Until the network and the broker take one more message.

        Raises:
            NotConnected: the connection is lost.
        """
        while self._is_stuck or len(self._acks) >= self.most_in_flight:
            if self.error is not None:
                raise NotConnected(self.target, self.error.reason)
            self._moved.clear()
            await self._moved.wait()

    def pause_writing(self) -> None:
        self._is_stuck = True

    def resume_writing(self) -> None:
        self._is_stuck = False
        self._moved.set()

    def _free_id(self) -> int:
        for id in self._ids:
            if id not in self._acks and id not in self._subscribed:
                return id
        raise AssertionError("numbers go round")

    def _send(self, packet: bytes) -> None:
        if self.error is None:
            self._transport.write(packet)

    # What comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._awaits_pong = False
        try:
            for packet in self._decoder.feed(data):
                self._take(packet)
        except DecodeError as exc:
            self._lose(str(exc))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(str(exc) if exc else "the broker has hung up")
        self._closed.set()

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Publish):
            self._take_message(packet)
        elif isinstance(packet, Ack):
            self._take_ack(packet)
        elif isinstance(packet, Suback):
            answer = self._subscribed.pop(packet.id, None)
            if answer is not None and not answer.done():
                answer.set_result(packet)
        elif isinstance(packet, Connack):
            if packet.code:
                self._lose(in_words(packet.code, packet.properties))
            elif not self._greeted.done():
                self._greeted.set_result(packet)
        elif isinstance(packet, Disconnect):
            self._lose(in_words(packet.code, packet.properties))

    def _take_message(self, publish: Publish) -> None:
        if not publish.topic:
            self._lose("a message came without a topic")
        elif publish.qos == 2 and self._session.has(publish):
            self._send(encode_ack(PUBREC, publish.id))
        else:
            self._waiting.append(publish)
            self._waiting_bytes += len(publish.payload)
            self._news.set()
            too_many = len(self._waiting) > _MOST_WAITING
            too_large = self._waiting_bytes > _MOST_WAITING_BYTES
            # The answer to a subscription may stand behind what a session has kept.
            if (too_many or too_large) and not self._subscribed:
                self._pause()

    def _pause(self) -> None:
        if not self._is_paused and self.error is None:
            self._is_paused = True
            self._transport.pause_reading()

    def _take_ack(self, ack: Ack) -> None:
        if ack.kind == PUBREL:
            self._session.forget(ack.id)
            return self._send(encode_ack(PUBCOMP, ack.id))
        if ack.kind == PUBREC and ack.code < _NO:
            return self._send(encode_ack(PUBREL, ack.id))
        done = self._acks.pop(ack.id, None)
        self._moved.set()
        if done is None or done.done():
            return
        if ack.code < _NO:
            done.set_result(None)
        else:
            done.set_exception(self._refusal(ack))

    def _refusal(self, ack: Ack) -> Exception:
        said = f"{self.target}: {in_words(ack.code, ack.properties)}"
        return RetryLater(said) if is_temporary(ack.code) else Refused(said)

    # The end

    async def _ping_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self._awaits_pong and not self._is_paused:
                self._lose(f"nothing came for {seconds:g} s")
            self._awaits_pong = True
            self._send(PINGREQ)

    def _lose(self, reason: str) -> None:
        """The connection is of no more use; the first reason is the one."""
        if self.error is not None:
            return
        self.error = NotConnected(self.target, reason)
        self._transport.abort()
        waiting: list[asyncio.Future[Any]] = [self._greeted]
        waiting += [*self._subscribed.values(), *self._acks.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(NotConnected(self.target, reason))
                # Whoever waited may have gone.
                future.exception()
        self._acks.clear()
        self._news.set()
        self._moved.set()

    def _abort(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        if hasattr(self, "_transport"):
            self._lose("closed")

    async def close(self) -> None:
        """Say goodbye; at once where the broker does not answer."""
        if self.error is None:
            self._send(DISCONNECT)
            self._transport.close()
            try:
                async with asyncio.timeout(_GRACE):
                    await self._closed.wait()
            except TimeoutError:
                pass
        self._abort()
        if self._pinging is not None:
            await asyncio.gather(self._pinging, return_exceptions=True)
