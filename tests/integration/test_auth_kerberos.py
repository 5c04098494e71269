"""Kerberos with a real KDC, for requests and channels; skipped without its programs."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.piwebasync import Controller, HTTPClient, WebsocketClient
from pichannels.piwebasync.auth import Negotiate
from pichannels.piwebasync.exceptions import HTTPClientError, WebsocketClientError
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost, NotOpened
from pichannels.retry import RetryPolicy
from pichannels.simulator import Kerberos, NTLMUsers, Simulator
from tests.integration import kdc
from tests.integration.kdc import PASSWORD, USER, Realm
from tests.integration.logins import a_channel, a_simulator, receiving, who

pytestmark = pytest.mark.skipif(bool(kdc.missing()), reason=kdc.missing())

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05, jitter=1.0)


@pytest.fixture
def realm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Realm]:
    # Caches are named with their paths, which tests print.
    with Realm(tmp_path_factory.mktemp("realm")) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
async def sim(realm: Realm) -> AsyncIterator[Simulator]:
    async with a_simulator(Kerberos(realm.keytab)) as found:
        yield found


def with_password(**options: bool | str) -> Negotiate:
    given = {"hostname": "localhost", **options}
    return Negotiate(USER, PASSWORD, **given)  # type: ignore[arg-type]


def with_ticket() -> Negotiate:
    return Negotiate(hostname="localhost")


@pytest.mark.parametrize("protocol", ["negotiate", "kerberos"])
async def test_a_password_gets_a_ticket(sim: Simulator, protocol: str) -> None:
    async with HTTPClient(with_password(protocol=protocol)) as client:
        assert [await who(client, sim) for _ in range(3)] == [USER] * 3


async def test_the_ticket_of_the_session_is_taken(realm: Realm, sim: Simulator) -> None:
    await asyncio.to_thread(realm.kinit)
    async with HTTPClient(with_ticket()) as client:
        assert await who(client, sim) == USER


async def test_a_ticket_may_be_delegated(realm: Realm, sim: Simulator) -> None:
    async with HTTPClient(with_password(delegate=True)) as client:
        assert await who(client, sim) == USER


async def test_a_channel_is_opened(sim: Simulator) -> None:
    async with WebsocketClient(a_channel(sim), auth=with_password()) as channel:
        await sim.connected()
        sim.send('{"Items": []}')
        assert (await channel.recv()).dict() == {"Items": []}


async def test_many_requests_at_once_are_logged_in(sim: Simulator) -> None:
    async with HTTPClient(with_password(), max_connections=4) as client:
        found = await asyncio.gather(*(who(client, sim) for _ in range(40)))
    assert found == [USER] * 40


async def test_a_server_that_asks_each_time_is_answered_at_once(realm: Realm) -> None:
    each = Kerberos(realm.keytab, each_request=True)
    async with (
        a_simulator(each, rate_limit=9) as sim,
        HTTPClient(with_password()) as client,
    ):
        # Three times two tries until it is known, then one for each.
        assert [await who(client, sim) for _ in range(6)] == [USER] * 6


async def test_without_a_ticket_it_is_told_what_to_do(sim: Simulator) -> None:
    async with HTTPClient(with_ticket()) as client:
        with pytest.raises(HTTPClientError, match="fetch a ticket with kinit"):
            await who(client, sim)


async def test_a_wrong_password_is_told(sim: Simulator) -> None:
    login = Negotiate(USER, "wrong-one", hostname="localhost", protocol="kerberos")
    with pytest.raises(WebsocketClientError, match="is not opened: the login") as told:
        await WebsocketClient(a_channel(sim), auth=login).open()
    assert "wrong-one" not in f"{told.value}{told.value.__cause__!r}"


async def test_a_service_that_is_not_known_is_named(sim: Simulator) -> None:
    login = with_password(hostname="elsewhere", protocol="kerberos")
    async with HTTPClient(login) as client:
        with pytest.raises(HTTPClientError, match="Server HTTP/elsewhere@.* not found"):
            await who(client, sim)


async def test_who_has_no_account_in_the_realm_comes_by_ntlm(realm: Realm) -> None:
    ways: list[Kerberos | NTLMUsers] = [
        Kerberos(realm.keytab),
        NTLMUsers({"PLANT\\reader": "s3cret"}),
    ]
    login = Negotiate("PLANT\\reader", "s3cret", hostname="localhost")
    async with a_simulator([*ways]) as sim, HTTPClient(login) as client:
        assert await who(client, sim) == "PLANT\\reader"


async def test_a_ticket_that_is_refused_on_the_second_connect_is_renewed(
    realm: Realm, sim: Simulator
) -> None:
    seen: asyncio.Queue[ChannelEvent] = asyncio.Queue()
    async with WebsocketClient(
        a_channel(sim),
        auth=with_password(),
        reconnect=True,
        backoff=SOON,
        on_event=seen.put_nowait,
    ) as channel:
        await asyncio.to_thread(realm.new_keys)
        sim.faults.drop()
        async with receiving(channel):
            found = [type(await seen.get()) for _ in range(3)]
    assert found == [Connected, Lost, Connected]


async def test_a_ticket_that_has_expired_on_the_second_connect_is_told(
    realm: Realm, sim: Simulator
) -> None:
    await asyncio.to_thread(realm.kinit, "-l", "2s")
    seen: asyncio.Queue[ChannelEvent] = asyncio.Queue()
    async with WebsocketClient(
        a_channel(sim),
        auth=with_ticket(),
        reconnect=True,
        backoff=SOON,
        on_event=seen.put_nowait,
    ) as channel:
        await asyncio.to_thread(realm.wait_until_expired)
        sim.faults.drop()
        async with receiving(channel):
            *_, refused = [await seen.get() for _ in range(3)]
            assert isinstance(refused, NotOpened) and "kinit" in str(refused.error)
            await asyncio.to_thread(realm.kinit)
            while not isinstance(await seen.get(), Connected):
                pass


async def test_a_password_gets_a_new_ticket_when_the_old_one_has_expired(
    realm: Realm, sim: Simulator
) -> None:
    await asyncio.to_thread(realm.admin, f"modprinc -maxlife 2sec {USER}")
    async with HTTPClient(with_password()) as client:
        assert await who(client, sim) == USER
        await asyncio.to_thread(realm.kinit)
        await asyncio.to_thread(realm.wait_until_expired)
        await asyncio.to_thread(realm.admin, f"modprinc -maxlife 1hour {USER}")
        sim.faults.withdraw()
        assert await who(client, sim) == USER


# A server that has to prove itself, too


async def answer_with(proof: str | None) -> TestServer:
    """A server that takes any ticket, and answers with this proof."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": "Negotiate"})
        socket = web.WebSocketResponse()
        is_channel = bool(socket.can_prepare(request))
        answer = socket if is_channel else web.json_response({"Name": "nobody"})
        if proof is not None:
            answer.headers["WWW-Authenticate"] = f"Negotiate {proof}"
        if is_channel:
            await socket.prepare(request)
            await socket.receive()
        return answer

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    server = TestServer(application)
    await server.start_server()
    return server


async def asked(server: TestServer, login: Negotiate) -> int:
    controller = Controller("http", "127.0.0.1", server.port, "/piwebapi")
    try:
        async with HTTPClient(login) as client:
            return (await client.get(controller.system.user_info())).status_code
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("proof", "told"),
    [
        (None, "has not proved who it is by Kerberos"),
        ("!", "no base64"),
        (b64encode(b"nonsense").decode(), "the login cannot be made"),
    ],
)
async def test_a_server_without_proof_is_not_trusted(
    realm: Realm, proof: str | None, told: str
) -> None:
    with pytest.raises(HTTPClientError, match=told):
        await asked(await answer_with(proof), with_password())


@pytest.mark.parametrize("proof", [None, b64encode(b"nonsense").decode()])
async def test_a_channel_without_proof_is_not_trusted(
    realm: Realm, proof: str | None
) -> None:
    server = await answer_with(proof)
    controller = Controller("http", "127.0.0.1", server.port, "/piwebapi")
    request = controller.streamsets.get_channel_adhoc(["A"])
    with pytest.raises(WebsocketClientError, match="is not opened: the"):
        await WebsocketClient(request, auth=with_password()).open()
    await server.close()


async def test_the_proof_may_be_left_out_on_purpose(realm: Realm) -> None:
    server = await answer_with(None)
    assert await asked(server, with_password(mutual=False)) == 200


async def test_nothing_tells_the_password_or_a_ticket(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    for login in (with_password(), Negotiate(USER, f"{PASSWORD}!", protocol="ntlm")):
        async with HTTPClient(login) as client:
            channel = WebsocketClient(a_channel(sim), auth=login)
            found = await asyncio.gather(
                who(client, sim), channel.open(), return_exceptions=True
            )
        told += [login, channel, *found]
        await channel.close()
    text = f"{caplog.text} {told}"
    assert "ChannelRefused" in text and "HTTPStatusError" in text
    # Tickets begin with the tag of GSS-API, which is so in base64.
    assert PASSWORD not in text and "YII" not in text
