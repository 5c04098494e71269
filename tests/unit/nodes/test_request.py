"""request.HTTP: what is asked, what the answer becomes, and what fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nodes import request
from pichannels.channels import BaseChannel
from pichannels.errors import (
    CodecError,
    DecodeError,
    MessageError,
    NotConnected,
    RetryLater,
    SettingsError,
)
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate


class Server(TestServer):
    """Answers requests from a list, and keeps what was asked."""

    def __init__(self, **options: Any) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.answer)
        super().__init__(application, **options)
        self.answers: list[web.Response] = []
        self.asked: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []

    async def answer(self, asked: web.Request) -> web.Response:
        self.asked.append(asked)
        self.bodies.append(await asked.read())
        return self.answers.pop(0) if self.answers else web.Response(text="fine")

    def at(self, path: str = "/") -> str:
        return f"{self.make_url('/')}".rstrip("/") + path


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start_server()
    yield server
    await server.close()


@asynccontextmanager
async def started(node: request.HTTP) -> AsyncIterator[request.HTTP]:
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def run(node: request.HTTP, payload: Any = "in", **meta: Any) -> Message:
    async with started(node):
        return await node.process(Message(payload=payload, meta=meta))


async def test_the_answer_becomes_the_payload(server: Server) -> None:
    server.answers = [web.Response(body="grün".encode("latin-1"))]
    server.answers[0].headers["Content-Type"] = "text/x-note; charset=latin-1"
    msg = await run(request.HTTP(server.at()), came="with it")
    assert (msg.payload, msg.content_type) == ("grün", "text/x-note")
    assert msg.meta == {"came": "with it"} and server.bodies == [b""]


async def test_json_and_bytes_on_request(server: Server) -> None:
    server.answers = [web.json_response({"a": [1]}), web.Response(body=b"\xff")]
    as_json = await run(request.HTTP(server.at(), json=True))
    as_bytes = await run(request.HTTP(server.at(), binary=True))
    assert (as_json.payload, as_bytes.payload) == ({"a": [1]}, b"\xff")


async def test_values_of_the_message_are_escaped_in_the_url(server: Server) -> None:
    node = request.HTTP(
        server.at("/p/%(meta.plant)s/a%20b?x=%(payload.n)s"),
        params={
            "at": "%(meta.plant)s",
            "tag": ["a", "b"],
            "who": lambda msg: msg.payload["n"][0],
        },
        headers={"X-Plant": "%(meta.plant)s!"},
    )
    await run(node, {"n": "1&y=2"}, plant="N/1 & ü?")
    (asked,) = server.asked
    path = "/p/N%2F1%20&%20%C3%BC%3F/a%20b"
    assert asked.raw_path.partition("?")[0] == path
    query = [*asked.query.items()]
    assert query[:2] == [("x", "1&y=2"), ("at", "N/1 & ü?")]
    assert query[2:] == [("tag", "a"), ("tag", "b"), ("who", "1")]


@pytest.mark.parametrize("payload", [{"a": 1}, "text", b"raw"])
async def test_post_sends_the_payload(server: Server, payload: Any) -> None:
    await run(request.HTTP(server.at(), "post"), payload)
    expected = {"dict": b'{"a":1}', "str": b"text", "bytes": b"raw"}
    assert server.bodies == [expected[type(payload).__name__]]
    is_json = server.asked[0].content_type == "application/json"
    assert is_json == isinstance(payload, dict)


async def test_text_goes_as_json_on_request(server: Server) -> None:
    await run(request.HTTP(server.at(), "PUT", send_as_json=True), "text")
    assert server.bodies == [b'"text"']


async def test_logins_headers_and_cookies_are_secrets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "t0")
    secret = Secret.env("TOKEN")
    node = request.HTTP(
        server.at(), auth=secret, headers={"X-Key": secret}, cookies={"c": secret}
    )
    async with started(node):
        await node.process(Message())
        monkeypatch.setenv("TOKEN", "t1")
        await node.process(Message())
    found = [(a.headers["Authorization"], a.headers["X-Key"]) for a in server.asked]
    assert found == [("Bearer t0", "t0"), ("Bearer t1", "t1")]
    assert [a.cookies["c"] for a in server.asked] == ["t0", "t1"]


@pytest.mark.parametrize("keeps", [False, True])
async def test_cookies_of_the_server_are_kept_on_request(
    server: Server, keeps: bool
) -> None:
    server.answers = [web.Response()]
    server.answers[0].set_cookie("session", "s1")
    async with started(request.HTTP(server.at(), keep_cookies=keeps)) as node:
        await node.process(Message())
        await node.process(Message())
    assert server.asked[1].cookies.get("session") == ("s1" if keeps else None)


async def test_the_meta_tells_of_the_answer_on_request(server: Server) -> None:
    server.answers = [web.Response(status=404, headers={"X-A": "1"})]
    server.answers[0].set_cookie("c", "v")
    node = request.HTTP(server.at("/x"), add_meta=True, any_status=True)
    told = (await run(node, status=200)).meta
    assert told["status"] == 200 and told["response"]["status"] == 404
    assert told["response"]["url"] == server.at("/x")
    assert ["X-A", "1"] in told["response"]["headers"]
    assert told["response"]["cookies"] == {"c": "v"}


async def test_an_answer_that_may_change_is_asked_for_again(server: Server) -> None:
    server.answers = [web.Response(status=503), web.Response(status=429)]
    soon = RetryPolicy(attempts=3, initial=0.001)
    channel = BaseChannel("c")
    channel.add(request.HTTP(server.at(), retry=soon))
    await channel.start()
    result = await channel.handle(Message())
    await channel.stop()
    assert (result.payload, len(server.asked)) == ("fine", 3)


async def test_the_server_says_when_to_ask_again(server: Server) -> None:
    server.answers = [web.Response(status=503, headers={"Retry-After": "7"})]
    with pytest.raises(RetryLater) as told:
        await run(request.HTTP(server.at()))
    assert told.value.delay == 7


async def test_a_refusal_fails_the_message(server: Server) -> None:
    server.answers = [web.Response(status=403, text="not you")]
    node = request.HTTP(server.at("/x"))
    with pytest.raises(request.RequestRefused, match="403: not you"):
        await run(node)
    assert node.statistics() == {"requests": 1, "errors": 1}


async def test_redirections_are_followed_on_request(server: Server) -> None:
    def moved() -> web.Response:
        return web.Response(status=302, headers={"Location": "/there?x=1"})

    server.answers = [moved(), moved()]
    with pytest.raises(request.RequestRefused, match="it has moved to /there"):
        await run(request.HTTP(server.at()))
    msg = await run(request.HTTP(server.at(), "POST", redirects=1, auth="t"))
    assert msg.payload == "fine"
    last = server.asked[-1]
    assert (last.method, last.raw_path, server.bodies[-1]) == ("GET", "/there?x=1", b"")
    assert last.headers["Authorization"] == "Bearer t"


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    server = Server()
    await server.start_server()
    yield server
    await server.close()


async def test_another_server_gets_no_login_and_no_payload(
    server: Server, other: Server
) -> None:
    for status in (302, 307):
        answer = web.Response(status=status, headers={"Location": other.at()})
        server.answers.append(answer)
    node = request.HTTP(server.at(), "POST", redirects=2, auth="t", cookies={"c": "1"})
    assert (await run(node)).payload == "fine"
    with pytest.raises(request.RequestRefused, match="307"):
        await run(node)
    (asked,) = other.asked
    assert "Authorization" not in asked.headers and not asked.cookies


@pytest.mark.parametrize(
    ("body", "options", "error"),
    [
        (b"x" * 2000, {"max_bytes": 1000}, MessageError),
        (b"{", {"json": True}, DecodeError),
        (b"\xff", {}, DecodeError),
    ],
)
async def test_an_answer_that_is_no_use_fails_the_message(
    server: Server, body: bytes, options: dict[str, Any], error: type[Exception]
) -> None:
    server.answers = [web.Response(body=body)]
    with pytest.raises(error):
        await run(request.HTTP(server.at(), **options))


async def test_a_message_without_the_value_fails(server: Server) -> None:
    with pytest.raises(MessageError, match="nothing at meta.plant"):
        await run(request.HTTP(server.at("/%(meta.plant)s")))
    with pytest.raises(CodecError):
        await run(request.HTTP(server.at(), "POST"), {"a": object()})
    with pytest.raises(MessageError, match="[Nn]ewline|header"):
        node = request.HTTP(server.at(), headers={"X": "%(meta.x)s"})
        await run(node, x="a\r\nEvil: 1")


async def test_nobody_there_is_worth_another_try(server: Server) -> None:
    url = server.at()
    await server.close()
    with pytest.raises(NotConnected):
        await run(request.HTTP(url))
    (finding,) = await request.HTTP(url).probe()
    assert not finding.ok


async def test_a_slow_answer_is_worth_another_try() -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(NotConnected):
        await run(request.HTTP(f"http://127.0.0.1:{port}/", timeout=0.05))
    await gone.wait()
    silent.close()
    await silent.wait_closed()


async def test_certificates_of_both_sides(tmp_path: Path) -> None:
    pem = make_certificate(tmp_path, "both")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pem)
    context.load_cert_chain(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(scheme="https")
    await server.start_server(ssl=context)
    try:
        url = f"https://127.0.0.1:{server.port}/"
        good = request.HTTP(url, verify=pem, client_cert=str(pem))
        assert (await run(good)).payload == "fine"
        with pytest.raises(NotConnected, match="certificate"):
            await run(request.HTTP(url))
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("ftp://x", {}, "not a URL"),
        ("http://%(meta.host)s/", {}, "in the place of the server"),
        ("http://me:secret@x/", {}, "in the place of the server"),
        ("http://x/%(plant)s", {}, "no such place"),
        ("http://x/", {"params": {"a": "%(plant)s"}}, "no such place"),
        ("http://x/", {"method": "GRAB"}, "no such method"),
        ("http://x/", {"redirects": -1}, "redirects"),
    ],
)
def test_an_option_that_cannot_work_is_told(
    url: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as told:
        request.HTTP(url, **options)
    assert "secret" not in str(told.value)
