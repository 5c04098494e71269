"""Secrets where they are used: sent to servers, read anew, missed by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nodes.publish import HTTP
from pichannels.channels.base import BaseChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.config import Config, ControlConfig
from pichannels.engine import Engine
from pichannels.errors import SettingsError
from pichannels.message import Message
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.auth import NTLM, Bearer
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.transport import Auth
from pichannels.project import Project
from pichannels.secrets import Secret, expand

MISSING = Secret.env("NO_SUCH_PASSWORD")


class Server:
    """Keeps the headers of all requests."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._take)
        self.server = TestServer(application)

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return web.json_response({"Items": []})

    @property
    def controller(self) -> Controller:
        return Controller("http", "127.0.0.1", self.server.port, "/piwebapi")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    async with found.server:
        yield found


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("PI_PASSWORD", "päss")
    return Secret.env("PI_PASSWORD")


async def test_the_pi_client_sends_a_secret_password(
    server: Server, password: Secret
) -> None:
    async with HTTPClient(("user", password)) as client:
        await client.get(server.controller.dataservers.list())
    assert server.headers[0]["Authorization"] == "Basic dXNlcjpww6Rzcw=="


async def test_the_pi_client_sends_secret_headers(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    headers = {"Authorization": expand(f"Bearer ${{file:{file}}}")}
    async with HTTPClient(headers, headers={"X-Key": Secret.file(file)}) as client:
        await client.get(server.controller.dataservers.list())
    sent = server.headers[0]
    assert (sent["Authorization"], sent["X-Key"]) == ("Bearer abc", "abc")


async def test_the_pi_client_names_a_missing_secret(server: Server) -> None:
    async with HTTPClient(("user", MISSING)) as client:
        with pytest.raises(HTTPClientError, match=r"Secret\(env:NO_SUCH_PASSWORD\)"):
            await client.get(server.controller.dataservers.list())


@pytest.mark.parametrize(
    "auth", [("user", MISSING), NTLM("user", MISSING), Bearer(MISSING)]
)
async def test_a_pi_channel_does_not_start_without_its_secret(auth: Auth) -> None:
    channel = PIWebChannel(
        "plant", url="http://127.0.0.1:1/piwebapi", tags=["*"], auth=auth
    )
    with pytest.raises(SettingsError, match="NO_SUCH_PASSWORD is not set"):
        await channel.start()


async def test_a_published_secret_is_read_anew_for_each_request(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    node = HTTP(str(server.server.make_url("/in")), auth=Secret.file(file))
    channel = BaseChannel("out").add(node)
    await channel.start()
    await channel.handle(Message(payload="a"))
    file.write_text("two")
    await channel.handle(Message(payload="b"))
    await channel.stop()
    sent = [headers["Authorization"] for headers in server.headers]
    assert sent == ["Bearer one", "Bearer two"]


async def test_publishing_does_not_start_without_its_secret() -> None:
    node = HTTP("http://127.0.0.1:1/", headers={"X-Key": MISSING})
    with pytest.raises(SettingsError, match="NO_SUCH_PASSWORD is not set"):
        await BaseChannel("out").add(node).start()


async def test_the_control_server_takes_a_secret_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_TOKEN", "0123456789abcdef")
    config = Config(control=ControlConfig(token=Secret.env("CONTROL_TOKEN")))
    project = Project([BaseChannel("a")], config)
    async with Engine(project, data_dir=tmp_path):
        told = (tmp_path / "control.json").read_text("utf-8")
    assert '"token":"0123456789abcdef"' in told


@pytest.mark.parametrize("token", ["", "short"])
async def test_a_token_that_is_missing_or_short_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CONTROL_TOKEN", token)
    config = Config(control=ControlConfig(token=Secret.env("CONTROL_TOKEN")))
    project = Project([BaseChannel("a")], config)
    with pytest.raises(SettingsError, match="CONTROL_TOKEN is empty|too short"):
        async with Engine(project, data_dir=tmp_path):
            pass
