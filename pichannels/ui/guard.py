"""What stands before every request: who it is, whether it may come in, and how much."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pichannels import clock
from pichannels.control.access import is_known_host
from pichannels.errors import PichannelsError
from pichannels.ui.budget import OverBudget
from pichannels.ui.console import Console
from pichannels.ui.cookies import cookie_of, session_name
from pichannels.ui.roles import NotLoggedIn, Principal

__all__ = [
    "API",
    "CSRF",
    "FEED",
    "Guard",
    "TooLong",
    "TooSlow",
    "error_body",
    "is_same_origin",
]

logger: Final = logging.getLogger("pichannels.ui")

API: Final = "/api/v1"
CSRF: Final = "x-csrf-token"
"""The header that a session shows when it changes something."""

_OPEN: Final = frozenset({("GET", "/live"), ("POST", f"{API}/session")})
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
FEED: Final = "/events"
"""How paths of what does not end by itself end."""
_LONGEST_BODY: Final = 2**20
_PATIENCE: Final = 20.0
"""Seconds for a body; who is slower holds up a place that others need."""
_FAILED: Final = "this failed; the log tells why"
_PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_LOGIN_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""For what everybody may see: plain files, which run nothing that is in them."""
_API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Lets in who may come in; `scope["state"]["who"]` is then a `Principal`.

    Args:
        app: what is guarded.
        console: who may.
        open_paths: beginnings of paths that take no login: the page to log in, and
            files that it needs.
        login: where a browser that is not logged in is sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        console: Console,
        open_paths: tuple[str, ...] = (),
        login: str = "/login",
    ) -> None:
        self._app = app
        self._console = console
        self._open_paths = open_paths
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or a websocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def told(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        out = self._stamped(scope, told) if scope["type"] == "http" else told
        try:
            await self._let_in(scope, receive, out)
        except Exception as exc:
            # What is outside of this would answer without our headers.
            if is_begun:
                raise
            await self._refuse(scope, out, exc)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        config = self._console.config
        # Behind a proxy the name is the proxy's.
        name = headers.get("host", "")
        if not (config.behind_proxy or is_known_host(name, config.host)):
            await _answer(scope, send, 403, "this is not a name of this server")
            return
        with self._room(scope):
            who = await self._who(scope, headers)
            if who is None and not self._is_open(scope):
                raise NotLoggedIn
            refused = self._forged(scope, headers, who)
            if refused:
                await _answer(scope, send, 403, refused)
                return
            scope.setdefault("state", {})["who"] = who
            await self._app(scope, _bounded(scope, receive), send)

    @contextlib.contextmanager
    def _room(self, scope: Scope) -> Iterator[None]:
        """Room for a request; those that last are counted elsewhere."""
        if scope["type"] == "websocket" or scope["path"].endswith(FEED):
            yield
            return
        with self._console.budget.request():
            yield

    async def _who(self, scope: Scope, headers: Headers) -> Principal | None:
        address = (scope.get("client") or ("",))[0]
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._console.of_token(token.strip(), address)
        session = cookie_of(headers, session_name(headers.get("host", "")))
        return await self._console.of_session(session, address) if session else None

    def _is_open(self, scope: Scope) -> bool:
        path, method = scope["path"], scope.get("method", "")
        if (method, path) in _OPEN:
            return True
        return any(path == one or path.startswith(one) for one in self._open_paths)

    def _forged(self, scope: Scope, headers: Headers, who: Principal | None) -> str:
        """Why this may be a page from elsewhere that uses a browser; "" for no."""
        method = scope.get("method", "")
        if scope["type"] == "http" and method in _SAFE:
            return ""
        if who is not None and who.session == "":
            return ""
        if not is_same_origin(headers):
            return "this comes from another origin"
        needs_token = who is not None and scope["path"].startswith(f"{API}/")
        # To log in anew is no more than what somebody without a session may.
        is_login = (method, scope["path"]) in _OPEN
        if scope["type"] != "http" or is_login or not needs_token:
            return ""
        assert who is not None
        session = self._console.sessions.get(who.session)
        if session is None or not session.is_shown(headers.get(CSRF, "")):
            return f"a session shows its token in {CSRF} when it changes something"
        return ""

    async def _refuse(self, scope: Scope, send: Send, exc: Exception) -> None:
        if isinstance(exc, TooLong):
            await _answer(scope, send, 413, str(exc), kind=type(exc).__name__)
            return
        if isinstance(exc, TooSlow):
            await _answer(scope, send, 408, str(exc), kind=type(exc).__name__)
            return
        if isinstance(exc, OverBudget):
            await _answer(scope, send, 429, str(exc), retry_after=exc.seconds)
            return
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        is_page = scope.get("method") == "GET" and not scope["path"].startswith(API)
        if isinstance(exc, NotLoggedIn) and wants_page and is_page:
            query = scope.get("query_string", b"").decode("latin-1")
            place = scope["path"] + (f"?{query}" if query else "")
            where = f"{self._login}?next={quote(place, safe='')}"
            await _answer(scope, send, 303, "log in", location=where)
            return
        if isinstance(exc, NotLoggedIn):
            await _answer(scope, send, 401, str(exc), kind=type(exc).__name__)
            return
        logger.error("%s failed", scope["path"], exc_info=exc)
        await _answer(scope, send, 500, _FAILED, kind="InternalError")

    def _policy(self, scope: Scope) -> str:
        if scope["path"].startswith(API):
            return _API_POLICY
        return _LOGIN_POLICY if self._is_open(scope) else _PAGE_POLICY

    def _stamped(self, scope: Scope, send: Send) -> Send:
        is_api = scope["path"].startswith(API)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers["Content-Security-Policy"] = self._policy(scope)
                if is_api:
                    headers["Cache-Control"] = "no-store"
                if self._console.is_secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return stamped


class TooLong(PichannelsError):
    """A body that nothing here asks for."""

    def __init__(self) -> None:
        super().__init__(f"a body has {_LONGEST_BODY} bytes at most")


class TooSlow(PichannelsError):
    """A body that does not come."""

    def __init__(self) -> None:
        super().__init__(f"a body takes {_PATIENCE:g} seconds at most")


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Bodies are small, and come soon; then one waits for the end of the connection."""
    if scope["type"] != "http":
        return receive
    taken, is_whole = 0, False
    end = clock.monotonic() + _PATIENCE

    async def bounded() -> Message:
        nonlocal taken, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, end - clock.monotonic())):
                message = await receive()
        except TimeoutError as exc:
            raise TooSlow from exc
        taken += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if taken > _LONGEST_BODY:
            raise TooLong
        if clock.monotonic() > end:
            raise TooSlow
        return message

    return bounded


def is_same_origin(headers: Headers) -> bool:
    """Whether a request that changes something comes from one of our own pages.

    Browsers say where a page is from; what is no browser says nothing.
    """
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def error_body(kind: str, message: str, **facts: Any) -> bytes:
    """An error as JSON, as the control server tells them."""
    return msgspec.json.encode({"error": {"type": kind, "message": message, **facts}})


async def _answer(
    scope: Scope,
    send: Send,
    status: int,
    text: str,
    *,
    kind: str = "",
    location: str = "",
    retry_after: int | None = None,
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4401, "reason": text})
        return
    headers = [(b"content-type", b"application/json")]
    if location:
        headers.append((b"location", location.encode("latin-1")))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    names = {403: "Forbidden", 429: "OverBudget", 303: "NotLoggedIn"}
    body = error_body(kind or names.get(status, "Error"), text)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
