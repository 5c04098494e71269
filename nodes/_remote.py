"""publish.Remote and publish.Outbox: messages to another instance of pichannels."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final

from nodes._options import at_least
from nodes._queue import Item, QueueingSink
from pichannels.endpoints.base import Endpoint, Place
from pichannels.endpoints.remote import (
    ListenRemote,
    RemoteEndpoint,
    checked_clients,
    remote_endpoint,
)
from pichannels.errors import MessageError, NotConnected, SettingsError, TryAgain
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.remote.entities import pack
from pichannels.remote.entity_stream import EntityStream
from pichannels.remote.errors import RemoteError
from pichannels.remote.frames import FRAME_BYTES, OVERHEAD
from pichannels.remote.link import Link
from pichannels.remote.login import Login, checked_stream, checked_url
from pichannels.remote.modes import Mode
from pichannels.remote.outbox import Outbox as Waiting
from pichannels.remote.sources import Source
from pichannels.remote.wire import HEARTBEAT
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.tracing import incoming, outgoing

__all__ = ["Outbox", "Remote"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_MOST: Final = FRAME_BYTES - OVERHEAD
_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 2**20


class _Sending(QueueingSink):
    """A sink whose messages travel as they are."""

    takes_numbers: ClassVar[bool] = False

    def encode(self, msg: Message) -> bytes:
        if trace := outgoing():
            msg = msg.copy()
            msg.meta |= incoming(trace)
        data = pack(msg)
        if len(data) > _MOST:
            raise MessageError(
                f"{self.fullpath()}: the message has {len(data)} bytes, and at most"
                f" {_MOST} can be sent; split.Split makes smaller ones"
            )
        return data


class Remote(_Sending):
    """Send messages to an `InboxChannel` of another instance, as they are.

    We connect to that one, so that a site needs outbound connections only. Messages
    keep uuid, lane, meta and types; those of a tag stay in order.

    A message is settled when it is durable in the journal of the other instance. What
    a lost link leaves unacknowledged is sent again, in order, and known there.

    Args:
        url: of the other instance's endpoint: `https://host:8765`.
        stream: the name of the `InboxChannel`, or the `stream` that it has.
        token: shows who we are: best a `Secret`; it is looked up for each link.
        ssl: with `https://`, False for no check of the certificate, or an
            `ssl.SSLContext`.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds for a connection, and for an acknowledgement.
        retry: how often and how soon what failed is sent again; by default without
            end, so that nothing fails because the other instance is away.
        queue_bytes: how much may wait to be acknowledged.
        options: those of every node.

    Raises:
        CodecError: the message has a value without codec.
        MessageError: it is larger than a frame may be.
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        url: str,
        stream: str,
        *,
        token: str | Secret | None = None,
        ssl: bool | SSLContext = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        heartbeat: float = HEARTBEAT,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("heartbeat", heartbeat, 0.001)
        at_least("timeout", timeout, 0.001)
        self._login = Login(
            checked_url(url),
            token,
            ssl,
            ca,
            certificate,
            cert_key,
            heartbeat,
            timeout,
        )
        self._name = checked_stream(stream)
        self._policy = retry or _AGAIN
        self._link: Link | None = None
        self._stream: EntityStream | None = None

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: the token is missing.
        """
        await super().start()
        await reveal_in_thread(self._login.token)

    async def stop(self) -> None:
        """Send what is queued, and disconnect."""
        await super().stop()
        await self._disconnect()

    def statistics(self) -> dict[str, int]:
        """Counts of values, of failures, and whether there is a link."""
        is_linked = self._link is not None and self._link.is_linked
        return super().statistics() | {"connected": int(is_linked)}

    async def probe(self) -> list[Finding]:
        """Look whether the instance takes us and has the inbox; sends nothing."""
        try:
            async with await self._login.link() as link:
                found = await link.list(self._name)
        except (TryAgain, SettingsError, RemoteError) as exc:
            return [Finding(False, "instance", str(exc))]
        taken = Finding(True, "instance", f"{self._login.url} takes us")
        is_there = any(each.mode & Mode.WRITE for each in found)
        told = "it can be written to" if is_there else "there is no such inbox"
        return [taken, Finding(is_there, self._name, told)]

    # Sending

    def take(self) -> list[Item]:
        """So many items of the queue as are acknowledged together."""
        group: list[Item] = []
        size = 0
        while self._queue and len(group) < _AT_ONCE and size < _BYTES_AT_ONCE:
            group.append(self._queue.popleft())
            size += group[-1].size
        return group

    async def deliver(self, group: Sequence[Item]) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._send(group)
            except (TryAgain, SettingsError, RemoteError) as exc:
                self.not_written(exc)
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            await self.pause(delay)

    async def _send(self, group: Sequence[Item]) -> None:
        try:
            stream = self._stream or await self._connect()
            async with asyncio.timeout(self._login.timeout):
                await stream.write_packed([item.data for item in group])
                await stream.flush(durable=True)
        except TimeoutError as exc:
            await self._disconnect()
            raise NotConnected(self._login.url, "no acknowledgement came") from exc
        except BaseException:
            # What was sent is sent again: in order, and on a new link.
            await self._disconnect()
            raise

    async def _connect(self) -> EntityStream:
        self._link = await self._login.link()
        await self._link.open_link()
        self._stream = await self._link.entities(self._name, mode="w")
        return self._stream

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        self._stream = None
        if link is not None:
            await link.aclose()


class Outbox(_Sending):
    """Offer messages to a `RemoteChannel` of another instance, as they are.

    That one connects to us. Messages keep uuid, lane, meta and types, and their order.

    A message is settled when the other instance says that it is durable there; until
    then it waits here. One instance at a time can take messages away: a second one is
    refused, and gets in when the first one has gone, or its link is found to be dead.

    Args:
        endpoint: what listens; several channels and nodes share one. In YAML a mapping
            with `host`, `port`, `certificate`, `key`, `tokens`; equal ones are one
            endpoint.
        stream: its name there.
        clients: names of those of the endpoint's clients that may have it; None for
            all.
        queue_bytes: how much may wait to be taken; then the channel waits.
        options: those of every node.

    Raises:
        CodecError: the message has a value without codec.
        MessageError: it is larger than a frame may be.
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        endpoint: RemoteEndpoint | ListenRemote,
        stream: str,
        *,
        clients: Sequence[str] | None = None,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        self._endpoint: Endpoint = remote_endpoint(endpoint)
        self.stream = checked_stream(stream)
        assert isinstance(self._endpoint, RemoteEndpoint)
        self.clients = checked_clients(clients, self._endpoint)
        self.writers = 1
        self._outbox = Waiting(self._taken)

    @property
    def endpoint(self) -> Endpoint:
        """What listens."""
        return self._endpoint

    def use(self, endpoint: Endpoint) -> None:
        """Take another endpoint; before the start."""
        self._endpoint = endpoint

    def places(self) -> Sequence[Place]:
        """What it takes of the endpoint for itself."""
        return [("stream", self.stream)]

    def published(self) -> Source:
        """What others read."""
        return self._outbox

    async def start(self) -> None:
        """Let others connect.

        Raises:
            ListenError: the endpoint cannot listen.
            SettingsError: a token is missing.
            UsageError: the name is taken.
        """
        await super().start()
        self._outbox = Waiting(self._taken)
        await self._endpoint.acquire(self)

    async def stop(self) -> None:
        """Withdraw the stream; what nobody took away stays unsettled."""
        self._stopping.set()
        await self._endpoint.release(self)
        await super().stop()

    def _put(self, item: Item) -> asyncio.Future[None]:
        item.ack = asyncio.get_running_loop().create_future()
        self._queue.append(item)
        self._used += item.size
        self._outbox.put(item.data)
        return item.ack

    def _taken(self) -> None:
        """The other instance has the oldest of them."""
        self.settle([self._queue.popleft()])
