"""Frames over a transport: one task reads, one writes, one looks for life.

The reader never waits for the application: what it hands a frame to takes it at
once. Where nothing has come for one heartbeat it asks, and after a second one in
silence the link is lost: a connection of which the other end is gone is found within
twice the heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pichannels import clock
from pichannels.errors import DecodeError, NotConnected
from pichannels.remote.frames import (
    Bye,
    Frame,
    Ping,
    Pong,
    decode_frame,
    encode_frame,
)
from pichannels.remote.transports import Transport
from pichannels.remote.turns import Turns

__all__ = ["HEARTBEAT", "Wire"]

logger: Final = logging.getLogger("pichannels.remote")

HEARTBEAT: Final = 10.0
_IN_A_ROW: Final = 16
_GRACE: Final = 1.0


class Wire:
    """One connection, from the first frame to the last.

    Args:
        transport: an open connection, closed at the end.
        heartbeat: seconds; see above.
        name: of its tasks.

    Attributes:
        largest: how large a frame the other side takes.
        lost: why the connection is of no more use, or None.
    """

    def __init__(self, transport: Transport, heartbeat: float, name: str) -> None:
        self.largest = 0
        self.lost: NotConnected | None = None
        self._transport = transport
        self._heartbeat = heartbeat
        self._name = name
        self._turns = Turns()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._gone = asyncio.Event()
        self._idle = asyncio.Event()
        self._heard_at = clock.monotonic()

    @property
    def target(self) -> str:
        """The other side, for errors."""
        return self._transport.target

    # Sending

    def send(self, frame: Frame) -> None:
        """Send a frame before any data; returns at once."""
        if self.lost is not None:
            return
        self._turns.add_control(frame)
        if self._turns.is_overrun:
            self.lose("it asks for more than it takes")
        self._news.set()

    def send_last(self, stream: int, frame: Frame) -> None:
        """Send a frame behind the data of its stream; returns at once."""
        if self.lost is None:
            self._turns.add_last(stream, frame)
            self._news.set()

    async def offer(self, stream: int, frame: Frame) -> None:
        """Send a frame of data in the turn of its stream; waits for the one before.

        Raises:
            NotConnected: the connection is lost.
        """
        await self.room(stream)
        self.put(stream, frame)

    async def room(self, stream: int) -> None:
        """Until `put` can take a frame of this stream.

        Raises:
            NotConnected: the connection is lost.
        """
        while self.lost is None and not self._turns.has_room(stream):
            await self._room.wait()
        if self.lost is not None:
            raise NotConnected(self.target, self.lost.reason)

    def has_room(self, stream: int) -> bool:
        """Whether `put` can take a frame of this stream."""
        return self.lost is None and self._turns.has_room(stream)

    def put(self, stream: int, frame: Frame) -> None:
        """Send a frame of data in the turn of its stream, for which there is room."""
        self._turns.add_data(stream, frame)
        self._news.set()

    def forget(self, stream: int) -> None:
        """Do not send what waits of this stream."""
        self._turns.forget(stream)
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, asyncio.Event()
        room.set()

    # The run

    async def run(self, take: Callable[[Frame], None]) -> NotConnected:
        """Carry frames until the connection is lost; why it was.

        Args:
            take: gets each frame that comes, and must not wait.
        """
        tasks = [
            asyncio.create_task(self._read(take), name=f"{self._name}: reader"),
            asyncio.create_task(self._write(), name=f"{self._name}: writer"),
            asyncio.create_task(self._beat(), name=f"{self._name}: heartbeat"),
        ]
        try:
            await self._gone.wait()
        finally:
            self.lose("closed")
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                # Also where this is cancelled once more meanwhile.
                await self._transport.aclose()
        assert self.lost is not None
        return self.lost

    async def _read(self, take: Callable[[Frame], None]) -> None:
        try:
            while True:
                for _ in range(_IN_A_ROW):
                    data = await self._transport.receive()
                    self._heard_at = clock.monotonic()
                    self._take(decode_frame(data), take)
                # Others have their turn also where the other side never stops.
                await asyncio.sleep(0)
        except NotConnected as exc:
            self.lose(exc.reason)
        except DecodeError as exc:
            self.lose(str(exc))
        except Exception:
            logger.exception("%s: a frame was not understood", self._name)
            self.lose("a frame was not understood")

    def _take(self, frame: Frame, take: Callable[[Frame], None]) -> None:
        if isinstance(frame, Ping):
            self.send(Pong())
        elif isinstance(frame, Bye):
            self.lose(frame.reason)
        elif not isinstance(frame, Pong):
            take(frame)

    async def _write(self) -> None:
        try:
            while True:
                found = self._turns.next()
                if found is None:
                    self._idle.set()
                    self._news.clear()
                    await self._news.wait()
                    continue
                frame, stream = found
                if stream is not None:
                    self._make_room()
                await self._transport.send(encode_frame(frame))
        except NotConnected as exc:
            self.lose(exc.reason)

    async def _beat(self) -> None:
        pinged_at: float | None = None
        while True:
            silent = clock.monotonic() - self._heard_at
            if pinged_at is not None and pinged_at < self._heard_at:
                pinged_at = None
            if pinged_at is not None and silent >= 2 * self._heartbeat:
                return self.lose(f"nothing came for {silent:.3g} s")
            if silent >= self._heartbeat and pinged_at is None:
                pinged_at = clock.monotonic()
                self.send(Ping())
            due = self._heartbeat * (1 if pinged_at is None else 2)
            await asyncio.sleep(max(due - silent, 0.005))

    # The end

    def lose(self, reason: str) -> None:
        """The connection is of no more use; the first reason is the one."""
        if self.lost is None:
            self.lost = NotConnected(self.target, reason)
            self._gone.set()
            self._idle.set()
            self._make_room()

    async def say_goodbye(self, reason: str) -> None:
        """Tell the other side why, after all that waits to be sent; then end."""
        if self.lost is None:
            self.send(Bye(reason))
            self._idle.clear()
            try:
                async with asyncio.timeout(_GRACE):
                    await self._idle.wait()
            except TimeoutError:
                logger.debug("%s: the other side takes no goodbye", self._name)
        self.lose(reason)
