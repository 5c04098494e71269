"""What the libraries below say of a failure has the headers; ours has none of them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from traceback import format_exception

import pytest

from pichannels.piwebasync import Controller, HTTPClient, Stream, WebsocketClient
from pichannels.piwebasync.auth import ClientCredentials
from pichannels.piwebasync.exceptions import HTTPClientError, PIWebAsyncException

LOGIN = ("bob", "s3cret")
SENT = b64encode(b"bob:s3cret").decode()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where something answers that does not speak HTTP."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"no HTTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def by_http(pi: Controller) -> None:
    async with HTTPClient(LOGIN) as client:
        await client.get(pi.dataservers.list())


async def by_websocket(pi: Controller) -> None:
    await WebsocketClient(pi.streamsets.get_channel_adhoc(["W"]), auth=LOGIN)


async def by_token(pi: Controller) -> None:
    login = ClientCredentials(pi.base_url, *LOGIN)
    async with HTTPClient(login) as client:
        await client.get(pi.dataservers.list())


@pytest.mark.parametrize("way", [by_http, by_websocket, by_token])
async def test_no_cause_has_the_headers(
    port: int, way: Callable[[Controller], Awaitable[None]]
) -> None:
    with pytest.raises(PIWebAsyncException) as caught:
        await way(Controller("http", "127.0.0.1", port, "piwebapi"))
    error: BaseException | None = caught.value
    causes = 0
    while error is not None:
        assert SENT not in repr(error) and SENT not in repr(error.args)
        error, causes = error.__cause__, causes + 1
    assert causes > 1


async def test_a_proxy_that_is_no_url_is_not_shown(port: int) -> None:
    async with HTTPClient(proxy="bob:s3cret@proxy:8080") as client:
        with pytest.raises(HTTPClientError, match="that of the proxy") as caught:
            await client.get(Controller("http", "pi.test").dataservers.list())
    assert "s3cret" not in "".join(format_exception(caught.value.with_traceback(None)))


async def test_a_stream_shows_no_login_of_its_parts() -> None:
    stream = Stream(auth=LOGIN, extra_headers={"X-Key": "s3cret"})
    assert "s3cret" not in repr(vars(stream))
