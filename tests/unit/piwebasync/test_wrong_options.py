"""Wrong options are told in words, as soon as they are given."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from pichannels.errors import UsageError
from pichannels.piwebasync import (
    Bearer,
    Controller,
    HTTPClient,
    Stream,
    WebsocketClient,
)
from pichannels.piwebasync.exceptions import SerializationError

PI = Controller("https", "pi.invalid")


def a_client(**options: Any) -> HTTPClient:
    return HTTPClient(**options)


def a_channel(**options: Any) -> WebsocketClient:
    return WebsocketClient(PI.streams.get_channel("W"), **options)


def a_stream(**options: Any) -> Stream:
    return Stream(asyncio.Queue(1), **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"verify": None}, "verify is True, False, the path"),
        ({"verify": 5}, "verify is True, False, the path"),
        ({"cert": 5}, "cert is the path of a file or"),
        (
            {"verify": ssl.create_default_context(), "cert": "own.pem"},
            "load the certificate into it",
        ),
    ],
)
@pytest.mark.parametrize("make", [a_client, a_channel, a_stream])
def test_wrong_certificates_are_told(make: Any, options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make(**options)


@pytest.mark.parametrize("number", [0, -1, None, "5", True])
def test_a_client_has_a_connection_at_least(number: Any) -> None:
    with pytest.raises(UsageError, match="max_connections is at least 1, not"):
        HTTPClient(max_connections=number)


@pytest.mark.parametrize("seconds", [(5, 5), "5", -1, True])
@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
def test_a_time_is_a_number_or_none(name: str, seconds: Any) -> None:
    with pytest.raises(UsageError, match=f"{name} is a number of seconds or None"):
        a_client(**{name: seconds})


async def test_the_time_of_a_request_is_a_number_or_none() -> None:
    timeout: Any = (5, 5)
    async with HTTPClient() as client:
        with pytest.raises(UsageError, match="timeout is a number of seconds"):
            await client.get(PI.home.get(), timeout=timeout)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("ftp", "pi"), "scheme is one of http, https, ws, wss, not 'ftp'"),
        ((None, "pi"), "not None"),
        (("https", None), "host is a name or an address"),
        (("https", "pi", 443, None), "root is a path or '/', not None"),
    ],
)
def test_a_wrong_address_is_told(address: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Controller(*address)


def test_a_url_is_a_text() -> None:
    url: Any = 5
    with pytest.raises(UsageError, match="the URL is a text, not 5"):
        Controller.from_url(url)


def nested() -> list[Any]:
    found: list[Any] = []
    for _ in range(5000):
        found = [found]
    return found


@pytest.mark.parametrize("body", [object(), {"Value": object()}, 2**70j, nested()])
async def test_a_body_that_is_no_json_is_told(body: Any) -> None:
    async with HTTPClient() as client:
        with pytest.raises(SerializationError, match="json cannot be"):
            await client.post(PI.streams.update_value("W", {}), json=body)


@pytest.mark.parametrize("pair", [("user", None), (None, "password"), ("user", 5)])
async def test_a_login_without_a_password_is_told(pair: Any) -> None:
    async with HTTPClient(auth=pair) as client:
        with pytest.raises(UsageError, match="is a text or a Secret, not"):
            await client.get(PI.home.get())


@pytest.mark.parametrize("token", [None, 5, b"token"])
def test_a_token_is_a_text_or_gives_one(token: Any) -> None:
    with pytest.raises(UsageError, match="the token is a text, a Secret or"):
        Bearer(token)
