"""One websocket to a PI channel: the handshake, frames as bytes, the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

import aiohttp
import msgspec
from yarl import URL

from pichannels import clock
from pichannels.errors import Backpressure
from pichannels.limiter import retry_after_seconds
from pichannels.piwebasync.environment import is_proved, netrc_login, proxy_of
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelOpenTimeout,
    ChannelRefused,
    WebsocketClientError,
    shown,
)
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.login import Answer, Asked, logged_in, offer
from pichannels.piwebasync.requests import WEBSOCKET, Request, with_safe_chars
from pichannels.piwebasync.sessions import BoundConnector, fetcher
from pichannels.piwebasync.tls import check_tls
from pichannels.piwebasync.transport import (
    FAILURES,
    Auth,
    AuthFailed,
    Cert,
    Headers,
    Verify,
    cause_of,
    given_headers,
    login_of,
    reason_of,
    tls_context,
)
from pichannels.values import ticks_from_datetime

__all__ = [
    "Connection",
    "Ending",
    "Options",
    "check_protocol",
    "connect",
    "ticks_of_date",
]

Socket: TypeAlias = aiohttp.ClientWebSocketResponse[Any]

_TEXT: Final = aiohttp.WSMsgType.TEXT
_BINARY: Final = aiohttp.WSMsgType.BINARY
# Bits of the window of permessage-deflate.
_WINDOW: Final = 15
_SWITCHING: Final = 101
_BODY_SHOWN: Final = 4096
_BODY_READ: Final = 2**16
_BODY_PATIENCE: Final = 1.0
# Frames come as bytes where aiohttp can leave them so; decoding them twice costs.
_VERSION: Final = tuple(int(part) for part in aiohttp.__version__.split(".")[:2])
_RAW_TEXT: Final[dict[str, Any]] = {"decode_text": False} if _VERSION >= (3, 14) else {}


class Options(msgspec.Struct, kw_only=True):
    """How a connection is made; see `WebsocketClient`."""

    auth: Auth = None
    headers: Headers = {}
    open_timeout: float = 10.0
    close_timeout: float = 3.0
    ping_interval: float | None = 20.0
    verify: Verify = True
    cert: Cert = None
    proxy: str | None = None
    trust_env: bool = True
    safe_chars: str | None = None
    max_size: int | None = None
    compression: str | None = None

    def __post_init__(self) -> None:
        check_tls(self.verify, self.cert)

    def __repr__(self) -> str:
        return "<Options>"


class Ending(msgspec.Struct, frozen=True):
    """How a connection ended: `closed` by the server, or lost in the `network`."""

    reason: str
    detail: str
    code: int | None = None


class Connection:
    """One open websocket. It owns its session, as some logins belong to one."""

    def __init__(
        self,
        request: Request,
        session: aiohttp.ClientSession,
        socket: Socket,
        server_date: int | None,
        close_timeout: float,
    ) -> None:
        self.request = request
        self._close_timeout = close_timeout
        self.server_date = server_date
        self._session = session
        self._socket = socket

    async def pump(self, put: Callable[[bytes], bool]) -> Ending | None:
        """Give each frame to `put`, until it says that it is full, or the end.

        Returns:
            How the connection ended, or None when `put` is full. Cancelling loses
            nothing.
        """
        receive = self._socket.receive
        while True:
            message = await receive()
            kind, data = message.type, message.data
            if kind is _TEXT or kind is _BINARY:
                if put(data if type(data) is bytes else _bytes(data)):
                    return None
            elif (ending := self._ending(message)) is not None:
                return ending

    def _ending(self, message: aiohttp.WSMessage) -> Ending | None:
        kind, data = message.type, message.data
        if kind is aiohttp.WSMsgType.CLOSE:
            return Ending("closed", str(message.extra or ""), data)
        if kind is aiohttp.WSMsgType.ERROR:
            return Ending("network", reason_of(data))
        if kind in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            cause = self._socket.exception()
            detail = reason_of(cause) if cause else "no close frame"
            return Ending("network", detail)
        return None

    async def received(self) -> list[bytes]:
        """What has arrived already, without waiting."""
        frames: list[bytes] = []

        def take(frame: bytes) -> bool:
            frames.append(frame)
            return False

        try:
            async with asyncio.timeout(0):
                await self.pump(take)
        except TimeoutError:
            pass
        return frames

    async def close(self) -> None:
        """Say goodbye and let go; takes `close_timeout` at most."""
        await self._close(self._close_timeout)

    async def abort(self) -> None:
        """Let go at once, of a server that would not answer a goodbye."""
        await self._close(0.0)

    async def _close(self, seconds: float) -> None:
        try:
            # aiohttp allows its time for each frame that still comes; a server
            # that floods us would never let go.
            async with asyncio.timeout(seconds):
                await self._socket.close()
        except TimeoutError:
            pass
        finally:
            await self._session.close()


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def check_protocol(request: Request) -> None:
    """See that the request is one for a channel.

    Raises:
        APIException: it is not.
    """
    if request.protocol != WEBSOCKET:
        url = shown(request.absolute_url)
        raise APIException(f"{url} is no channel request; use HTTPClient")


async def connect(
    request: Request, options: Options, limiter: Limiter | None = None
) -> Connection:
    """Open the channel of `request`, in its turn where there is a limiter.

    Raises:
        APIException: this is no channel request.
        ChannelRefused: the server answered something else, with status and body.
        ChannelOpenTimeout: there was no answer in time.
        WebsocketClientError: the server was not reached; the cause tells why.
    """
    if limiter is None:
        return await _opened(request, options)
    try:
        async with limiter.turn() as turn:
            try:
                connection = await _opened(request, options)
            except ChannelRefused as exc:
                turn.answered(exc.status_code, {})
                raise
            turn.answered(_SWITCHING, {})
            return connection
    except Backpressure as exc:
        url = shown(request.absolute_url)
        raise WebsocketClientError(f"{url} is not reached: {exc}") from exc


async def _opened(request: Request, options: Options) -> Connection:
    url = request.absolute_url
    check_protocol(request)
    login = login_of(options.auth)
    if login is None and options.trust_env and not is_proved(options.headers):
        login = await netrc_login(url)
    tls = await tls_context(options.verify, options.cert)
    handshake = _Handshake(request, options, tls)
    try:
        async with asyncio.timeout(options.open_timeout):
            opened = await logged_in(login, await handshake.asked(), handshake.attempt)
            if isinstance(opened, ChannelRefused):
                raise opened
            return opened
    except BaseException as exc:
        await handshake.abandon()
        if isinstance(exc, TimeoutError):
            raise ChannelOpenTimeout(url, options.open_timeout) from exc
        if isinstance(exc, FAILURES):
            what = "opened" if isinstance(exc, AuthFailed) else "reached"
            raise WebsocketClientError(
                f"{shown(url)} is not {what}: {reason_of(exc)}"
            ) from cause_of(exc)
        raise


class _Handshake:
    """The tries to open one channel, over one connection as far as it lasts."""

    def __init__(self, request: Request, options: Options, tls: Any) -> None:
        self._request = request
        self._url = request.absolute_url
        self._options = options
        self._answer = Answer(_SWITCHING, ())
        self._headers: dict[str, str] = {}
        self._server_date: int | None = None
        self._opened: Connection | None = None
        self._proxy = options.proxy
        if self._proxy is None and options.trust_env:
            self._proxy = proxy_of(self._url)
        connector = BoundConnector(tls)
        self._bond = connector.bond
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            raise_for_status=self._check,
            trace_configs=[_tracing(self._check)],
        )

    async def asked(self) -> Asked:
        """What logins are told: a handshake is a GET of HTTP."""
        url = f"http{self._url.removeprefix('ws')}"
        self._headers = await given_headers(self._options.headers)
        fetch = fetcher(self._session, self._proxy)
        return Asked("GET", url, self._headers, b"", fetch, self._bond)

    async def attempt(
        self, proof: dict[str, str]
    ) -> tuple[Answer, Connection | ChannelRefused]:
        """One try: the connection, or the refusal that may be answered."""
        options = self._options
        try:
            socket = await self._session.ws_connect(
                URL(with_safe_chars(self._url, options.safe_chars), encoded=True),
                headers={**self._headers, **proof},
                proxy=self._proxy,
                heartbeat=options.ping_interval,
                timeout=aiohttp.ClientWSTimeout(ws_close=options.close_timeout),
                # Those as large as that are refused by aiohttp; 0 takes any.
                max_msg_size=0 if options.max_size is None else options.max_size + 1,
                compress=_WINDOW if options.compression else 0,
                **_RAW_TEXT,
            )
        except ChannelRefused as refused:
            return self._answer, refused
        self._opened = Connection(
            self._request,
            self._session,
            socket,
            self._server_date,
            options.close_timeout,
        )
        return self._answer, self._opened

    async def abandon(self) -> None:
        """Let go of what was opened, if anything was."""
        if self._opened is not None:
            await self._opened.abort()
        else:
            await self._session.close()

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        """Look at the answer before aiohttp throws its body away."""
        self._server_date = ticks_of_date(answer.headers.get("Date", ""))
        headers = tuple(answer.headers.items())
        body = b"" if answer.status == _SWITCHING else await _body(answer)
        self._answer = Answer(answer.status, headers, body)
        if answer.status == _SWITCHING:
            return
        offered = offer(self._answer.all("WWW-Authenticate"))
        raise ChannelRefused(
            self._url,
            answer.status,
            answer.reason or "",
            body[:_BODY_SHOWN].decode("utf-8", "replace"),
            offered if answer.status == 401 else "",
            retry_after_seconds(answer.headers.get("Retry-After"), clock.now()),
        )


def _tracing(check: Callable[[aiohttp.ClientResponse], Awaitable[None]]) -> Any:
    """What checks redirections: a channel is where it was asked for, or nowhere."""

    async def redirected(
        session: object, context: object, told: aiohttp.TraceRequestRedirectParams
    ) -> None:
        await check(told.response)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(redirected)
    return tracing


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The body, all of it where it comes soon: then its connection can go on."""
    body, content = b"", answer.content
    try:
        # One without a length ends with the connection, which may stay open.
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_BODY_PATIENCE):
                while len(body) < _BODY_READ and (part := await content.readany()):
                    body += part
    finally:
        if not content.at_eof():
            answer.close()
    return body


def ticks_of_date(text: str) -> int | None:
    """The ticks of a `Date` header; None where it is none."""
    try:
        return ticks_from_datetime(parsedate_to_datetime(text))
    except ValueError:
        return None
