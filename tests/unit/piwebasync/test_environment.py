"""What the environment says: proxies, and a netrc file that gives way to a login."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pichannels.piwebasync import HTTPClient, WebsocketClient
from pichannels.piwebasync.environment import netrc_login, proxy_of
from pichannels.piwebasync.transport import Auth
from tests.unit.piwebasync.conftest import Server

FILE = "machine 127.0.0.1 login joe password s3cret\ndefault login any password x\n"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "netrc"
    file.write_text(FILE)
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    return file


async def welcome(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    if not socket.can_prepare(request):
        return web.json_response({})
    await socket.prepare(request)
    return socket


async def proofs(server: Server, auth: Auth, trust: bool = True) -> set[str]:
    """What a request and a handshake are sent with."""
    server.handler = welcome
    request = server.controller.streamsets.get_channel_adhoc(["A"])
    async with (
        HTTPClient(auth, trust_env=trust) as client,
        WebsocketClient(request, auth=auth, trust_env=trust),
    ):
        await client.get(server.controller.dataservers.list())
    return {r.headers.get("Authorization", "") for r in server.requests}


async def test_a_netrc_file_logs_in(server: Server, netrc: Path) -> None:
    joe = aiohttp.encode_basic_auth("joe", "s3cret")
    assert await proofs(server, None) == {joe}


async def test_a_netrc_file_may_be_left_alone(server: Server, netrc: Path) -> None:
    assert await proofs(server, None, trust=False) == {""}


@pytest.mark.parametrize(
    "auth", [("op", "x"), {"Authorization": "Bearer x"}], ids=["login", "headers"]
)
async def test_a_login_goes_before_a_netrc_file(
    server: Server, netrc: Path, auth: Auth
) -> None:
    (proof,) = await proofs(server, auth)
    assert proof in ("Bearer x", aiohttp.encode_basic_auth("op", "x"))


async def test_a_given_header_goes_before_a_netrc_file(
    server: Server, netrc: Path
) -> None:
    server.handler = welcome
    given = {"authorization": "Bearer x"}
    async with HTTPClient(headers=given) as client:
        await client.get(server.controller.dataservers.list())
    assert server.requests[0].headers.getall("Authorization") == ["Bearer x"]


@pytest.mark.parametrize("text", ["", "machine", "\x00", "machine other login a"])
async def test_a_file_that_says_nothing_of_it_is_no_login(
    netrc: Path, text: str
) -> None:
    await asyncio.to_thread(netrc.write_text, text)
    assert await netrc_login("http://127.0.0.1/piwebapi") is None


async def test_without_a_file_there_is_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert await netrc_login("http://pi/piwebapi") is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://pi.example.com/x", "http://proxy:3128"),
        ("https://pi.example.com/x", None),
        ("http://own.example.com/x", None),
        ("nonsense", None),
    ],
)
def test_proxies_are_those_of_the_scheme(
    url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "own.example.com")
    assert proxy_of(url) == proxy
