"""What servers ask for, and the driving of flows, without any connection."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, strategies as st

from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.login import (
    Answer,
    Asked,
    Bond,
    Detour,
    Flow,
    challenges,
    header,
    logged_in,
    offer,
    token_in,
)

TOKENS = st.binary(min_size=1, max_size=60)
NAMES = st.text(string.ascii_letters, min_size=1, max_size=10)


async def no_fetch(detour: Detour) -> Answer:
    raise AssertionError(f"nothing else is sent, but {detour}")


ASKED = Asked("GET", "http://pi/piwebapi", {}, b"", no_fetch, Bond())


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["Negotiate", "NTLM"], [("Negotiate", ""), ("NTLM", "")]),
        (["Negotiate, NTLM"], [("Negotiate", ""), ("NTLM", "")]),
        (['Basic realm="a, b"'], [("Basic", 'realm="a, b"')]),
        (
            ['Basic realm="x", charset="UTF-8", Bearer'],
            [("Basic", 'realm="x"'), ("Bearer", "")],
        ),
        (["Negotiate YII="], [("Negotiate", "YII=")]),
        (['Digest realm="say \\"hi, all\\"", qop=auth'], [("Digest", None)]),
        (["", ", ,", '"'], []),
    ],
)
def test_challenges_are_told_apart(
    values: list[str], found: list[tuple[str, str | None]]
) -> None:
    read = challenges(values)
    assert [name for name, _ in read] == [name for name, _ in found]
    assert all(b in (None, a) for (_, a), (_, b) in zip(read, found, strict=True))


@given(NAMES, TOKENS)
def test_a_token_survives_its_header(scheme: str, token: bytes) -> None:
    value = header(scheme, token)["Authorization"]
    answer = Answer(401, (("www-authenticate", value),))
    assert token_in(answer, scheme.swapcase()) == token


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_header_is_read_without_an_error(values: list[str]) -> None:
    assert isinstance(offer(values), str)


def test_a_token_that_is_no_base64_is_told() -> None:
    with pytest.raises(AuthFailed, match="no base64"):
        token_in(Answer(401, (("WWW-Authenticate", "Negotiate !"),)), "Negotiate")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], ""),
        (["Basic"], "the server offers Basic; give auth=(user, password)"),
        (
            ["Negotiate", "NTLM"],
            "the server offers Negotiate, NTLM; give auth=Negotiate() or"
            " auth=NTLM(user, password), which needs pip install 'pichannels[auth]'",
        ),
        (["Digest x=1"], "the server offers Digest; give an httpx.Auth for it"),
    ],
)
def test_what_a_server_offers_comes_with_what_to_give(
    values: list[str], told: str
) -> None:
    assert offer(values) == told


class Counting:
    """A login that counts up until it has had enough."""

    is_bound = False

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.seen: list[int] = []
        self.is_closed = False

    async def flow(self, asked: Asked) -> Flow:
        try:
            for number in range(self.tries):
                answer = yield {"Try": str(number)}
                self.seen.append(answer.status)
        finally:
            self.is_closed = True


async def test_each_answer_is_told_and_the_last_one_stands() -> None:
    login = Counting(3)

    async def send(headers: dict[str, str]) -> tuple[Answer, str]:
        return Answer(400 + int(headers["Try"]), ()), headers["Try"]

    assert await logged_in(login, ASKED, send) == "2"
    assert login.seen == [400, 401, 402]


async def test_without_a_login_it_is_sent_once() -> None:
    async def send(headers: dict[str, str]) -> tuple[Answer, dict[str, str]]:
        return Answer(401, ()), headers

    assert await logged_in(None, ASKED, send) == {}


async def test_a_flow_ends_with_the_request_that_fails() -> None:
    login = Counting(3)

    async def send(headers: dict[str, str]) -> tuple[Answer, None]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await logged_in(login, ASKED, send)
    assert login.is_closed
