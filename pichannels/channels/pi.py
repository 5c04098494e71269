"""The channel whose source is a PI Web API server: live values over websockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.channels.intake import Intake, Received
from pichannels.channels.tags import (
    WEB_ID_TYPE,
    Stream,
    TagSpec,
    checked_tags,
    find_tags,
)
from pichannels.errors import (
    ChannelStopped,
    DecodeError,
    JournalError,
    NotConnected,
)
from pichannels.piwebasync.assets import Attribute
from pichannels.piwebasync.exceptions import (
    ChannelClosed,
    ChannelRefused,
    PIWebAsyncException,
)
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost, NotOpened
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.splitting import split
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.piwebasync.websocket import BACKOFF, WebsocketClient
from pichannels.retry import RetryPolicy
from pichannels.secrets import reveal_in_thread
from pichannels.values import TICKS_PER_SECOND

__all__ = ["PIWebChannel"]

logger: Final = logging.getLogger("pichannels.channels.pi")


RESTART_DELAY: Final = 1.0
"""Seconds before a source that had to end begins again."""


class _Cached(msgspec.Struct):
    """Resolved points and attributes as they are kept between two runs."""

    wanted: list[str]
    at: int
    points: list[dict[str, Any]]
    attributes: list[dict[str, Any]] = []


class _StaleWebIds(Exception):
    """The server does not know a WebID that we got from it earlier."""


class PIWebChannel(BaseChannel):
    """Receives live values of tags from a PI Web API server.

    The tags are resolved to WebIDs in bulk, spread over as few PI channels as URL
    limits allow, and subscribed to. Frames that wait together become one message
    (`nodes.decode.PI` makes samples of it), which is accepted: durable first, then
    processed in order. A lost connection is opened again, with growing waits.

    Args:
        name: unique in the project.
        url: of the server, such as `https://pi.example.com/piwebapi`.
        tags: paths of points (`\\\\SERVER\\TAG`), their names, or names with `*` and
            `?`, looked up on `data_server`; paths of AF attributes
            (`\\\\AF\\Plant\\Unit1|Flow`), `af:` and the path of an element for all its
            attributes, or an `Element` or `Template` of `pichannels.channels.tags`.
        data_server: name of the PI Data Archive for tag names; by default the
            first one that the server lists.
        server: what events are known under (part of each event id); by default the
            host of the URL. Keep it when the server moves.
        auth: `(user, password)`, headers, or a function that gives headers. What is
            secret in it, or in `headers`, is best a `Secret`.
        headers: sent with each request and handshake.
        verify: False, or the path of a CA file, for certificates of one's own.
        cert: client certificate.
        heartbeat: server polls without change after which the server says that it
            is alive; after three without a word the connection counts as lost.
        poll_interval: seconds between those polls (`ChannelPollingInterval`).
        initial_values: begin with the current value of each tag.
        tags_per_channel: tags in one PI channel, at most.
        url_length: bytes of one URL, at most.
        batch_bytes: bytes of frames that become one message, at most.
        buffer_bytes: bytes of frames that wait in memory, at most.
        max_block: seconds that intake may stand still before the connection is
            closed and reported lost for `backpressure`.
        reconnect: the waits between attempts to connect.
        cache_ttl: seconds for which resolved WebIDs are used again after a restart.
        options: those of every channel.

    Raises:
        UsageError: the URL or the tags are not usable, or an unknown option.
    """

    def __init__(
        self,
        name: str | None = None,
        *args: Any,
        url: str,
        tags: TagSpec | Sequence[TagSpec],
        data_server: str | None = None,
        server: str = "",
        auth: Auth = None,
        headers: Headers | None = None,
        verify: Verify = True,
        cert: Cert = None,
        heartbeat: int = 5,
        poll_interval: float = 1.0,
        initial_values: bool = True,
        tags_per_channel: int = 1000,
        url_length: int = 4096,
        batch_bytes: int = 2**20,
        buffer_bytes: int = 8 * 2**20,
        max_block: float = 10.0,
        reconnect: RetryPolicy = BACKOFF,
        cache_ttl: float = 12 * 3600.0,
        **options: Any,
    ) -> None:
        super().__init__(name, *args, **options)
        self.url = url
        self.pi_server = PIServer(
            url=url, auth=auth, headers=headers, verify=verify, cert=cert
        )
        self._http = self.pi_server.controller()
        self._sockets = self.pi_server.controller(websocket=True)
        self.tags = checked_tags(tags)
        self.data_server = data_server
        self.server = server or urlsplit(url).hostname or url
        self._socket_options: dict[str, Any] = {
            "auth": auth,
            "extra_headers": headers,
            "verify": verify,
            "cert": cert,
            "heartbeat": heartbeat * poll_interval if heartbeat > 0 else None,
            "buffer_bytes": buffer_bytes,
            "max_block": max_block,
            "backoff": reconnect,
        }
        self._heartbeat = heartbeat
        self._initial_values = initial_values
        self._tags_per_channel = tags_per_channel
        self._url_length = url_length
        self._batch_bytes = batch_bytes
        self._reconnect = reconnect
        self._cache_ttl = cache_ttl
        self._intake = Intake(self.server)
        self._clients: list[WebsocketClient] = []
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self.points: list[Stream] = []
        self.unresolved: dict[str, str] = {}
        self.losses = 0
        self.last_event: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all PI channels are open."""
        return bool(self._clients) and all(c.is_open for c in self._clients)

    def statistics(self) -> dict[str, Any]:
        """What came in, and how the connections are."""
        return {
            "tags": len(self.points),
            "unresolved": len(self.unresolved),
            "pi_channels": len(self._clients),
            "open": sum(client.is_open for client in self._clients),
            "losses": self.losses,
            "frames": self._intake.frames,
            "heartbeats": self._intake.heartbeats,
            "events": self._intake.events,
            "undecodable": self._intake.undecodable,
        }

    async def start_source(self) -> None:
        """Begin to receive.

        Raises:
            SettingsError: a secret is missing.
        """
        await reveal_in_thread([self.pi_server.auth, self.pi_server.headers])
        self._is_closing = False
        self._task = asyncio.create_task(self._run(), name=f"{self.name}: PI source")

    async def stop_source(self) -> None:
        """Close the PI channels and accept what they have received."""
        task, self._task = self._task, None
        if task is None:
            return
        self._is_closing = True
        clients = list(self._clients)
        try:
            await asyncio.gather(*[client.close() for client in clients])
            if clients:
                await asyncio.wait([task], timeout=self.drain_timeout)
        finally:
            task.cancel()
        await asyncio.wait([task])

    # The source

    async def _run(self) -> None:
        may_use_cache = True
        while not self._is_closing:
            try:
                self.points = await self._resolved(may_use_cache)
                may_use_cache = True
                await self._receive_all()
            except* _StaleWebIds as stale:
                logger.warning("%s: %s", self.name, stale.exceptions[0])
                may_use_cache = False
            except* ChannelStopped:
                self._is_closing = True
            except* Exception as failed:
                # One report for each fault, and none may end the source for good.
                for exc in failed.exceptions:
                    logger.error("%s: the source failed", self.name, exc_info=exc)
                    self.events.fire("pi.failed", channel=self.name, error=str(exc))
            if not self._is_closing:
                await asyncio.sleep(RESTART_DELAY)

    async def _receive_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for request in self._requests():
                    group.create_task(self._receive(request))
        finally:
            self._clients = []

    def _requests(self) -> Iterator[APIRequest]:
        streamsets = self._sockets.streamsets

        def request(web_ids: Sequence[str]) -> APIRequest:
            return streamsets.get_channel_adhoc(
                web_ids,
                include_initial_values=self._initial_values,
                heartbeat_rate=self._heartbeat,
                web_id_type=WEB_ID_TYPE,
            )

        parts = split(
            request,
            [point.web_id for point in self.points],
            url_limit=self._url_length,
            max_items=self._tags_per_channel,
        )
        return (part.request for part in parts)

    async def _receive(self, request: APIRequest) -> None:
        """Accept what one PI channel delivers, until it is closed."""
        client = WebsocketClient(
            request,
            reconnect=True,
            dead_channel_timeout=None,
            on_event=self._noted,
            **self._socket_options,
        )
        client.start()
        self._clients.append(client)
        try:
            while True:
                frames = await client.recv_many(self._batch_bytes)
                for received in self._intake.messages(frames):
                    await self._take(received)
        except ChannelClosed:
            if not self._is_closing:
                raise
        finally:
            await client.close()

    async def _take(self, received: Received) -> None:
        while True:
            try:
                await self.accept(received.message, manifest=received.manifest)
            except JournalError as exc:
                # Nothing was accepted. Meanwhile the buffer fills, and what does
                # not fit is reported as lost by the client.
                logger.error("%s: the journal takes nothing: %s", self.name, exc)
                await asyncio.sleep(1)
            else:
                self.last_event = clock.now()
                return

    def _noted(self, event: ChannelEvent) -> None:
        if isinstance(event, Connected):
            self.events.fire("pi.connected", channel=self.name, url=event.url)
        elif isinstance(event, Lost):
            self.losses += 1
            logger.warning(
                "%s: a PI channel is lost: %s %s", self.name, event.reason, event.detail
            )
            self.events.fire(
                "pi.lost", channel=self.name, reason=event.reason, detail=event.detail
            )
        elif isinstance(event, NotOpened):
            logger.warning("%s: %s", self.name, event.error)
            self.events.fire("pi.not_opened", channel=self.name, error=str(event.error))
            if isinstance(event.error, ChannelRefused) and event.error.status_code in (
                400,
                404,
            ):
                raise _StaleWebIds(
                    f"the server refuses the tags ({event.error}); resolving them again"
                ) from event.error

    # Tags to WebIDs

    async def _resolved(self, may_use_cache: bool) -> list[Stream]:
        cached = await self._restored()
        fresh = clock.now() - int(self._cache_ttl * TICKS_PER_SECOND)
        if may_use_cache and cached is not None and cached.at >= fresh:
            return _points(cached)
        for delay in self._reconnect.delays():
            try:
                return await self._resolve_now()
            except (PIWebAsyncException, DecodeError, NotConnected) as exc:
                logger.warning("%s: the tags are not resolved: %s", self.name, exc)
                self.events.fire("pi.unresolved", channel=self.name, error=str(exc))
                if may_use_cache and cached is not None:
                    return _points(cached)
            await asyncio.sleep(delay)
        raise NotConnected(self.url, "the tags were not resolved in all attempts")

    async def _resolve_now(self) -> list[Stream]:
        async with self.pi_server.client() as client:
            points, self.unresolved = await find_tags(
                client,
                self._http,
                self.tags,
                data_server=self.data_server,
                url_limit=self._url_length,
            )
        for tag, reason in self.unresolved.items():
            logger.warning("%s: no tag %s: %s", self.name, tag, reason)
        if not points:
            raise NotConnected(self.url, "none of the tags was found")
        await self._keep(points)
        return points

    async def _restored(self) -> _Cached | None:
        if self.journal is None:
            return None
        data = await self.journal.restore(f"channel:{self.name}", "points", None)
        if data is None:
            return None
        cached = msgspec.convert(data, _Cached)
        return cached if cached.wanted == self._wanted else None

    async def _keep(self, found: Sequence[Stream]) -> None:
        if self.journal is not None:
            cached = _Cached(
                self._wanted,
                clock.now(),
                [msgspec.to_builtins(p) for p in found if isinstance(p, Point)],
                [msgspec.to_builtins(a) for a in found if isinstance(a, Attribute)],
            )
            await self.journal.save(
                f"channel:{self.name}", "points", msgspec.to_builtins(cached)
            )

    @property
    def _wanted(self) -> list[str]:
        return [self.url, self.data_server or "", *map(str, self.tags)]


def _points(cached: _Cached) -> list[Stream]:
    return [
        *(msgspec.convert(point, Point) for point in cached.points),
        *(msgspec.convert(one, Attribute) for one in cached.attributes),
    ]
