"""Self-managed streams: messages of a PI channel, handled and put into a queue."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final, Literal, Protocol, TypeAlias, TypedDict, Unpack
from uuid import uuid4

import msgspec

from pichannels import clock
from pichannels.errors import UsageError, nearest
from pichannels.piwebasync.exceptions import (
    ChannelClosed,
    ChannelClosedOK,
    ChannelRefused,
    ChannelUpdateError,
    PIWebAsyncException,
    StreamStateError,
    WebsocketClientError,
    shown,
)
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.polling import UpdateEvent, UpdatesClient
from pichannels.piwebasync.requests import Request
from pichannels.piwebasync.responses import WebsocketMessage
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.piwebasync.websocket import BACKOFF, WebsocketClient
from pichannels.retry import RetryPolicy

__all__ = [
    "FellBack",
    "Handler",
    "HandlerFailed",
    "OnError",
    "Stream",
    "StreamEvent",
    "StreamOptions",
    "StreamUpdates",
    "Transport",
]

Handler: TypeAlias = Callable[[WebsocketMessage], Any]
"""Called with each message; what it returns goes into the queue.

It may be a coroutine function. None puts nothing; of a list, an iterator or an
asynchronous iterator each item is put; anything else is put as it is.
"""
OnError: TypeAlias = Callable[[asyncio.Future[None]], object]
"""Called with a future that holds the error, after the stream has ended by it."""
Transport: TypeAlias = Literal["auto", "channel", "updates"]
"""A websocket, stream updates over HTTP, or these where the handshake fails."""

logger: Final = logging.getLogger("pichannels.piwebasync")

# These answers to a handshake say nothing about websockets.
_NOT_THE_PATH: Final = (401, 429)


class HandlerFailed(msgspec.Struct, frozen=True):
    """The handler raised; nothing more of the message goes into the queue."""

    url: str
    at: int
    """Our own time, ticks."""
    error: Exception
    message: WebsocketMessage


class FellBack(msgspec.Struct, frozen=True):
    """The handshake failed where HTTP works: stream updates are polled instead."""

    url: str
    at: int
    """Our own time, ticks."""
    error: Exception


StreamEvent: TypeAlias = UpdateEvent | HandlerFailed | FellBack


class StreamOptions(TypedDict, total=False):
    """What `Stream` hands on; see `WebsocketClient` for the meaning."""

    extra_headers: Headers | None
    open_timeout: float
    close_timeout: float
    ping_interval: float | None
    heartbeat: float | None
    max_queue: int
    buffer_bytes: int
    max_block: float
    backoff: RetryPolicy
    verify: Verify
    cert: Cert
    proxy: str | None
    trust_env: bool
    safe_chars: str | None


class Source(Protocol):
    """Where the messages of a stream come from."""

    @property
    def is_closed(self) -> bool: ...
    async def recv(self) -> WebsocketMessage: ...
    async def update(self, request: Request, rollback: bool = False) -> None: ...
    async def close(self) -> None: ...
    def statistics(self) -> dict[str, int]: ...


class Stream:
    """Keeps a PI channel open and puts what a handler makes of it into a queue.

    A queue that is full holds the stream up; where that lasts, the connection is
    given up and the loss is told (`max_block`).

    Args:
        queue: takes the results of the handler.
        auth: as for `WebsocketClient`; also for stream updates.
        dead_channel_timeout: seconds without a connection that end the stream;
            None tries without end.
        transport: `channel` for the websocket only, `updates` for HTTP polling
            only, `auto` for polling where no websocket can be opened at `start`.
        poll: seconds between two polls of stream updates.
        limiter: what all clients of the server share; polls go through it.
        stop_timeout: seconds in which `stop` lets received messages be handled.
        on_event: called with each `StreamEvent`: connections, losses, failures of
            the handler.
        options: see `StreamOptions`.
    """

    def __init__(
        self,
        queue: asyncio.Queue[Any],
        auth: Auth = None,
        dead_channel_timeout: float | None = 3600.0,
        *,
        transport: Transport = "auto",
        poll: float = 1.0,
        limiter: Limiter | None = None,
        stop_timeout: float = 3.0,
        on_event: Callable[[StreamEvent], None] | None = None,
        **options: Unpack[StreamOptions],
    ) -> None:
        known = StreamOptions.__annotations__
        for name in options.keys() - known.keys():
            raise UsageError(f"a stream has no option {name!r}{nearest(name, known)}")
        self._queue = queue
        self._auth = auth
        self._dead_after = dead_channel_timeout
        self._transport = transport
        self._poll = poll
        self._limiter = limiter
        self._stop_timeout = stop_timeout
        self._on_event = on_event or _ignore
        self._options = options
        self._changing = asyncio.Lock()
        self._source: Source | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._messages = self._results = self._failures = 0

    @property
    def is_running(self) -> bool:
        """Whether messages come, or will come again."""
        return self._source is not None and not self._source.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether the stream is not running: not yet, or no longer."""
        return not self.is_running

    @property
    def is_polling(self) -> bool:
        """Whether the messages come by stream updates instead of a websocket."""
        return isinstance(self._source, UpdatesClient)

    def statistics(self) -> dict[str, int]:
        """Counts of the stream, and those of its present connection."""
        source = self._source.statistics() if self._source is not None else {}
        return source | {
            "messages": self._messages,
            "results": self._results,
            "handler_failures": self._failures,
        }

    async def start(
        self,
        request: Request,
        handler: Handler,
        on_error_callback: OnError | None = None,
    ) -> str:
        """Open the channel of `request` and return an id for this run.

        A stream that has ended, by `stop` or by an error, can be started again.

        Raises:
            StreamStateError: it is running.
            ChannelRefused: the server declined the handshake.
            ChannelOpenTimeout: there was no answer in time.
            WebsocketClientError: the server was not reached.
            HTTPClientError: stream updates, where only they are wanted, failed.
            APIException: this is no request for a channel.
        """
        async with self._changing:
            if self.is_running:
                raise StreamStateError("the stream is running already; stop it first")
            await self._ended()
            source = await self._opened(request)
            self._source, self._error = source, None
            run = uuid4().hex
            self._task = asyncio.create_task(
                self._run(source, handler, on_error_callback), name=f"pi-stream {run}"
            )
            return run

    async def update(self, request: Request, rollback: bool = True) -> None:
        """Change to another request while the stream runs.

        Raises:
            StreamStateError: the stream is not running.
            ChannelRollback: the new request failed; the stream goes on as before.
            ChannelUpdateError: it failed without `rollback`; the stream has ended.
        """
        async with self._changing:
            if self._source is None or not self.is_running:
                raise StreamStateError("the stream is not running; start it first")
            try:
                await self._source.update(request, rollback)
            except ChannelUpdateError as exc:
                self._error = exc
                raise

    async def stop(self) -> None:
        """Close the connection and handle what was received. Idempotent.

        Raises:
            PIWebAsyncException: the error that has ended the stream, if one has;
                only once. Other errors are raised as they are.
        """
        async with self._changing:
            if self._source is not None:
                await self._source.close()
            await self._ended()
        error, self._error = self._error, None
        if error is not None:
            raise error

    # Opening

    async def _opened(self, request: Request) -> Source:
        if self._transport == "updates":
            return await self._open_updates(request)
        client = WebsocketClient(
            request,
            auth=self._auth,
            reconnect=True,
            dead_channel_timeout=self._dead_after,
            on_event=self._on_event,
            **self._options,
        )
        try:
            return await client.open()
        except WebsocketClientError as exc:
            if self._transport == "channel" or _is_not_the_path(exc):
                raise
            return await self._fall_back(request, exc)

    async def _fall_back(self, request: Request, error: WebsocketClientError) -> Source:
        try:
            source = await self._open_updates(request)
        except PIWebAsyncException as exc:
            error.add_note(f"stream updates instead of a channel failed, too: {exc}")
            raise error from error.__cause__
        url = request.absolute_url
        logger.warning("%s is polled, as it opens no websocket: %s", shown(url), error)
        try:
            self._on_event(FellBack(url, clock.now(), error))
        except BaseException:
            await source.close()
            raise
        return source

    async def _open_updates(self, request: Request) -> UpdatesClient:
        options = self._options
        http = HTTPClient(
            self._auth,
            options.get("extra_headers"),
            verify=options.get("verify", True),
            safe_chars=options.get("safe_chars"),
            cert=options.get("cert"),
            proxy=options.get("proxy"),
            timeout=options.get("open_timeout", 10.0),
            trust_env=options.get("trust_env", True),
            limiter=self._limiter,
        )
        try:
            return await UpdatesClient(
                request,
                http,
                poll=self._poll,
                dead_channel_timeout=self._dead_after,
                backoff=options.get("backoff", BACKOFF),
                on_event=self._on_event,
            ).open()
        except BaseException:
            await http.close()
            raise

    # Running

    async def _run(
        self, source: Source, handler: Handler, on_error: OnError | None
    ) -> None:
        error: Exception
        try:
            while True:
                message = await source.recv()
                self._messages += 1
                await self._deliver(message, handler)
        except ChannelClosedOK:
            return
        except ChannelClosed as exc:
            cause = exc.__cause__
            error = cause if isinstance(cause, PIWebAsyncException) else exc
        except Exception as exc:
            logger.exception("a stream has failed")
            error = exc
        await source.close()
        self._error = error
        if on_error is not None:
            _call_back(on_error, error)

    async def _deliver(self, message: WebsocketMessage, handler: Handler) -> None:
        async with aclosing(_results(handler, message)) as results:
            while True:
                try:
                    result = await anext(results)
                except StopAsyncIteration:
                    return
                except Exception as exc:
                    self._tell_failure(exc, message)
                    return
                await self._queue.put(result)
                self._results += 1

    def _tell_failure(self, error: Exception, message: WebsocketMessage) -> None:
        self._failures += 1
        logger.error("the handler failed; its message is left out", exc_info=error)
        self._on_event(HandlerFailed(message.url, clock.now(), error, message))

    async def _ended(self) -> None:
        """Wait until the closed stream has handled what it received."""
        task = self._task
        # A handler that stops its own stream is waited for by nobody.
        if task is None or task is asyncio.current_task():
            return
        done, _ = await asyncio.wait([task], timeout=self._stop_timeout)
        if not done:
            logger.warning("a stream was stopped with messages that are not handled")
            task.cancel()
            await asyncio.wait([task])
        self._task = None


class StreamUpdates(Stream):
    """A `Stream` over stream updates: HTTP polling, for networks without websockets.

    It takes the requests of channels. A place that the server has lost is told as
    `Lost` with the reason `marker`.
    """

    def __init__(
        self,
        queue: asyncio.Queue[Any],
        auth: Auth = None,
        dead_channel_timeout: float | None = 3600.0,
        *,
        poll: float = 1.0,
        limiter: Limiter | None = None,
        stop_timeout: float = 3.0,
        on_event: Callable[[StreamEvent], None] | None = None,
        **options: Unpack[StreamOptions],
    ) -> None:
        super().__init__(
            queue,
            auth,
            dead_channel_timeout,
            transport="updates",
            poll=poll,
            limiter=limiter,
            stop_timeout=stop_timeout,
            on_event=on_event,
            **options,
        )


async def _results(
    handler: Handler, message: WebsocketMessage
) -> AsyncGenerator[Any, None]:
    result = handler(message)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterator):
        async for one in result:
            yield one
    elif isinstance(result, (list, Iterator)):
        for one in result:
            yield one
    elif result is not None:
        yield result


def _is_not_the_path(error: WebsocketClientError) -> bool:
    return isinstance(error, ChannelRefused) and error.status_code in _NOT_THE_PATH


def _call_back(on_error: OnError, error: Exception) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    # A callback need not look at it.
    future.exception()
    try:
        on_error(future)
    except Exception:
        logger.exception("the error callback of a stream failed")


def _ignore(event: StreamEvent) -> None:
    """What happens to events that nobody wants to know."""
