"""The overview: cards of channels, and what has happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from pichannels.ui.pages.spreads import quantile_text
from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant


def test_a_card_tells_how_its_channel_is(open_page: OpenPage) -> None:
    card = open_page(role="view").locator("[data-key='channel-plant']")
    expect(card.locator(".flow").first).to_contain_text("in")
    expect(card).to_contain_text("100 tags")
    expect(card).to_contain_text("numbers")


def test_many_channels_have_a_line_each_and_are_chosen_by_state(
    open_page: OpenPage,
) -> None:
    page = open_page("/?as=table")
    line = page.get_by_role("table", name="channels").locator("tbody tr")
    expect(line).to_contain_text(re.compile("waiting|processing"))
    expect(line.get_by_role("button", name="Pause")).to_be_visible()
    page = open_page("/?as=table&state=stopped")
    expect(page.get_by_text("no channel is in this state")).to_be_visible()


def test_values_move_by_themselves(open_page: OpenPage) -> None:
    page = open_page()
    curve = page.locator(".flow polyline").first
    curve.wait_for(state="attached")
    before = curve.get_attribute("points")
    expect(curve).not_to_have_attribute("points", str(before))


def test_who_may_not_operate_is_offered_nothing(open_page: OpenPage) -> None:
    page = open_page(role="view")
    card = page.locator("[data-key='channel-plant']")
    expect(card.get_by_role("link", name="plant", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_an_act_that_is_not_offered_is_refused_and_written_down(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page(role="view")
    page.evaluate(
        """() => {
          const place = document.querySelector("[data-key='channel-plant'] header");
          const data = {act: "channel", what: "pause", channel: "plant"};
          Object.assign(place.dataset, data);
          place.click();
        }"""
    )
    expect(page.locator(".toasts")).to_contain_text("this takes the role operate")
    audit = console.client().get("/audit", params={"user": "view-user"}).json()
    assert audit["entries"][0]["result"] == "refused"


def test_pausing_shows_in_card_and_timeline(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page(role="operate")
    card = page.locator("[data-key='channel-plant']")
    card.get_by_role("button", name="Pause").click()
    expect(card.locator("header")).to_contain_text("paused")
    expect(page.locator(".timeline")).to_contain_text("paused")
    card.get_by_role("button", name="Resume").click()
    expect(card.locator("header")).to_contain_text("waiting")


def test_a_lost_connection_shows_and_so_does_its_return(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page()
    lamp = page.locator(".lamp", has_text="req/s")
    simulator = console.get("/status")["simulator"].removesuffix("/piwebapi")
    faults = f"{simulator}/simulator/faults"
    refuse = {"fault": "status", "code": 503, "path": "channel", "seconds": 600}
    httpx.post(faults, json=refuse).raise_for_status()
    httpx.post(faults, json={"fault": "drop"}).raise_for_status()
    try:
        expect(page.locator(".timeline")).to_contain_text("PI lost")
        expect(lamp).to_contain_text(re.compile("not connected|partly"))
        card = page.locator("[data-key='channel-plant'] header")
        expect(card).to_contain_text("not connected")
    finally:
        httpx.post(faults, json={"fault": "clear"}).raise_for_status()
    expect(lamp).not_to_contain_text(re.compile("not|partly"))


def test_a_view_is_copied_as_a_command(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Copy as CLI").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("pichannels status --settings ")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
    theme: str,
) -> None:
    page = open_page(theme=theme)
    expect(page.locator(".flow polyline").first).to_be_attached()
    assert serious(page) + faint(page) == []
    if theme == "light":
        picture("overview", "/")


def test_quantiles_are_bounds() -> None:
    spread = {"bounds": [0.1, 1.0], "counts": [9, 0, 1]}
    found = quantile_text(spread, 0.5), quantile_text(spread, 0.99)
    assert found == ("≤ 100\u202fms", "> 1.0\u202fs")
