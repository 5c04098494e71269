"""Flows that are written for httpx, driven for requests and channels."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator

import httpx
import pytest
from aiohttp import web

from pichannels.piwebasync import HTTPClient, WebsocketClient
from pichannels.piwebasync.exceptions import ChannelRefused, HTTPClientError
from tests.unit.piwebasync.conftest import Server

DIGEST = 'Digest realm="pi", qop="auth", nonce="abc", algorithm=SHA-256'


def proof_of(request: web.Request) -> str:
    return request.headers.get("Authorization", "")


async def take_digest(request: web.Request) -> web.StreamResponse:
    """Takes one user's digest of this request, as RFC 7616 has it."""
    given = proof_of(request)
    if 'username="op"' in given and f'uri="{request.path_qs}"' in given:
        return await welcome(request)
    return web.json_response({}, status=401, headers={"WWW-Authenticate": DIGEST})


async def welcome(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    if not socket.can_prepare(request):
        return web.json_response({"Name": proof_of(request)})
    await socket.prepare(request)
    await socket.send_str("{}")
    return socket


async def take_token(request: web.Request) -> web.StreamResponse:
    """Gives a token at /token, and takes it elsewhere."""
    if request.path == "/token":
        return web.Response(text=f"token of {await request.text()}")
    if proof_of(request) == "token of op":
        return await welcome(request)
    return web.Response(status=401, text="who?")


class TokenAuth(httpx.Auth):
    """Fetches a token when it is asked for one, as the guide of httpx shows."""

    requires_response_body = True

    def __init__(self, server: Server) -> None:
        self.url = str(server.server.make_url("/token"))
        self.threads: set[int] = set()

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        self.threads.add(threading.get_ident())
        response = yield request
        if response.status_code == 401 and response.text == "who?":
            answer = yield httpx.Request("POST", self.url, content=b"op")
            request.headers["Authorization"] = answer.text
            yield request


class AsyncAuth(httpx.Auth):
    """One that is written with `async`."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await asyncio.sleep(0)
        request.headers["Authorization"] = "token of op"
        yield request


class Failing(httpx.Auth):
    """One that fails, and says too much."""

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        raise LookupError("s3cret")
        yield request


async def name(server: Server, auth: httpx.Auth) -> str:
    async with HTTPClient(auth) as client:
        response = await client.get(server.controller.system.user_info())
    return str(response.dict().get("Name"))


async def opens(server: Server, auth: httpx.Auth) -> bool:
    request = server.controller.streamsets.get_channel_adhoc(["A"])
    async with WebsocketClient(request, auth=auth) as channel:
        return (await channel.recv()).dict() == {}


async def test_basic_of_httpx_is_basic(server: Server) -> None:
    server.handler = welcome
    assert (await name(server, httpx.BasicAuth("op", "x"))).startswith("Basic ")


async def test_a_digest_answers_the_challenge(server: Server) -> None:
    server.handler = take_digest
    auth = httpx.DigestAuth("op", "s3cret")
    assert "response=" in await name(server, auth)
    assert await opens(server, auth)


async def test_a_flow_may_send_requests_of_its_own(server: Server) -> None:
    server.handler = take_token
    assert await name(server, TokenAuth(server)) == "token of op"
    assert await opens(server, TokenAuth(server))
    assert [r.method for r in server.requests] == ["GET", "POST", "GET"] * 2


async def test_a_flow_that_may_block_runs_in_a_thread(server: Server) -> None:
    server.handler = take_token
    auth = TokenAuth(server)
    await name(server, auth)
    assert auth.threads and threading.get_ident() not in auth.threads


async def test_an_async_flow_runs_in_the_loop(server: Server) -> None:
    server.handler = take_token
    assert await name(server, AsyncAuth()) == "token of op"


async def test_a_flow_that_gives_up_leaves_the_refusal(server: Server) -> None:
    server.handler = take_digest
    with pytest.raises(ChannelRefused, match="offers Digest; give an httpx.Auth"):
        await opens(server, httpx.DigestAuth("who", "x"))


async def test_a_flow_that_fails_tells_no_secret(server: Server) -> None:
    server.handler = welcome
    with pytest.raises(HTTPClientError, match="auth flow raised LookupError") as told:
        await name(server, Failing())
    assert "s3cret" not in str(told.value)


async def test_a_body_is_sent_with_each_try(server: Server) -> None:
    bodies = []

    async def handle(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return await take_digest(request)

    server.handler = handle
    async with HTTPClient(httpx.DigestAuth("op", "x")) as client:
        request = server.controller.system.user_info()
        await client.request(request, json={"a": 1})
    assert bodies == [{"a": 1}, {"a": 1}]
