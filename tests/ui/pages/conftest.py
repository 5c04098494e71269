"""The reference project with its pages, and a browser: once for all tests here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pichannels.ui.users import Users
from tests.ui.plants import PATIENCE, ROLES, Plant, running

CHROMIUM: Final = Path("/usr/bin/chromium")
PASSWORD: Final = "correct horse battery"
ROOT: Final = Path(__file__).parents[3]
PICTURES: Final = "PICHANNELS_PICTURES"
"""Where pictures of the pages are written to, where this is set."""

OpenPage = Callable[..., Page]

# Other tests run beside these, and leave little for pages, which come after all else.
_LONGEST: Final = 180
expect.set_options(timeout=PATIENCE * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of pages longer than others."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(_LONGEST), append=False)


def _reference(folder: Path) -> str:
    """The settings of the reference project, for ports and a folder of their own."""
    text = (ROOT / "settings.py").read_text()
    for old, new in {
        'here / "examples"': f"Path({str(ROOT)!r}) / 'examples'",
        'int(os.environ.get("SIMULATOR_PORT", "8500"))': "PORT",
        '"tags": 1000': '"tags": 100, "poll": 0.1',
    }.items():
        assert old in text
        text = text.replace(old, new)
    # On a busy machine a search takes longer than anywhere else.
    budget = "'search_share': 1.0, 'searches': 4, 'search_seconds': 30.0"
    return f"{text}\nUI = {{'port': OWN, {budget}}}\n"


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The reference project on the embedded simulator, with pages and API."""
    folder = tmp_path_factory.mktemp("pages")
    with running(folder, _reference(folder)) as plant:
        users = Users(folder / ".pichannels" / "ui" / "users.json")
        for role in ROLES:
            users.change(f"{role}-user", password=PASSWORD)
        yield plant


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium.

    It ends with the module, since its event loop would be in the way of tests with
    one of their own.
    """
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def sessions(console: Plant) -> dict[str, Any]:
    """The cookies of a user of each role, who has logged in."""
    kept: dict[str, Any] = {}
    for role in ROLES:
        with httpx.Client(base_url=console.url, timeout=PATIENCE) as client:
            login = {"name": f"{role}-user", "password": PASSWORD}
            client.post("/api/v1/session", json=login).raise_for_status()
            cookies = [
                {"name": each.name, "value": each.value, "url": console.url}
                for each in client.cookies.jar
            ]
        kept[role] = cookies
    return kept


@pytest.fixture
def open_page(
    console: Plant, browser: Browser, sessions: dict[str, Any]
) -> Iterator[OpenPage]:
    """Opens an address as a user of a role, and waits until the page is alive.

    What the browser complains about fails the test.
    """
    contexts, complaints = [], []

    def open_one(
        path: str = "/",
        role: str = "admin",
        *,
        theme: Any = "light",
        width: int = 1440,
        height: int = 900,
    ) -> Page:
        context = browser.new_context(
            color_scheme=theme,
            viewport={"width": width, "height": height},
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.add_cookies(sessions[role])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{console.url}{path}")
        page.locator(".frame-header .lamp").first.wait_for()
        # Clicks count from when the socket is open.
        page.wait_for_function("window.did_handshake")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def serious() -> Callable[[Page], list[str]]:
    """What axe finds on a page that keeps people out."""

    def find(page: Page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:120]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    return find


@pytest.fixture
def faint() -> Callable[[Page], list[str]]:
    """Texts whose contrast is below 7:1, and states below 20 px."""

    def find(page: Page) -> list[str]:
        options = {"runOnly": ["color-contrast-enhanced"]}
        found = Axe().run(page, options=options).response["violations"]
        nodes = [node["html"][:120] for each in found for node in each["nodes"]]
        small: list[str] = page.evaluate(
            """[...document.querySelectorAll(".badge")]
              .filter((each) => parseFloat(getComputedStyle(each).fontSize) < 20)
              .map((each) => each.outerHTML.slice(0, 120))"""
        )
        return nodes + small

    return find


@pytest.fixture
def picture(open_page: OpenPage) -> Callable[[str, str], None]:
    """Writes pictures of a page for the tour, light and dark, where that is wanted."""

    def write(name: str, path: str) -> None:
        folder = os.environ.get(PICTURES)
        if not folder:
            return
        for theme in ("light", "dark"):
            page = open_page(path, theme=theme)
            # Rates and curves need some polls.
            page.wait_for_timeout(8000)
            page.screenshot(path=Path(folder) / f"{name}-{theme}.png")

    return write
