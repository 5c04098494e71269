"""The HTTP client returns every answer and names every failure."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pichannels.errors import UsageError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.exceptions import (
    APIException,
    HTTPClientError,
    HTTPStatusError,
)

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server


async def say_path(request: web.Request) -> web.Response:
    return web.json_response({"Path": request.raw_path, "WebId": "W"})


async def test_the_url_arrives_as_it_was_made(server: Server) -> None:
    server.handler = say_path
    request = server.controller.points.get_by_path(r"\\SRV\A+B&C")
    async with HTTPClient() as client:
        response = await client.get(request)
    assert response.path == "/piwebapi/points?path=%5C%5CSRV%5CA%2BB%26C"
    assert (response.status_code, response.url) == (200, request.absolute_url)


async def test_safe_characters_go_bare_over_the_wire(server: Server) -> None:
    server.handler = say_path
    async with HTTPClient(safe_chars="/?:=&%;\\") as client:
        response = await client.get(server.controller.points.get_by_path(r"\\SRV\A"))
    assert response.path == r"/piwebapi/points?path=\\SRV\A"


async def test_an_answer_of_any_status_is_returned(server: Server) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"Errors": ["No such point."]}, status=404)

    server.handler = refuse
    async with HTTPClient() as client:
        response = await client.get(server.controller.points.get("W"))
    with pytest.raises(HTTPStatusError, match="No such point"):
        response.raise_for_status()


async def test_a_write_has_its_body_and_the_header_that_pi_wants(
    server: Server,
) -> None:
    bodies = []

    async def accept(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(status=202)

    server.handler = accept
    request = server.controller.streams.get_value("W")
    request.method = "POST"
    async with HTTPClient() as client:
        (await client.post(request, json={"Value": 1})).raise_for_status()
    assert bodies == [{"Value": 1}]
    assert "X-Requested-With" in server.requests[0].headers


async def test_credentials_may_expire_between_requests(server: Server) -> None:
    server.handler = say_path
    tokens = iter(["one", "two"])

    async def bearer() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(tokens)}"}

    async with HTTPClient(bearer, {"X-Plant": "1"}) as client:
        for _ in range(2):
            await client.get(server.controller.dataservers.list())
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer one", "Bearer two"]
    assert server.requests[0].headers["X-Plant"] == "1"


async def test_basic_credentials_are_sent(server: Server) -> None:
    server.handler = say_path
    async with HTTPClient(("user", "päss")) as client:
        await client.get(server.controller.dataservers.list())
    assert server.requests[0].headers["Authorization"] == "Basic dXNlcjpww6Rzcw=="


async def test_a_failing_auth_function_tells_no_secret(server: Server) -> None:
    def fail() -> dict[str, str]:
        raise ValueError("hunter2")

    async with HTTPClient(fail) as client:
        with pytest.raises(HTTPClientError) as caught:
            await client.get(server.controller.dataservers.list())
    assert "hunter2" not in str(caught.value)


async def test_an_unreachable_server_is_told_with_its_cause(unused_port: int) -> None:
    request = Controller("http", "127.0.0.1", unused_port).dataservers.list()
    async with HTTPClient() as client:
        with pytest.raises(HTTPClientError, match="got no answer") as caught:
            await client.get(request)
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_slow_answer_is_told_with_the_time_allowed(server: Server) -> None:
    async def wait(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    server.handler = wait
    async with HTTPClient(timeout=0.05) as client:
        with pytest.raises(HTTPClientError, match="none within 0.05 s"):
            await client.get(server.controller.dataservers.list())


async def test_an_answer_that_breaks_off_is_no_answer(server: Server) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"Items": [')
        assert request.transport is not None
        request.transport.abort()
        return response

    server.handler = break_off
    async with HTTPClient() as client:
        with pytest.raises(HTTPClientError):
            await client.get(server.controller.dataservers.list())


async def test_cancellation_stays_cancellation(server: Server) -> None:
    asked = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    server.handler = wait
    async with HTTPClient() as client:
        task = asyncio.create_task(client.get(server.controller.dataservers.list()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_redirections_are_followed_when_asked(server: Server) -> None:
    async def redirect(request: web.Request) -> web.Response:
        if request.path.endswith("moved"):
            return web.json_response({"WebId": "W"})
        raise web.HTTPFound("/moved")

    server.handler = redirect
    async with HTTPClient() as client:
        stays = await client.get(server.controller.dataservers.list())
        goes = await client.request(
            server.controller.dataservers.list(), follow_redirects=True
        )
    assert (stays.status_code, goes.web_id) == (302, "W")


async def test_wrong_protocol_and_wrong_verb_are_refused(server: Server) -> None:
    async with HTTPClient() as client:
        with pytest.raises(APIException, match="use WebsocketClient"):
            await client.get(server.controller.streams.get_channel("W"))
        with pytest.raises(ValueError, match="is a GET request"):
            await client.post(server.controller.dataservers.list())


async def test_a_closed_client_sends_nothing(server: Server) -> None:
    client = HTTPClient()
    await client.close()
    with pytest.raises(HTTPClientError, match="closed"):
        await client.get(server.controller.dataservers.list())


async def test_parameters_of_httpx_name_their_replacement() -> None:
    with pytest.raises(UsageError, match="'mounts'; use proxy="):
        HTTPClient(mounts={"http://": None})


async def test_a_ca_file_that_is_none_is_told(server: Server) -> None:
    async with HTTPClient(verify="no-such-file.pem") as client:
        with pytest.raises(UsageError, match="certificates cannot be used"):
            await client.get(server.controller.dataservers.list())


async def test_the_body_of_a_large_answer_is_whole(server: Server) -> None:
    document = {"Items": [{"Value": n} for n in range(50_000)]}

    async def answer(request: web.Request) -> web.Response:
        response = web.Response(text=json.dumps(document))
        response.enable_compression()
        return response

    server.handler = answer
    async with HTTPClient() as client:
        response = await client.get(server.controller.dataservers.list())
    assert response.dict() == document


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("http2", "leave it out"),
        ("limits", "use max_connections="),
        ("base_url", "use Controller"),
        ("tiemout", "did you mean 'timeout'"),
    ],
)
def test_parameters_that_are_none_are_told_with_what_to_use(
    name: str, said: str
) -> None:
    unknown: dict[str, Any] = {name: None}
    with pytest.raises(UsageError, match=f"no parameter '{name}'; {said}"):
        HTTPClient(**unknown)


async def test_a_request_refuses_parameters_of_httpx_too(server: Server) -> None:
    async with HTTPClient() as client:
        with pytest.raises(UsageError, match=r"request\(\) has no parameter 'params'"):
            await client.get(server.controller.dataservers.list(), params={})


async def test_a_connection_that_idled_too_long_fails_no_read() -> None:
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for count in range(2):
            await reader.readuntil(b"\r\n\r\n")
            served.append(count)
            if count:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    request = Controller("http", "127.0.0.1", port).dataservers.list()
    async with listening, HTTPClient() as client:
        for _ in range(2):
            (await client.get(request)).raise_for_status()
    # The second read went to the idle connection first, then to a new one.
    assert served == [0, 1, 0]
