"""Operations in a browser: health, what is under way, users, the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import PATIENCE, Plant


def test_health_tells_of_the_limiter_and_the_journal(open_page: OpenPage) -> None:
    page = open_page("/operations", "view")
    servers = page.get_by_role("table", name="PI servers")
    expect(servers).to_contain_text("127.0.0.1")
    expect(servers).to_contain_text(re.compile("open|pauses|slowed"))
    expect(page.locator(".card", has_text="Worst commit")).to_be_visible()


def test_a_paused_channel_is_among_what_happened(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page("/operations?part=log", "view")
    console.post("/channels/plant/pause")
    console.post("/channels/plant/resume")
    expect(page.locator(".timeline li", has_text="paused").first).to_be_visible()


def test_an_operation_is_told_and_begun_again_after_its_count_was_typed(
    open_page: OpenPage, console: Plant, serious: Callable[[Page], list[str]]
) -> None:
    query: dict[str, Any] = {"channel": "plant", "state": "processed", "count": 2}
    ids = [row["id"] for row in console.messages(**query)]
    wanted = {"ids": ids, "channel": "plant", "to_sink": "publish", "count": 2}
    console.ended(console.post("/replays", wanted, "operate").json())
    page = open_page("/operations?part=done", "operate")
    rows = page.get_by_role("table", name="operations").locator("tbody tr")
    expect(rows.first).to_contain_text("operate-user")
    rows.first.get_by_role("button", name="Begin again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("replayed twice")
    dialog.get_by_label("Type").fill("2")
    dialog.get_by_role("button", name="Begin again").click()
    expect(rows.nth(1)).to_contain_text("done")
    expect(rows.nth(0)).to_contain_text("2 replayed")
    assert serious(page) == []


def test_lines_of_the_log_come_until_they_are_held_still(
    open_page: OpenPage, console: Plant
) -> None:
    given = {"channel": "plant", "tags": ["UNIT1.PUMP*"], "start": "2020-01-01"}
    job = console.post("/jobs", given | {"end": "2024-02-01"}).json()["id"]
    page = open_page("/operations?part=lines&channel=plant&text=backfill+job", "data")
    lines = page.locator(".log li")
    expect(lines.first).to_contain_text("running")
    page.get_by_role("button", name="Hold still").click()
    expect(page.get_by_text("held")).to_be_visible()
    console.post(f"/jobs/{job}/cancel")
    expect(lines.first).to_contain_text("running")
    page.get_by_role("button", name="Go on").click()
    expect(lines.first).to_contain_text("cancelled")
    other = open_page("/operations?part=lines", "view")
    expect(other.get_by_text("this takes the role data")).to_be_visible()


def test_users_and_audit_are_for_administrators(open_page: OpenPage) -> None:
    page = open_page("/operations?part=users", "operate")
    expect(page.get_by_text("this takes the role admin")).to_be_visible()
    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)


def fill(page: Page, **fields: str) -> None:
    for label, value in fields.items():
        page.get_by_role("dialog").get_by_label(label.replace("_", " ")).fill(value)


def test_a_user_gets_a_token_that_works_until_the_user_is_removed(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page("/operations?part=users")
    page.get_by_role("button", name="Add a user").click()
    fill(page, Name="kim", Password="long enough for this")
    page.get_by_role("button", name="Add", exact=True).click()
    row = page.get_by_role("row", name=re.compile("^kim"))
    row.get_by_role("button", name="New token").click()
    fill(page, What_it_is_for="a script")
    page.get_by_role("button", name="Make").click()
    token = page.get_by_role("dialog").locator("pre").inner_text()
    asked = f"{console.url}/api/v1/session"
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(asked, headers=headers, timeout=PATIENCE).json()["name"] == "kim"
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(row.get_by_role("button", name="New token")).to_be_focused()
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    assert httpx.get(asked, headers=headers, timeout=PATIENCE).status_code == 401


def test_the_audit_log_is_searched(open_page: OpenPage, console: Plant) -> None:
    console.post("/channels/plant/pause", role="operate")
    console.post("/channels/plant/resume", role="operate")
    page = open_page("/operations?part=audit")
    page.get_by_label("Action").fill("pause-channel")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("part=audit.*|.*action=pause-channel"))
    rows = page.get_by_role("table", name="audit log").locator("tbody tr")
    expect(rows.first).to_contain_text("operate-user")
    expect(rows.filter(has_text="resume-channel")).to_have_count(0)


def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    for part in ("health", "users"):
        page = open_page(f"/operations?part={part}", theme="dark")
        expect(page.locator(".page-operations h2").first).to_be_attached()
        assert serious(page) == [], part
        assert faint(page) == [], part
    picture("operations", "/operations")
