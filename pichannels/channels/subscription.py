"""One PI channel of a source: its streams, its connection, what it may pass on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pichannels.channels.intake import Initial
from pichannels.channels.overlap import Overlap
from pichannels.errors import NotConnected
from pichannels.piwebasync.requests import Request
from pichannels.piwebasync.stream import Stream

__all__ = ["Subscription"]

_LOOK: Final = 0.02
_SHRUNK_WITHIN: Final = 60.0


class Subscription:
    """A PI channel that is open, or will be again.

    Args:
        stream: keeps the connection.
        web_ids: the streams of values that it is for.
        overlap: what other PI channels give for the same streams meanwhile; nothing
            is passed on then before `release`.
        has_initial: whether the first message of a connection has the current
            values.
    """

    def __init__(
        self,
        stream: Stream,
        web_ids: Sequence[str],
        overlap: Overlap | None = None,
        *,
        has_initial: bool = False,
    ) -> None:
        self.stream = stream
        self.web_ids = frozenset(web_ids)
        self.task: asyncio.Task[None] | None = None
        self.is_begun = False
        self.came: int | None = None
        """When the first of what is handed over now came, our own time, ticks."""
        self._request: Request | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._released = asyncio.Event()
        self._has_initial = has_initial
        self._is_first = self._begins_anew = False
        self._held_back = overlap
        self._noted: Overlap | None = None
        self._is_connected = False
        self._over: asyncio.Future[bool] | None = None
        self._known: frozenset[str] = frozenset()
        self._until = 0.0
        if overlap is None:
            self._released.set()

    @property
    def state(self) -> str:
        """`open`, `polled` or `connecting`."""
        if not self.stream.is_open:
            return "connecting"
        return "polled" if self.stream.is_polling else "open"

    # Receiving

    async def receive(
        self,
        request: Request,
        take: Callable[[list[bytes]], Awaitable[None]],
        max_bytes: int,
    ) -> None:
        """Open it and give what may go on to `take`; returns when it is open.

        Raises:
            WebsocketClientError: it cannot be opened; as `Stream.start` says.
        """

        async def pass_on(frames: list[bytes]) -> None:
            self.came = self.stream.heard
            await take(await self.passed(frames))

        self._request = request
        await self.stream.receive(request, pass_on, self._failed, max_bytes=max_bytes)
        self.is_begun = True

    async def reopen(self) -> None:
        """Open another connection in place of the present one, which is lost then.

        Raises:
            ChannelRollback: it does not open; the present one stays.
            StreamStateError: it is closed.
        """
        if self._request is not None:
            await self.stream.update(self._request, rollback=True)

    def _failed(self, future: asyncio.Future[None]) -> None:
        error = future.exception()
        assert isinstance(error, Exception)
        self.fail(error)

    def fail(self, error: Exception) -> None:
        """Let `ended` raise this."""
        if not self._ended.done():
            self._ended.set_exception(error)
            # Nobody has to look at it.
            self._ended.exception()

    async def ended(self) -> None:
        """Until it is closed; raises what it has failed with."""
        await asyncio.shield(self._ended)

    def connected(self) -> None:
        """Learn of a new connection."""
        # A place that polling has lost is taken up again without current values.
        self._is_connected = True
        is_again = self._ready.done() and self.stream.is_polling
        self._is_first = self._begins_anew or not is_again
        self._begins_anew = False
        if not self._has_initial:
            self._give()

    def _give(self) -> None:
        """Note that the server has begun to give."""
        if not self._ready.done():
            self._ready.set_result(None)

    async def passed(self, frames: list[bytes]) -> list[bytes]:
        """What of these frames goes on, as soon as it may."""
        is_first, self._is_first = self._is_first, False
        self._give()
        if self._over is not None and not await self._over:
            return []
        if self._noted is not None:
            for frame in frames:
                self._noted.note(frame)
        has_initial = is_first and self._has_initial
        if self._held_back is not None:
            await self._released.wait()
            if self._until and asyncio.get_running_loop().time() > self._until:
                self._held_back = None
            else:
                frames = self._filtered(frames, has_initial)
        return Initial(frames) if has_initial else frames

    def _filtered(self, frames: list[bytes], has_initial: bool) -> list[bytes]:
        overlap = self._held_back
        assert overlap is not None
        left = []
        for number, frame in enumerate(frames):
            rest: bytes | None = frame
            if has_initial and number == 0:
                rest = overlap.current(frame, self._known)
            if rest is not None:
                rest = overlap.unknown(rest)
            if rest is not None:
                left.append(rest)
        return left

    # The new ones of an overlap

    async def ready(self) -> None:
        """Until the server has begun to give.

        Raises:
            NotConnected: it did not open, or has ended.
        """
        assert self.task is not None
        waiting: list[asyncio.Future[None]] = [self._ready, self.task]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise NotConnected("a new PI channel", "it has ended")
        if error := self._ready.exception():
            raise NotConnected("a new PI channel", str(error)) from error

    @property
    def is_held_back(self) -> bool:
        """Whether others give the same streams until it is ready."""
        return not self._released.is_set()

    def refused(self, error: Exception) -> None:
        """Learn that the server did not open it; `ready` tells."""
        if not self._ready.done():
            self._ready.set_exception(error)
            # Nobody has to look at it.
            self._ready.exception()

    def release(self, known: frozenset[str] = frozenset(), seconds: float = 0) -> None:
        """Pass on what was held back, and what comes.

        Args:
            known: streams whose current values others have given, by WebID or path.
            seconds: how long events may still be ones that others have given.
        """
        self._known = known
        if seconds:
            self._until = asyncio.get_running_loop().time() + seconds
        self._released.set()

    async def discard(self) -> None:
        """Close it and pass nothing on."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    # The old ones

    async def shrink(self, request: Request, web_ids: frozenset[str]) -> None:
        """Go on with some of the streams, where it is polled for them.

        Their current values, which come with it, are not passed on.

        Raises:
            ChannelRollback: the server refuses; it goes on as before.
            StreamStateError: it is closed.
        """
        self._known, self._held_back = web_ids, Overlap(web_ids)
        self._until = asyncio.get_running_loop().time() + _SHRUNK_WITHIN
        self._begins_anew = True
        try:
            await self.stream.update(request, rollback=True)
        except BaseException:
            self._begins_anew = False
            raise
        self.web_ids, self._request = web_ids, request

    def note(self, overlap: Overlap | None) -> None:
        """Note from now on what is passed on, or no longer."""
        self._noted = overlap
        if overlap is None:
            self._decide(goes_on=True)
            self._over = None
        elif not self._is_connected:
            self._wait_for_others()

    def lost(self) -> None:
        """Learn of a lost connection.

        What comes of a next one has to wait while others take over: they may still
        hold back what this one has missed. It is for nothing when they do.
        """
        self._is_connected = False
        if self._noted is not None:
            self._wait_for_others()

    def _wait_for_others(self) -> None:
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()

    def _decide(self, *, goes_on: bool) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(goes_on)

    @property
    def connections(self) -> tuple[int, int] | None:
        """Changes where a connection was lost; None where there is none."""
        if not self.stream.is_open:
            return None
        facts = self.stream.statistics()
        return facts["switches"], facts["connections"]

    async def drained(self) -> None:
        """Until nothing waits that was received."""
        while True:
            is_quiet = not self.stream.is_open or self._over is not None
            if is_quiet or not self.stream.statistics()["waiting"]:
                return
            await asyncio.sleep(_LOOK)

    async def retire(self) -> None:
        """Close it, after what was received is passed on."""
        self._decide(goes_on=False)
        await self.close()
        self._noted = None

    async def close(self) -> None:
        """Open it no more, or close it; returns when what was received is passed on."""
        self._decide(goes_on=True)
        if not self.is_begun and self.task is not None:
            self.task.cancel()
        else:
            # What it has failed with is raised by `ended`.
            with contextlib.suppress(Exception):
                await self.stream.stop()
        if not self._ended.done():
            self._ended.set_result(None)
        if self.task is not None:
            await asyncio.wait([self.task])
