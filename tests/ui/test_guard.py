"""What stands before every request, also before those that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from pichannels.testing import ManualClock
from pichannels.ui.guard import Guard
from tests.ui.apps import make_console

PATH = "/api/v1/session"
"""Anybody may send something there."""


async def asked(folder: Path, app: Any, receive: Receive) -> list[Message]:
    """What is sent to a browser that posts."""
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    headers = [(b"host", b"127.0.0.1:8600")]
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers}
    await Guard(app, await make_console(folder))(scope, receive, send)
    return told


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads all that comes."""
    while (await receive())["more_body"]:
        pass


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """One that does not even that."""
    raise ZeroDivisionError("hush")


async def nothing() -> Message:
    """A body without an end, a byte at a time."""
    return {"type": "http.request", "body": b"x", "more_body": True}


async def test_what_fails_has_our_headers_and_tells_nothing(tmp_path: Path) -> None:
    start, body = await asked(tmp_path, failing, nothing)
    names = {name for name, _ in start["headers"]}
    assert start["status"] == 500
    assert {b"content-security-policy", b"x-content-type-options"} <= names
    assert b"hush" not in body["body"]


async def test_a_body_that_does_not_come_holds_nothing_up(tmp_path: Path) -> None:
    with ManualClock() as now:

        async def slowly() -> Message:
            now.advance(1)
            return await nothing()

        start, _ = await asked(tmp_path, reading, slowly)
    assert start["status"] == 408
