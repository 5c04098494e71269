"""Values for web clients: server-sent events and websockets (extra `endpoints`).

A client that has lost the connection says what it got last (`Last-Event-ID`), and gets
what came since. Where that is not there any more it is told. No client makes anybody
wait, and none takes memory: what it has not read is kept once for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final, get_args

from pichannels.adapters import asgi
from pichannels.adapters.asgi import HTTPConnection, Request, Response, WebSocket
from pichannels.channels.base import BaseChannel
from pichannels.config import is_loopback
from pichannels.dataflow.application import current
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.following import (
    ChannelOutlet,
    Event,
    Outlet,
    OutletNode,
    PublishedOutlet,
    Slow,
    part_of,
)
from pichannels.dataflow.history import History
from pichannels.dataflow.publishing import Published
from pichannels.dataflow.topic import Topic
from pichannels.dataflow.topic_following import TopicOutlet
from pichannels.errors import PichannelsError, SettingsError, UsageError
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["Endpoint", "needs_token", "serve", "sse", "websocket"]

logger: Final = logging.getLogger("pichannels.dataflow")

_PART: Final = "pichannels.updates"
_AGAIN_AFTER: Final = 2000
"""Milliseconds after which browsers connect again."""

Token = str | Secret | None
Sse = Callable[[Request], Awaitable[Response]]
Socket = Callable[[WebSocket], Awaitable[None]]


class Endpoint:
    """The updates of a source, for clients.

    Its `sse` and `websocket` are what FastAPI takes for a path:
    `app.get("/updates")(endpoint.sse)`, `app.websocket("/socket")(endpoint.websocket)`.
    It ends with the stream of its application, or by `close`.

    Args:
        source: a cache or a proxy, whose updates are what is published; a channel,
            whose updates are the payloads that come out of it; a topic.
        keep: how many updates a client may be behind, and still get all of them.
        history: a cache that keeps these updates over restarts; by default the source
            itself where it is a `Cache`, and memory for any other. A topic needs none.
        slow: what becomes of a client that is farther behind: `disconnect` ends the
            connection, `skip` tells it what is lost and goes on with the oldest that is
            kept, `conflate` gives it, of what waits, the last value of each key only.
        token: what clients have to show.
        patience: seconds that a client may take to read, before it is left.
        beat: seconds after which a client without events gets a sign of life.
        most: how many clients may be connected.

    Raises:
        SettingsError: the extra `endpoints` is missing, or the token is empty.
        UsageError: an option is not usable, or the source is none of these.
    """

    def __init__(
        self,
        source: Published | BaseChannel | Topic,
        *,
        keep: int = 1000,
        history: Cache | None = None,
        slow: Slow = "disconnect",
        token: Token = None,
        patience: float = 30.0,
        beat: float = 15.0,
        most: int = 100,
    ) -> None:
        asgi.ensure_installed()
        if slow not in get_args(Slow):
            allowed = ", ".join(get_args(Slow))
            raise UsageError(f"slow is one of {allowed}, not {slow!r}")
        if keep < 1:
            raise UsageError(f"keep is 1 or more, not {keep!r}")
        self._token = _checked(token)
        self._outlet = _outlet(source, keep, history)
        self._slow: Slow = slow
        self._patience = patience
        self._beat = beat
        self._most = most
        self.clients = 0
        # Bound here, so that FastAPI sees functions.
        self.sse: Sse = _events_of(self)
        self.websocket: Socket = _socket_of(self)
        current().exit_hook(self.close)

    def close(self) -> None:
        """Let all clients go."""
        self._outlet.close()

    async def refusal(self, connection: HTTPConnection) -> tuple[int, str] | None:
        """Why a client is not served, with the status of the answer."""
        token = await reveal_in_thread(self._token)
        reason = asgi.refusal(connection, None if token is None else str(token))
        if reason:
            return 401 if "token" in reason else 403, reason
        if self.clients >= self._most:
            return 503, "too many clients"
        return None

    async def answer(self, request: Request) -> Response:
        """Server-sent events for a client."""
        if refused := await self.refusal(request):
            return asgi.plain(*refused)
        return asgi.EventStream(partial(self._sse, _place(request)), self._patience)

    async def send(self, socket: WebSocket) -> None:
        """Events over a websocket, for a client."""
        if await self.refusal(socket):
            await socket.close(1008)
        else:
            frames = partial(self._frames, _place(socket))
            await asgi.send_texts(socket, frames, self._patience)

    async def _sse(self, place: str | None) -> AsyncGenerator[str, None]:
        yield f"retry: {_AGAIN_AFTER}\n\n"
        async with aclosing(self._events(place)) as groups:
            async for events in groups:
                yield "".join(map(_as_sse, events)) or ":\n\n"

    async def _frames(self, place: str | None) -> AsyncGenerator[str, None]:
        async with aclosing(self._events(place)) as groups:
            async for events in groups:
                for event in events:
                    yield _as_frame(event)

    async def _events(self, place: str | None) -> AsyncGenerator[list[Event], None]:
        """What comes for a client, in groups; an empty one is a sign of life."""
        self.clients += 1
        try:
            follower = await self._outlet.open(place, self._slow)
            try:
                # With that the client can come back, before anything has come.
                yield [Event("open", "{}", follower.place)]
                while not follower.is_over:
                    yield await follower.take(self._beat)
            finally:
                await follower.close()
        except PichannelsError as exc:
            logger.warning("an endpoint cannot go on: %s", exc)
        finally:
            self.clients -= 1


def _events_of(endpoint: Endpoint) -> Sse:
    async def sse(request: Request) -> Response:
        """Updates as server-sent events."""
        return await endpoint.answer(request)

    return sse


def _socket_of(endpoint: Endpoint) -> Socket:
    async def websocket(websocket: WebSocket) -> None:
        await endpoint.send(websocket)

    return websocket


def sse(source: Published | BaseChannel | Topic, **options: Any) -> Sse:
    """What FastAPI takes for a path: updates as server-sent events.

    Args:
        source: as for `Endpoint`.
        options: likewise.

    Raises:
        SettingsError: the extra `endpoints` is missing, or the token is empty.
        UsageError: an option is not usable, or this is no source for it.
    """
    return Endpoint(source, **options).sse


def websocket(source: Published | BaseChannel | Topic, **options: Any) -> Socket:
    """The same over a websocket: a JSON object for each event.

    Args:
        source: as for `Endpoint`.
        options: likewise.

    Raises:
        SettingsError: the extra `endpoints` is missing, or the token is empty.
        UsageError: an option is not usable, or this is no source for it.
    """
    return Endpoint(source, **options).websocket


def needs_token(token: str | Secret) -> Callable[[HTTPConnection], Awaitable[None]]:
    """A dependency for paths of one's own: who asks has to show the token.

    `@app.get("/state", dependencies=[Depends(needs_token(Secret.env("TOKEN")))])`.

    Raises:
        SettingsError: the token is empty.
    """
    _checked(token)

    async def check(connection: HTTPConnection) -> None:
        known = str(await reveal_in_thread(token))
        if not asgi.is_allowed(connection, known):
            raise asgi.unauthorized(connection)

    return check


async def serve(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: Token = None,
    **kwargs: Any,
) -> None:
    """Serve a FastAPI application beside the stream of the current application.

    It ends with the stream; where nothing is bound to stream, with SIGTERM.

    Args:
        app: the application, or any other of ASGI.
        host: where to listen; by default only this machine can reach it.
        port: likewise.
        token: what all requests have to show, as `Authorization: Bearer ...` or
            `?token=...`.
        kwargs: for the handlers, as `stream` takes them.

    Raises:
        SettingsError: other machines can reach it and there is no token, or an empty
            one; the port cannot be opened; the extra `endpoints` is missing.
        Exception: what a handler has raised whose `on_error` is `stop`.
    """
    if _checked(token) is None and not is_loopback(host):
        raise SettingsError(
            "other machines can reach it, so a token is needed", key="token"
        )
    known = None if token is None else str(await reveal_in_thread(token))
    application = current()
    work = partial(application.stream, **kwargs) if application.is_bound else None
    await asgi.serve_until(asgi.guarded(app, host, known), host, port, work)


def _checked(token: Token) -> Token:
    if token == "":
        raise SettingsError("it is empty", key="token")
    return token


def _outlet(
    source: Published | BaseChannel | Topic, keep: int, history: Cache | None
) -> Outlet:
    if isinstance(source, Topic):
        return TopicOutlet(source)
    if isinstance(source, Published):
        known = [each for each in source.outlets if isinstance(each, PublishedOutlet)]
        if known:
            return known[0].reopened()
        if history is None and isinstance(source, Cache):
            history = source
        part = None if history is None else part_of(history, _PART)
        return PublishedOutlet(source, History(keep, part))
    if isinstance(source, BaseChannel):
        for step in source.steps:
            if isinstance(step, OutletNode):
                return step.outlet.reopened()
        part = None if history is None else part_of(history, _part_name(source))
        outlet = ChannelOutlet(History(keep, part))
        source.add(outlet.node)
        return outlet
    raise UsageError(
        f"{type(source).__name__} has no updates; an endpoint takes a cache, a proxy,"
        " a channel or a topic"
    )


def _part_name(channel: BaseChannel) -> str:
    # A column family may be called as a channel is.
    return f"{_PART}-channel.{channel.name}"


def _place(connection: HTTPConnection) -> str | None:
    """Where a client goes on; None for one that is new."""
    shown = connection.headers.get("last-event-id")
    return shown or connection.query_params.get("last_event_id") or None


def _as_sse(event: Event) -> str:
    place = "" if event.id is None else f"id: {event.id}\n"
    if event.kind == "open":
        return place + "\n"
    kind = "" if event.kind == "update" else f"event: {event.kind}\n"
    return f"{place}{kind}data: {event.data}\n\n"


def _as_frame(event: Event) -> str:
    place = "" if event.id is None else f',"id":"{event.id}"'
    return f'{{"event":"{event.kind}"{place},"data":{event.data}}}'
