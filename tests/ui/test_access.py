"""Who may do what: each route with each role and with none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from pichannels.errors import SettingsError, UsageError
from pichannels.testing import ManualClock
from pichannels.ui.app import DECLARED, Pages, make_app
from pichannels.ui.cookies import device_name, session_name
from pichannels.ui.guard import API, CSRF
from pichannels.ui.roles import Role
from pichannels.ui.users import Users
from tests.ui.apps import PASSWORD, URL, add_users, asking, make_console

UNDECLARED = {
    f"{API}/openapi.json": Role.VIEW,
    f"{API}/{{rest:path}}": Role.VIEW,
    "/live": None,
}
"""Routes that make_app adds by itself."""
OWN = session_name("127.0.0.1:8600")
"""The cookie of the application of these tests."""


def routes() -> Iterator[tuple[str, str, Role | None]]:
    """Method, path and role of each route that has been declared."""
    for each in DECLARED:
        path = each.path.replace("{id:path}", "1").replace("{instance}", "plant")
        path = path.replace("{name}", "x").replace("{id}", "1")
        yield each.method, path.replace("{version}", "1"), each.role


def every_route(router: Any) -> Iterator[Any]:
    """All routes, also those of routers that were included."""
    for each in router.routes:
        inner = getattr(each, "original_router", None)
        yield from [each] if inner is None else every_route(inner)


async def status(client: httpx.AsyncClient, method: str, path: str) -> int:
    if path.endswith("/events"):
        # It would not end; of an instance that is not there it does.
        path = path.replace("plant", "nowhere")
    body = b"{}" if method in ("POST", "PATCH") else None
    return (await client.request(method, path, content=body)).status_code


@pytest.mark.parametrize("role", ["none", *map(str, Role)])
async def test_each_route_lets_in_whom_it_should(
    tmp_path: Path, tokens: dict[str, str], role: str
) -> None:
    wrong = []
    async with asking(await make_console(tmp_path), tokens.get(role, "")) as client:
        for method, path, needed in routes():
            found = await status(client, method, path)
            is_in = needed is None or (role != "none" and Role(role).may(needed))
            refused = 401 if role == "none" else 403
            if (found in (401, 403)) is is_in and needed is not None:
                wrong.append((method, path, found))
            elif not is_in and found != refused:
                wrong.append((method, path, found))
    assert wrong == []


async def test_no_route_is_without_a_rule(tmp_path: Path) -> None:
    app = make_app(await make_console(tmp_path))
    known = {*(each.path for each in DECLARED), *UNDECLARED}
    found = {each.path for each in every_route(app) if isinstance(each, APIRoute)}
    assert found - known == set()
    assert len(found) > 50


async def test_whatever_is_not_declared_takes_a_login(tmp_path: Path) -> None:
    app = make_app(await make_console(tmp_path), Pages(lambda app, console: None))
    paths = ("/", "/x", "/messages", "/_nicegui/x/y.js", "/logi", f"{API}/x", API)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        found = {
            (await client.request(method, path)).status_code
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
            for path in paths
        }
    assert found == {401}


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nosuch", 404, None),
        ("GET", "/instances/plant/status/", 404, None),
        ("PUT", "/instances/plant/status", 405, "GET"),
        ("GET", "/instances/plant/channels/x/stop", 405, "POST"),
        ("POST", "/users/x", 405, "DELETE, PATCH"),
    ],
)
async def test_the_api_tells_in_json_that_it_has_no_such_route(
    tmp_path: Path,
    tokens: dict[str, str],
    method: str,
    path: str,
    status: int,
    allow: str | None,
) -> None:
    async with asking(await make_console(tmp_path), tokens["view"]) as client:
        answer = await client.request(method, f"{API}{path}")
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert "openapi.json has all routes" in answer.json()["error"]["message"]


@pytest.mark.parametrize("shown", ["", "wrong", "view"])
async def test_the_websocket_takes_a_login(
    tmp_path: Path, tokens: dict[str, str], shown: str
) -> None:
    app = make_app(await make_console(tmp_path))
    (socket,) = (r for r in every_route(app) if isinstance(r, APIWebSocketRoute))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    token = tokens.get(shown, shown).encode()
    scope = {
        "type": "websocket",
        "path": socket.path.replace("{instance}", "nowhere"),
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + token)],
        "query_string": b"",
    }
    await app(scope, receive, send)
    # Who is let in is told that there is no such instance.
    expected = [(None, "accept"), (4404, "close")] if shown == "view" else []
    expected = expected or [(4401, "close")]
    found = [(each.get("code"), each["type"].rpartition(".")[2]) for each in sent]
    assert found == expected


async def test_a_page_from_elsewhere_gets_no_websocket(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    user = await asyncio.to_thread(console.users.get, "admin")
    assert user is not None
    session = console.sessions.open(user.name, user.password_hash)
    app, sent = make_app(console), list[Any]()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    for origin in (b"https://evil.example", URL.encode()):
        cookie = f"{OWN}={session.id}".encode()
        scope = {
            "type": "websocket",
            "path": f"{API}/instances/nowhere/socket",
            "headers": [
                (b"host", b"127.0.0.1:8600"),
                (b"origin", origin),
                (b"cookie", cookie),
            ],
            "query_string": b"",
        }
        await app(scope, receive, send)
    # The second comes as far as to be told that there is no such instance.
    assert [each["code"] for each in sent if "code" in each] == [4401, 4404]


async def test_nothing_is_changed_by_get(tmp_path: Path) -> None:
    app = make_app(await make_console(tmp_path))
    readers = ("list_", "get_", "follow_", "is_live")
    found = [r for r in every_route(app) if isinstance(r, APIRoute)]
    names = [r.endpoint.__name__ for r in found if "GET" in (r.methods or ())]
    assert [name for name in names if not name.startswith(readers)] == []


# Sessions


async def log_in(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    body = {"name": "admin", "password": password}
    return await client.post(f"{API}/session", json=body)


async def test_a_password_opens_a_session(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        answer = await log_in(client)
        me = (await client.get(f"{API}/session")).json()
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert (me["name"], me["role"], me["csrf"]) == (
        "admin",
        "admin",
        answer.json()["csrf"],
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({CSRF: "wrong"}, 403),
        ({CSRF: "right"}, 201),
        ({CSRF: "right", "Origin": URL}, 201),
        ({CSRF: "right", "Origin": "https://evil.example"}, 403),
        ({CSRF: "right", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=["none", "wrong", "right", "own", "foreign", "cross-site"],
)
async def test_a_session_shows_its_token_when_it_changes_something(
    tmp_path: Path, tokens: dict[str, str], headers: dict[str, str], expected: int
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        csrf = (await log_in(client)).json()["csrf"]
        shown = {k: csrf if v == "right" else v for k, v in headers.items()}
        body = {"name": "new", "role": "view"}
        answer = await client.post(f"{API}/users", json=body, headers=shown)
    assert answer.status_code == expected, answer.text


async def test_sessions_end_in_all_browsers_at_once(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        await log_in(client)
        other = {"Cookie": f"{OWN}={client.cookies[OWN]}"}
        client.cookies.clear()
        csrf = (await log_in(client)).json()["csrf"]
        assert (await client.get(f"{API}/session", headers=other)).status_code == 200
        await client.delete(f"{API}/sessions", headers={CSRF: csrf})
        client.cookies.clear()
        assert (await client.get(f"{API}/session", headers=other)).status_code == 401


async def test_nobody_locks_out_a_browser_that_has_logged_in_before(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    async with asking(console) as client:
        known = (await log_in(client)).cookies
        client.cookies.clear()
        for _ in range(12):
            console.throttle.fail("name admin", "address 127.0.0.1")
        assert (await log_in(client)).status_code == 429
        client.cookies = known
        assert (await log_in(client)).status_code == 200
        # It is no way to try more passwords, either.
        for _ in range(12):
            console.throttle.fail(f"device {client.cookies[device_name(URL)]}")
        assert (await log_in(client)).status_code == 429


async def test_the_right_token_of_the_start_need_not_wait(tmp_path: Path) -> None:
    console = await make_console(tmp_path)
    async with asking(console) as client:
        for _ in range(12):
            console.throttle.fail("address 127.0.0.1")
        wrong = await client.post(f"{API}/session", json={"token": "wrong"})
        right = await client.post(f"{API}/session", json={"token": console.token})
    assert (wrong.status_code, right.status_code) == (429, 200)


async def test_a_session_ends_by_logging_out(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        csrf = (await log_in(client)).json()["csrf"]
        cookie = client.cookies[OWN]
        assert (
            await client.delete(f"{API}/session", headers={CSRF: csrf})
        ).status_code == 204
        client.cookies.set(OWN, cookie)
        assert (await client.get(f"{API}/session")).status_code == 401


async def test_sessions_of_a_removed_user_end(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        await log_in(client)
        users = Users(tmp_path / "ui" / "users.json")
        await asyncio.to_thread(users.remove, "admin")
        assert (await client.get(f"{API}/session")).status_code == 401


async def test_a_session_never_has_a_number_from_elsewhere(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        client.cookies.set(OWN, "chosen-by-somebody-else", domain="127.0.0.1")
        answer = await log_in(client)
        assert answer.cookies[OWN] != "chosen-by-somebody-else"
        again = await log_in(client)
        assert again.cookies[OWN] != answer.cookies[OWN]
        client.cookies.clear()
        headers = {"Cookie": f"{OWN}={answer.cookies[OWN]}"}
        # Who logs in anew is the one from before no longer.
        assert (await client.get(f"{API}/session", headers=headers)).status_code == 401


async def test_a_token_that_is_taken_back_ends_what_goes_on_with_it(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    shown = await asyncio.to_thread(console.users.make_token, "data")
    who = await console.of_token(shown, "")
    assert who is not None and await console.again(who) == who
    await asyncio.to_thread(partial(console.users.change, "data", role=Role.VIEW))
    lower = await console.again(who)
    assert lower is not None and lower.role is Role.VIEW
    await asyncio.to_thread(console.users.remove_token, "data", who.token)
    assert await console.again(who) is None


async def test_what_the_api_refuses_is_written_down(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    async with asking(console, tokens["view"]) as client:
        path = f"{API}/instances/plant/channels/boiler/stop"
        assert (await client.post(path)).status_code == 403
        (entry,) = (await asyncio.to_thread(console.audit.find)).entries
    found = (entry.user, entry.action, entry.instance, entry.arguments, entry.result)
    assert found == ("view", "stop-channel", "plant", '{"name":"boiler"}', "refused")


async def test_users_are_changed_after_that_was_written_down(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    async with asking(console, tokens["admin"]) as client:
        for _ in range(2):
            await client.post(f"{API}/users", json={"name": "new", "role": "view"})
        found = (await asyncio.to_thread(console.audit.find)).entries
    assert [each.result for each in found] == ["failed", "asked", "done", "asked"]
    assert {each.action for each in found} == {"add-user"}


async def test_behind_a_proxy_only_its_own_word_counts_for_addresses(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path, behind_proxy=True)
    async with asking(console) as client:
        client.headers["X-Forwarded-For"] = "203.0.113.9, 10.0.0.7"
        answer = await log_in(client)
        (entry,) = (await asyncio.to_thread(console.audit.find)).entries
    assert entry.address == "10.0.0.7"
    # The browser speaks TLS with the proxy.
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_without_a_proxy_nobody_may_choose_an_address(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    console = await make_console(tmp_path)
    async with asking(console) as client:
        client.headers["X-Forwarded-For"] = "10.0.0.7"
        await log_in(client)
        (entry,) = (await asyncio.to_thread(console.audit.find)).entries
    assert entry.address == "127.0.0.1"


async def test_many_wrong_passwords_have_to_wait(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    # Passwords take so long on a busy machine that the first wait were over.
    with ManualClock():
        async with asking(await make_console(tmp_path)) as client:
            found = [(await log_in(client, "wrong" * 3)).status_code for _ in range(5)]
            answer = await log_in(client)
    assert found == [401] * 5
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_browser_is_sent_to_the_login(tmp_path: Path) -> None:
    async with asking(await make_console(tmp_path)) as client:
        headers = {"Accept": "text/html"}
        answer = await client.get("/channels?sort=name", headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fchannels%3Fsort%3Dname"


async def test_other_names_of_this_machine_are_refused(tmp_path: Path) -> None:
    async with asking(await make_console(tmp_path)) as client:
        answer = await client.get("/live", headers={"Host": "evil.example"})
    assert answer.status_code == 403


async def test_behind_a_proxy_the_name_is_that_of_the_proxy(tmp_path: Path) -> None:
    async with asking(await make_console(tmp_path, behind_proxy=True)) as client:
        answer = await client.get("/live", headers={"Host": "plant.example"})
    assert answer.status_code == 200


async def test_answers_have_security_headers(tmp_path: Path) -> None:
    async with asking(await make_console(tmp_path)) as client:
        headers = (await client.get(f"{API}/instances")).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


# The token of the start, users


async def test_without_users_the_token_of_the_start_is_an_administrator(
    tmp_path: Path,
) -> None:
    console = await make_console(tmp_path)
    async with asking(console) as client:
        answer = await client.post(f"{API}/session", json={"token": console.token})
    assert answer.json()["role"] == "admin"


async def test_the_token_of_the_start_ends_with_the_first_administrator(
    tmp_path: Path,
) -> None:
    console = await make_console(tmp_path)
    async with asking(console) as client:
        await client.post(f"{API}/session", json={"token": console.token})
        assert (await client.get(f"{API}/session")).status_code == 200
        await asyncio.to_thread(console.users.add, "ann", Role.ADMIN, PASSWORD)
        assert (await client.get(f"{API}/session")).status_code == 401


async def test_with_users_there_is_no_token_of_the_start(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    assert (await make_console(tmp_path)).token == ""


async def test_beyond_this_machine_there_are_users(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there have to be users"):
        await make_console(tmp_path, host="0.0.0.0", behind_proxy=True)


async def test_a_token_may_no_more_than_it_was_made_for(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    users = await asyncio.to_thread(Users, tmp_path / "ui" / "users.json")
    make = partial(users.make_token, "admin", role=Role.VIEW)
    token = await asyncio.to_thread(make)
    async with asking(await make_console(tmp_path), token) as client:
        assert (await client.get(f"{API}/session")).json()["role"] == "view"


def test_neither_passwords_nor_tokens_are_kept(tmp_path: Path) -> None:
    tokens = add_users(tmp_path)
    file = tmp_path / "ui" / "users.json"
    text = file.read_text()
    assert [each for each in (*tokens.values(), PASSWORD) if each in text] == []
    assert file.stat().st_mode & 0o077 == 0
    # What OWASP asks for at least.
    assert "scrypt$32768$8$3$" in text


def test_a_token_ends_with_its_days(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.add("robot", Role.VIEW)
    token = users.make_token("robot", days=1e-9)
    assert users.of_token(token) is None


def test_short_passwords_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="12 characters"):
        Users(tmp_path / "users.json").add("new", Role.VIEW, "short")
