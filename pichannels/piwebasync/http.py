"""The HTTP client of PI Web API."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from yarl import URL

from pichannels.errors import UsageError
from pichannels.limiter import Priority
from pichannels.piwebasync.batches import count_parts
from pichannels.piwebasync.environment import is_proved, proxy_of
from pichannels.piwebasync.exceptions import (
    APIException,
    HTTPClientError,
    SerializationError,
    shown,
)
from pichannels.piwebasync.interrupting import UnderWay
from pichannels.piwebasync.limiting import Limiter, Turn
from pichannels.piwebasync.login import Answer, Asked, logged_in
from pichannels.piwebasync.parameters import HTTP_REPLACED, check_seconds, refuse
from pichannels.piwebasync.redirects import Hop, next_hop
from pichannels.piwebasync.requests import (
    HTTP,
    APIRequest,
    Request,
    check_request,
    with_safe_chars,
)
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.retrying import READS, repeated
from pichannels.piwebasync.sessions import (
    Lane,
    SessionOptions,
    Sessions,
    answer_of,
    fetcher,
)
from pichannels.piwebasync.transport import (
    FAILURES,
    Auth,
    Cert,
    Headers,
    Verify,
    cause_of,
    given_headers,
    login_of,
    reason_of,
)
from pichannels.retry import RetryPolicy

__all__ = ["HTTPClient"]

# Where aiohttp would write all at once, which holds up the event loop.
_LARGE: Final = 2**16
_CLOSED: Final = "the client is closed"


class HTTPClient:
    """Sends requests to PI Web API and returns its answers, whatever they say.

    An answer of any status is returned; `raise_for_status()` of it decides. No
    answer at all raises `HTTPClientError`. Cancellation stays cancellation.

    Args:
        auth: `(user, password)`, a login of `auth` such as `Negotiate()`, an
            `httpx.Auth`, headers, or a function that gives headers.
        headers: sent with each request.
        cookies: sent with each request, beside those that the server sets.
        verify: True, False (any certificate) or the path of a CA file.
        safe_chars: characters that stay bare in URLs, for servers that want it.
        cert: client certificate, see `transport.Cert`.
        proxy: URL of an HTTP proxy.
        proxies: the same for the requests of one scheme only: `{"http://": URL,
            "https://": URL}`; `all://` for both.
        timeout: seconds for a whole request; None waits without end. The wait for the
            limiter is not part of it, as it has nothing to do with the server.
        connect_timeout: seconds of these for a connection, where one is needed; an
            address behind which nothing answers is given up so much sooner.
        follow_redirects: whether a redirection is followed. Logins, headers and
            cookies of our own are not sent to another origin.
        max_connections: connections open at once; as many again for logins that
            belong to a connection (NTLM, Kerberos), when others are used beside them.
        max_redirects: redirections followed for one request.
        trust_env: whether proxies and netrc of the environment are used.
        limiter: what all clients of one server share, to protect it.
        priority: what the limiter takes the requests for, unless they say otherwise.
        retry: how often and how soon a read (GET, HEAD, OPTIONS) is tried again
            after 429, 502, 503 and 504, and where there was no answer; a
            `Retry-After` up to `retry.maximum` is waited for. None: never.

    Raises:
        UsageError: there is no such parameter; what to use in its place is told.
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
        proxies: str | Mapping[str, str | None] | None = None,
        timeout: float | None = 60.0,
        connect_timeout: float | None = 10.0,
        follow_redirects: bool = False,
        max_connections: int = 50,
        max_redirects: int = 20,
        trust_env: bool = True,
        limiter: Limiter | None = None,
        priority: Priority = "live",
        retry: RetryPolicy | None = None,
        **unknown: Any,
    ) -> None:
        known = HTTPClient.__init__.__annotations__
        refuse(unknown, "HTTPClient", known, HTTP_REPLACED)
        check_seconds("timeout", timeout)
        check_seconds("connect_timeout", connect_timeout)
        self._auth = auth
        self._headers: Headers = {"Accept": "application/json", **(headers or {})}
        self._safe_chars = safe_chars
        self._proxies = _by_scheme(proxy, proxies)
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._cookies = dict(cookies or {})
        self._follow_redirects = follow_redirects
        self._max_redirects = max_redirects
        self._trust_env = trust_env
        self._limiter = limiter
        self._priority = priority
        self._retry = retry
        self._sessions = Sessions(
            SessionOptions(
                verify=verify,
                cert=cert,
                max_connections=max_connections,
            )
        )
        self._closed = False
        self._under_way = UnderWay()

    @property
    def largest_batch(self) -> int | None:
        """Parts that a PI batch should have at most, just now; None for no limit."""
        return None if self._limiter is None else self._limiter.largest_batch

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
        **unknown: Any,
    ) -> HTTPResponse:
        """Send one request and return the answer; the arguments are for it alone.

        `json` is sent in place of the body that the request itself may have.

        Raises:
            APIException: this is no HTTP request; `NotARequest`, which is also a
                TypeError, where it is no request at all.
            HTTPClientError: there was no answer; its cause tells why.
            Backpressure: too many requests wait at the limiter.
            SerializationError: `json` cannot be written as JSON.
            UsageError: there is no such parameter.
        """
        known = HTTPClient.request.__annotations__
        refuse(unknown, "request()", known, HTTP_REPLACED)
        check_seconds("timeout", timeout)
        check_request(request)
        if request.protocol != HTTP:
            raise APIException(
                f"{shown(request.absolute_url)} is no HTTP request;"
                " use WebsocketClient for it"
            )

        async def attempt() -> HTTPResponse:
            sending = self._send(
                request, headers, json, auth, follow_redirects, timeout
            )
            if self._limiter is None:
                return await sending
            turn = self._limiter.turn(
                priority or self._priority, count_parts(request, json)
            )
            return await _limited(turn, sending)

        def closed() -> HTTPClientError:
            return HTTPClientError(request.method, request.absolute_url, _CLOSED)

        async with self._under_way.working(closed):
            if self._retry is None or request.method not in READS:
                return await attempt()
            return await repeated(attempt, self._retry, lambda: self._closed)

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
        body = None if json is None else _encoded(json)
        login = login_of(self._auth if auth is None else auth)
        try:
            sent = await self._sent_headers(method, body) | dict(headers or {})
            if login is None and self._trust_env and not is_proved(sent):
                login = await self._sessions.login_for(url)
            async with asyncio.timeout(seconds), self._sessions.take(login) as lane:
                asked = Asked(
                    method,
                    url,
                    sent,
                    body or b"",
                    fetcher(lane.session, self._proxy_of(url)),
                    lane.bond,
                )

                async def once(proof: dict[str, str]) -> tuple[Answer, HTTPResponse]:
                    proved = {**asked.headers, **proof, **(headers or {})}
                    return await self._once(lane, asked, proved, redirects)

                return await logged_in(login, asked, once)
        except FAILURES as exc:
            reason = self._reason(exc, seconds)
            raise HTTPClientError(method, url, reason) from cause_of(exc)

    def _proxy_of(self, url: str) -> str | None:
        given = self._proxies.get(url.partition(":")[0].lower())
        return proxy_of(url) if given is None and self._trust_env else given

    def _reason(self, error: BaseException, seconds: float | None) -> str:
        if self._closed:
            return _CLOSED
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return f"no connection within {self._connect_timeout:g} s"
        late = isinstance(error, TimeoutError) and seconds is not None
        return f"none within {seconds:g} s" if late else reason_of(error)

    async def _once(
        self, lane: Lane, asked: Asked, headers: dict[str, str], redirects: bool
    ) -> tuple[Answer, HTTPResponse]:
        """One try; a login may need several."""
        url = URL(with_safe_chars(asked.url, self._safe_chars), encoded=True)
        hop, hops = Hop(asked.method, url, headers, asked.body, self._cookies), 0
        while True:
            async with self._sent_to(lane, hop) as answer:
                following = next_hop(answer, hop) if redirects else None
                if following is None:
                    response = await _response(answer, asked.method)
                    return answer_of(answer, response.raw_response), response
                hop, hops = following, hops + 1
                if hops >= self._max_redirects:
                    raise aiohttp.TooManyRedirects(answer.request_info, ())

    def _sent_to(
        self, lane: Lane, hop: Hop
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return lane.session.request(
            hop.method,
            hop.url,
            headers=hop.headers,
            cookies=hop.cookies or None,
            data=_sent(hop.body),
            allow_redirects=False,
            proxy=self._proxy_of(str(hop.url)),
            # The whole request has its limit, with all tries of a login.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout
            ),
        )

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

    @property
    def is_closed(self) -> bool:
        """Whether it sends nothing more."""
        return self._closed

    async def close(self) -> None:
        """Close all connections; a closed client sends nothing more.

        Requests under way raise `HTTPClientError`, wherever they are.
        """
        self._closed = True
        self._under_way.interrupt()
        try:
            # They learn of it before aiohttp cancels what they wait for.
            await asyncio.sleep(0)
        finally:
            await self._sessions.close()

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
        check_request(request)
        if request.method != method:
            url = shown(request.absolute_url)
            raise APIException(f"{url} is a {request.method} request, not {method}")
        return await self.request(request, **options)

    async def _sent_headers(
        self,
        method: str,
        body: bytes | None,
    ) -> dict[str, str]:
        sent = await given_headers(self._headers)
        if method not in READS:
            # PI refuses writes without it, against forged requests of browsers.
            sent["X-Requested-With"] = "pichannels"
        if body is not None:
            sent["Content-Type"] = "application/json"
        return sent


def _by_scheme(
    proxy: str | None, proxies: str | Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """The proxy of each scheme.

    Raises:
        UsageError: it is for something else than a scheme.
    """
    if proxies is None or isinstance(proxies, str):
        return dict.fromkeys(("http", "https"), proxies or proxy)
    given = {key.removesuffix("://").lower(): url for key, url in proxies.items()}
    if wrong := given.keys() - {"http", "https", "all"}:
        raise UsageError(
            f"proxies are for 'http://', 'https://' or 'all://', not {wrong.pop()!r};"
            " use one client for each server"
        )
    every = given.get("all", proxy)
    return {scheme: given.get(scheme, every) for scheme in ("http", "https")}


def _encoded(json: Any) -> bytes:
    try:
        return msgspec.json.encode(json)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        allowed = f"what can be written as JSON ({reason_of(exc)})"
        raise SerializationError("json", type(json).__name__, allowed) from exc


def _sent(body: bytes) -> bytes | BytesIO | None:
    """The body as aiohttp sends it: a large one in parts, between other work."""
    return BytesIO(body) if len(body) > _LARGE else body or None


async def _limited(
    waiting: AbstractAsyncContextManager[Turn],
    sending: Coroutine[Any, Any, HTTPResponse],
) -> HTTPResponse:
    try:
        async with waiting as turn:
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
