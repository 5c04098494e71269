"""Half-open connections: the socket is there, and nothing comes through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from pichannels.piwebasync import Controller, WebsocketClient
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND

TAG = "UNIT1.SPARE.AI1"
BEAT = 0.4


class Watched:
    """A receiving client, and when it has lost its connection."""

    def __init__(self) -> None:
        self.frames = self.connected = 0
        self.lost: asyncio.Future[Lost] = asyncio.Future()

    def note(self, event: ChannelEvent) -> None:
        if isinstance(event, Connected):
            self.connected = event.at
        if isinstance(event, Lost) and not self.lost.done():
            self.lost.set_result(event)

    async def receive(self, client: WebsocketClient) -> None:
        while True:
            self.frames += len(await client.recv_many())


@asynccontextmanager
async def watching(poll: float, rate: int) -> AsyncIterator[tuple[Simulator, Watched]]:
    """A client of a PI channel that beats once in `BEAT` seconds."""
    async with Simulator(Plant(tags=100, activity=0), poll=poll) as sim:
        url = URL(sim.url)
        pi = Controller(url.scheme, str(url.host), url.port, url.path)
        ids = [sim.plant.tag(TAG).web_id]
        request = pi.streamsets.get_channel_adhoc(ids, heartbeat_rate=rate)
        watched = Watched()
        client = WebsocketClient(
            request, heartbeat=poll * rate, reconnect=True, on_event=watched.note
        )
        async with client:
            receiving = asyncio.create_task(watched.receive(client))
            try:
                yield sim, watched
            finally:
                receiving.cancel()
                await asyncio.wait([receiving])


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_black_hole_is_found_within_two_heartbeats(is_busy: bool) -> None:
    async with watching(poll=BEAT / 10, rate=10) as (sim, watched):
        for number in range(20 if is_busy else 0):
            sim.push(TAG, float(number))
            sim.tick()
            await asyncio.sleep(0.01)
        sim.faults.stall()
        lost = await watched.lost
        sim.faults.resume()
    since = lost.last_received or watched.connected
    assert (lost.reason, watched.frames >= 20) == ("silence", is_busy)
    assert 1.5 * BEAT < (lost.at - since) / TICKS_PER_SECOND < 2 * BEAT


async def test_heartbeats_that_come_on_time_keep_a_connection_open() -> None:
    async with watching(poll=0.1, rate=1) as (_, watched):
        await asyncio.sleep(1.0)
        assert watched.frames >= 8
        assert not watched.lost.done()
