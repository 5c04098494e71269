"""The client of stream updates: what `WebsocketClient` gives, by plain HTTP.

It asks the server again and again what has come. Nothing is asked for while nobody
receives: the server keeps what comes meanwhile, as long as it keeps our place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, Self, TypeAlias

import msgspec

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.piwebasync.asking import Asking, Start
from pichannels.piwebasync.exceptions import (
    APIException,
    ChannelClosed,
    ChannelClosedError,
    ChannelClosedOK,
    ChannelInUse,
    ChannelNotOpen,
    ChannelRollback,
    ChannelUpdateError,
    HTTPClientError,
    WatchdogTimeout,
    shown,
)
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost, NotOpened
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import Request
from pichannels.piwebasync.responses import WebsocketMessage
from pichannels.piwebasync.updates import (
    HEARTBEAT,
    Answer,
    Signup,
    Target,
    channel_message,
)
from pichannels.retry import RetryPolicy

__all__ = ["SIGNUP", "NotSignedUp", "UpdateEvent", "UpdatesClient"]

logger: Final = logging.getLogger("pichannels.piwebasync")

_NAMED: Final = 5
# Seconds until streams are asked for again that were refused a new place.
_ASK_AGAIN: Final = 60.0
SIGNUP: Final = "signup was"
"""In what PI tells of a stream whose metadata have changed, or that is gone."""


class NotSignedUp(msgspec.Struct, frozen=True):
    """The server gives no updates of a stream; nothing will come of it."""

    url: str
    at: int
    """Our own time, ticks."""
    stream: str
    """Its path, or its WebID where the server does not tell."""
    reason: str


UpdateEvent: TypeAlias = ChannelEvent | NotSignedUp


class UpdatesClient:
    """Polls for what the channel of a request would send, until it is closed.

    Messages have the form of a channel's; the events in them also have PI's
    `Action`. One task receives; a cancelled `recv` loses nothing.

    Args:
        request: of a channel.
        http: what sends the requests; it is closed with this client.
        poll: seconds between two polls.
        dead_channel_timeout: seconds without any answer that end it; None tries
            without end.
        backoff: the waits after polls that failed.
        on_event: called with each event, in order with the messages.
    """

    def __init__(
        self,
        request: Request,
        http: HTTPClient,
        *,
        poll: float,
        dead_channel_timeout: float | None,
        backoff: RetryPolicy,
        on_event: Callable[[UpdateEvent], None],
    ) -> None:
        self._request = request
        self._http = http
        self._asking = Asking(http)
        self._interval = poll
        self._dead_after = dead_channel_timeout
        self._backoff = backoff
        self._delays = backoff.delays()
        self._on_event = on_event
        self._told = request.absolute_url
        self._state: Start | None = None
        self._signups: dict[str, Signup] = {}
        self._forgotten: list[Signup] = []
        self._pending: deque[bytes | UpdateEvent] = deque()
        self._changing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._receiving = False
        self._end: ChannelClosed | None = None
        self._due = self._answered = self._ask_again = 0.0
        self._heard: int | None = None
        self._asked: int | None = None
        self._taken: int | None = None
        self._silent = 0
        self._is_failing = False
        self._connections = self._polls = self._frames = self._bytes = self._lost = 0

    @property
    def url(self) -> str:
        """The URL of the channel that it stands for."""
        return self._request.absolute_url

    @property
    def is_open(self) -> bool:
        """Whether the server answers."""
        return not (self.is_closed or self._is_failing)

    @property
    def is_closed(self) -> bool:
        """Whether nothing will come any more, or yet."""
        return self._state is None or self._end is not None

    @property
    def heard(self) -> int | None:
        """Our own time, ticks: all that came before it has been taken already."""
        if not self._pending:
            self._taken = self._asked
        return self._taken

    def statistics(self) -> dict[str, int]:
        """Counts since the start, and what waits now."""
        frames = [one for one in self._pending if isinstance(one, bytes)]
        return {
            "connections": self._connections,
            "frames": self._frames,
            "bytes": self._bytes,
            "polls": self._polls,
            "signups": len(self._signups),
            "lost": self._lost,
            "waiting": len(frames),
            "waiting_bytes": sum(map(len, frames)),
        }

    async def open(self) -> Self:
        """Sign up for all streams; one attempt.

        Raises:
            APIException: this is no request for a channel.
            HTTPClientError: there was no answer, or it says no.
        """
        if self._state is not None or self._end is not None:
            raise UsageError("this client was opened before; make another one")
        self._begin(await self._asking.start(self._request))
        return self

    async def recv(self) -> WebsocketMessage:
        """The next message.

        Raises:
            ChannelClosedOK: the client is closed.
            ChannelClosedError: it is lost; the cause tells why.
            ChannelInUse: another task is receiving.
        """
        (frame,) = await self._receive(1, 1)
        return WebsocketMessage(frame, self._told)

    async def recv_many(self, max_bytes: int = 2**20) -> list[bytes]:
        """All messages that wait, up to `max_bytes` (or one); raises as `recv`.

        Waits for the first one only. Messages from before and after a loss never
        come together.
        """
        return await self._receive(max_bytes, 2**31)

    async def _receive(self, max_bytes: int, max_frames: int) -> list[bytes]:
        with self._alone():
            while True:
                frames = self._take_pending(max_bytes, max_frames)
                if frames:
                    self._bytes += sum(map(len, frames))
                    return frames
                if self._end is not None:
                    raise self._end.with_traceback(None)
                await self._until_due()

    def _take_pending(self, max_bytes: int, max_frames: int) -> list[bytes]:
        """The messages up to the next event; events in front of them are told."""
        pending = self._pending
        while pending and not isinstance(event := pending[0], bytes):
            pending.popleft()
            if isinstance(event, Connected):
                # What waited from before an update came from elsewhere.
                self._told = event.url
            self._on_event(event)
        frames: list[bytes] = []
        while pending and isinstance(frame := pending[0], bytes):
            max_bytes -= len(frame)
            if len(frames) == max_frames or (frames and max_bytes < 0):
                break
            frames.append(frame)
            pending.popleft()
        return frames

    async def update(self, request: Request, rollback: bool = False) -> None:
        """Change to another request; streams that stay keep their place.

        Raises:
            ChannelRollback: the new request failed and `rollback` is set: the old
                one goes on.
            ChannelUpdateError: the new request failed; the client is closed.
            ChannelClosed: it is closed already.
            APIException: this is no channel request; the old one goes on.
        """
        Target.of(request)
        async with self._changing:
            if self._end is not None:
                raise self._end
            try:
                start = await self._asking.start(request)
            except (HTTPClientError, APIException) as exc:
                url, reason = request.absolute_url, str(exc)
                if rollback and self._end is None:
                    raise ChannelRollback(url, self.url, reason) from exc
                error = ChannelUpdateError(url, reason)
                await self._finish(ChannelClosedError(self.url, str(error)), error)
                raise error from exc
            self._tell_lost("update", "changed to another request")
            self._begin(start)

    async def poll_now(self) -> bool:
        """Ask at once, beside the usual times; whether the server has answered."""
        async with self._changing:
            if self._end is None:
                await self._poll()
            self._wake.set()
            return not self._is_failing

    async def close(self) -> None:
        """Ask no more; what waits can still be received. Idempotent."""
        await self._finish(ChannelClosedOK(self.url, "closed by this client"))

    async def _finish(self, end: ChannelClosed, cause: Exception | None = None) -> None:
        if self._end is None:
            end.__cause__ = cause
            self._end = end
        self._wake.set()
        await self._http.close()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._state is None:
            raise ChannelNotOpen(self.url)
        if self._receiving:
            raise ChannelInUse
        self._receiving = True
        try:
            yield
        finally:
            self._receiving = False

    # Places

    def _begin(self, start: Start) -> None:
        """Go on from a start; streams that stay keep the place that we have."""
        before, self._signups = self._signups, start.signups
        for key in before.keys() & start.signups.keys():
            start.signups[key] = before[key]
        self._forgotten.clear()
        self._state, self._request = start, start.request
        self._is_failing = False
        self._answered = clock.monotonic()
        self._due = self._answered + self._interval
        self._tell_connected(start.refused)
        self._frames += len(start.frames)
        self._pending.extend(start.frames)
        self._wake.set()

    async def _sign_up_again(self, start: Start) -> None:
        """Get new places for the streams of which the server has lost ours."""
        web_ids = [one.web_id for one in self._forgotten]
        found = await self._asking.register(start.target, web_ids)
        self._signups |= {one.key: one for one in found.signups}
        self._forgotten = [one for one in self._forgotten if self._is_lost(one)]
        self._ask_again = clock.monotonic() + _ASK_AGAIN
        if found.signups:
            self._tell_connected({})
        self._tell_refused(found.refused)

    def _is_lost(self, signup: Signup) -> bool:
        return signup.key not in self._signups

    def _forget(self, markers: dict[str, str]) -> None:
        """Note that the server does not know these markers any more."""
        gone = [one for one in self._signups.values() if one.marker in markers]
        for signup in gone:
            del self._signups[signup.key]
        self._forgotten += gone
        self._ask_again = 0.0
        self._lost += len(gone)
        names = ", ".join(one.name or one.web_id for one in gone[:_NAMED])
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        # One that tells of a change says more than that a place is lost.
        reason = max(markers.values(), key=lambda reason: SIGNUP in reason.lower())
        self._tell_lost("marker", f"{reason} ({names}{more})")

    # Polling

    async def _until_due(self) -> None:
        """Poll when it is time, or return earlier because something has changed."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._due - clock.monotonic())):
                await self._wake.wait()
                return
        async with self._changing:
            if self._end is None and not self._pending:
                await self._poll()

    async def _poll(self) -> None:
        start = self._state
        assert start is not None
        self._polls += 1
        try:
            async with asyncio.timeout(self._time_left()):
                changed = await self._retrieve(start)
                if self._forgotten and clock.monotonic() >= self._ask_again:
                    await self._sign_up_again(start)
        except HTTPClientError as exc:
            await self._failed(exc)
            return
        except TimeoutError:
            await self._failed(HTTPClientError("GET", self.url, "no time is left"))
            return
        self._is_failing = False
        self._answered = clock.monotonic()
        self._due = self._answered + self._interval
        self._delays = self._backoff.delays()
        self._silent = 0 if changed else self._silent + 1
        if 0 < start.target.heartbeat <= self._silent:
            self._silent = 0
            self._put(HEARTBEAT)

    async def _retrieve(self, start: Start) -> bool:
        """Ask for all signups; whether anything has changed."""
        changed = False
        markers = {one.marker: one for one in self._signups.values()}
        lost: dict[str, str] = {}
        asked = clock.now()
        async for answer in self._asking.retrieve(start.target, list(markers)):
            changed = self._take(answer, markers) or changed
            lost |= answer.lost
        if lost:
            self._forget(lost)
        else:
            self._heard, self._asked = clock.now(), asked
        return changed

    def _take(self, answer: Answer, markers: dict[str, Signup]) -> bool:
        for old, new in answer.markers.items():
            markers[old].marker = new
        if answer.streams:
            self._put(channel_message(answer.streams))
        return bool(answer.streams)

    def _put(self, frame: bytes) -> None:
        self._frames += 1
        self._pending.append(frame)

    async def _failed(self, error: HTTPClientError) -> None:
        """Try again later, or give up."""
        if self._end is not None:
            return
        self._is_failing = True
        now = clock.monotonic()
        self._due = now + min(next(self._delays), self._time_left() or inf)
        logger.info("%s", error)
        self._pending.append(NotOpened(self.url, clock.now(), error))
        waited = now - self._answered
        if self._dead_after is not None and waited >= self._dead_after:
            watchdog = WatchdogTimeout(self.url, waited)
            await self._finish(ChannelClosedError(self.url, str(watchdog)), watchdog)

    def _time_left(self) -> float | None:
        """Seconds in which an answer has to come, where that is known."""
        if self._dead_after is None:
            return None
        left = self._answered + self._dead_after - clock.monotonic()
        # Nobody has asked for so long that this one attempt is to tell.
        return left if left > 0 else None

    # Telling

    def _tell_lost(self, reason: str, detail: str) -> None:
        logger.info("%s is lost: %s %s", shown(self.url), reason, detail)
        lost = Lost(self.url, clock.now(), reason, detail, last_received=self._heard)
        self._pending.append(lost)

    def _tell_connected(self, refused: dict[str, str]) -> None:
        self._connections += 1
        event = Connected(self.url, clock.now(), self._asking.server_date)
        self._pending.append(event)
        self._tell_refused(refused)

    def _tell_refused(self, refused: dict[str, str]) -> None:
        now = clock.now()
        for stream, reason in refused.items():
            self._pending.append(NotSignedUp(self.url, now, stream, reason))
