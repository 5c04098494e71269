"""Tokens with a lifetime, and the endpoint that gives them out (OAuth 2)."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aiohttp import web

from pichannels import clock
from pichannels.simulator.world import json_answer

__all__ = ["TokenRoutes", "Tokens"]


class Tokens:
    """Bearer tokens that expire, for clients with an id and a secret.

    Args:
        clients: id and secret of each client of the token endpoint.
        lifetime: seconds for which a token is good.

    Attributes:
        issued: how many were given out.
    """

    def __init__(
        self, clients: Mapping[str, str] | None = None, lifetime: float = 3600.0
    ) -> None:
        self.lifetime = lifetime
        self.issued = 0
        self._clients = dict(clients or {})
        self._good: dict[str, tuple[str, float]] = {}

    def issue(self, owner: str = "") -> str:
        """A new token."""
        now = clock.monotonic()
        self._good = {t: kept for t, kept in self._good.items() if kept[1] > now}
        token = secrets.token_urlsafe(24)
        self._good[token] = (owner, now + self.lifetime)
        self.issued += 1
        return token

    def owner(self, token: str) -> str | None:
        """Whose token it is; None when it is none, or too old."""
        owner, until = self._good.get(token, ("", 0.0))
        return owner if clock.monotonic() < until else None

    def withdraw(self) -> None:
        """Let no token be good any more."""
        self._good.clear()

    def is_client(self, name: str, secret: str) -> bool:
        """Whether this is the secret of that client."""
        known = self._clients.get(name)
        return known is not None and hmac.compare_digest(
            known.encode(), secret.encode()
        )

    def __repr__(self) -> str:
        return f"<Tokens of {len(self._clients)} clients>"


class TokenRoutes:
    """`POST /simulator/token`, for the grant `client_credentials`."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        return [web.post("/simulator/token", self.token)]

    async def token(self, request: web.Request) -> web.Response:
        """A token for a client that proves itself, by header or body."""
        form = {name: str(text) for name, text in (await request.post()).items()}
        name, secret = _client(request.headers.get("Authorization", ""), form)
        if not self.tokens.is_client(name, secret):
            return _refusal(401, "invalid_client", "Client authentication failed.")
        if form.get("grant_type") != "client_credentials":
            return _refusal(400, "unsupported_grant_type", "Not offered here.")
        body = {
            "access_token": self.tokens.issue(name),
            "token_type": "Bearer",
            "expires_in": self.tokens.lifetime,
            "scope": form.get("scope", ""),
        }
        return json_answer(body)


def _client(header: str, form: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, pair = header.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(pair, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _refusal(status: int, error: str, text: str) -> web.Response:
    return json_answer({"error": error, "error_description": text}, status)
