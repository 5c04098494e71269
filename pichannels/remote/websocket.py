"""Links over websockets: connections of aiohttp, for clients and for servers.

A frame is one binary message. The heartbeat is the protocol's own, so that a link is
watched through proxies that answer pings themselves.
"""

from __future__ import annotations

import os
import ssl
from typing import Final

import aiohttp
from aiohttp import WSCloseCode, web
from yarl import URL

from pichannels.errors import NotConnected, UsageError
from pichannels.remote.errors import AccessDenied
from pichannels.remote.frames import FRAME_BYTES
from pichannels.remote.transports import Dial, Transport

__all__ = ["PATH", "SUBPROTOCOL", "ServerSocket", "dialer"]

PATH: Final = "/streams"
"""Where a hub is found, unless its routes were added elsewhere."""
SUBPROTOCOL: Final = "pichannels.streams.v1"

_SCHEMES: Final = ("http", "https", "ws", "wss")
_REFUSED: Final = (401, 403)
_CLOSING: Final = 0.5
_HIDDEN: Final = "Connect call failed"
# aiohttp counts more than the payload.
_SLACK: Final = 1024

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


def dialer(
    url: str,
    token: str | None = None,
    *,
    ssl: ssl.SSLContext | None = None,
    frame_bytes: int = FRAME_BYTES,
) -> Dial:
    """Opens connections to a hub.

    Args:
        url: `http`, `https`, `ws` or `wss`; without a path `/streams` is meant.
        token: shows who we are.
        ssl: what is trusted, and which certificate is shown.
        frame_bytes: the largest frame that is taken.

    Raises:
        UsageError: it is no such URL.
    """
    found = _checked(url)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def dial() -> Transport:
        session = aiohttp.ClientSession(headers=headers)
        try:
            socket = await session.ws_connect(
                found,
                protocols=(SUBPROTOCOL,),
                max_msg_size=frame_bytes + _SLACK,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING),
                ssl=True if ssl is None else ssl,
            )
        except BaseException as exc:
            await session.close()
            if isinstance(exc, aiohttp.ClientError | OSError):
                raise _refused(found, exc) from exc
            raise
        return _ClientSocket(str(found), socket, session)

    return dial


def _checked(url: str) -> URL:
    try:
        found = URL(url)
    except ValueError as exc:
        raise UsageError(f"{url!r} is no URL: {exc}") from exc
    if found.scheme not in _SCHEMES or not found.host:
        raise UsageError(f"{url!r} is no URL of a hub, such as https://host:8443")
    return found.with_path(PATH) if found.path in ("", "/") else found


def _refused(url: URL, exc: BaseException) -> NotConnected | AccessDenied:
    status = getattr(exc, "status", None)
    if status in _REFUSED:
        return AccessDenied(str(url), "the token is missing, wrong or of no use here")
    reason = _reason(url, exc)
    if status is not None:
        reason = f"no hub answers there (HTTP {status})"
    return NotConnected(str(url), reason)


def _reason(url: URL, exc: BaseException) -> str:
    """What went wrong, in the words of the system."""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        cause = exc.certificate_error
        found = getattr(cause, "verify_message", cause)
        return f"its certificate is not trusted: {found}"
    if isinstance(exc, aiohttp.ClientConnectorError):
        found = exc.os_error
        told = found.strerror or str(found)
        # asyncio puts the address, which is told already, in place of the reason.
        if found.errno is not None and told.startswith(_HIDDEN):
            return os.strerror(found.errno)
        return told
    is_plain = url.scheme in ("http", "ws")
    if is_plain and isinstance(exc, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer; it may speak TLS (https)"
    return str(exc) or type(exc).__name__


class _SocketTransport:
    """Frames as binary messages."""

    def __init__(self, target: str, socket: Socket) -> None:
        self.target = target
        self._socket = socket

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            raise NotConnected(self.target, str(exc) or "the link is gone") from exc

    async def receive(self) -> bytes:
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.TEXT:
            await self._socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
            raise NotConnected(self.target, "text came where frames are expected")
        raise NotConnected(self.target, self._why(message))

    def _why(self, message: aiohttp.WSMessage) -> str:
        if isinstance(message.data, Exception):
            return str(message.data)
        code = self._socket.close_code
        said = f": {message.extra}" if message.extra else ""
        return f"the other side has closed the link ({code or 'no reason'}{said})"

    async def aclose(self) -> None:
        await self._socket.close()


class _ClientSocket(_SocketTransport):
    def __init__(
        self,
        target: str,
        socket: aiohttp.ClientWebSocketResponse,
        session: aiohttp.ClientSession,
    ) -> None:
        super().__init__(target, socket)
        self._session = session

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            await self._session.close()


class ServerSocket(_SocketTransport):
    """The server's end of a connection."""

    @classmethod
    async def accept(cls, request: web.Request, frame_bytes: int) -> ServerSocket:
        """Take a request for a connection."""
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            max_msg_size=frame_bytes + _SLACK,
            timeout=_CLOSING,
            compress=False,
        )
        await socket.prepare(request)
        made = cls(request.remote or "a client", socket)
        made.response = socket
        return made

    response: web.WebSocketResponse
