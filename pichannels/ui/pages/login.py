"""The page to log in: plain HTML, so that nothing else has to be open to everybody."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Markup, join, tag

__all__ = ["ASSETS", "LOGIN", "add_login", "head"]

LOGIN = "/login"
ASSETS = "/assets"


def head() -> Markup:
    """What all pages have in their head: one style sheet, and what works by itself."""
    icon = tag("link", rel="icon", href=f"{ASSETS}/icon.svg", type="image/svg+xml")
    style = tag("link", rel="stylesheet", href=f"{ASSETS}/pages.css")
    return join([icon, style, tag("script", src=f"{ASSETS}/pages.js")])


def add_login(app: FastAPI) -> None:
    """Serve the page."""

    async def show(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(), headers={"Cache-Control": "no-store"})

    app.add_api_route(LOGIN, show, response_model=None, include_in_schema=False)


def _page() -> str:
    title = tag("title", "Log in · pichannels")
    view = tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    meta = Markup('<meta charset="utf-8">' + view)
    script = tag("script", src=f"{ASSETS}/login.js", defer=True)
    body = tag("body", _form(), classes="login")
    top = tag("head", meta, title, head(), script)
    return f"<!doctype html>{tag('html', top, body, lang='en')}"


def _form() -> Markup:
    return tag(
        "main",
        tag("h1", "pichannels"),
        tag(
            "form",
            parts.text_field("name", "User", autocomplete="username", autofocus=True),
            parts.text_field(
                "password",
                "Password",
                kind="password",
                autocomplete="current-password",
            ),
            tag(
                "details",
                tag("summary", "With the token of the start"),
                parts.text_field("token", "Token", kind="password"),
            ),
            tag("p", id="told", role="alert"),
            tag("button", "Log in", type="submit", classes="button main"),
            id="login",
        ),
    )
