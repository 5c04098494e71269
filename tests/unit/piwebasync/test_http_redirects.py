"""Redirections are followed where that is wanted, without our logins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from pichannels.piwebasync import HTTPClient
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.redirects import Hop, next_hop

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

KEYS = {"X-Api-Key": "secret", "Authorization": "Bearer secret"}


class Other:
    """Another server, which answers with the path."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return web.json_response({"Path": request.path})


@pytest.fixture
async def other() -> AsyncIterator[Other]:
    found = Other()
    await found.server.start_server()
    yield found
    await found.server.close()


def to(url: str, status: int = 302) -> Any:
    async def redirect(request: web.Request) -> web.Response:
        if request.path == "/elsewhere":
            body = await request.text()
            return web.json_response({"Method": request.method, "Body": body})
        return web.Response(status=status, headers={"Location": url})

    return redirect


@pytest.mark.parametrize(
    "options", [{"headers": KEYS}, {"auth": KEYS}, {"cookies": {"key": "secret"}}]
)
async def test_no_login_goes_to_another_origin(
    server: Server, other: Other, options: dict[str, Any]
) -> None:
    server.handler = to(f"http://127.0.0.1:{other.server.port}/elsewhere")
    async with HTTPClient(follow_redirects=True, **options) as client:
        response = await client.get(server.controller.home.get())
    assert response.path == "/elsewhere"
    assert "secret" not in str(other.requests[0].headers)
    assert other.requests[0].headers["Accept"] == "application/json"


async def test_logins_of_one_request_go_to_no_other_origin(
    server: Server, other: Other
) -> None:
    server.handler = to(f"http://127.0.0.1:{other.server.port}/elsewhere")
    request = server.controller.home.get()
    async with HTTPClient(follow_redirects=True) as client:
        await client.get(request, headers=KEYS)
    assert "secret" not in str(other.requests[0].headers)


async def test_headers_and_cookies_stay_within_an_origin(server: Server) -> None:
    server.handler = to("/elsewhere")
    ours: dict[str, Any] = {"headers": KEYS, "cookies": {"plant": "p1"}}
    async with HTTPClient(follow_redirects=True, **ours) as client:
        response = await client.get(server.controller.home.get())
    assert dict(server.requests[1].cookies) == {"plant": "p1"}
    assert server.requests[1].headers["X-Api-Key"] == "secret"
    assert URL(response.url).path == "/elsewhere"


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", '{"Value":1}'),
        (308, "POST", '{"Value":1}'),
    ],
)
async def test_a_write_stays_one_where_the_status_says_so(
    server: Server, status: int, method: str, body: str
) -> None:
    server.handler = to("/elsewhere", status)
    request = server.controller.streams.update_value("W", {"Value": 1})
    async with HTTPClient(follow_redirects=True) as client:
        response = await client.post(request)
    assert response.dict() == {"Method": method, "Body": body}


@pytest.mark.parametrize("place", ["ftp://pi.invalid/", "http://[", "http:///x"])
async def test_a_redirection_to_nowhere_is_told(server: Server, place: str) -> None:
    server.handler = to(place)
    async with HTTPClient(follow_redirects=True) as client:
        with pytest.raises(HTTPClientError, match="got no answer"):
            await client.get(server.controller.home.get())


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("http://pi/a", "https://pi/a", True),
        ("https://pi/a", "http://pi/a", False),
        ("http://pi:8080/a", "https://pi:8443/a", False),
        ("https://pi/a", "https://pi:8443/a", False),
        ("https://pi/a", "https://pi2/a", False),
        ("https://pi/a", "https://pi/b", True),
    ],
)
def test_headers_follow_to_a_server_that_turns_to_tls(
    old: str, new: str, kept: bool
) -> None:
    class Answer:
        status = 302
        headers = {"Location": new}

    answer: Any = Answer()
    found = next_hop(answer, Hop("GET", URL(old), KEYS, b""))
    assert found is not None
    assert ("X-Api-Key" in found.headers) is kept
