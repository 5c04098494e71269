"""What stands around every page: logging in, the header, keys, theme, time zone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, expect

from tests.ui.pages.conftest import PASSWORD, OpenPage
from tests.ui.plants import Plant


def test_a_page_sends_who_is_not_logged_in_to_the_login_and_back(
    console: Plant, browser: Browser
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{console.url}/?instance=plant")
        expect(page).to_have_url(f"{console.url}/login?next=%2F%3Finstance%3Dplant")
        page.get_by_label("User").fill("admin-user")
        page.get_by_label("Password").fill("wrong horse battery")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("no such user")


def test_the_header_tells_how_the_instance_is(open_page: OpenPage) -> None:
    lamps = open_page().locator(".lamps")
    expect(lamps).to_contain_text("running")
    expect(lamps).to_contain_text("connected")
    expect(lamps).to_contain_text("req/s")


def test_the_frame_has_no_serious_violation(
    open_page: OpenPage, serious: Callable[[Any], list[str]]
) -> None:
    page = open_page()
    assert serious(page) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("go to Overview")
    assert serious(page) == []


def test_keys_go_to_pages_and_to_the_search(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page("/?instance=plant")
    page.keyboard.press("/")
    expect(page.get_by_label("Search a tag")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_label("Search a tag").blur()
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page).to_have_url(f"{console.url}/")


def test_what_is_typed_stays_when_the_header_is_written_anew(
    open_page: OpenPage,
) -> None:
    page = open_page()
    field = page.get_by_label("Search a tag")
    field.fill("UNIT1")
    before = page.locator(".lamps").inner_html()
    page.wait_for_function(
        "old => document.querySelector('.lamps').innerHTML !== old", arg=before
    )
    expect(field).to_have_value("UNIT1")


def test_theme_and_zone_are_kept(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Dark / light").click()
    page.get_by_role("button", name="Time: UTC").click()
    expect(page.get_by_role("button", name="Time: site")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_nothing_is_asked_of_other_servers(
    console: Plant, browser: Browser, sessions: dict[str, Any]
) -> None:
    asked: list[str] = []
    with browser.new_context() as context:
        context.add_cookies(sessions["view"])
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(console.url)
        page.locator(".lamp").first.wait_for()
    own = (console.url, "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


def test_who_has_logged_out_does_nothing_any_more(
    console: Plant, browser: Browser
) -> None:
    with browser.new_context() as context:
        page, other = context.new_page(), context.new_page()
        page.goto(f"{console.url}/login?next=%2F.%2F%2Fevil.example%2F")
        page.get_by_label("User").fill("operate-user")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        # To no other host, whatever the address says.
        page.wait_for_url(f"{console.url}//evil.example/")
        page.goto(console.url)
        page.wait_for_function("window.did_handshake")
        other.goto(console.url)
        other.get_by_role("button", name="Log out").click()
        expect(other).to_have_url(f"{console.url}/login")
        # The page may have found out by itself before.
        page.evaluate("document.querySelector('[data-what=pause]')?.click()")
        expect(page).to_have_url(f"{console.url}/login?next=%2F")
    assert console.get("/channels/plant")["state"] != "paused"


def test_the_search_finds_channels_messages_and_tags(open_page: OpenPage) -> None:
    page = open_page()
    field = page.get_by_label("Search a tag")
    for wanted, place in {
        "plant.numbers": r"/graph\?channel=plant\.numbers$",
        "12": r"/messages\?id=12$",
        "0193b2e0-77a1-7001-8000-000000000001": r"/messages\?uuid=0193b2e0-77a1-",
        "UNIT1.BOILER.TEMP": r"/tags\?tag=UNIT1\.BOILER\.TEMP$",
    }.items():
        field.fill(wanted)
        field.press("Enter")
        expect(page).to_have_url(re.compile(place))
        page.go_back()
        page.wait_for_function("window.did_handshake")


def test_a_strip_tells_while_the_pages_do_not_answer(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("window.socket.disconnect()")
    expect(page.get_by_role("alert")).to_contain_text("do not answer")
    page.evaluate("window.socket.connect()")
    expect(page.get_by_role("alert")).to_have_count(0)


def _verified(console: Plant) -> int:
    entries = console.client().get("/audit", params={"action": "verify"}).json()
    return sum(each["result"] == "asked" for each in entries["entries"])


def test_what_is_clicked_is_done_once_where_the_connection_breaks(
    open_page: OpenPage, console: Plant
) -> None:
    page, socket = open_page("/sinks", role="operate"), "window.socket.io.engine"
    before = _verified(console)
    button = page.get_by_role("button", name="Verify the journal")
    # The click never arrives.
    page.evaluate(f"{socket}.transport.ws.send = () => {{}}")
    button.click()
    page.evaluate(f"{socket}.close()")
    expect(page.locator(".toasts")).to_contain_text("the journal is whole")
    # That it has arrived is never known.
    page.evaluate(f"{socket}.transport.ws.onmessage = () => {{}}")
    button.click()
    while _verified(console) < before + 2:
        time.sleep(0.05)
    page.evaluate(f"{socket}.close()")
    page.wait_for_function("window.socket.connected")
    button.click()
    while _verified(console) < before + 3:
        time.sleep(0.05)
    assert _verified(console) == before + 3
