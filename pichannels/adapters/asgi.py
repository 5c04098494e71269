"""Streams of text to web clients by FastAPI and uvicorn (extra `endpoints`).

The only module that knows Starlette, on which FastAPI is built, and uvicorn: a response
that is server-sent events, a websocket that only sends, and a server beside other work.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final

from pichannels.access import has_token, is_known_host
from pichannels.errors import SettingsError

try:
    import uvicorn
    from starlette.exceptions import HTTPException, WebSocketException
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.websockets import WebSocket, WebSocketDisconnect
except ImportError:
    uvicorn = None  # type: ignore[assignment]
    HTTPConnection = Request = WebSocket = Any  # type: ignore[assignment,misc]
    Response = PlainTextResponse = object  # type: ignore[assignment,misc]

__all__ = [
    "EventStream",
    "HTTPConnection",
    "Request",
    "Response",
    "WebSocket",
    "ensure_installed",
    "guarded",
    "is_allowed",
    "plain",
    "refusal",
    "send_texts",
    "serve_until",
    "unauthorized",
]

logger: Final = logging.getLogger("pichannels.dataflow")

_GOODBYE: Final = 5
_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # Proxies that collect answers would keep events for themselves.
    "x-accel-buffering": "no",
}

Texts = Callable[[], AsyncGenerator[str, None]]
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


def ensure_installed() -> None:
    """Look whether the libraries are there.

    Raises:
        SettingsError: they are not.
    """
    if uvicorn is None:
        raise SettingsError(
            "endpoints need the extra `endpoints`: pip install 'pichannels[endpoints]'"
        )


class EventStream(Response):
    """Texts as they come, until they end or the client has gone.

    Args:
        texts: opens them.
        patience: seconds that the client may take to read, before it is left.
    """

    def __init__(self, texts: Texts, patience: float) -> None:
        super().__init__(headers=_HEADERS)
        self._texts = texts
        self._patience = patience
        # It is not known how long it gets.
        del self.headers["content-length"]

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await _until_gone(self._write(send), _disconnected(receive))

    async def _write(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        body = {"type": "http.response.body", "more_body": True}
        async with aclosing(self._texts()) as texts:
            async for text in texts:
                async with asyncio.timeout(self._patience):
                    await send(body | {"body": text.encode()})
        await send(body | {"body": b"", "more_body": False})


async def send_texts(websocket: WebSocket, texts: Texts, patience: float) -> None:
    """Send texts over a websocket as they come, until they end or the client has gone.

    Args:
        websocket: one that is not accepted yet.
        texts: opens them.
        patience: seconds that the client may take to read, before it is left.
    """

    async def write() -> None:
        async with aclosing(texts()) as opened:
            async for text in opened:
                async with asyncio.timeout(patience):
                    await websocket.send_text(text)

    await websocket.accept()
    with suppress(WebSocketDisconnect):
        await _until_gone(write(), _disconnected(websocket.receive))
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(_GOODBYE):
            # "Try again later": the place where it was is still good.
            await websocket.close(1013)


async def _disconnected(receive: Receive) -> None:
    while not (await receive())["type"].endswith(".disconnect"):
        pass


async def _until_gone(
    work: Coroutine[Any, Any, None], gone: Coroutine[Any, Any, None]
) -> None:
    """Do the work, at most until the client has gone, or is too slow."""
    tasks = [
        asyncio.create_task(work, name="endpoint: writer"),
        asyncio.create_task(gone, name="endpoint: listener"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(done[0], TimeoutError):
        logger.warning("an endpoint leaves a client that does not read")
    elif isinstance(done[0], Exception):
        raise done[0]


# Access


def plain(status: int, reason: str) -> Response:
    """An answer that says why there is none."""
    return PlainTextResponse(reason, status)


def unauthorized(connection: HTTPConnection) -> Exception:
    """What a dependency raises where the token is missing."""
    if connection.scope["type"] == "websocket":
        return WebSocketException(1008)
    return HTTPException(401, "a token is needed")


def is_allowed(connection: HTTPConnection, token: str) -> bool:
    """Whether a request shows the token, as a header or as `?token=`."""
    shown = connection.query_params.get("token", "")
    # Browsers have no way to set a header for events or websockets.
    return has_token(connection.headers, token) or has_token(
        {"Authorization": f"Bearer {shown}"}, token
    )


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether it comes from a page of this server, or from no page at all."""
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    return origin is None or origin.partition("://")[2] == host


def refusal(connection: HTTPConnection, token: str | None) -> str:
    """Why a request is not answered; empty where it is."""
    if token is not None and not is_allowed(connection, token):
        return "a token is needed"
    if connection.scope["type"] == "websocket" and not is_same_origin(connection):
        return "the page is not from here"
    return ""


def guarded(app: App, host: str, token: str | None) -> App:
    """An application that answers only who may ask.

    Args:
        app: what answers.
        host: where the server listens.
        token: what requests have to show, or None.
    """

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        connection = HTTPConnection(scope)
        reason = refusal(connection, token)
        if not is_known_host(connection.headers.get("host", ""), host):
            reason = "this is another server"
        if not reason:
            return await app(scope, receive, send)
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
        else:
            status = 401 if "token" in reason else 403
            await plain(status, reason)(scope, receive, send)

    return answer


# Serving


async def serve_until(
    app: App, host: str, port: int, work: Callable[[], Awaitable[None]] | None
) -> None:
    """Serve an application as long as some work lasts, or until it is told to end.

    Args:
        app: what answers.
        host: where it listens.
        port: likewise; 0 for any that is free.
        work: None to serve until SIGTERM, or until it is cancelled.

    Raises:
        SettingsError: the port cannot be opened, or the libraries are missing.
    """
    ensure_installed()
    try:
        listening = socket.create_server((host, port))
    except OSError as exc:
        raise SettingsError(f"cannot listen on {host}:{port}: {exc}") from exc
    config = uvicorn.Config(
        app,
        log_config=None,
        # Tokens are in addresses.
        access_log=False,
        timeout_graceful_shutdown=_GOODBYE,
    )
    logger.info("serving on %s:%d", *listening.getsockname()[:2])
    if work is None:
        await uvicorn.Server(config).serve([listening])
        return
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listening]), name="endpoints: server")
    try:
        await work()
    finally:
        server.should_exit = True
        await serving


if uvicorn is not None:

    class _Server(uvicorn.Server):
        """A server that leaves signals to the work beside it."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield
