"""Self-managed streams: messages of a PI channel, handled as they come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Never, TypeAlias, Unpack
from uuid import uuid4

import msgspec

from pichannels import clock
from pichannels.errors import PichannelsError, UsageError
from pichannels.piwebasync.exceptions import (
    ChannelClosed,
    ChannelClosedOK,
    ChannelUpdateError,
    PIWebAsyncException,
    StreamStateError,
    shown,
)
from pichannels.piwebasync.frames import Connected, NotOpened
from pichannels.piwebasync.handling import Handler, results_of
from pichannels.piwebasync.interrupting import UnderWay, as_failure
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.opening import (
    CameBack,
    FellBack,
    Opener,
    Opening,
    Source,
    StreamOptions,
    Transport,
    is_not_the_path,
)
from pichannels.piwebasync.parameters import (
    STREAM_REPLACED,
    check_function,
    check_positions,
    check_queue,
    check_stream,
)
from pichannels.piwebasync.polling import UpdatesClient
from pichannels.piwebasync.requests import Request, check_request
from pichannels.piwebasync.responses import WebsocketMessage
from pichannels.piwebasync.telling import OnError, Telling
from pichannels.piwebasync.transport import Auth
from pichannels.retry import RetryPolicy

__all__ = [
    "CameBack",
    "FellBack",
    "Handler",
    "HandlerFailed",
    "OnError",
    "Stream",
    "StreamEvent",
    "StreamOptions",
    "Take",
    "Transport",
]

Take: TypeAlias = Callable[[list[bytes]], Awaitable[object]]
"""Called with messages as they came, in order; nothing more is taken meanwhile."""

logger: Final = logging.getLogger("pichannels.piwebasync")

_FAILURES: Final = 3
"""Handshakes that fail one after the other before polling is tried instead."""
RETURN: Final = RetryPolicy(attempts=0, initial=300.0, maximum=6 * 3600.0, jitter=0.2)
"""When a stream that polls tries a websocket again: from minutes to hours."""


class HandlerFailed(msgspec.Struct, frozen=True):
    """The handler raised; nothing more of the message goes into the queue."""

    url: str
    at: int
    """Our own time, ticks."""
    error: Exception
    message: WebsocketMessage


StreamEvent: TypeAlias = Opening | HandlerFailed

_Pump: TypeAlias = Callable[[Source], Awaitable[None]]
"""Takes all that comes of a source, until it raises `ChannelClosed`."""


class Stream:
    """Keeps a PI channel open and gives what comes to a handler and a queue.

    A queue that is full holds the stream up; where that lasts, the connection is
    given up and the loss is told (`max_block`).

    Args:
        queue: takes the results of the handler; `receive` needs none.
        auth: as for `WebsocketClient`; also for stream updates.
        dead_channel_timeout: seconds without a connection that end the stream;
            None tries without end.
        transport: `channel` for the websocket only, `updates` for HTTP polling
            only, `auto` for polling where no websocket can be opened, and as long.
        poll: seconds between two polls of stream updates.
        limiter: what all clients of the server share; polls and handshakes go
            through it.
        stop_timeout: seconds in which `stop` lets received messages be handled;
            None for as long as it takes.
        on_event: called with each `StreamEvent`: connections, losses, failures of
            the handler.
        comeback: when a stream that polls tries a websocket again.
        options: see `StreamOptions`.
    """

    def __init__(
        self,
        queue: asyncio.Queue[Any] | None = None,
        auth: Auth = None,
        dead_channel_timeout: float | None = 3600.0,
        *others: Never,
        transport: Transport = "auto",
        poll: float = 1.0,
        limiter: Limiter | None = None,
        stop_timeout: float | None = 3.0,
        on_event: Callable[[StreamEvent], None] | None = None,
        comeback: RetryPolicy = RETURN,
        **options: Unpack[StreamOptions],
    ) -> None:
        known = Stream.__init__.__annotations__ | StreamOptions.__annotations__
        options = check_stream(options, known, STREAM_REPLACED)
        check_positions(others)
        if queue is not None:
            check_queue(queue)
        self._queue = queue
        self._opener = Opener(
            auth=auth,
            dead_after=dead_channel_timeout,
            transport=transport,
            poll=poll,
            limiter=limiter,
            on_event=self._note,
            options=options,
        )
        self._stop_timeout = stop_timeout
        self._on_event = on_event or _ignore
        self._comeback = comeback
        self._changing = asyncio.Lock()
        self._opening = UnderWay()
        self._telling = Telling()
        self._request: Request | None = None
        self._source: Source | None = None
        self._task: asyncio.Task[None] | None = None
        self._chooser: asyncio.Task[None] | None = None
        self._refusals = 0
        self._refusal: Exception | None = None
        self._refused = asyncio.Event()
        self._error: Exception | None = None
        self._messages = self._results = self._failures = self._switches = 0

    @property
    def is_running(self) -> bool:
        """Whether messages come, or will come again."""
        return self._source is not None and not self._source.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether the stream is not running: not yet, or no longer."""
        return not self.is_running

    @property
    def is_open(self) -> bool:
        """Whether there is a connection just now, or polls are answered."""
        return self._source is not None and self._source.is_open

    @property
    def is_polling(self) -> bool:
        """Whether the messages come by stream updates instead of a websocket."""
        return isinstance(self._source, UpdatesClient)

    @property
    def heard(self) -> int | None:
        """Our own time, ticks: all messages that came before it have been taken."""
        return None if self._source is None else self._source.heard

    def statistics(self) -> dict[str, int]:
        """Counts of the stream, and those of its present connection."""
        source = self._source.statistics() if self._source is not None else {}
        return source | {
            "messages": self._messages,
            "results": self._results,
            "handler_failures": self._failures,
            "switches": self._switches,
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
            StreamStateError: it is running, or was stopped while it opened.
            ChannelRefused: the server declined the handshake.
            ChannelOpenTimeout: there was no answer in time.
            WebsocketClientError: the server was not reached.
            HTTPClientError: stream updates, where only they are wanted, failed.
            APIException: this is no request for a channel.
            UsageError: the stream has no queue, or a function is none.
        """
        queue = self._queue
        if queue is None:
            raise UsageError("results of a handler need a queue: Stream(queue)")
        check_function("handler", handler)

        async def pump(source: Source) -> None:
            while True:
                message = await source.recv()
                self._messages += 1
                await self._deliver(message, handler, queue)

        return await self._begin(request, pump, on_error_callback)

    async def receive(
        self,
        request: Request,
        take: Take,
        on_error_callback: OnError | None = None,
        *,
        max_bytes: int = 2**20,
    ) -> str:
        """Like `start`, without handler and queue: messages go to `take` as they came.

        Those that wait together come together, up to `max_bytes` (or one), and
        never from before and after an event. What `take` raises ends the stream.

        Raises:
            StreamStateError: it is running, or was stopped while it opened.
            ChannelRefused: the server declined the handshake.
            ChannelOpenTimeout: there was no answer in time.
            WebsocketClientError: the server was not reached.
            HTTPClientError: stream updates, where only they are wanted, failed.
            APIException: this is no request for a channel.
            UsageError: a function is none.
        """

        check_function("take", take)

        async def pump(source: Source) -> None:
            while True:
                frames = await source.recv_many(max_bytes)
                self._messages += len(frames)
                await take(frames)

        return await self._begin(request, pump, on_error_callback)

    async def _begin(
        self, request: Request, pump: _Pump, on_error: OnError | None
    ) -> str:
        check_request(request)
        if on_error is not None:
            check_function("on_error_callback", on_error)
        async with self._changing:
            if self.is_running:
                raise StreamStateError("the stream is running already; stop it first")
            await self._ended()
            self._refusals = 0
            async with self._opening.working(_stopped):
                self._source = await self._opener.open(request)
            self._request, self._error = request, None
            run = uuid4().hex
            self._task = asyncio.create_task(
                self._run(pump, on_error), name=f"pi-stream {run}"
            )
            if self._opener.transport == "auto":
                self._chooser = asyncio.create_task(
                    self._choose(), name=f"pi-stream way {run}"
                )
            return run

    async def update(self, request: Request, rollback: bool = True) -> None:
        """Change to another request while the stream runs.

        Raises:
            StreamStateError: the stream is not running, or was stopped meanwhile.
            ChannelRollback: the new request failed; the stream goes on as before.
            ChannelUpdateError: it failed without `rollback`; the stream has ended.
        """
        check_request(request)
        async with self._changing:
            if self._source is None or not self.is_running:
                raise StreamStateError("the stream is not running; start it first")
            try:
                async with self._opening.working(_stopped):
                    await self._source.update(request, rollback)
            except ChannelUpdateError as exc:
                self._error = exc
                raise
            self._request = request

    async def stop(self) -> None:
        """Close the connection and handle what was received. Idempotent.

        An opening under way is given up.

        Raises:
            PIWebAsyncException: the error that has ended the stream, if one has;
                only once. Other errors are raised as they are.
        """
        self._opening.interrupt()
        if self._chooser is not None:
            self._chooser.cancel()
        async with self._changing:
            if self._source is not None:
                await self._source.close()
            await self._ended()
        await self._telling.done(self._stop_timeout)
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def abort(self) -> None:
        """Close the connection at once; what was not handled yet is left out."""
        if self._task is not None:
            self._task.cancel()
        with contextlib.suppress(Exception):
            await self.stop()

    # Running

    async def _run(self, pump: _Pump, on_error: OnError | None) -> None:
        error: Exception
        try:
            await self._take_all(pump)
            return
        except ChannelClosed as exc:
            cause = exc.__cause__
            error = cause if isinstance(cause, PIWebAsyncException) else exc
        except asyncio.CancelledError as exc:
            error = as_failure(exc)
        except Exception as exc:
            if not isinstance(exc, PichannelsError):
                logger.exception("a stream has failed")
            error = exc
        if self._chooser is not None:
            self._chooser.cancel()
        if self._source is not None:
            await self._source.close()
        self._error = error
        if on_error is not None:
            self._telling.tell(on_error, error)

    async def _take_all(self, pump: _Pump) -> None:
        """Take from the source, and from those that take its place."""
        while True:
            source = self._source
            assert source is not None
            try:
                await pump(source)
            except ChannelClosed as end:
                if source is not self._source:
                    continue
                if isinstance(end, ChannelClosedOK):
                    return
                raise

    async def _deliver(
        self, message: WebsocketMessage, handler: Handler, queue: asyncio.Queue[Any]
    ) -> None:
        async with contextlib.aclosing(results_of(handler, message)) as results:
            while True:
                try:
                    result = await anext(results)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError as exc:
                    self._tell_failure(as_failure(exc), message)
                    return
                except Exception as exc:
                    self._tell_failure(exc, message)
                    return
                await queue.put(result)
                self._results += 1

    def _tell_failure(self, error: Exception, message: WebsocketMessage) -> None:
        self._failures += 1
        logger.error("the handler failed; its message is left out", exc_info=error)
        self._on_event(HandlerFailed(message.url, clock.now(), error, message))

    async def _ended(self) -> None:
        """Wait until the closed stream has handled what it received."""
        chooser, self._chooser = self._chooser, None
        if chooser is not None:
            chooser.cancel()
            await asyncio.wait([chooser])
        task = self._task
        # A handler that stops its own stream is waited for by nobody.
        if task is None or task is asyncio.current_task():
            return
        try:
            done, _ = await asyncio.wait([task], timeout=self._stop_timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            logger.warning("a stream was stopped with messages that are not handled")
            task.cancel()
            await asyncio.wait([task])
        self._task = None

    # The way: a websocket, or polling where none opens

    def _note(self, event: Opening) -> None:
        if isinstance(event, Connected):
            self._refusals = 0
        elif isinstance(event, NotOpened) and not self.is_polling:
            if not is_not_the_path(event.error):
                self._refusals += 1
                self._refusal = event.error
            if self._refusals >= _FAILURES:
                self._refused.set()
        self._on_event(event)

    async def _choose(self) -> None:
        """Poll when websockets fail for a while; try one again now and then."""
        delays = self._comeback.delays()
        while True:
            if self.is_polling:
                await asyncio.sleep(next(delays))
            else:
                self._refused.clear()
                await self._refused.wait()
            request = self._request
            assert request is not None
            try:
                await (self._come_back if self.is_polling else self._poll)(request)
            except PIWebAsyncException as exc:
                logger.info("%s goes on as it was: %s", shown(_url(request)), exc)
            except Exception:
                logger.exception("a stream cannot change its way")

    async def _poll(self, request: Request) -> None:
        self._refusals, error = 0, self._refusal
        assert error is not None
        await self._replace(await self._opener.fall_back(request, error), request)

    async def _come_back(self, request: Request) -> None:
        if await self._replace(await self._opener.channel(request), request):
            logger.info("%s opens a websocket again", shown(_url(request)))
            self._on_event(CameBack(_url(request), clock.now()))

    async def _replace(self, new: Source, request: Request) -> bool:
        """Let `new` take the place of the present source, unless that is outdated."""
        unused = new
        try:
            await self._changing.acquire()
        except BaseException:
            await new.close()
            raise
        try:
            old = self._source
            if old is None or old.is_closed or request is not self._request:
                return False
            # What came until now is still on its way.
            if isinstance(old, UpdatesClient) and not await old.poll_now():
                return False
            self._source, unused = new, old
            self._switches += 1
            return True
        finally:
            await unused.close()
            self._changing.release()


def _url(request: Request) -> str:
    return request.absolute_url


def _stopped() -> StreamStateError:
    return StreamStateError("the stream was stopped meanwhile")


def _ignore(event: StreamEvent) -> None:
    """What happens to events that nobody wants to know."""
