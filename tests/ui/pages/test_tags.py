"""Tags and trends in a browser: tables, search, drawings, what roles see."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant

NUMBER = r"\\SIMSRV\UNIT1.BOILER.TEMP"
STATES = r"\\SIMSRV\UNIT1.PUMP1.STATUS"


def trend_of(open_page: OpenPage, tag: str, more: str = "", role: str = "data") -> Page:
    page: Page = open_page(f"/tags?tag={quote(tag)}&range=15m{more}", role)
    return page


@pytest.fixture
def received(console: Plant) -> None:
    """Values of the tag were received."""
    while not console.get("/values", tag="UNIT1.BOILER.TEMP", count=5)["values"]:
        time.sleep(0.05)


@pytest.mark.usefixtures("received")
def test_a_row_tells_of_a_tag_what_came_last(open_page: OpenPage) -> None:
    page = open_page("/tags?q=unit1.boiler.temp", "data")
    row = page.get_by_role("table", name="tags of plant").locator("tbody tr")
    expect(row).to_have_count(1)
    for text in ("UNIT1.BOILER.TEMP", "Float32", "°C", "good", "open", NUMBER):
        expect(row).to_contain_text(text)
    expect(row).to_contain_text(re.compile(r"\d+\.\d"))


def test_filters_and_pages_are_in_the_address(open_page: OpenPage) -> None:
    page = open_page("/tags", "view")
    table = page.get_by_role("table", name="tags of plant")
    expect(table.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile(r"skip=50"))
    page.get_by_label("Name or path has").fill("PUMP1.")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"q=PUMP1\."))
    expect(table.locator("tbody tr").first).to_contain_text("PUMP1.")


def test_values_are_for_those_who_may_see_data(open_page: OpenPage) -> None:
    page = trend_of(open_page, NUMBER, role="view")
    expect(page.get_by_text("values take the role data")).to_be_visible()
    expect(page.locator("figure.trend")).to_have_count(0)


@pytest.mark.usefixtures("received")
def test_a_number_is_a_line_beside_that_of_the_archive(open_page: OpenPage) -> None:
    page = trend_of(open_page, NUMBER)
    expect(page.locator("figure.trend polyline.own").first).to_be_attached()
    page.get_by_role("link", name="With PI archive").click()
    expect(page).to_have_url(re.compile("pi=1"))
    expect(page.locator("figure.trend polyline.pi").first).to_be_attached()
    page.get_by_text("as a table").click()
    expect(page.get_by_role("table", name="values")).to_contain_text("live")


@pytest.mark.usefixtures("received")
def test_states_are_a_ribbon_with_their_names(open_page: OpenPage) -> None:
    page = trend_of(open_page, STATES)
    expect(page.locator(".ribbon .state").last).to_have_text(
        re.compile("RUN|STOP|TRIP")
    )


def test_the_search_in_the_header_finds_a_trend(open_page: OpenPage) -> None:
    page = open_page("/operations", "data")
    page.keyboard.press("/")
    page.keyboard.type("unit1.boiler.temp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="UNIT1.BOILER.TEMP")).to_be_visible()


@pytest.mark.usefixtures("received")
def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    page = trend_of(open_page, NUMBER, "&pi=1")
    expect(page.locator("figure.trend polyline.pi").first).to_be_attached()
    assert serious(page) == []
    assert faint(page) == []
    picture("trend", f"/tags?tag={quote(NUMBER)}&range=15m&pi=1")
