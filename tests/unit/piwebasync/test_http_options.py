"""Each option of the HTTP client does what it says, towards a real server."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pichannels.errors import UsageError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.simulator import Plant, Simulator
from tests.integration.certificates import make_certificate

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server


async def answer(request: web.Request) -> web.Response:
    return web.json_response({"WebId": "W"})


def url_of(server: Server) -> str:
    return f"http://{server.server.host}:{server.server.port}"


async def test_cookies_are_sent_and_those_of_the_server_come_back(
    server: Server,
) -> None:
    async def bake(request: web.Request) -> web.Response:
        response = web.json_response({})
        response.set_cookie("session", "s1")
        return response

    server.handler = bake
    async with HTTPClient(cookies={"plant": "p1"}) as client:
        for _ in range(2):
            await client.get(server.controller.dataservers.list())
    assert dict(server.requests[1].cookies) == {"plant": "p1", "session": "s1"}


async def test_requests_go_through_a_proxy(server: Server) -> None:
    server.handler = answer
    request = Controller("http", "pi.invalid").dataservers.list()
    async with HTTPClient(proxy=url_of(server)) as client:
        assert (await client.get(request)).web_id == "W"
    assert str(server.requests[0].url) == request.absolute_url


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_proxy_of_the_environment_is_used_when_trusted(
    server: Server, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.handler = answer
    monkeypatch.setenv("http_proxy", url_of(server))
    monkeypatch.setenv("no_proxy", "")
    request = Controller("http", "pi.invalid").dataservers.list()
    async with HTTPClient(trust_env=trusted, timeout=5) as client:
        if trusted:
            await client.get(request)
        else:
            with pytest.raises(HTTPClientError):
                await client.get(request)
    assert len(server.requests) == trusted


async def test_no_more_connections_are_open_than_allowed(server: Server) -> None:
    running, most = 0, 0

    async def count(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return web.json_response({})

    server.handler = count
    async with HTTPClient(max_connections=3) as client:
        request = server.controller.dataservers.list()
        await asyncio.gather(*(client.get(request) for _ in range(12)))
    assert most == 3


async def test_redirections_end(server: Server) -> None:
    async def round_and_round(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/{len(server.requests)}")

    server.handler = round_and_round
    async with HTTPClient(follow_redirects=True, max_redirects=3) as client:
        with pytest.raises(HTTPClientError, match="got no answer"):
            await client.get(server.controller.dataservers.list())
    assert len(server.requests) <= 4


@pytest.mark.parametrize("parts", [1, 2])
async def test_a_client_proves_itself_by_its_certificate(
    tmp_path: Path, parts: int
) -> None:
    make = make_certificate
    pem, own = [await asyncio.to_thread(make, tmp_path, n) for n in ("pi", "client")]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(context.load_cert_chain, pem)
    await asyncio.to_thread(context.load_verify_locations, own)
    context.verify_mode = ssl.CERT_REQUIRED
    cert = str(own) if parts == 1 else (str(own), str(own))
    async with Simulator(Plant(tags=5), poll=60, tls=context) as sim:
        request = Controller.from_url(sim.url).dataservers.list()
        async with HTTPClient(verify=pem, cert=cert) as client:
            (await client.get(request)).raise_for_status()
        async with HTTPClient(verify=pem) as stranger:
            with pytest.raises(HTTPClientError):
                await stranger.get(request)


async def test_a_header_of_a_request_goes_before_that_of_the_client(
    server: Server,
) -> None:
    server.handler = answer
    async with HTTPClient(headers={"X-Plant": "1", "X-Line": "2"}) as client:
        request = server.controller.dataservers.list()
        await client.get(request, headers={"X-Plant": "3"})
    sent = server.requests[0].headers
    assert (sent["X-Plant"], sent["X-Line"]) == ("3", "2")


async def test_a_write_without_body_has_no_content_type(server: Server) -> None:
    server.handler = answer
    async with HTTPClient() as client:
        await client.delete(server.controller.points.delete("W"))
    assert "Content-Type" not in server.requests[0].headers


@pytest.mark.parametrize("keys", ["http://", "all://", "http"])
async def test_proxies_are_for_a_scheme(server: Server, keys: str) -> None:
    server.handler = answer
    request = Controller("http", "pi.invalid").dataservers.list()
    proxies = {keys: url_of(server), "https://": "http://127.0.0.1:1"}
    async with HTTPClient(proxies=proxies) as client:
        (await client.get(request)).raise_for_status()
    assert len(server.requests) == 1


async def test_a_scheme_without_a_proxy_goes_straight(server: Server) -> None:
    server.handler = answer
    proxies = {"all://": "http://127.0.0.1:1", "http://": None}
    async with HTTPClient(proxies=proxies) as client:
        (await client.get(server.controller.dataservers.list())).raise_for_status()
    assert len(server.requests) == 1


def test_a_proxy_for_a_host_alone_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not 'all://\*\.plant'; use one client"):
        HTTPClient(proxies={"all://*.plant": "http://p"})
