"""A simulator that changes nothing by itself, and a plain HTTP client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest

from pichannels.simulator import Plant, Simulator

LONG = 3600.0
CSRF = {"X-Requested-With": "test"}


class Client:
    """Requests to a simulator as a foreign program would send them."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session

    async def get(self, path: str, *params: tuple[str, str]) -> tuple[int, Any]:
        """Status and JSON of a GET below the base URL."""
        async with self.session.get(self.sim.url + path, params=params) as answer:
            return answer.status, await answer.json(content_type=None)

    async def send(
        self, method: str, path: str, body: Any = None, *params: tuple[str, str]
    ) -> tuple[int, Any, Any]:
        """Status, JSON and headers of the answer to a request with a JSON body."""
        url = self.sim.url + path
        async with self.session.request(
            method, url, json=body, params=params
        ) as answer:
            raw = await answer.read()
            is_json = raw and answer.content_type == "application/json"
            found = await answer.json() if is_json else None
            return answer.status, found, answer.headers

    async def admin(self, action: str, **body: Any) -> tuple[int, Any]:
        """Status and JSON of a POST to an admin route."""
        url = self.sim.url.removesuffix("/piwebapi") + f"/simulator/{action}"
        async with self.session.post(url, json=body) as answer:
            return answer.status, await answer.json()

    def channel(
        self, tags: Sequence[str], **params: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """A channel of these tags."""
        found = (self.sim.plant.tag(name) for name in tags)
        query = [("webId", tag.web_id) for tag in found] + list(params.items())
        return self.session.ws_connect(
            self.sim.url + "/streamsets/channel", params=query, max_msg_size=0
        )


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nothing changes and nothing is polled but when a test says so."""
    async with Simulator(Plant(tags=100, activity=0), poll=LONG) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[Client]:
    """A client of `sim`."""
    async with aiohttp.ClientSession(headers=CSRF) as session:
        yield Client(sim, session)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """For tests that open a simulator of their own."""
    async with aiohttp.ClientSession(headers=CSRF) as opened:
        yield opened
