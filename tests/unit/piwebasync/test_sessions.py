"""Connections of logins: never shared, never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web

from pichannels.piwebasync import HTTPClient
from pichannels.piwebasync.auth import Asked, Flow, Login
from pichannels.piwebasync.sessions import SessionOptions, Sessions
from tests.unit.piwebasync.conftest import Server


class Named(msgspec.Struct, frozen=True):
    """A bound login that tells its name; names its connection's number."""

    name: str
    is_bound = True

    async def flow(self, asked: Asked) -> Flow:
        yield {"X-User": self.name}


class Peers:
    """Counts which users came over which connections, and how many at once."""

    def __init__(self, server: Server) -> None:
        self.users: dict[int, set[str]] = {}
        self.now = self.most = 0
        server.handler = self._handle

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        self.users.setdefault(port, set()).add(request.headers.get("X-User", ""))
        await asyncio.sleep(0.002)
        self.now -= 1
        return web.json_response({})


async def ask(client: HTTPClient, server: Server, login: Login | None, n: int) -> None:
    request = server.controller.system.user_info()
    await asyncio.gather(*(client.get(request, auth=login) for _ in range(n)))


async def test_requests_of_a_login_keep_to_its_connections(server: Server) -> None:
    peers = Peers(server)
    async with HTTPClient(max_connections=3) as client:
        await ask(client, server, Named("a"), 20)
    assert (len(peers.users), peers.most) == (3, 3)


async def test_no_connection_serves_two_logins(server: Server) -> None:
    peers = Peers(server)
    async with HTTPClient(max_connections=3) as client:
        logins = [Named("a"), Named("b"), None, Named("c")]
        await asyncio.gather(*(ask(client, server, one, 10) for one in logins))
    assert all(len(users) == 1 for users in peers.users.values())
    assert set.union(*peers.users.values()) == {"a", "b", "c", ""}


async def test_equal_logins_share_connections(server: Server) -> None:
    peers = Peers(server)
    async with HTTPClient() as client:
        for _ in range(5):
            await ask(client, server, Named("a"), 1)
    assert len(peers.users) == 1


async def test_a_request_that_waits_for_a_connection_has_its_limit(
    server: Server,
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.json_response({})

    server.handler = handle
    async with HTTPClient(Named("a"), max_connections=1, timeout=0.05) as client:
        request = server.controller.system.user_info()
        found = await asyncio.gather(
            *(client.get(request) for _ in range(3)), return_exceptions=True
        )
    assert all("none within 0.05 s" in str(one) for one in found)


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    found = Sessions(SessionOptions(verify=True, cert=None, max_connections=2))
    yield found
    await found.close()


async def test_a_closed_client_opens_nothing(sessions: Sessions) -> None:
    await sessions.close()
    for login in (None, Named("a")):
        with pytest.raises(aiohttp.ClientConnectionError, match="client is closed"):
            async with sessions.take(login):
                pass


async def test_what_is_in_use_at_the_end_is_closed_when_it_is_given_back(
    sessions: Sessions,
) -> None:
    async with sessions.take(Named("a")) as lane:
        await sessions.close()
        assert not lane.session.closed
    assert lane.session.closed
