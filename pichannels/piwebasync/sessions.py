"""The connections of an HTTP client: shared ones, and those of a login alone.

NTLM and Kerberos log a connection in, not a request. A client takes such a connection
for as long as one request needs it, with all its tries; no other request goes over it
meanwhile, and no other login's ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from pichannels.errors import UsageError
from pichannels.piwebasync.credentials import Basic
from pichannels.piwebasync.environment import netrc_login
from pichannels.piwebasync.login import Answer, Bond, Detour, Login
from pichannels.piwebasync.tls import Cert, Verify, check_tls, tls_context

__all__ = [
    "BoundConnector",
    "Lane",
    "SessionOptions",
    "Sessions",
    "answer_of",
    "fetcher",
]

_KEPT_ALIVE: Final = 60.0


class BoundConnector(aiohttp.TCPConnector):
    """One connection at a time, and which one it is."""

    def __init__(self, tls: Any) -> None:
        super().__init__(limit=1, ssl=tls, keepalive_timeout=_KEPT_ALIVE)
        self.bond = Bond()
        self._transport: asyncio.BaseTransport | None = None

    async def connect(self, *args: Any, **options: Any) -> Any:
        """The connection that is there, or a new one."""
        connection = await super().connect(*args, **options)
        transport = connection.transport
        if transport is not self._transport:
            self._transport = transport
            self.bond.number += 1
            self.bond.certificate = _certificate(transport)
        return connection


def _certificate(transport: asyncio.BaseTransport | None) -> bytes | None:
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    found: bytes | None = tls.getpeercert(binary_form=True) if tls else None
    return found


class Lane:
    """A session, and what a login knows of its connection."""

    def __init__(
        self, session: aiohttp.ClientSession, bond: Bond, login: Login | None = None
    ) -> None:
        self.session = session
        self.bond = bond
        self.login = login


class SessionOptions(msgspec.Struct, kw_only=True):
    """How connections are made; see `HTTPClient`."""

    verify: Verify
    cert: Cert
    max_connections: int

    def __post_init__(self) -> None:
        check_tls(self.verify, self.cert)
        number = self.max_connections
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise UsageError(f"max_connections is at least 1, not {number!r}")

    def __repr__(self) -> str:
        return "<SessionOptions>"


class Sessions:
    """The sessions of one client, made when they are needed.

    Requests whose logins are not bound share `max_connections` connections; those
    with a bound login have as many lanes, whatever their logins are. The lane used
    last is used again first, so that few are logged in while there is little to do.
    """

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(options.max_connections)
        self._shared: aiohttp.ClientSession | None = None
        self._cookies: aiohttp.CookieJar | None = None
        self._idle: list[Lane] = []
        self._busy = 0
        self._closed = False
        self._named: dict[str, Basic | None] = {}

    @asynccontextmanager
    async def take(self, login: Login | None) -> AsyncIterator[Lane]:
        """What to send one request over, with all its tries."""
        if login is None or not login.is_bound:
            yield Lane(await self._shared_session(), Bond())
            return
        async with self._room:
            self._busy += 1
            lane: Lane | None = None
            try:
                lane = await self._lane(login)
                yield lane
            finally:
                self._busy -= 1
                if lane is not None:
                    await self._give_back(lane)

    async def login_for(self, url: str) -> Login | None:
        """The login that the environment has for a server; read once for each."""
        host = urlsplit(url).netloc
        if host not in self._named:
            self._named[host] = await netrc_login(url)
        return self._named[host]

    async def close(self) -> None:
        """Close all connections; bound ones in use when they are given back."""
        self._closed = True
        shared, self._shared = self._shared, None
        idle, self._idle = self._idle, []
        if shared is not None:
            await shared.close()
        for lane in idle:
            await lane.session.close()

    async def _shared_session(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._shared is None:
                options = self._options
                tls = await tls_context(options.verify, options.cert)
                limit = options.max_connections
                self._shared = self._session(aiohttp.TCPConnector(limit=limit, ssl=tls))
            return self._shared

    async def _lane(self, login: Login) -> Lane:
        for lane in reversed(self._idle):
            if lane.login is login or lane.login == login:
                self._idle.remove(lane)
                return lane
        if self._idle and len(self._idle) + self._busy > self._options.max_connections:
            await self._idle.pop(0).session.close()
        tls = await tls_context(self._options.verify, self._options.cert)
        connector = BoundConnector(tls)
        return Lane(self._session(connector), connector.bond, login)

    async def _give_back(self, lane: Lane) -> None:
        if self._closed:
            await lane.session.close()
        else:
            self._idle.append(lane)

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        if self._closed:
            raise aiohttp.ClientConnectionError("the client is closed")
        if self._cookies is None:
            # Servers that are known by address may set cookies, too.
            self._cookies = aiohttp.CookieJar(unsafe=True)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=self._cookies,
        )


def answer_of(answer: aiohttp.ClientResponse, body: bytes) -> Answer:
    """An answer as logins take it."""
    return Answer(answer.status, tuple(answer.headers.items()), body)


def fetcher(
    session: aiohttp.ClientSession, proxy: str | None
) -> Callable[[Detour], Awaitable[Answer]]:
    """What sends the requests that a login needs besides."""

    async def fetch(detour: Detour) -> Answer:
        async with session.request(
            detour.method,
            URL(detour.url, encoded=True),
            headers=detour.headers,
            data=detour.body or None,
            proxy=proxy,
            allow_redirects=False,
            raise_for_status=False,
        ) as answer:
            return answer_of(answer, await answer.read())

    return fetch
