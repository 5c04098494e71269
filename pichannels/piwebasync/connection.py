"""One websocket to a PI channel: the handshake, frames as bytes, the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelOpenTimeout,
    ChannelRefused,
    WebsocketClientError,
    shown,
)
from pichannels.piwebasync.requests import WEBSOCKET, Request, with_safe_chars
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
from pichannels.values import ticks_from_datetime

__all__ = ["Connection", "Ending", "Options", "connect", "ticks_of_date"]

_TEXT: Final = aiohttp.WSMsgType.TEXT
_BINARY: Final = aiohttp.WSMsgType.BINARY
_BODY_SHOWN: Final = 4096
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
        socket: aiohttp.ClientWebSocketResponse[Any],
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


async def connect(request: Request, options: Options) -> Connection:
    """Open the channel of `request`.

    Raises:
        APIException: this is no channel request.
        ChannelRefused: the server answered something else, with status and body.
        ChannelOpenTimeout: there was no answer in time.
        WebsocketClientError: the server was not reached; the cause tells why.
    """
    url = request.absolute_url
    if request.protocol != WEBSOCKET:
        raise APIException(f"{shown(url)} is no channel request; use HTTPClient")
    handshake = _Handshake(url)
    session = await _session(options, handshake)
    try:
        async with asyncio.timeout(options.open_timeout):
            socket = await session.ws_connect(
                URL(with_safe_chars(url, options.safe_chars), encoded=True),
                headers={
                    **await given_headers(options.headers),
                    **await auth_headers(options.auth),
                },
                proxy=options.proxy,
                heartbeat=options.ping_interval,
                timeout=aiohttp.ClientWSTimeout(ws_close=options.close_timeout),
                max_msg_size=0,
                **_RAW_TEXT,
            )
    except TimeoutError as exc:
        await session.close()
        raise ChannelOpenTimeout(url, options.open_timeout) from exc
    except FAILURES as exc:
        await session.close()
        raise WebsocketClientError(
            f"{shown(url)} is not reached: {reason_of(exc)}"
        ) from exc
    except BaseException:
        await session.close()
        raise
    return Connection(
        request, session, socket, handshake.server_date, options.close_timeout
    )


async def _session(options: Options, handshake: _Handshake) -> aiohttp.ClientSession:
    tls = await tls_context(options.verify, options.cert)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=options.trust_env,
        raise_for_status=handshake.check,
    )


class _Handshake:
    """Looks at the server's answer before aiohttp throws its body away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.server_date: int | None = None

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        self.server_date = ticks_of_date(answer.headers.get("Date", ""))
        if answer.status == 101:
            return
        body = b""
        # A body without a length ends with the connection, which may stay open.
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_BODY_PATIENCE):
                body = await answer.content.read(_BODY_SHOWN)
        raise ChannelRefused(
            self._url,
            answer.status,
            answer.reason or "",
            body.decode("utf-8", "replace"),
        )


def ticks_of_date(text: str) -> int | None:
    """The ticks of a `Date` header; None where it is none."""
    try:
        return ticks_from_datetime(parsedate_to_datetime(text))
    except ValueError:
        return None
