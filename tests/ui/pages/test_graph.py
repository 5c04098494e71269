"""The channel graph: what it draws, what moves in it, and the panel of a box."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.pages.conftest import OpenPage


def test_boxes_show_states_and_rates(open_page: OpenPage) -> None:
    page = open_page("/graph")
    channel = page.locator("[data-box='plant']")
    expect(channel).to_contain_text(re.compile("waiting|processing"))
    expect(page.locator("[data-box='plant.decode']")).to_contain_text("msg")
    expect(page.locator("[data-arrow='plant>plant.decode'] .rate")).to_contain_text(
        "/s"
    )


def test_all_of_it_is_in_sight_in_a_small_window(open_page: OpenPage) -> None:
    page = open_page("/graph", width=1024, height=768)
    expect(page.locator("#graph-width")).not_to_have_attribute("data-known", "1200")
    page.wait_for_function(
        """() => {
          const canvas = document.querySelector(".canvas");
          return canvas.scrollWidth <= canvas.clientWidth;
        }"""
    )
    expect(page.locator("[data-box='plant.console.Console']")).to_be_attached()


def test_a_sub_channel_is_folded_into_its_first_box(open_page: OpenPage) -> None:
    page = open_page("/graph")
    page.get_by_label("fold plant.numbers", exact=True).click()
    page.wait_for_url("**fold=plant.numbers")
    expect(page.locator("[data-box='plant.numbers:start']")).to_be_visible()
    expect(page.locator("[data-box='plant.numbers.publish_numbers']")).to_have_count(0)


def test_live_messages_are_tapped(open_page: OpenPage) -> None:
    page = open_page("/graph?node=plant.decode", role="data")
    page.get_by_role("button", name="Tap live messages").click()
    expect(page.locator(".taps li").nth(1)).to_be_visible(timeout=20_000)
    first = page.locator(".taps li").first
    expect(first).to_contain_text("processed")
    expect(first.get_by_role("heading", name="Out")).to_be_visible()
    expect(page.locator(".panel")).to_contain_text(re.compile("Takes, p99\\s*\\d"))
    expect(page.locator("[data-box='plant.decode'] .took")).to_contain_text("p99")


def test_a_stored_message_runs_through_a_node(open_page: OpenPage) -> None:
    page = open_page("/graph?node=plant.decode", role="operate")
    page.get_by_role("button", name="Run the last message through here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("at plant.decode")
    expect(dialog.locator("pre").first).to_contain_text("replay_of")


def test_who_may_not_see_data_taps_nothing(open_page: OpenPage) -> None:
    page = open_page("/graph?node=plant.decode", role="view")
    expect(page.locator(".panel")).to_contain_text("Messages")
    expect(page.get_by_role("button", name="Tap live messages")).to_have_count(0)


def test_boxes_are_reached_by_the_keyboard(open_page: OpenPage) -> None:
    page = open_page("/graph")
    page.locator("[data-box='plant.decode']").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("node plant.decode")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
    theme: str,
) -> None:
    page = open_page("/graph?node=plant.decode", theme=theme)
    expect(page.locator(".panel")).to_be_visible()
    assert serious(page) + faint(page) == []
    if theme == "light":
        picture("graph", "/graph")
