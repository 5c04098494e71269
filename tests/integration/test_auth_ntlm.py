"""NTLM against pyspnego's acceptor, over one connection, for HTTP and channels."""

from __future__ import annotations

import asyncio
import logging
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import spnego
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.piwebasync import Controller, HTTPClient, Stream, WebsocketClient
from pichannels.piwebasync.auth import NTLM, Login, Negotiate
from pichannels.piwebasync.exceptions import ChannelRefused, HTTPStatusError
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.simulator import NTLMUsers, Simulator
from tests.integration.certificates import make_certificate
from tests.integration.logins import a_channel, a_simulator, receiving, who

USER, PASSWORD = "PLANT\\reader", "pä-s3cret"
USERS = NTLMUsers({USER: PASSWORD, "PLANT\\other": "0ther"})
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)
LOGINS: list[Login] = [NTLM(USER, PASSWORD), Negotiate(USER, PASSWORD)]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with a_simulator(USERS) as found:
        yield found


@pytest.mark.parametrize("login", LOGINS, ids=repr)
async def test_requests_are_those_of_the_user(sim: Simulator, login: Login) -> None:
    async with HTTPClient(login) as client:
        assert [await who(client, sim) for _ in range(3)] == [USER] * 3


@pytest.mark.parametrize("login", LOGINS, ids=repr)
async def test_a_channel_is_opened(sim: Simulator, login: Login) -> None:
    async with WebsocketClient(a_channel(sim), auth=login) as channel:
        await sim.connected()
        sim.send('{"Items": []}')
        assert (await channel.recv()).dict() == {"Items": []}


async def test_a_secret_is_looked_up(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PI_PASSWORD", PASSWORD)
    async with HTTPClient(NTLM(USER, Secret.env("PI_PASSWORD"))) as client:
        assert await who(client, sim) == USER


async def test_a_wrong_password_tells_status_and_what_is_offered(
    sim: Simulator,
) -> None:
    async with HTTPClient(NTLM(USER, "wrong")) as client:
        with pytest.raises(
            HTTPStatusError, match="401 .*Negotiate, NTLM; give"
        ) as told:
            await who(client, sim)
    assert "wrong" not in str(told.value)


async def test_a_refused_handshake_tells_status_and_body_at_once(
    sim: Simulator,
) -> None:
    channel = WebsocketClient(a_channel(sim), auth=NTLM(USER, "wrong"), open_timeout=60)
    async with asyncio.timeout(30):
        with pytest.raises(ChannelRefused, match="the server offers Negotiate") as told:
            await channel.open()
    assert told.value.status_code == 401
    assert "Authorization has been denied" in told.value.body


async def test_fifty_requests_at_once_keep_to_their_connections(
    sim: Simulator,
) -> None:
    async with HTTPClient(LOGINS[0], max_connections=5) as client:
        found = await asyncio.gather(*(who(client, sim) for _ in range(50)))
    assert found == [USER] * 50


async def test_two_logins_of_a_client_are_two_users(sim: Simulator) -> None:
    async with HTTPClient(LOGINS[0], max_connections=2) as client:
        other = NTLM("PLANT\\other", "0ther")
        users = [who(client, sim, auth=other if n % 2 else None) for n in range(10)]
        assert await asyncio.gather(*users) == [USER, "PLANT\\other"] * 5


async def test_a_connection_is_logged_in_once() -> None:
    async with a_simulator(USERS, rate_limit=5) as sim, HTTPClient(LOGINS[0]) as client:
        # One that asks, two for the login, two more.
        assert [await who(client, sim) for _ in range(3)] == [USER] * 3


async def test_a_server_that_asks_each_time_is_answered_each_time() -> None:
    each = NTLMUsers(USERS.users, each_request=True)
    async with a_simulator(each, rate_limit=13) as sim, HTTPClient(LOGINS[0]) as client:
        # Three times three tries until it is known, then two for each.
        assert [await who(client, sim) for _ in range(5)] == [USER] * 5


async def test_a_withdrawn_login_is_made_again(sim: Simulator) -> None:
    async with HTTPClient(LOGINS[0]) as client:
        await who(client, sim)
        sim.faults.withdraw()
        assert await who(client, sim) == USER


async def test_a_server_that_asked_again_once_is_not_told_each_time() -> None:
    async with a_simulator(USERS, rate_limit=9) as sim, HTTPClient(LOGINS[0]) as client:
        await who(client, sim)
        sim.faults.withdraw()
        # Three tries before and after, then one for each.
        assert [await who(client, sim) for _ in range(4)] == [USER] * 4


async def test_a_lost_connection_is_logged_in_again(sim: Simulator) -> None:
    async with HTTPClient(LOGINS[0]) as client:
        await who(client, sim)
        await sim.close()
        await sim.open()
        assert await who(client, sim) == USER


async def test_a_channel_logs_in_anew_when_it_is_opened_again(sim: Simulator) -> None:
    seen: asyncio.Queue[ChannelEvent] = asyncio.Queue()
    async with WebsocketClient(
        a_channel(sim),
        auth=LOGINS[0],
        reconnect=True,
        backoff=AT_ONCE,
        on_event=seen.put_nowait,
    ) as channel:
        await sim.connected()
        sim.faults.withdraw()
        sim.faults.drop("reset")
        async with receiving(channel):
            found = [type(await seen.get()) for _ in range(3)]
    assert found == [Connected, Lost, Connected]


async def test_a_stream_logs_in(sim: Simulator) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    stream = Stream(queue, auth=LOGINS[0], transport="channel")
    await stream.start(a_channel(sim), lambda message: message.raw_response)
    await sim.connected()
    sim.send('{"Items": []}')
    assert await queue.get() == b'{"Items": []}'
    await stream.stop()


async def test_a_login_is_bound_to_the_certificate_of_the_server(
    tmp_path: Path,
) -> None:
    own, other = (make_certificate(tmp_path, name) for name in ("own", "other"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(tls.load_cert_chain, own)
    found: list[object] = []
    for certificate in (own, other):
        users = NTLMUsers(USERS.users, certificate=certificate)
        async with (
            a_simulator(users, tls=tls) as sim,
            HTTPClient(LOGINS[0], verify=str(own), timeout=10) as client,
        ):
            channel = WebsocketClient(a_channel(sim), auth=LOGINS[0], verify=str(own))
            found += await asyncio.gather(
                who(client, sim), channel.open(), return_exceptions=True
            )
        await channel.close()
    assert found[0] == USER and isinstance(found[1], WebsocketClient)
    assert [getattr(one, "status_code", None) for one in found[2:]] == [401, 401]


class Hasty:
    """Takes NTLM, and closes the connection after its first challenges."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.contexts: dict[object, Any] = {}

    async def handle(self, request: web.Request) -> web.Response:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return _asks("NTLM")
        context = self.contexts.setdefault(
            request.transport, spnego.server(protocol="ntlm")
        )
        try:
            answer = context.step(b64decode(given)) or b""
        except (spnego.exceptions.SpnegoError, ValueError):
            return _asks("NTLM")
        if context.complete:
            return web.json_response({"Name": context.client_principal})
        challenge = _asks(f"NTLM {b64encode(answer).decode()}")
        if self.times:
            self.times -= 1
            challenge.force_close()
        return challenge


def _asks(challenge: str) -> web.Response:
    return web.Response(status=401, headers={"WWW-Authenticate": challenge})


@pytest.mark.parametrize(("times", "status"), [(1, 200), (2, 401)])
async def test_a_login_that_loses_its_connection_is_begun_once_more(
    times: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    await asyncio.to_thread(users.write_text, f"PLANT:reader:{PASSWORD}\n", "utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    application = web.Application()
    application.router.add_get("/{path:.*}", Hasty(times).handle)
    async with TestServer(application) as server, HTTPClient(LOGINS[0]) as client:
        controller = Controller("http", "127.0.0.1", server.port, "piwebapi")
        response = await client.get(controller.system.user_info())
    assert response.status_code == status


async def test_nothing_tells_the_password_or_a_token(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    for login in [*LOGINS, NTLM(USER, f"{PASSWORD}!")]:
        channel = WebsocketClient(a_channel(sim), auth=login)
        async with HTTPClient(login) as client:
            found = await asyncio.gather(
                who(client, sim), channel.open(), return_exceptions=True
            )
        await channel.close()
        told += [login, client, channel, *found]
    told += [vars(error) for error in found]
    text = f"{caplog.text} {told}"
    assert "ChannelRefused" in text and "HTTPStatusError" in text
    assert "s3cret" not in text and "TlRMTVNTUA" not in text
