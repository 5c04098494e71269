"""The page of messages: found, followed, looked into, traced, replayed, resent."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant

BAD = '{"pump": {"speed": %d}, "no": "message of PI"}'


@pytest.fixture(scope="module")
def failed(console: Plant) -> list[str]:
    """The ids of messages that no node can read, the newest first."""
    for number in range(3):
        console.give(BAD % number, "plant")
    query = {"channel": "plant", "state": "error", "text": "message of PI"}
    return [row["id"] for row in console.messages(3, **query)]


def rows(page: Page) -> Any:
    return page.get_by_role("table", name="messages").locator("tbody tr")


def test_conditions_of_the_form_are_in_the_address(
    open_page: OpenPage, failed: list[str]
) -> None:
    page = open_page("/messages")
    page.locator("[name=state]").select_option("error")
    page.get_by_text("More conditions").click()
    page.get_by_label("JSON path").fill("$.pump.speed")
    page.locator("[name=json_value]").fill("1")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(rows(page)).to_have_count(1)
    assert "json_path=%24.pump.speed" in page.url
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("JSON path")).to_have_value("$.pump.speed")


def test_pages_go_on_with_a_cursor(open_page: OpenPage, failed: list[str]) -> None:
    page = open_page("/messages?channel=plant&state=error&count=2")
    expect(rows(page)).to_have_count(2)
    page.get_by_role("link", name="Next").click()
    expect(rows(page).first).to_contain_text(failed[2])
    page.get_by_role("link", name="First").click()
    expect(rows(page).first).to_contain_text(failed[0])


def test_what_comes_is_shown_as_it_comes_until_it_is_paused(
    open_page: OpenPage, console: Plant, failed: list[str]
) -> None:
    page = open_page("/messages?tail=1&channel=plant&text=followed")
    expect(page.get_by_text("no message fits")).to_be_visible()
    console.give('{"this": "is followed"}', "plant")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="Pause").click()
    expect(page.get_by_role("link", name="Follow what comes")).to_be_visible()
    assert "tail" not in page.url


def test_a_message_tells_why_it_failed_and_what_it_holds(
    open_page: OpenPage, failed: list[str], serious: Callable[[Page], list[str]]
) -> None:
    page = open_page(f"/messages?state=error&id={failed[0]}&at=plant")
    shown = page.get_by_role("region", name=f"message {failed[0]}")
    expect(shown).to_contain_text("plant.decode")
    expect(shown.get_by_role("region", name="payload")).to_contain_text('"speed": 2')
    assert serious(page) == []
    shown.get_by_role("link", name="Hex").click()
    expect(page.get_by_role("region", name="payload")).to_contain_text("7b 22 70 75")


def test_the_way_through_the_nodes_can_be_compared(
    open_page: OpenPage, console: Plant
) -> None:
    (found,) = console.messages(1, channel="plant", state="processed")
    page = open_page(f"/messages?id={found['id']}&at=plant")
    page.get_by_role("button", name="Trace through the nodes").click()
    way = page.get_by_role("region", name="way through the nodes")
    expect(way).to_contain_text("plant.decode")
    expect(way).to_contain_text(re.compile(r"UNIT\d\.\S+ \S+"))
    way.locator("[name=one]").select_option("in plant.decode")
    way.locator("[name=other]").select_option("out plant.decode")
    expect(way.locator(".diff .added").first).to_contain_text("+")


def test_a_message_is_resent_as_it_was_edited(
    open_page: OpenPage, console: Plant, failed: list[str]
) -> None:
    page = open_page(f"/messages?id={failed[1]}&at=plant", "operate")
    page.get_by_role("button", name="Edit and resend").click()
    page.get_by_role("dialog").get_by_label("Payload").fill('{"edited": "by hand"}')
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("sent to plant")
    query = {"meta": f"edited_from={failed[1]}", "text": "by hand"}
    (row,) = console.messages(1, channel="plant", **query)
    assert row["payload"] == '{"edited": "by hand"}'


def test_a_replay_of_many_takes_the_typed_count(
    open_page: OpenPage, console: Plant, failed: list[str]
) -> None:
    page = open_page("/messages?channel=plant&text=message+of+PI")
    page.get_by_role("button", name="Replay all found").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type").fill("9999")
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog).to_contain_text("another number")
    dialog.get_by_label("Type").fill("3")
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("3 failed")


def test_a_message_is_replayed_into_one_sink_only(
    open_page: OpenPage, console: Plant
) -> None:
    (found,) = console.messages(1, channel="plant", state="processed")
    page = open_page(f"/messages?id={found['id']}&at=plant", "operate")
    expect(page.get_by_role("table", name="samples")).to_contain_text("SIMSRV/")
    page.get_by_role("button", name="Replay from a node").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=to_sink]").select_option("plant.everything.keep")
    dialog.get_by_role("button", name="Copy as CLI").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"pichannels replay {found['id']} --channel plant ")
    assert copied.endswith(" --to-sink plant.everything.keep")
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("replayed")
    given = {"channel": "plant", "meta": "replay_to_sink=plant.everything.keep"}
    assert console.get("/messages", **given)["messages"][0]["state"] == "processed"


def test_a_message_becomes_a_test_of_the_project(
    open_page: OpenPage, console: Plant, failed: list[str]
) -> None:
    page = open_page(f"/messages?id={failed[0]}&at=plant", "operate")
    page.get_by_role("button", name="Save as test").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    told = page.get_by_role("status")
    expect(told).to_contain_text("asks for: error")
    test = console.folder / "tests" / f"test_plant_{failed[0]}.py"
    assert "outcome.node == 'plant.decode'" in test.read_text()


def test_searches_are_kept_for_their_user(open_page: OpenPage) -> None:
    page = open_page("/messages?state=dropped")
    page.get_by_text("Saved searches").click()
    page.get_by_role("button", name="Save this search").click()
    page.get_by_role("dialog").get_by_label("Name").fill("what is dropped")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved searches (1)")).to_be_visible()
    page.goto(page.url.partition("?")[0])
    page.get_by_text("Saved searches (1)").click()
    page.get_by_role("link", name="what is dropped").click()
    expect(page.locator("[name=state]")).to_have_value("dropped")


def test_a_viewer_sees_no_payload_and_is_offered_no_action(
    open_page: OpenPage, failed: list[str]
) -> None:
    page = open_page(f"/messages?id={failed[0]}&at=plant", "view")
    expect(page.get_by_text("payloads take the role data")).to_be_visible()
    expect(page.get_by_role("button", name="Replay")).to_have_count(0)
    expect(page.get_by_label("Payload contains")).to_have_count(0)
    assert "speed" not in page.content()


def test_the_page_of_messages_keeps_nobody_out(
    open_page: OpenPage,
    failed: list[str],
    serious: Callable[[Page], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    page = open_page("/messages?regex=p", theme="dark")
    expect(rows(page).first).to_be_visible()
    assert serious(page) == []
    picture("messages", "/messages?channel=plant")
    picture("message", f"/messages?id={failed[0]}&at=plant")
