"""The HTTP client of PI Web API."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from yarl import URL

from pichannels.errors import UsageError
from pichannels.limiter import Priority
from pichannels.piwebasync.exceptions import APIException, HTTPClientError, shown
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.requests import (
    HTTP,
    APIRequest,
    Request,
    with_safe_chars,
)
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.transport import (
    FAILURES,
    Auth,
    Cert,
    Headers,
    Verify,
    auth_headers,
    given_headers,
    reason_of,
    tls_context,
)

__all__ = ["HTTPClient"]

_REPLACED: Final = {
    "proxies": "proxy='http://host:port', or trust_env=True",
    "mounts": "proxy='http://host:port', or one client for each server",
    "event_hooks": "a wrapper around request()",
    "transport": "one client for each way to the server",
}
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class HTTPClient:
    """Sends requests to PI Web API and returns its answers, whatever they say.

    An answer of any status is returned; `raise_for_status()` of it decides. No
    answer at all raises `HTTPClientError`. Cancellation stays cancellation.

    Args:
        auth: `(user, password)`, headers, or a function that gives headers.
        headers: sent with each request.
        cookies: sent with each request, beside those that the server sets.
        verify: True, False (any certificate) or the path of a CA file.
        safe_chars: characters that stay bare in URLs, for servers that want it.
        cert: client certificate, see `transport.Cert`.
        proxy: URL of an HTTP proxy.
        timeout: seconds for a whole request; None waits without end.
        follow_redirects: whether a redirection is followed.
        max_connections: connections open at once.
        max_redirects: redirections followed for one request.
        trust_env: whether proxies and netrc of the environment are used.
        limiter: what all clients of one server share, to protect it.
        priority: what the limiter takes the requests for, unless they say otherwise.
    """

    def __init__(
        self,
        auth: Auth = None,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        verify: Verify = True,
        safe_chars: str | None = None,
        cert: Cert = None,
        *,
        proxy: str | None = None,
        timeout: float | None = 60.0,
        follow_redirects: bool = False,
        max_connections: int = 50,
        max_redirects: int = 20,
        trust_env: bool = True,
        limiter: Limiter | None = None,
        priority: Priority = "live",
        **unknown: Any,
    ) -> None:
        for name in unknown:
            hint = f"; use {_REPLACED[name]}" if name in _REPLACED else ""
            raise UsageError(f"HTTPClient has no parameter {name!r}{hint}")
        self._auth = auth
        self._headers: Headers = {"Accept": "application/json", **(headers or {})}
        self._cookies = dict(cookies or {})
        self._verify = verify
        self._cert = cert
        self._safe_chars = safe_chars
        self._proxy = proxy
        self._timeout = timeout
        self._follow_redirects = follow_redirects
        self._max_connections = max_connections
        self._max_redirects = max_redirects
        self._trust_env = trust_env
        self._limiter = limiter
        self._priority = priority
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def request(
        self,
        request: Request,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        auth: Auth = None,
        follow_redirects: bool | None = None,
        timeout: float | None = None,
        priority: Priority | None = None,
    ) -> HTTPResponse:
        """Send one request and return the answer; the arguments are for it alone.

        `json` is sent in place of the body that the request itself may have.

        Raises:
            APIException: this is no HTTP request.
            HTTPClientError: there was no answer; its cause tells why.
            Backpressure: too many requests wait at the limiter.
        """
        if request.protocol != HTTP:
            raise APIException(
                f"{shown(request.absolute_url)} is no HTTP request;"
                " use WebsocketClient for it"
            )
        sending = self._send(request, headers, json, auth, follow_redirects, timeout)
        if self._limiter is None:
            return await sending
        return await _limited(self._limiter, priority or self._priority, sending)

    async def _send(
        self,
        request: Request,
        headers: Mapping[str, str] | None,
        json: Any,
        auth: Auth,
        follow_redirects: bool | None,
        timeout: float | None,
    ) -> HTTPResponse:
        method, url = request.method, request.absolute_url
        seconds = self._timeout if timeout is None else timeout
        redirects = (
            self._follow_redirects if follow_redirects is None else (follow_redirects)
        )
        if json is None and isinstance(request, APIRequest):
            json = request.json
        body = None if json is None else msgspec.json.encode(json)
        session = await self._open(method, url)
        try:
            sent = await self._sent_headers(method, body, headers, auth)
            async with session.request(
                method,
                URL(with_safe_chars(url, self._safe_chars), encoded=True),
                headers=sent,
                data=body,
                allow_redirects=redirects,
                max_redirects=self._max_redirects,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                return await _response(answer, method)
        except FAILURES as exc:
            late = isinstance(exc, TimeoutError) and seconds is not None
            reason = f"none within {seconds:g} s" if late else reason_of(exc)
            raise HTTPClientError(method, url, reason) from exc

    async def get(self, request: Request, **options: Any) -> HTTPResponse:
        """Send a GET request; `options` as for `request`."""
        return await self._verb("GET", request, options)

    async def post(self, request: Request, **options: Any) -> HTTPResponse:
        """Send a POST request; `options` as for `request`."""
        return await self._verb("POST", request, options)

    async def put(self, request: Request, **options: Any) -> HTTPResponse:
        """Send a PUT request; `options` as for `request`."""
        return await self._verb("PUT", request, options)

    async def patch(self, request: Request, **options: Any) -> HTTPResponse:
        """Send a PATCH request; `options` as for `request`."""
        return await self._verb("PATCH", request, options)

    async def delete(self, request: Request, **options: Any) -> HTTPResponse:
        """Send a DELETE request; `options` as for `request`."""
        return await self._verb("DELETE", request, options)

    async def close(self) -> None:
        """Close all connections; a closed client sends nothing more."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _verb(
        self, method: str, request: Request, options: Mapping[str, Any]
    ) -> HTTPResponse:
        if request.method != method:
            url = shown(request.absolute_url)
            raise APIException(f"{url} is a {request.method} request, not {method}")
        return await self.request(request, **options)

    async def _sent_headers(
        self,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        auth: Auth,
    ) -> dict[str, str]:
        sent = await given_headers(self._headers)
        if method not in _READS:
            # PI refuses writes without it, against forged requests of browsers.
            sent["X-Requested-With"] = "pichannels"
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= await auth_headers(self._auth if auth is None else auth)
        return sent | dict(headers or {})

    async def _open(self, method: str, url: str) -> aiohttp.ClientSession:
        async with self._opening:
            if self._closed:
                raise HTTPClientError(method, url, "the client is closed")
            if self._session is None:
                tls = await tls_context(self._verify, self._cert)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        limit=self._max_connections, ssl=tls
                    ),
                    cookies=self._cookies,
                    # Servers that are known by address may set cookies, too.
                    cookie_jar=aiohttp.CookieJar(unsafe=True),
                    trust_env=self._trust_env,
                )
            return self._session


async def _limited(
    limiter: Limiter, priority: Priority, sending: Coroutine[Any, Any, HTTPResponse]
) -> HTTPResponse:
    try:
        async with limiter.turn(priority) as turn:
            response = await sending
            turn.answered(response.http_status, response.headers)
            return response
    finally:
        # Where it never got its turn.
        sending.close()


async def _response(answer: aiohttp.ClientResponse, method: str) -> HTTPResponse:
    return HTTPResponse(
        answer.status,
        str(answer.url),
        answer.headers,
        await answer.read(),
        method=method,
        reason=answer.reason or "",
    )
