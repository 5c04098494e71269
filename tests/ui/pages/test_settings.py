"""Settings in a browser: compared, checked, applied, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant


@pytest.fixture
def settings(console: Plant) -> Iterator[Path]:
    """The settings file, which is as it was when the test is over."""
    path = console.folder / "settings.py"
    before = path.read_text()
    yield path
    if path.read_text() != before:
        path.write_text(before)
        console.post("/settings/apply", {})


def test_what_holds_is_told_without_secrets(open_page: OpenPage) -> None:
    page = open_page("/settings?q=drain", "view")
    table = page.get_by_role("table", name="settings", exact=True)
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(table).to_contain_text("DRAIN_TIMEOUT")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)


def test_a_changed_file_is_told_applied_and_put_back(
    open_page: OpenPage, settings: Path
) -> None:
    settings.write_text(f"{settings.read_text()}\nDRAIN_TIMEOUT = 12.5\n")
    page = open_page("/settings")
    differences = page.get_by_role("table", name="differences")
    expect(differences).to_contain_text("DRAIN_TIMEOUT")
    expect(differences).to_contain_text("12.5")
    texts = page.get_by_role("table", name="what differs in")
    expect(texts.locator("tr.added").last).to_contain_text("DRAIN_TIMEOUT = 12.5")
    page.get_by_role("button", name="Apply").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("DRAIN_TIMEOUT")
    dialog.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("the file says what runs")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Roll back").first.click()
    page.get_by_role("button", name="Put it back").click()
    expect(page.get_by_text("was put back")).to_be_visible(timeout=30_000)
    assert "12.5" not in settings.read_text()


def test_a_file_with_a_fault_is_told_and_not_applied(
    open_page: OpenPage, settings: Path
) -> None:
    settings.write_text(f"{settings.read_text()}\nDRAIN_TIMEOUTS = 3\n")
    page = open_page("/settings", "operate")
    page.get_by_role("button", name="Check").click()
    found = page.get_by_role("table", name="what was found")
    expect(found).to_contain_text("did you mean 'DRAIN_TIMEOUT'")


def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    page = open_page("/settings")
    expect(page.get_by_text("the file says what runs")).to_be_visible(timeout=30_000)
    assert serious(page) == []
    assert faint(page) == []
    picture("settings", "/settings?q=journal")
