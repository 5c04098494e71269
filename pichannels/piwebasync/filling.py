"""Putting what a connection brings into the buffer of its channel, to its end."""

from __future__ import annotations

import asyncio

from pichannels.piwebasync.connection import Connection, Ending
from pichannels.piwebasync.frames import FrameBuffer
from pichannels.piwebasync.silence import Silence

__all__ = ["fill"]


async def fill(
    buffer: FrameBuffer,
    connection: Connection,
    heartbeat: float | None,
    max_block: float,
) -> Ending:
    """Put frames into the buffer until the connection ends, one way or other.

    Args:
        heartbeat: seconds between heartbeats; what is silent longer is lost.
        max_block: seconds that a full buffer may hold up the connection.
    """
    with Silence(heartbeat, lambda: buffer.frames) as silence:
        try:
            async with asyncio.timeout(None) as silence.deadline:
                while True:
                    if buffer.is_full and not await _has_room(
                        buffer, silence, max_block
                    ):
                        return Ending("backpressure", f"{max_block:g} s full")
                    ending = await connection.pump(buffer.put)
                    if ending is not None:
                        return ending
        except TimeoutError:
            return Ending("silence", f"no message for {silence.limit:g} s")


async def _has_room(buffer: FrameBuffer, silence: Silence, max_block: float) -> bool:
    silence.paused = True
    try:
        async with asyncio.timeout(max_block):
            await buffer.wait_room()
    except TimeoutError:
        return False
    silence.paused = False
    return True
