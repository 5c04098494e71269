"""The page of errors: groups of dead letters, edited, run again, given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant


def _undecoded(console: Plant) -> dict[str, Any] | None:
    found = console.get("/dead-letter-groups", channel="plant")["groups"]
    return next((each for each in found if each["node"] == "plant.decode"), None)


@pytest.fixture
def group(console: Plant) -> Iterator[dict[str, Any]]:
    """Dead letters of one kind; none are left behind."""
    for number in range(3):
        console.give(f'{{"odd": {number}}}', "plant")
    # Live messages settle beside these, so who gives them cannot tell when they have.
    while not (found := _undecoded(console)) or found["count"] < 3:
        time.sleep(0.05)
    yield found
    wanted = {"channel": "plant", "reason": "end of the test"}
    count = console.post("/discards/preview", wanted).json()["count"]
    console.ended(console.post("/discards", {**wanted, "count": count}).json())


def groups(page: Page) -> Any:
    return page.get_by_role("table", name="groups of dead letters").locator("tbody tr")


def confirm(page: Page, count: int, verb: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type").fill(str(count))
    dialog.get_by_role("button", name=verb).click()


def test_what_is_alike_is_one_line_that_leads_to_its_letters(
    open_page: OpenPage, group: dict[str, Any], serious: Callable[[Page], list[str]]
) -> None:
    page = open_page("/errors?channel=plant")
    expect(groups(page).first).to_contain_text(group["error"])
    page.get_by_role("link", name="plant.decode").click()
    letters = page.get_by_role("table", name="dead letters of the group")
    expect(letters.locator("tbody tr")).to_have_count(group["count"])
    letters.get_by_role("link").first.click()
    shown = page.get_by_role("region", name="dead letter")
    expect(shown.get_by_role("region", name="payload")).to_contain_text('"odd": 2')
    assert serious(page) == []


def test_a_group_is_muted_and_unmuted(
    open_page: OpenPage, group: dict[str, Any], console: Plant
) -> None:
    page = open_page("/errors?channel=plant", "operate")
    row = groups(page).filter(has_text="plant.decode")
    row.get_by_role("button", name="Mute").click()
    page.get_by_role("dialog").get_by_role("button", name="Mute").click()
    expect(row).to_contain_text("by operate-user until")
    muted = (_undecoded(console) or {})["muted"]
    assert (muted["until_change"], muted["ended"]) == (True, "")
    row.get_by_role("button", name="Unmute").click()
    expect(row.get_by_role("button", name="Mute")).to_be_visible()


def test_what_fails_again_after_a_redrive_stays_and_is_told(
    open_page: OpenPage, group: dict[str, Any]
) -> None:
    page = open_page("/errors?channel=plant", "operate")
    expect(page.get_by_role("button", name="Discard")).to_have_count(0)
    groups(page).get_by_role("button", name="Redrive").first.click()
    confirm(page, group["count"], "Redrive")
    told = page.get_by_role("status")
    expect(told).to_contain_text(f"{group['count']} failed")
    expect(groups(page).first).to_contain_text(str(group["count"]))


def test_ticked_letters_are_given_up_after_the_count_was_typed(
    open_page: OpenPage, group: dict[str, Any]
) -> None:
    page = open_page(f"/errors?group={group['id']}")
    letters = page.get_by_role("table", name="dead letters of the group")
    boxes = letters.locator('input[name="selected"]')
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Discard those that are ticked").click()
    confirm(page, 2, "Discard")
    expect(letters.locator("tbody tr")).to_have_count(group["count"] - 2)


def test_an_edited_letter_takes_the_place_of_the_old(
    open_page: OpenPage, group: dict[str, Any]
) -> None:
    page = open_page(f"/errors?letter={group['sample']}")
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog").get_by_label("Payload").fill('{"mended": true}')
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.wait_for_url(lambda url: not url.endswith(group["sample"]))
    letter = page.get_by_role("region", name="dead letter")
    expect(letter.get_by_role("region", name="payload")).to_contain_text('"mended"')
    letter.get_by_role("button", name="Discard").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Type")).to_have_count(0)
    dialog.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status")).to_contain_text("1 discarded")


def test_a_viewer_sees_counts_and_no_causes(
    open_page: OpenPage, group: dict[str, Any]
) -> None:
    page = open_page(f"/errors?letter={group['sample']}", "view")
    expect(groups(page).first).to_contain_text(group["error"])
    expect(page.get_by_text("takes the role data")).to_be_visible()
    assert "odd" not in page.content()


def test_the_page_of_errors_keeps_nobody_out(
    open_page: OpenPage,
    group: dict[str, Any],
    serious: Callable[[Page], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    page = open_page(f"/errors?channel=plant&group={group['id']}", theme="dark")
    expect(groups(page).first).to_be_visible()
    assert serious(page) == []
    picture("errors", f"/errors?channel=plant&group={group['id']}")
