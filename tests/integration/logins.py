"""What the tests of logins share: requests and channels of a simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pichannels.piwebasync import APIRequest, HTTPClient, WebsocketClient
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Plant, Simulator
from pichannels.simulator.acceptors import Auth

__all__ = ["a_channel", "a_simulator", "receiving", "token_url", "who"]


def a_simulator(auth: Auth, **options: Any) -> Simulator:
    return Simulator(Plant(tags=10, activity=0), poll=60, auth=auth, **options)


def a_channel(sim: Simulator) -> APIRequest:
    controller = PIServer(url=sim.url).controller(websocket=True)
    return controller.streamsets.get_channel_adhoc([sim.tags[0].web_id])


async def who(client: HTTPClient, sim: Simulator, **options: Any) -> str:
    """The user that the server takes us for.

    Raises:
        HTTPStatusError: it takes us for nobody.
    """
    request = PIServer(url=sim.url).controller().system.user_info()
    response = await client.get(request, **options)
    response.raise_for_status()
    return str(response.dict()["Name"])


@asynccontextmanager
async def receiving(channel: WebsocketClient) -> AsyncIterator[None]:
    """Somebody receives inside the block, so that events are told."""
    task = asyncio.create_task(channel.recv())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def token_url(sim: Simulator) -> str:
    return sim.url.replace("/piwebapi", "/simulator/token")
