"""Who the simulator lets in: tokens that expire, NTLM for connections, several ways."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import spnego

from pichannels.errors import UsageError
from pichannels.simulator import NTLMUsers, Plant, Simulator, Tokens
from pichannels.simulator.acceptors import Auth, acceptors_of

USERS = {"PLANT\\reader": "s3cret", "local": "other"}


def a_simulator(auth: Auth) -> Simulator:
    return Simulator(Plant(tags=1, activity=0), poll=60, auth=auth)


@pytest.fixture
async def one() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that keeps to one connection."""
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def asked(
    session: aiohttp.ClientSession, sim: Simulator, proof: str = ""
) -> tuple[int, Any, list[str]]:
    """Status, user and challenges of a request."""
    headers = {"Authorization": proof} if proof else {}
    url = f"{sim.url}/system/userinfo"
    async with session.get(url, headers=headers) as answer:
        body = await answer.json()
        offered = answer.headers.getall("WWW-Authenticate", [])
        return answer.status, body.get("Name"), offered


async def log_in(
    session: aiohttp.ClientSession, sim: Simulator, user: str, password: str
) -> tuple[int, Any, list[str]]:
    context = spnego.client(user, password, protocol="ntlm")
    first = base64.b64encode(context.step() or b"").decode()
    status, _, (challenge,) = await asked(session, sim, f"NTLM {first}")
    assert status == 401
    theirs = base64.b64decode(challenge.removeprefix("NTLM "))
    second = base64.b64encode(context.step(theirs) or b"").decode()
    return await asked(session, sim, f"NTLM {second}")


async def test_a_server_offers_all_ways_that_it_has(one: aiohttp.ClientSession) -> None:
    ways: Auth = [("op", "x"), Tokens(), NTLMUsers(USERS)]
    async with a_simulator(ways) as sim:
        assert (await asked(one, sim))[::2] == (
            401,
            ["Negotiate", "NTLM", 'Basic realm="piwebapi"', "Bearer"],
        )


@pytest.mark.parametrize("user", USERS)
async def test_ntlm_logs_a_connection_in(one: aiohttp.ClientSession, user: str) -> None:
    async with a_simulator(NTLMUsers(USERS)) as sim:
        assert (await log_in(one, sim, user, USERS[user]))[:2] == (200, user)
        assert (await asked(one, sim))[:2] == (200, user)


async def test_another_connection_is_not_logged_in(one: aiohttp.ClientSession) -> None:
    async with a_simulator(NTLMUsers(USERS)) as sim, aiohttp.ClientSession() as other:
        await log_in(one, sim, "local", "other")
        assert (await asked(other, sim))[0] == 401


async def test_a_server_may_log_in_each_request(one: aiohttp.ClientSession) -> None:
    async with a_simulator(NTLMUsers(USERS, each_request=True)) as sim:
        assert (await log_in(one, sim, "local", "other"))[0] == 200
        assert (await asked(one, sim))[0] == 401


async def test_a_wrong_password_ends_the_exchange(one: aiohttp.ClientSession) -> None:
    async with a_simulator(NTLMUsers(USERS)) as sim:
        status, _, offered = await log_in(one, sim, "local", "wrong")
        assert (status, offered) == (401, ["Negotiate", "NTLM"])


@pytest.mark.parametrize("proof", ["NTLM !", "NTLM AAAA", "Negotiate ", "Digest x"])
async def test_nonsense_is_refused(one: aiohttp.ClientSession, proof: str) -> None:
    async with a_simulator(NTLMUsers(USERS)) as sim:
        assert (await asked(one, sim, proof))[0] == 401


async def test_a_withdrawn_login_is_refused(one: aiohttp.ClientSession) -> None:
    async with a_simulator(NTLMUsers(USERS)) as sim:
        await log_in(one, sim, "local", "other")
        sim.faults.withdraw()
        assert (await asked(one, sim))[0] == 401


async def test_tokens_are_good_until_they_are_withdrawn(
    one: aiohttp.ClientSession,
) -> None:
    tokens = Tokens()
    async with a_simulator(tokens) as sim:
        proof = f"Bearer {tokens.issue('plant')}"
        assert (await asked(one, sim, proof))[:2] == (200, "plant")
        sim.faults.inject("withdraw")
        assert (await asked(one, sim, proof))[0] == 401


async def test_tokens_expire(one: aiohttp.ClientSession) -> None:
    tokens = Tokens(lifetime=0)
    async with a_simulator(tokens) as sim:
        assert (await asked(one, sim, f"Bearer {tokens.issue()}"))[0] == 401


async def token(
    session: aiohttp.ClientSession, sim: Simulator, form: dict[str, str], **more: Any
) -> tuple[int, dict[str, Any]]:
    url = sim.url.replace("/piwebapi", "/simulator/token")
    async with session.post(url, data=form, **more) as answer:
        return answer.status, await answer.json()


async def test_the_token_endpoint_knows_its_clients(
    one: aiohttp.ClientSession,
) -> None:
    form = {"grant_type": "client_credentials", "scope": "pi"}
    known = {"Authorization": aiohttp.encode_basic_auth("plant", "s3cret")}
    async with a_simulator(Tokens({"plant": "s3cret"}, lifetime=60)) as sim:
        status, body = await token(one, sim, form, headers=known)
        assert (status, body["expires_in"], body["scope"]) == (200, 60, "pi")
        proof = f"Bearer {body['access_token']}"
        assert (await asked(one, sim, proof))[:2] == (200, "plant")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"client_id": "plant", "client_secret": "no"}, (401, "invalid_client")),
        ({"client_id": "who", "client_secret": "s"}, (401, "invalid_client")),
        (
            {"client_id": "plant", "client_secret": "s", "grant_type": "password"},
            (400, "unsupported_grant_type"),
        ),
    ],
)
async def test_the_token_endpoint_refuses_as_oauth_does(
    one: aiohttp.ClientSession, form: dict[str, str], told: tuple[int, str]
) -> None:
    async with a_simulator(Tokens({"plant": "s"})) as sim:
        status, body = await token(one, sim, form)
    assert (status, body["error"]) == told


def test_what_is_no_login_is_refused() -> None:
    number: Any = 3
    with pytest.raises(UsageError, match="takes no int as auth"):
        acceptors_of(number)


def test_a_user_with_a_colon_is_refused() -> None:
    with pytest.raises(UsageError, match="colons"):
        NTLMUsers({"local": "a:b"})


def test_no_password_is_shown() -> None:
    assert "s3cret" not in repr([NTLMUsers(USERS), Tokens({"plant": "s3cret"})])
