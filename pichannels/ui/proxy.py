"""What a proxy that speaks TLS tells of who asks, where one stands before the pages."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BehindProxy"]

_SCHEMES: Final = {
    ("http", "https"): "https",
    ("websocket", "https"): "wss",
    ("websocket", "wss"): "wss",
}


class BehindProxy:
    """Puts the address that the proxy saw, and TLS, in the place of the proxy's own.

    Of several addresses in `X-Forwarded-For` only the last is the proxy's word: those
    before it are what the client has sent, who could take any address, and so get
    around waiting after wrong passwords.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or a websocket."""
        if scope["type"] in ("http", "websocket"):
            scope = _as_told(scope)
        await self._app(scope, receive, send)


def _as_told(scope: Scope) -> Scope:
    headers = Headers(scope=scope)
    found = dict(scope)
    lines = headers.getlist("x-forwarded-for")
    address = lines[-1].rpartition(",")[2].strip() if lines else ""
    if address:
        found["client"] = (address, 0)
    told = headers.get("x-forwarded-proto", "").strip().lower()
    scheme = _SCHEMES.get((scope["type"], told))
    if scheme:
        found["scheme"] = scheme
    return found
