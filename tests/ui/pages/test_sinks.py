"""Sinks and stores: what they do, and pruning with a typed count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant


def _row(page: Page, name: str) -> Any:
    return page.locator(f"[data-key='row-{name}']")


def test_a_sink_shows_what_it_writes(open_page: OpenPage) -> None:
    page = open_page("/sinks", role="view")
    row = _row(page, "plant.publish")
    expect(row).to_contain_text("ready")
    written = row.locator("td").nth(4)
    before = written.inner_text()
    expect(written).not_to_have_text(before)


def test_a_sink_is_opened_by_its_link(open_page: OpenPage) -> None:
    page = open_page("/sinks")
    page.get_by_role("link", name="plant.publish", exact=True).click()
    page.wait_for_url("**sink=plant.publish")
    expect(page.locator(".card.sink")).to_contain_text("Rotations")


def test_one_sink_is_paused_and_resumed(open_page: OpenPage) -> None:
    page = open_page("/sinks?sink=plant.publish", role="operate")
    page.get_by_role("button", name="Pause this sink").click()
    lamp = page.locator(".lamp", has_text="Sinks")
    expect(lamp).to_contain_text("paused")
    expect(_row(page, "plant.publish")).to_contain_text("paused")
    page.get_by_role("button", name="Resume this sink").click()
    expect(lamp).not_to_contain_text("paused")


def test_stores_show_policy_and_their_oldest_message(open_page: OpenPage) -> None:
    page = open_page("/sinks", role="view")
    expect(page.locator(".frame-main")).to_contain_text("power cuts")
    row = _row(page, "plant")
    expect(row.locator("time")).to_contain_text(":")
    expect(row.get_by_role("button", name="Prune")).to_have_count(0)


def test_pruning_takes_the_typed_count(open_page: OpenPage, console: Plant) -> None:
    page = open_page("/sinks")
    _row(page, "plant").get_by_role("button", name="Prune").click()
    dialog = page.get_by_role("dialog")
    # Nothing is as old as that, whatever other tests have left here.
    dialog.get_by_label("Older than, days").fill("9999")
    dialog.get_by_label("Only in state").select_option("dropped")
    dialog.get_by_role("button", name="Count them").click()
    expect(page.locator(".toasts")).to_contain_text("there is nothing to do")
    _row(page, "plant").get_by_role("button", name="Prune").click()
    dialog.get_by_label("Older than, days").fill("0.00001")
    dialog.get_by_role("button", name="Count them").click()
    field = dialog.get_by_label("to confirm")
    field.fill("0")
    dialog.get_by_role("button", name="Delete them").click()
    expect(dialog).to_contain_text("that is another number")
    dialog.get_by_role("button", name="Cancel").click()
    actions = console.client().get("/audit", params={"action": "prune"}).json()
    assert actions["entries"] == []


def test_the_journal_is_verified(open_page: OpenPage) -> None:
    page = open_page("/sinks", role="operate")
    page.get_by_role("button", name="Verify the journal").click()
    expect(page.locator(".toasts")).to_contain_text("the journal is whole")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
    theme: str,
) -> None:
    page = open_page("/sinks?sink=plant.publish", theme=theme)
    expect(page.locator(".card.sink")).to_be_visible()
    assert serious(page) + faint(page) == []
    if theme == "light":
        picture("sinks", "/sinks?sink=plant.publish")
