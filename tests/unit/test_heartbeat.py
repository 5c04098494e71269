"""The heartbeat tells that the event loop goes on, and how late it is."""

from __future__ import annotations

import asyncio
from time import monotonic

from pichannels.heartbeat import Heartbeat


async def test_it_beats_until_it_is_stopped() -> None:
    beaten = asyncio.Event()
    heartbeat = Heartbeat(beaten.set, every=0.01)
    heartbeat.start()
    await beaten.wait()
    await heartbeat.stop()
    count = heartbeat.lag.spread().count
    await asyncio.sleep(0.05)
    assert heartbeat.lag.spread().count == count > 0


async def test_what_blocks_the_loop_is_noticed() -> None:
    beaten = asyncio.Event()
    heartbeat = Heartbeat(beaten.set, every=0.01)
    heartbeat.start()
    await asyncio.sleep(0)
    end = monotonic() + 0.3
    while monotonic() < end:
        pass
    await beaten.wait()
    await heartbeat.stop()
    assert heartbeat.lag.spread().sum > 0.2
