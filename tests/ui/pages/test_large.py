"""A channel graph of 300 boxes in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.pages.conftest import PASSWORD
from tests.ui.plants import Plant, running

SETTINGS = """\
from pichannels.channels.timer import TimerChannel
from pichannels.node import BaseNode


class Step(BaseNode):
    def process(self, msg):
        return msg


def made(number):
    channel = TimerChannel(f"line{number}", interval=0.5)
    for step in range(8):
        channel.add(Step(name=f"step{step}"))
        beside = channel.fork(f"beside{step}")
        beside.add(Step(name="one"), Step(name="two"), Step(name="three"))
    return channel


PROJECT_NAME = "plant"
UI = {"port": OWN}
CHANNELS = [made(number) for number in range(6)]
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """An instance with 6 channels of 50 boxes."""
    with running(tmp_path_factory.mktemp("large"), SETTINGS) as found:
        yield found


@pytest.fixture
def page(large: Plant, browser: Browser) -> Iterator[Page]:
    """A page of somebody who has logged in there."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{large.url}/login?next=%2Fgraph")
        page.get_by_label("User").fill("admin-user")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{large.url}/graph")
        yield page


def test_many_boxes_are_folded_and_unfolded_and_stay_alive(page: Page) -> None:
    boxes = page.locator("[data-box]")
    expect(boxes).to_have_count(6 * (1 + 8 + 8))
    page.get_by_role("link", name="Unfold all").click()
    expect(boxes).to_have_count(6 * (1 + 8 + 4 * 8))
    rate = page.locator("[data-box='line5.step7'] .line-of")
    expect(rate).to_contain_text("msg")
    before = rate.text_content()
    expect(rate).not_to_have_text(str(before))
    page.locator("[data-box='line5.beside7.three']").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("node line5.beside7.three")
