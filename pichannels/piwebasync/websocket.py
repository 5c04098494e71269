"""The client of PI channels: it keeps one open, and hides no loss."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Generator
from math import inf
from types import TracebackType
from typing import Any, Final, Self

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.piwebasync.connection import (
    Connection,
    Ending,
    Options,
    check_protocol,
    connect,
)
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelClosed,
    ChannelClosedError,
    ChannelClosedOK,
    ChannelInUse,
    ChannelNotOpen,
    ChannelRollback,
    ChannelUpdateError,
    WatchdogTimeout,
    WebsocketClientError,
    shown,
)
from pichannels.piwebasync.filling import fill
from pichannels.piwebasync.frames import (
    ChannelEvent,
    Connected,
    FrameBuffer,
    Lost,
    NotOpened,
    OnEvent,
    Undecodable,
)
from pichannels.piwebasync.interrupting import UnderWay
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.parameters import check_channel
from pichannels.piwebasync.requests import Request, check_request
from pichannels.piwebasync.responses import WebsocketMessage
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.retry import RetryPolicy

__all__ = ["BACKOFF", "WebsocketClient"]

logger: Final = logging.getLogger("pichannels.piwebasync")

BACKOFF: Final = RetryPolicy(attempts=0, initial=0.5, maximum=60.0, jitter=1.0)
"""Waits between attempts to connect: doubled up to a minute, random in full."""

_NORMAL: Final = (1000, 1001)
# A connection that lived so long (s) was a real one: the waits start anew.
_STEADY: Final = 5.0


class WebsocketClient:
    """One PI channel, as `async with WebsocketClient(request) as channel`.

    It is received from with `recv`, by iteration, or as raw frames with
    `recv_many`; by one task at a time. Frames that wait are bounded: a user who
    takes nothing for `max_block` seconds while the buffer is full loses the
    connection, and is told. `on_event` is called, in the order of the frames, from
    within the receiving call: it learns of `Connected`, `Lost`, `NotOpened` and
    `Undecodable`. Only a loss for `backpressure` is told at once, in front of the
    frames that wait.

    Args:
        request: of protocol `Websocket`.
        auth: `(user, password)`, a login of `pichannels.piwebasync.auth`, an
            `httpx.Auth`, headers, or a function that gives headers.
        extra_headers: sent with the handshake.
        open_timeout: seconds for one handshake.
        reconnect: whether a lost connection is opened again, whatever ended it.
        dead_channel_timeout: seconds without any connection that end the channel
            all the same; None tries without end.
        ping_interval: seconds of silence after which the server is pinged.
        close_timeout: seconds for saying goodbye.
        heartbeat: seconds between the heartbeats that the request asks for; a
            connection that is silent for 1.75 of them counts as lost. Without it
            nobody looks for silence, whatever the request asks for.
        max_queue: frames that wait, at most.
        buffer_bytes: their size, at most (one frame more may wait).
        max_block: seconds that a full buffer may hold up the reader.
        backoff: the waits between attempts to connect.
        on_event: called with each event of the connection.
        verify, cert, proxy, trust_env, safe_chars: as for `HTTPClient`.
        limiter: what all clients of the server share; handshakes go through it.
        origin: the header of that name.
        compression: `deflate` offers it to the server, None does not.
        max_size: bytes of a message; a larger one ends the connection. None: any.

    Raises:
        NotARequest: `request` is none.
        UsageError: there is no such parameter; what to use in its place is told.
    """

    def __init__(
        self,
        request: Request,
        *,
        auth: Auth = None,
        extra_headers: Headers | None = None,
        open_timeout: float = 10.0,
        reconnect: bool = False,
        dead_channel_timeout: float | None = 3600.0,
        ping_interval: float | None = 20.0,
        close_timeout: float = 3.0,
        heartbeat: float | None = None,
        max_queue: int = 4096,
        buffer_bytes: int = 16 * 2**20,
        max_block: float = 10.0,
        backoff: RetryPolicy = BACKOFF,
        on_event: OnEvent | None = None,
        verify: Verify = True,
        cert: Cert = None,
        proxy: str | None = None,
        trust_env: bool = True,
        safe_chars: str | None = None,
        limiter: Limiter | None = None,
        origin: str | None = None,
        compression: str | None = None,
        max_size: int | None = None,
        **unknown: Any,
    ) -> None:
        check_channel(unknown, WebsocketClient.__init__, compression, max_queue)
        check_request(request)
        # Pongs are not read while a full buffer holds up the reader.
        pings = None if ping_interval is None else max(ping_interval, 3 * max_block)
        self._options = Options(
            auth=auth,
            headers=dict(extra_headers or {}) | ({"Origin": origin} if origin else {}),
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            ping_interval=pings,
            verify=verify,
            cert=cert,
            proxy=proxy,
            trust_env=trust_env,
            safe_chars=safe_chars,
            max_size=max_size,
            compression=compression,
        )
        self._limiter = limiter
        self._request = request
        self._reconnect = reconnect
        self._dead_after = dead_channel_timeout
        self._heartbeat = heartbeat
        self._max_block = max_block
        self._backoff = backoff
        self._delays = backoff.delays()
        self._on_event = on_event or _ignore
        self._told = request.absolute_url
        self._buffer = FrameBuffer(max_queue, buffer_bytes, self._tell)
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._opening = UnderWay()
        self._closing = False
        self._receiving = False
        self._connections = 0
        self._undecodable = 0

    @property
    def url(self) -> str:
        """The channel's URL; after an update the new one."""
        return self._request.absolute_url

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and not self.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether nothing will come any more, or yet."""
        return self._task is None or self._buffer.end is not None

    @property
    def is_closing(self) -> bool:
        """Whether `close` is at work."""
        return self._closing and not self.is_closed

    @property
    def is_reconnecting(self) -> bool:
        """Whether there is no connection, but will be."""
        return not (self.is_closed or self._closing) and self._connection is None

    @property
    def heard(self) -> int | None:
        """Our own time, ticks: all that came before it has been taken already."""
        return self._buffer.heard

    def statistics(self) -> dict[str, int]:
        """Counts since the start, and what waits now."""
        return {
            "connections": self._connections,
            "frames": self._buffer.frames,
            "bytes": self._buffer.frame_bytes,
            "undecodable": self._undecodable,
            "waiting": len(self._buffer),
            "waiting_bytes": self._buffer.bytes_waiting,
        }

    async def open(self) -> Self:
        """Open the channel; one attempt.

        Raises:
            ChannelRefused: the server declined, with status and body.
            ChannelOpenTimeout: there was no answer in time.
            WebsocketClientError: the server was not reached.
            ChannelClosedOK: `close` was called meanwhile.
        """
        async with self._changing:
            self._check_new()
            async with self._opening.working(self._closed_by_us):
                connection = await self._connect(self._request)
            if self._closing:
                await connection.close()
                raise self._closed_by_us()
            self._run(connection)
        return self

    def start(self) -> Self:
        """Open the channel in the background, as often as it takes."""
        self._check_new()
        if self._changing.locked():
            raise UsageError("this channel is opening already")
        if not self._reconnect:
            raise UsageError("start() goes with reconnect=True; use open() without it")
        self._run(None)
        return self

    async def recv(self) -> WebsocketMessage:
        """The next message; one that is no JSON is left out and counted.

        Raises:
            ChannelClosedOK: the channel is closed in good order.
            ChannelClosedError: it is lost; the cause tells why.
            ChannelNotOpen: it was never opened.
            ChannelInUse: another task is receiving.
        """
        while True:
            frame = await self.recv_raw()
            message = WebsocketMessage(frame, self._told)
            if message.is_json or frame.strip() in (b"", b"null"):
                return message
            self._undecodable += 1
            logger.warning("%s sent a message that is no JSON", shown(self._told))
            self._on_event(Undecodable(self._told, clock.now(), frame))

    async def recv_raw(self) -> bytes:
        """The next frame as it came; raises as `recv`."""
        # Most frames wait already when they are asked for.
        if not self._receiving and (waiting := self._buffer.pop()) is not None:
            return waiting
        (frame,) = await self._receive(1, 1)
        return frame

    async def recv_many(self, max_bytes: int = 2**20) -> list[bytes]:
        """All frames that wait, up to `max_bytes` (or one); raises as `recv`.

        Waits for the first one only. Cancelling loses nothing. Frames of two
        connections never come together.
        """
        return await self._receive(max_bytes, 2**31)

    async def update(self, request: Request, rollback: bool = False) -> None:
        """Change to another request, without a gap: it is opened first.

        What the old connection has delivered stays; both may deliver the same
        event.

        Raises:
            ChannelRollback: the new request failed and `rollback` is set: the
                channel goes on with the old one, which was never interrupted.
            ChannelUpdateError: the new request failed; the channel is closed.
            ChannelClosed: the channel is closed already, or not open yet.
            APIException: this is no channel request; the old one goes on.
        """
        check_request(request)
        check_protocol(request)
        async with self._changing:
            self._check_open()
            try:
                connection = await self._connect(request)
            except (WebsocketClientError, APIException) as exc:
                url, reason = request.absolute_url, str(exc)
                if rollback and not self.is_closed:
                    raise ChannelRollback(url, self.url, reason) from exc
                error = ChannelUpdateError(url, reason)
                await self._end(ChannelClosedError.because(self.url, error))
                raise error from exc
            await self._replace(connection, request)

    async def close(self) -> None:
        """Close the connection; what waits can still be received. Idempotent."""
        self._closing = True
        self._opening.interrupt()
        await self._end(self._closed_by_us())

    async def __aenter__(self) -> Self:
        return await self.open() if self._task is None else self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aiter__(self) -> AsyncIterator[WebsocketMessage]:
        with contextlib.suppress(ChannelClosedOK):
            while True:
                yield await self.recv()

    # Receiving

    def _tell(self, event: ChannelEvent) -> None:
        if isinstance(event, Connected):
            # What waited from before an update came from elsewhere.
            self._told = event.url
        self._on_event(event)

    async def _receive(self, max_bytes: int, max_frames: int) -> list[bytes]:
        if self._task is None and self._buffer.end is None:
            raise ChannelNotOpen(self.url)
        if self._receiving:
            raise ChannelInUse
        self._receiving = True
        try:
            while True:
                frames = self._buffer.take(max_bytes, max_frames)
                if frames:
                    return frames
                if self._buffer.end is not None and not len(self._buffer):
                    raise self._buffer.end.with_traceback(None)
                await self._buffer.wait_item()
        finally:
            self._receiving = False

    # Reading, in a task of its own

    def _run(self, connection: Connection | None) -> None:
        if connection is not None:
            self._connected(connection)
        self._start_reader(connection)

    def _start_reader(self, connection: Connection | None) -> None:
        self._task = asyncio.create_task(
            self._keep_open(connection), name=f"pi-channel {shown(self.url)[:60]}"
        )

    async def _keep_open(self, connection: Connection | None) -> None:
        try:
            if connection is None:
                connection = await self._reopen(0.0)
            while True:
                await self._lost(connection, await self._read(connection))
                connection = await self._reopen(next(self._delays))
        except ChannelClosed as end:
            self._buffer.close(end)
        except Exception as exc:
            logger.exception("the reader of %s failed", shown(self.url))
            self._buffer.close(ChannelClosedError.because(self.url, exc))

    async def _read(self, connection: Connection) -> Ending:
        return await fill(self._buffer, connection, self._heartbeat, self._max_block)

    async def _lost(self, connection: Connection, ending: Ending) -> None:
        """Report the end of a connection; raises when it is the channel's, too."""
        self._connection = None
        self._tell_lost(connection, ending)
        await (connection.close() if ending.reason == "closed" else connection.abort())
        if self._reconnect:
            return
        kind = ChannelClosedOK if ending.code in _NORMAL else ChannelClosedError
        raise kind(self.url, f"{ending.reason} {ending.detail}".strip(), ending.code)

    async def _reopen(self, delay: float) -> Connection:
        """Connect, first after `delay` s, until it succeeds or is given up."""
        await self._buffer.wait_room()
        since = clock.monotonic()
        while True:
            await asyncio.sleep(min(delay, self._time_left(since)))
            left = self._time_left(since)
            try:
                async with asyncio.timeout(None if left == inf else left):
                    connection = await self._connect(self._request)
            except WebsocketClientError as exc:
                logger.info("%s", exc)
                self._buffer.tell(NotOpened(self.url, clock.now(), exc))
                await self._buffer.wait_room()
                wished = min(exc.retry_after or 0.0, self._backoff.maximum)
                delay = max(next(self._delays), wished)
            except TimeoutError:
                # No time is left.
                delay = 0.0
            else:
                self._connected(connection)
                return connection

    def _time_left(self, since: float) -> float:
        """Seconds until a channel without connection is dead; raises when it is."""
        if self._dead_after is None:
            return inf
        waited = clock.monotonic() - since
        if waited >= self._dead_after:
            watchdog = WatchdogTimeout(self.url, waited)
            raise ChannelClosedError.because(self.url, watchdog)
        return self._dead_after - waited

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._connections += 1
        self._opened = clock.monotonic()
        self._buffer.heard = None
        url = connection.request.absolute_url
        self._buffer.tell(Connected(url, clock.now(), connection.server_date))

    def _tell_lost(self, connection: Connection, ending: Ending) -> None:
        if clock.monotonic() - self._opened >= _STEADY:
            self._delays = self._backoff.delays()
        url = connection.request.absolute_url
        logger.info("%s is lost: %s %s", shown(url), ending.reason, ending.detail)
        now, heard = clock.now(), self._buffer.heard
        lost = Lost(url, now, ending.reason, ending.detail, ending.code, heard)
        # Who takes nothing has to learn of it all the same.
        self._buffer.tell(lost, at_once=ending.reason == "backpressure")

    # Changing and ending

    async def _replace(self, connection: Connection, request: Request) -> None:
        """Let the new connection take the place of the old one."""
        try:
            await self._stop_reader()
            old = self._connection
            frames = await old.received() if old is not None else []
            self._check_open()
        except BaseException:
            if self._buffer.end is None and not self._closing:
                self._start_reader(self._connection)
            await connection.close()
            raise
        for frame in frames:
            self._buffer.put(frame)
        if old is not None:
            self._tell_lost(old, Ending("update", "changed to another request"))
        self._request = request
        self._run(connection)
        if old is not None:
            await old.close()

    async def _stop_reader(self) -> None:
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _end(self, end: ChannelClosed) -> None:
        await self._stop_reader()
        connection, self._connection = self._connection, None
        self._buffer.close(end)
        if connection is not None:
            await connection.close()

    def _check_new(self) -> None:
        if self._task is not None or self._buffer.end is not None:
            raise UsageError("this channel was opened before; make another client")

    def _check_open(self) -> None:
        if self._buffer.end is not None:
            raise self._buffer.end
        if self._task is None:
            raise ChannelNotOpen(self.url)
        if self._closing:
            raise self._closed_by_us()

    def _closed_by_us(self) -> ChannelClosedOK:
        return ChannelClosedOK(self.url, "closed by this client")

    async def _connect(self, request: Request) -> Connection:
        return await connect(request, self._options, self._limiter)


def _ignore(event: ChannelEvent) -> None:
    """What happens to events that nobody wants to know."""
