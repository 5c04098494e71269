"""Adds the pages to the application: NiceGUI on it, all files from the package."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI
from nicegui import app as nicegui_app, ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from pichannels.ui.console import Console
from pichannels.ui.pages import layout, parts, tables
from pichannels.ui.pages.formats import site_zone
from pichannels.ui.pages.fragment import Fragment
from pichannels.ui.pages.login import ASSETS, add_login, head
from pichannels.ui.pages.markup import Markup, join, tag
from pichannels.ui.pages.names import PLACES, place_of
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.registry import ENTRIES, Entry
from pichannels.ui.pages.watch import Watches

__all__ = ["add_pages"]

_FOLDER: Final = Path(__file__).parent / "assets"
_PATIENCE: Final = 30.0
_AWAY: Final = 30.0
"""Seconds for which a browser may be away, or nobody may answer it, and go on after."""
_KEYS: Final = (
    ("/", "search a tag, a message id or a channel"),
    ("?", "show these keys"),
    ("Esc", "close a dialog"),
)


class _Assets(StaticFiles):
    """Files that browsers ask for again, so that new ones show after an upgrade."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def add_pages(app: FastAPI, console: Console) -> None:
    """Serve all pages of `registry.ENTRIES`, and the page to log in."""
    watches = Watches(console.links)
    add_login(app)
    app.mount(ASSETS, _Assets(directory=_FOLDER), name="assets")
    for entry in ENTRIES:
        _serve(entry, console, watches)
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        app,
        title="pichannels",
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
        reconnect_timeout=_AWAY,
    )
    _with_watches(app, watches)


def _with_watches(app: FastAPI, watches: Watches) -> None:
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with inner(app) as state:
            watches.open()
            try:
                yield state
            finally:
                await watches.close()

    app.router.lifespan_context = lifespan


def _serve(entry: Entry, console: Console, watches: Watches) -> None:
    name = place_of(entry.key)

    @ui.page(name.path, response_timeout=_PATIENCE)
    async def show(request: Request) -> Response | None:
        is_utc = request.cookies.get("pichannels_zone") != "site"
        zone = UTC if is_utc else site_zone()
        exact = tables.absolute(request.query_params, zone)
        if exact is not None:
            return RedirectResponse(f"{name.path}?{urlencode(exact)}")
        ui.add_head_html(head() + _own_files(entry.key))
        page = Page(
            console,
            watches,
            request.state.who,
            entry.key,
            request.query_params,
            is_utc=is_utc,
        )
        ui.page_title(f"{name.title} · {page.instance}")
        await page.watch.first()
        await _build(page, entry)
        return None


def _own_files(key: str) -> Markup:
    """Styles and scripts that only this page has."""
    found = []
    if (_FOLDER / f"{key}.css").exists():
        found.append(tag("link", rel="stylesheet", href=f"{ASSETS}/{key}.css"))
    if (_FOLDER / f"{key}.js").exists():
        found.append(tag("script", src=f"{ASSETS}/{key}.js", defer=True))
    return join(found)


async def _build(page: Page, entry: Entry) -> None:
    layout.install(page)
    with ui.context.client.layout:
        with ui.element("nav").classes("frame-nav").props('aria-label="pages"') as nav:
            keys = [each.key for each in ENTRIES if page.may(each.role)]
            await page.add(lambda: layout.navigation(page, keys))
        with ui.element("header").classes("frame-header") as top:
            Fragment().show(parts.link("#main", "To the content", classes="skip"))
            await page.add(lambda: layout.header(page), live=True)
            await page.add(lambda: layout.lamps(page), live=True)
        # They come before what is in the middle, also for the Tab key.
        nav.move(target_index=0)
        top.move(target_index=0)
        with ui.element("div").classes("frame-operations"):
            await page.add(lambda: layout.operations_strip(page), live=True)
        Fragment().show(_keys())
    main = ui.element("div").classes(f"frame-main page-{entry.key}")
    with main.props("id=main tabindex=-1"):
        await _content(page, entry)
    page.start()


async def _content(page: Page, entry: Entry) -> None:
    title = place_of(entry.key).title
    Fragment().show(tag("h1", title, classes="away"))
    if page.may(entry.role):
        await entry.build(page)
    else:
        Fragment().show(parts.error(f"this page takes the role {entry.role}"))


def _keys() -> Markup:
    ways = [(f"g {each.letter}", f"go to {each.title}") for each in PLACES]
    shown = parts.facts((key, text) for key, text in (*_KEYS, *ways))
    away = tag(
        "button", "Close", type="button", classes="button main", data={"close": True}
    )
    title = tag("h2", "Keys", id="keys-title")
    return tag(
        "dialog",
        title,
        shown,
        tag("footer", away),
        id="keys",
        aria_labelledby="keys-title",
    )
