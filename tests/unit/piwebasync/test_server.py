"""A server is its addresses and a login; what asks it shares which member is used."""

from __future__ import annotations

import pytest

from pichannels.errors import UsageError
from pichannels.piwebasync import HTTPClient, PIServer
from pichannels.piwebasync.failover import FailoverClient

A, B = "https://a/piwebapi", "https://b/piwebapi"


async def test_all_clients_of_a_server_use_the_same_member() -> None:
    server = PIServer(url=A, others=(B,))
    async with server.client() as one, server.client() as other:
        assert isinstance(one, FailoverClient) and isinstance(other, FailoverClient)
        one.members.use(B)
        assert (other.members.current, server.members().current) == (B, B)


async def test_one_address_needs_no_members() -> None:
    async with PIServer(url=A).client() as client:
        assert type(client) is HTTPClient


async def test_one_member_alone_is_a_server() -> None:
    server = PIServer(url=A, others=(B,), auth=("user", "secret"))
    server.members().use(B)
    alone = server.at(B)
    assert (alone.urls, alone.auth) == ((B,), server.auth)
    assert alone.controller().base_url == B


def test_servers_are_the_same_by_address_and_login() -> None:
    one, same = PIServer(url=A, others=(B,)), PIServer(url=A, others=(B,))
    one.members()
    assert one == same and hash(one) == hash(same)
    assert one != PIServer(url=A) and one != PIServer(
        url=A, others=(B,), auth=("u", "p")
    )


def test_a_login_is_never_shown() -> None:
    assert "secret" not in repr(PIServer(url=A, auth=("user", "secret")))


@pytest.mark.parametrize("url", ["pi.example.org", "ftp://pi", "https://"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a PI Web API"):
        PIServer(url=url).controller()


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@pi/piwebapi",
        "me:s3cret@pi/piwebapi",
        "https://me:s3cret@pi:x",
    ],
)
def test_a_login_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as told:
        PIServer(url=url).controller()
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("url", ["https://pi:99999", "https://[::1/piwebapi"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        PIServer(url=url).controller()


@pytest.mark.parametrize(
    "urls", [("https://me:s3cret@pi",), ("https://pi", "https://me:s3cret@other")]
)
def test_a_login_in_a_url_is_refused_before_anything_can_show_it(
    urls: tuple[str, ...],
) -> None:
    with pytest.raises(UsageError, match=r"auth=\(user, password\)") as told:
        PIServer(url=urls[0], others=urls[1:])
    assert "s3cret" not in str(told.value)
