"""The endpoint for remote streams: a hub, and what channels and nodes publish in it."""

from __future__ import annotations

import hmac
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from aiohttp import web

from pichannels.access import is_known_host
from pichannels.checks import at_least
from pichannels.config import is_loopback
from pichannels.endpoints.base import Endpoint, Listen, Place
from pichannels.endpoints.http import HEADERS
from pichannels.errors import SettingsError, nearest
from pichannels.remote.access import EVERYTHING, Access, Action, Permission
from pichannels.remote.hub import Hub
from pichannels.remote.server import add_routes
from pichannels.remote.sources import Source
from pichannels.remote.websocket import PATH
from pichannels.remote.wire import HEARTBEAT
from pichannels.secrets import Secret, reveal_in_thread

__all__ = [
    "ListenRemote",
    "Publisher",
    "RemoteEndpoint",
    "checked_clients",
    "remote_endpoint",
]

_ACTIONS: Final = (Action.LIST, Action.READ, Action.WRITE)
_LAST_FRAMES: Final = 0.4
"""Seconds that the last frames have to be written when the endpoint closes."""


class ListenRemote(Listen, frozen=True, kw_only=True):
    """Where an endpoint of remote streams listens, for settings without objects.

    Attributes:
        host: name or address; 0.0.0.0 for all of this machine.
        port: its number; 0 takes a free one.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.
        reuse_port: share the port with other processes.
        tokens: what each client shows, by its name.
        path: of the links, where a proxy needs another one.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
    """

    tokens: Mapping[str, Secret] | None = None
    path: str = PATH
    heartbeat: float = HEARTBEAT


class Publisher(Protocol):
    """What the endpoint needs of who publishes a stream in it.

    Attributes:
        name: of the channel, or the node.
        stream: under which it publishes.
        clients: which of the endpoint's may have it; None for all.
        writers: how many may have it open for writing at once.
    """

    name: str
    stream: str
    clients: Sequence[str] | None
    writers: int

    def places(self) -> Sequence[Place]: ...

    def published(self) -> Source:
        """What is published; the same until that is to end."""


class RemoteEndpoint(Endpoint):
    """Lets other instances reach the streams of those that have it as `endpoint`.

    Args:
        host: name or address, also with a port: `127.0.0.1:8765`, `:8765`. Only this
            machine by default; `0.0.0.0` for all of its addresses.
        port: number of the port, 8765 by default; 0 takes a free one.
        tokens: what each client shows, by the client's name: best `Secret`s, looked
            up when the endpoint opens. Without them everybody on this machine may
            come.
        sock: in place of host and port: a socket that is bound, or text as for
            `host`.
        reuse_port: share the port with other processes.
        loop: None, or the running event loop.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.
        ssl_context: in place of both, a context of your own, such as one that asks
            clients for certificates.
        path: of the links, where a proxy needs another one.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.

    Raises:
        SettingsError: the address is not usable, or other machines could come without
            a token.
    """

    kind: ClassVar[str] = "remote endpoint"
    default_port: ClassVar[int] = 8765

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        tokens: Mapping[str, str | Secret] | None = None,
        sock: Any = None,
        reuse_port: bool | None = None,
        loop: Any = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        path: str = PATH,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        super().__init__(host, port, sock, reuse_port, loop, certificate, key)
        if not tokens and not is_loopback(self.host):
            raise SettingsError(
                "other machines could come without a token",
                key="tokens",
                allowed="a Secret for each client, by its name",
            )
        if not path.startswith("/"):
            raise SettingsError("a path begins with /", key="path", found=path)
        at_least("heartbeat", heartbeat, 0, above=True)
        self.tokens = dict(tokens or {})
        self.path = path
        self._heartbeat = heartbeat
        self._ssl_context = ssl_context
        self._shown: dict[str, bytes] = {}
        self._hub: Hub | None = None
        self._runner: web.AppRunner | None = None
        self._published: dict[str, Source] = {}

    @property
    def url(self) -> str:
        """What clients connect to."""
        is_secure = self._certificate is not None or self._ssl_context is not None
        return f"{'https' if is_secure else 'http'}://{self.address}{self.path}"

    # Listening

    async def _open(self) -> tuple[str, int]:
        revealed = await reveal_in_thread(self.tokens)
        self._shown = {name: str(token).encode() for name, token in revealed.items()}
        self._hub = Hub(authorize=self._admitted, heartbeat=self._heartbeat)
        app = web.Application(middlewares=[self._guard])
        add_routes(app, self._hub, self.path)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_LAST_FRAMES,
        )
        tls = self._ssl_context or await self._tls()
        await self._runner.setup()
        await self._site(self._runner, tls).start()
        host, port = self._runner.addresses[0][:2]
        return host, port

    def _site(self, runner: web.AppRunner, tls: ssl.SSLContext | None) -> web.BaseSite:
        own = self._own_socket()
        if own is not None:
            return web.SockSite(runner, own, ssl_context=tls)
        return web.TCPSite(
            runner,
            self.host,
            self.port,
            ssl_context=tls,
            reuse_port=self.reuse_port or None,
        )

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not self.tokens and not is_known_host(
            request.headers.get("Host", ""), self.host
        ):
            raise web.HTTPForbidden(text="this is not a name of this endpoint")
        answer: web.StreamResponse = await handler(request)
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    async def _leave_port(self) -> None:
        if self._runner is not None:
            for site in self._runner.sites:
                await site.stop()

    async def _close(self) -> None:
        hub, self._hub = self._hub, None
        runner, self._runner = self._runner, None
        self._published.clear()
        if hub is not None:
            await hub.aclose()
        if runner is not None:
            await runner.cleanup()

    # Who may do what

    def _admitted(self, token: str | None) -> Access | None:
        if not self.tokens:
            return EVERYTHING
        shown = (token or "").encode("utf-8", "surrogatepass")
        client = None
        # All are looked at, so that the time tells nothing.
        for name, known in self._shown.items():
            if hmac.compare_digest(shown, known) and known:
                client = name
        return None if client is None else self._access(client)

    def _access(self, client: str) -> Access:
        users: list[Any] = self._users
        return Access(
            client,
            [
                Permission(user.stream, _ACTIONS)
                for user in users
                if user.clients is None or client in user.clients
            ],
        )

    # What is published

    def _changed(self) -> None:
        hub = self._hub
        if hub is None:
            return
        users: list[Any] = self._users
        wanted: dict[str, Publisher] = {user.stream: user for user in users}
        for stream, source in list(self._published.items()):
            if stream not in wanted or wanted[stream].published() is not source:
                hub.withdraw(stream, "who publishes it has stopped")
                del self._published[stream]
        for stream, user in wanted.items():
            if stream not in self._published:
                self._published[stream] = user.published()
                hub.publish(stream, self._published[stream], writers=user.writers)


def checked_clients(
    found: Sequence[str] | None, endpoint: RemoteEndpoint
) -> Sequence[str] | None:
    """Names of clients of an endpoint.

    Raises:
        SettingsError: it has no such client.
    """
    if found is None:
        return None
    names = [found] if isinstance(found, str) else list(found)
    for name in names:
        if name not in endpoint.tokens:
            raise SettingsError(
                f"the endpoint has no such client{nearest(str(name), endpoint.tokens)}",
                key="clients",
                found=name,
                allowed=", ".join(endpoint.tokens) or "none, as it has no tokens",
            )
    return names


def remote_endpoint(given: Any) -> RemoteEndpoint:
    """The endpoint that an option gives, or describes.

    Raises:
        SettingsError: it is none.
    """
    if isinstance(given, RemoteEndpoint):
        return given
    if isinstance(given, ListenRemote):
        return RemoteEndpoint(
            given.host,
            given.port,
            tokens=given.tokens,
            reuse_port=given.reuse_port,
            certificate=given.certificate,
            key=given.key,
            path=given.path,
            heartbeat=given.heartbeat,
        )
    raise SettingsError(
        "this is no endpoint",
        key="endpoint",
        found=type(given).__name__,
        allowed="a RemoteEndpoint, which several share",
    )
