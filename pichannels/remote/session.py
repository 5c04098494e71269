"""One connection of a link, from the greeting to its loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from pichannels.remote.frames import SMALLEST_FRAME, VERSION, Frame, Hello
from pichannels.remote.transports import Transport
from pichannels.remote.wire import Wire

__all__ = ["Session"]


class Session:
    """A connection on which both sides have greeted each other.

    Attributes:
        wire: carries the frames.
        ended: done when the connection is lost, with the reason.
    """

    def __init__(
        self, transport: Transport, heartbeat: float, take: Callable[[Frame], None]
    ) -> None:
        self.wire = Wire(transport, heartbeat, f"remote: link to {transport.target}")
        self._take_next = take
        self._greeted = asyncio.Event()
        self.ended = asyncio.create_task(
            self.wire.run(self._take), name=f"remote: link to {transport.target}"
        )

    @classmethod
    async def begin(
        cls,
        transport: Transport,
        heartbeat: float,
        frame_bytes: int,
        take: Callable[[Frame], None],
    ) -> Self:
        """Greet the other side.

        Raises:
            NotConnected: it does not answer as a hub does, or turns us away.
        """
        made = cls(transport, heartbeat, take)
        try:
            made.wire.send(Hello(VERSION, frame_bytes))
            greeting = asyncio.create_task(made._greeted.wait(), name="remote: hello")
            await asyncio.wait(
                [greeting, made.ended], return_when=asyncio.FIRST_COMPLETED
            )
            greeting.cancel()
            if not made._greeted.is_set():
                raise made.ended.result()
        except BaseException:
            await made.end("closed")
            raise
        return made

    def _take(self, frame: Frame) -> None:
        if self._greeted.is_set():
            self._take_next(frame)
        elif not isinstance(frame, Hello) or frame.frame_bytes < SMALLEST_FRAME:
            self.wire.lose("it does not greet as a hub does")
        elif frame.version != VERSION:
            self.wire.lose(f"it speaks version {frame.version}, not {VERSION}")
        else:
            self.wire.largest = frame.frame_bytes
            self._greeted.set()

    async def end(self, reason: str) -> None:
        """Close the connection."""
        self.wire.lose(reason)
        await asyncio.gather(self.ended, return_exceptions=True)
