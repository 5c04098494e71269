"""What the pages and the API may take, what is written down, and what is hidden."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pichannels.control.audit import Audit
from pichannels.control.jsonpath import json_matcher
from pichannels.errors import PichannelsError, UsageError
from pichannels.testing import ManualClock
from pichannels.ui.budget import Budget, OverBudget
from pichannels.ui.commands import CountNeeded
from pichannels.ui.guard import API
from pichannels.ui.roles import Principal, Role
from pichannels.ui.session_store import SessionStore
from pichannels.ui.sessions import Sessions, Throttle, Throttled, network_of
from pichannels.ui.users import Users
from tests.ui.apps import PASSWORD, asking, make_console

ADMIN = Principal("ann", Role.ADMIN)


def test_searches_at_once_are_bounded() -> None:
    budget = Budget(10, 1, 5.0, 0.5)
    with budget.search(), pytest.raises(OverBudget, match="searches"):
        budget.search().__enter__()


def test_the_time_of_searches_is_bounded() -> None:
    with ManualClock() as now:
        budget = Budget(10, 1, 1.0, 0.5)
        with budget.search():
            now.advance(10)
        with pytest.raises(OverBudget) as caught:
            budget.search().__enter__()
        now.advance(caught.value.seconds)
        with budget.search() as seconds:
            assert seconds == 1.0


async def test_over_the_budget_the_answer_is_429(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    token = tokens["view"]
    console = await make_console(tmp_path, requests=1)
    async with asking(console, token) as client:
        with console.budget.request():
            answer = await client.get(f"{API}/instances")
        assert (await client.get(f"{API}/instances")).status_code == 200
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


async def test_long_bodies_are_refused(tmp_path: Path, tokens: dict[str, str]) -> None:
    token = tokens["admin"]
    async with asking(await make_console(tmp_path), token) as client:
        answer = await client.post(f"{API}/users", content=b"x" * (2**20 + 1))
    assert answer.status_code == 413


def test_a_session_ends_after_its_time() -> None:
    with ManualClock() as now:
        sessions = Sessions(60)
        made = sessions.open("ann")
        assert sessions.get(made.id) == made
        now.advance(60)
        assert sessions.get(made.id) is None


def test_sessions_last_over_a_restart_but_not_those_that_were_ended(
    tmp_path: Path,
) -> None:
    store = SessionStore(tmp_path / "sessions.sqlite")
    before = Sessions(60, store)
    made, ended = before.open("ann"), before.open("ben")
    before.close(ended.id)
    before.end()
    after = Sessions(60, store)
    found = after.get(made.id)
    after.end()
    assert found is not None and found.is_shown(made.csrf)
    assert after.get(ended.id) is None
    assert made.id.encode() not in (tmp_path / "sessions.sqlite").read_bytes()


async def test_a_session_ends_when_the_password_is_changed_elsewhere(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    async with asking(await make_console(tmp_path)) as client:
        login = {"name": "admin", "password": PASSWORD}
        await client.post(f"{API}/session", json=login)
        assert (await client.get(f"{API}/session")).status_code == 200
        users = Users(tmp_path / "ui" / "users.json")
        await asyncio.to_thread(
            lambda: users.change("admin", password="quite another one")
        )
        assert (await client.get(f"{API}/session")).status_code == 401


def test_the_wait_after_wrong_passwords_doubles() -> None:
    with ManualClock() as now:
        throttle, waits = Throttle(), []
        for _ in range(9):
            throttle.fail("ann")
            try:
                throttle.check("ann")
            except Throttled as exc:
                waits.append(exc.seconds)
                now.advance(exc.seconds)
    assert waits == [1, 2, 4, 8, 16]


def test_networks_of_ipv6_count_as_one_address() -> None:
    given = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:10.0.0.1", "x")
    assert [network_of(each) for each in given] == [
        *("2001:db8::/64", "2001:db8::/64", "2001:db8:0:1::/64", "10.0.0.1", "x")
    ]


# The audit log


def test_the_audit_log_only_grows(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite")
    audit.note(ADMIN, "stop-channel", {"channel": "a"}, instance="plant")
    audit.close()
    conn = sqlite3.connect(tmp_path / "audit.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        conn.execute("DELETE FROM action")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        conn.execute("UPDATE action SET user = 'bob'")
    conn.close()


def test_a_search_in_a_long_audit_log_goes_on_where_its_time_was_over(
    tmp_path: Path,
) -> None:
    audit = Audit(tmp_path / "audit.sqlite")
    audit.note(ADMIN, "first")
    with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as conn, conn:
        row = (0, "ben", "admin", "session", "", "", "act", "{}", "done", "")
        marks = ", ".join("?" * (len(row) + 1))
        rows = ((number, *row) for number in range(2, 50_000))
        conn.executemany(f"INSERT INTO action VALUES ({marks})", rows)
    found = [audit.find(user="ann", seconds=0)]
    while found[-1].next is not None:
        found.append(audit.find(user="ann", seconds=0, before=found[-1].next))
    audit.close()
    assert [each.complete for each in found] == [False, False, True]
    assert [entry.action for entry in found[-1].entries] == ["first"]


def test_the_audit_log_is_read_by_pages(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite")
    for number in range(5):
        audit.note(ADMIN, f"act{number}")
    first = audit.find(count=3)
    second = audit.find(count=3, before=first.next)
    audit.close()
    assert [e.action for e in first.entries + second.entries] == [
        f"act{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert second.next is None


async def test_what_fails_is_written_down_too(tmp_path: Path) -> None:
    console = await make_console(tmp_path)
    async with asking(console):
        with pytest.raises(PichannelsError):
            await console.commands.run(ADMIN, "plant", "stop-channel", {"channel": "a"})
        found = (await asyncio.to_thread(console.audit.find)).entries
    assert [e.result for e in found] == ["failed", "asked"]


async def test_what_is_refused_is_written_down_too(tmp_path: Path) -> None:
    console = await make_console(tmp_path)
    viewer = Principal("vic", Role.VIEW, address="10.0.0.7")
    async with asking(console):
        with pytest.raises(PichannelsError):
            await console.commands.run(viewer, "plant", "stop")
        (entry,) = (await asyncio.to_thread(console.audit.find)).entries
    assert (entry.action, entry.result, entry.address) == (
        "stop",
        "refused",
        "10.0.0.7",
    )


async def test_payloads_are_not_written_down(tmp_path: Path) -> None:
    console = await make_console(tmp_path)
    async with asking(console):
        with pytest.raises(PichannelsError):
            given = {"channel": "a", "payload": "s3cret"}
            await console.commands.run(ADMIN, "plant", "inject", given)
        assert "s3cret" not in str(await asyncio.to_thread(console.audit.find))


def test_a_needed_count_is_told() -> None:
    error = CountNeeded("replay", 12, 7)
    assert str(error) == "replay concerns 12, not 7; give this count to do it"


# Paths


@pytest.mark.parametrize("path", ["a.b", "$", "$.", "$[", "$.a[x]", ""])
def test_what_is_no_json_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="JSON path"):
        json_matcher(path)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("$.list[1]", "2", True),
        ("$.list[-1]", "3", True),
        ("$.list[*]", "4", False),
        ("$['a b'].c", "true", True),
        ("$..c", None, True),
        ("$.*.c", None, True),
        ("$.none", None, False),
    ],
)
def test_json_paths_find(path: str, value: str | None, expected: bool) -> None:
    document = '{"list": [1, 2, 3], "a b": {"c": true}}'
    assert json_matcher(path, value)(document) is expected


def test_no_json_path_takes_long() -> None:
    document = '{"a":' * 60 + "1" + "}" * 60
    # Without remembering what it has come to: more ways than could ever be gone.
    assert json_matcher("$" + "..a" * 25, "1")(document)
    assert not json_matcher("$" + "..a" * 25, "2")(document)
