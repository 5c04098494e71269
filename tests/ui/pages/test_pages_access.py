"""Who comes to which page: nobody without a login, and each role to what it may see."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pichannels.ui.cookies import session_name
from pichannels.ui.pages.names import place_of
from pichannels.ui.pages.registry import ENTRIES
from pichannels.ui.roles import Role
from tests.ui.plants import PATIENCE, ROLES, Plant

PATHS = [place_of(entry.key).path for entry in ENTRIES]


def _get(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE, **options)


def _cookie(console: Plant, sessions: dict[str, Any], role: str) -> dict[str, str]:
    found = {each["name"]: each["value"] for each in sessions[role]}
    name = session_name(console.url)
    return {name: found[name]}


@pytest.mark.parametrize("path", [*PATHS, "/_nicegui/x/static/nicegui.js"])
def test_without_a_login_there_is_only_the_login(console: Plant, path: str) -> None:
    accept = {"Accept": "text/html"}
    answer = _get(f"{console.url}{path}", headers=accept)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=")


def test_the_socket_of_the_pages_takes_a_login(console: Plant) -> None:
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert _get(f"{console.url}{path}").status_code == 401


def test_files_of_the_login_are_open_and_leave_their_folder_never(
    console: Plant,
) -> None:
    assert _get(f"{console.url}/assets/pages.css").status_code == 200
    outside = _get(f"{console.url}/assets/%2e%2e/serving.py")
    assert outside.status_code == 404


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_each_role_sees_what_it_may(
    console: Plant, sessions: dict[str, Any], entry: Any
) -> None:
    path = place_of(entry.key).path
    shown = []
    for role in ROLES:
        answer = _get(f"{console.url}{path}", cookies=_cookie(console, sessions, role))
        assert answer.status_code == 200
        shown.append("this page takes the role" not in answer.text)
    assert shown == [Role(role).may(entry.role) for role in ROLES]


def test_the_login_runs_nothing_but_its_own_files(console: Plant) -> None:
    policy = _get(f"{console.url}/login").headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_pages_hold_to_a_policy_and_are_not_kept(
    console: Plant, sessions: dict[str, Any]
) -> None:
    answer = _get(console.url, cookies=_cookie(console, sessions, "view"))
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
