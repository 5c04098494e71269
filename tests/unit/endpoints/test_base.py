"""Endpoints: addresses, who shares them, and what is told when they cannot listen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pichannels.endpoints import ListenError
from pichannels.endpoints.base import Place
from pichannels.endpoints.http import HTTPEndpoint, places_of
from pichannels.errors import SettingsError, UsageError


class Says:
    """Answers with its name."""

    def __init__(self, name: str, url: str = "/", method: str = "GET") -> None:
        self.name = name
        self.url = url
        self.method = method

    def places(self) -> Sequence[Place]:
        return places_of(self.method, self.url)

    async def respond(
        self, request: web.Request, match: Mapping[str, str]
    ) -> web.StreamResponse:
        return web.Response(text=f"{self.name} {dict(match)}")


async def get(endpoint: HTTPEndpoint, path: str = "/", method: str = "GET") -> str:
    async with (
        aiohttp.ClientSession(endpoint.url) as session,
        session.request(method, path) as answer,
    ):
        return f"{answer.status} {await answer.text()}"


@pytest.fixture
def free() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found


@pytest.fixture
async def endpoint() -> AsyncIterator[HTTPEndpoint]:
    found = HTTPEndpoint(port=0)
    yield found
    for user in list(found._users):
        await found.release(user)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "127.0.0.1:8080"),
        ({"host": "0.0.0.0:81"}, "0.0.0.0:81"),
        ({"sock": ":82"}, "127.0.0.1:82"),
        ({"adress": "localhost", "port": 83}, "localhost:83"),
        ({"address": "[::1]:84"}, "[::1]:84"),
        ({"host": "::1"}, "[::1]:8080"),
    ],
)
def test_addresses_are_read_as_pypeman_reads_them(
    options: dict[str, Any], address: str
) -> None:
    assert HTTPEndpoint(**options).address == address


@pytest.mark.parametrize(
    "options",
    [
        {"host": "a", "address": "b"},
        {"host": 80},
        {"host": "a:80", "port": 80},
        {"sock": ":80", "port": 80},
        {"port": 70_000},
        {"port": True},
        {"host": "a:http"},
        {"sock": "unix:/run/a.sock"},
        {"key": "key.pem"},
    ],
)
def test_addresses_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        HTTPEndpoint(**options)


async def test_it_listens_from_the_first_user_to_the_last(
    endpoint: HTTPEndpoint,
) -> None:
    a, b = Says("a", "/a"), Says("b", "/b")
    seen = []
    for step, user in [("acquire", a), ("acquire", b), ("release", a), ("release", b)]:
        await getattr(endpoint, step)(user)
        seen.append(endpoint.is_open)
    assert seen == [True, True, True, False]


async def test_users_share_one_port(endpoint: HTTPEndpoint) -> None:
    for name in ("a", "b"):
        await endpoint.acquire(Says(name, f"/{name}"))
    assert [await get(endpoint, "/a"), await get(endpoint, "/b")] == [
        "200 a {}",
        "200 b {}",
    ]


async def test_who_names_a_method_comes_before_who_takes_all(
    endpoint: HTTPEndpoint,
) -> None:
    await endpoint.acquire(Says("all", "/{name}", "*"))
    await endpoint.acquire(Says("post", "/{id}", "POST"))
    found = [await get(endpoint, "/x", method) for method in ("POST", "PUT")]
    assert found == ["200 post {'id': 'x'}", "200 all {'name': 'x'}"]


async def test_a_fixed_path_comes_before_a_parameter(endpoint: HTTPEndpoint) -> None:
    await endpoint.acquire(Says("any", "/plants/{name}"))
    await endpoint.acquire(Says("list", "/plants/list"))
    assert await get(endpoint, "/plants/list") == "200 list {}"


async def test_two_users_cannot_have_the_same_place(endpoint: HTTPEndpoint) -> None:
    await endpoint.acquire(Says("a", "/{name}"))
    with pytest.raises(UsageError, match="channel 'a' has GET /{}"):
        await endpoint.acquire(Says("b", "/{id}"))


async def test_a_place_is_handed_over_while_it_listens(endpoint: HTTPEndpoint) -> None:
    old, new = Says("old"), Says("new")
    await endpoint.acquire(old)
    was_there = endpoint.hand_over(old, new)
    await endpoint.release(old)
    assert (was_there, await get(endpoint)) == (True, "200 new {}")


async def test_a_place_that_nobody_has_is_not_handed_over(
    endpoint: HTTPEndpoint,
) -> None:
    assert not endpoint.hand_over(Says("a"), Says("b"))


async def test_a_port_in_use_is_told(free: socket.socket) -> None:
    free.listen()
    port = free.getsockname()[1]
    endpoint = HTTPEndpoint(port=port)
    with pytest.raises(ListenError) as caught:
        await endpoint.acquire(Says("a"))
    assert str(caught.value) == (
        f"HTTP endpoint cannot listen on 127.0.0.1:{port}: the port is in use;"
        " stop what listens there, or take another port"
    )


async def test_it_can_listen_once_the_port_is_free(free: socket.socket) -> None:
    free.listen()
    endpoint, user = HTTPEndpoint(port=free.getsockname()[1]), Says("a")
    with pytest.raises(ListenError):
        await endpoint.acquire(user)
    free.close()
    await endpoint.acquire(user)
    assert await get(endpoint) == "200 a {}"
    await endpoint.release(user)


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ListenError, match="this machine has no such address"):
        await HTTPEndpoint(host="192.0.2.1", port=0).acquire(Says("a"))


async def test_another_endpoint_takes_the_port_over() -> None:
    older, old = HTTPEndpoint(port=0), Says("old")
    await older.acquire(old)
    newer, new = HTTPEndpoint(port=older.bound_port), Says("new")
    newer.replace(older)
    await newer.acquire(new)
    found = (await get(newer), older.is_open)
    await older.release(old)
    assert (*found, await get(newer)) == ("200 new {}", False, "200 new {}")
    await newer.release(new)


async def test_a_bound_socket_serves_each_time(free: socket.socket) -> None:
    endpoint, user = HTTPEndpoint(sock=free), Says("a")
    found = []
    for _ in range(2):
        await endpoint.acquire(user)
        found.append(await get(endpoint))
        await endpoint.release(user)
    assert found == ["200 a {}", "200 a {}"]


async def test_the_running_loop_can_be_given() -> None:
    endpoint = HTTPEndpoint(port=0, loop=asyncio.get_running_loop())
    user = Says("a")
    await endpoint.acquire(user)
    assert await get(endpoint) == "200 a {}"
    await endpoint.release(user)


async def test_another_loop_is_refused() -> None:
    other = asyncio.new_event_loop()
    with pytest.raises(UsageError, match="another event loop"):
        await HTTPEndpoint(port=0, loop=other).acquire(Says("a"))
    other.close()


async def test_a_certificate_that_is_not_there_is_told() -> None:
    endpoint = HTTPEndpoint(port=0, certificate="nowhere.pem")
    with pytest.raises(ListenError, match="the certificate nowhere.pem"):
        await endpoint.acquire(Says("a"))


async def test_middlewares_of_aiohttp_run() -> None:
    @web.middleware
    async def mark(request: web.Request, handler: Any) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request)
        answer.headers["Marked"] = "yes"
        return answer

    endpoint, user = HTTPEndpoint(port=0, http_args={"middlewares": [mark]}), Says("a")
    await endpoint.acquire(user)
    async with aiohttp.ClientSession() as session, session.get(endpoint.url) as answer:
        assert answer.headers["Marked"] == "yes"
    await endpoint.release(user)
