"""Bearer tokens: fixed, from functions, and of an identity provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.piwebasync import HTTPClient, Stream, WebsocketClient
from pichannels.piwebasync.auth import Basic, Bearer, ClientCredentials
from pichannels.piwebasync.exceptions import (
    ChannelRefused,
    HTTPClientError,
    HTTPStatusError,
    WebsocketClientError,
)
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.simulator import Simulator, Tokens
from tests.integration.logins import a_channel, a_simulator, receiving, token_url, who

AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)
SECRET = "cl1ent+s3cret/ä"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens({"plant": SECRET})


@pytest.fixture
async def sim(tokens: Tokens) -> AsyncIterator[Simulator]:
    async with a_simulator([tokens, "fixed", ("op", "secret")]) as found:
        yield found


def credentials(sim: Simulator, secret: str = SECRET) -> ClientCredentials:
    return ClientCredentials(token_url(sim), "plant", secret, scope="pi")


@pytest.mark.parametrize(
    "login",
    [Basic("op", "secret"), Bearer("fixed"), Bearer(lambda: Secret.env("PI_TOKEN"))],
    ids=["basic", "fixed", "function"],
)
async def test_one_header_is_a_login(
    sim: Simulator, login: Basic | Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PI_TOKEN", "fixed")
    async with (
        HTTPClient(login) as client,
        WebsocketClient(a_channel(sim), auth=login),
    ):
        assert await who(client, sim)


async def test_a_function_that_gives_another_token_is_asked_again(
    sim: Simulator, tokens: Tokens
) -> None:
    given = iter(["too old", "fixed"])
    async with HTTPClient(Bearer(lambda: next(given))) as client:
        assert await who(client, sim)


async def test_a_function_that_fails_tells_no_secret(sim: Simulator) -> None:
    async def token() -> str:
        raise LookupError("s3cret")

    async with HTTPClient(Bearer(token)) as client:
        with pytest.raises(HTTPClientError, match="raised LookupError") as told:
            await who(client, sim)
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (Bearer("s3cret\n"), "holds a line break"),
        (lambda: {"Authorization": "s3cret\n"}, "holds a line break"),
        (lambda: {"X-Key": 5}, "wants a text, not int"),
        (lambda: None, "gave NoneType, no headers"),
    ],
    ids=["token", "header", "number", "nothing"],
)
async def test_what_cannot_be_sent_is_told_without_it(
    sim: Simulator, login: Any, reason: str
) -> None:
    async with HTTPClient(login) as client:
        with pytest.raises(HTTPClientError, match=reason) as told:
            await who(client, sim)
    with pytest.raises(WebsocketClientError, match=reason):
        await WebsocketClient(a_channel(sim), auth=login)
    assert "s3cret" not in str(told.value)


async def test_a_stream_outlives_a_function_that_gives_nothing_for_a_while(
    sim: Simulator,
) -> None:
    given = iter([{"Authorization": "Bearer fixed"}, None, None])
    events: asyncio.Queue[object] = asyncio.Queue()
    stream = Stream(
        asyncio.Queue(),
        lambda: next(given, {"Authorization": "Bearer fixed"}),  # type: ignore[arg-type,return-value]
        transport="channel",
        backoff=AT_ONCE,
        on_event=events.put_nowait,
    )
    await stream.start(a_channel(sim), lambda message: None)
    await sim.connected()
    sim.faults.drop("reset")
    told = [type(await events.get()).__name__ for _ in range(5)]
    await stream.stop()
    assert told == ["Connected", "Lost", "NotOpened", "NotOpened", "Connected"]


# Of an identity provider


@pytest.mark.parametrize("way", ["header", "body"])
async def test_a_client_gets_its_token(sim: Simulator, way: str) -> None:
    login = msgspec.structs.replace(credentials(sim), send_as=way)
    async with (
        HTTPClient(login) as client,
        WebsocketClient(a_channel(sim), auth=login),
    ):
        assert await who(client, sim) == "plant"


async def test_one_token_is_fetched_for_all_who_wait(
    sim: Simulator, tokens: Tokens
) -> None:
    async with HTTPClient(credentials(sim)) as client:
        await asyncio.gather(*(who(client, sim) for _ in range(50)))
    assert tokens.issued == 1


async def test_a_refused_token_is_fetched_again_once(
    sim: Simulator, tokens: Tokens
) -> None:
    async with HTTPClient(credentials(sim)) as client:
        await who(client, sim)
        sim.faults.withdraw()
        await asyncio.gather(*(who(client, sim) for _ in range(20)))
    assert tokens.issued == 2


async def test_a_token_is_renewed_before_it_expires(
    sim: Simulator, tokens: Tokens
) -> None:
    tokens.lifetime = 0.2
    async with HTTPClient(credentials(sim)) as client:
        async with asyncio.timeout(30):
            while tokens.issued < 3:
                assert await who(client, sim) == "plant"


async def test_a_channel_gets_a_new_token_when_the_old_one_is_withdrawn(
    sim: Simulator,
) -> None:
    seen: asyncio.Queue[ChannelEvent] = asyncio.Queue()
    async with WebsocketClient(
        a_channel(sim),
        auth=credentials(sim),
        reconnect=True,
        backoff=AT_ONCE,
        on_event=seen.put_nowait,
    ) as channel:
        await sim.connected()
        sim.faults.withdraw()
        sim.faults.drop()
        async with receiving(channel):
            found = [type(await seen.get()) for _ in range(3)]
    assert found == [Connected, Lost, Connected]


async def test_why_there_is_no_token_is_told_to_all_who_wait(sim: Simulator) -> None:
    channel = WebsocketClient(a_channel(sim), auth=credentials(sim, "wrong"))
    async with HTTPClient(credentials(sim, "wrong")) as client:
        with pytest.raises(WebsocketClientError, match="gave no token: 401 invalid"):
            await channel.open()
        found = await asyncio.gather(
            *(who(client, sim) for _ in range(5)), return_exceptions=True
        )
    assert all("gave no token: 401 invalid_client" in str(one) for one in found)


async def test_a_stream_without_its_token_is_not_polled_instead(
    sim: Simulator,
) -> None:
    stream = Stream(asyncio.Queue(), auth=credentials(sim, "wrong"), transport="auto")
    with pytest.raises(WebsocketClientError, match="gave no token") as told:
        await stream.start(a_channel(sim), lambda message: message)
    assert not hasattr(told.value, "__notes__")


async def test_a_stream_is_polled_with_its_token(
    sim: Simulator, tokens: Tokens
) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    stream = Stream(queue, auth=credentials(sim), transport="updates", poll=0.01)
    await stream.start(a_channel(sim), lambda message: message.raw_response)
    sim.push(sim.tags[0].name, 1.5)
    assert b"1.5" in await queue.get()
    sim.faults.withdraw()
    sim.push(sim.tags[0].name, 2.5)
    assert b"2.5" in await queue.get()
    await stream.stop()


async def provider(status: int, body: str) -> TestServer:
    """An identity provider that always says this."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    application = web.Application()
    application.router.add_post("/token", handle)
    server = TestServer(application)
    await server.start_server()
    return server


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "<html>s3cret", "200 without a token that can be read"),
        (200, '{"access_token": ""}', "200 without a token that can be read"),
        (500, f"you sent {SECRET}", r"500 you sent \*\*\*"),
        (302, "", "302"),
    ],
)
async def test_a_provider_that_gives_nonsense_is_told(
    sim: Simulator, status: int, body: str, told: str
) -> None:
    server = await provider(status, body)
    login = ClientCredentials(str(server.make_url("/token")), "plant", SECRET)
    async with HTTPClient(login) as client:
        with pytest.raises(HTTPClientError, match=f"gave no token: {told}") as failed:
            await who(client, sim)
    await server.close()
    assert "s3cret" not in str(failed.value)


async def test_seconds_may_be_text(sim: Simulator) -> None:
    server = await provider(200, '{"access_token": "fixed", "expires_in": "3600"}')
    login = ClientCredentials(str(server.make_url("/token")), "plant", SECRET)
    async with HTTPClient(login) as client:
        assert await who(client, sim)
    await server.close()


async def test_a_provider_that_is_not_there_is_told(sim: Simulator) -> None:
    login = ClientCredentials("http://127.0.0.1:1/token", "plant", SECRET)
    async with HTTPClient(login) as client:
        with pytest.raises(HTTPClientError, match="127.0.0.1:1/token is not reached"):
            await who(client, sim)


def test_a_login_serves_one_loop_after_another(unused_tcp_port: int) -> None:
    login = ClientCredentials(
        f"http://127.0.0.1:{unused_tcp_port}/simulator/token", "plant", SECRET
    )

    async def run() -> list[str]:
        tokens = Tokens({"plant": SECRET})
        async with (
            a_simulator(tokens, port=unused_tcp_port) as sim,
            HTTPClient(login) as client,
        ):
            return await asyncio.gather(*(who(client, sim) for _ in range(5)))

    assert [asyncio.run(run()), asyncio.run(run())] == [["plant"] * 5] * 2


async def test_nothing_tells_a_secret_or_a_token(
    sim: Simulator, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = tokens.issue()
    told: list[object] = []
    logins = (Basic("op", SECRET), Bearer(f"{issued}!"), credentials(sim, f"{SECRET}!"))
    for login in logins:
        async with HTTPClient(login) as client:
            channel = WebsocketClient(a_channel(sim), auth=login)
            found = await asyncio.gather(
                who(client, sim), channel.open(), return_exceptions=True
            )
        told += [login, channel, client, *found]
    expected = (HTTPStatusError, HTTPClientError, ChannelRefused, WebsocketClientError)
    assert sum(isinstance(one, expected) for one in told) == 6
    text = f"{caplog.text} {told}"
    assert "s3cret" not in text and issued not in text
