"""Tokens of an identity provider, fetched with a client's own credentials (OAuth 2)."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeVar
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.piwebasync.credentials import looked_up
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.login import Asked, Flow, Shown
from pichannels.piwebasync.tls import Cert, Verify, cause_of, reason_of, tls_context
from pichannels.secrets import Secret

__all__ = ["ClientCredentials"]

T = TypeVar("T")

_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, UnicodeError)
_SAID: Final = 300


class ClientCredentials(Shown, msgspec.Struct, tag="client_credentials", dict=True):
    """A bearer token that is fetched with a client's id and secret (OpenID Connect).

    It is fetched once, whoever waits for it, kept until shortly before it expires,
    and fetched again when the server refuses it.

    Attributes:
        token_url: the provider's token endpoint.
        client_id: of the client that is registered there.
        client_secret: best a `Secret`.
        scope: what is asked for; several with spaces between.
        parameters: further parameters, such as `audience` or `resource`.
        send_as: how the client proves itself: `header` (Basic) or `body`.
        renew_before: seconds before its end at which a token is renewed.
        timeout: seconds for one fetch.
        verify: False, or the path of a CA file, for the provider's certificate.
        cert: client certificate towards the provider.

    Raises:
        UsageError: `token_url` is no URL, or holds a login.
    """

    token_url: str
    client_id: str | Secret
    client_secret: str | Secret
    scope: str = ""
    parameters: dict[str, str] = {}
    send_as: Literal["header", "body"] = "header"
    renew_before: float = 30.0
    timeout: float = 10.0
    verify: Verify = True
    cert: Cert = None

    is_bound: ClassVar[bool] = False
    _shows: ClassVar[tuple[str, ...]] = ("token_url", "client_id", "scope")

    def __post_init__(self) -> None:
        _check_url(self.token_url)
        self._kept = _Kept()

    async def flow(self, asked: Asked) -> Flow:
        """The token, and a new one when it is refused."""
        token = await self._token()
        answer = yield {"Authorization": f"Bearer {token}"}
        if answer.status == 401:
            yield {"Authorization": f"Bearer {await self._token(refused=token)}"}

    async def _token(self, refused: str = "") -> str:
        kept = self._kept
        if kept.is_good(refused):
            return kept.token
        before = kept.attempts
        async with kept.lock():
            if kept.is_good(refused):
                return kept.token
            if kept.failure and kept.attempts != before:
                # Whoever has waited for an attempt shares what came of it.
                raise AuthFailed(kept.failure)
            try:
                found = await self._fetched()
            except AuthFailed as exc:
                kept.failed(str(exc))
                raise
            kept.keep(found, self.renew_before)
            return kept.token

    async def _fetched(self) -> _Token:
        client, secret = await looked_up((self.client_id, self.client_secret))
        form = {"grant_type": "client_credentials", **self.parameters}
        if self.scope:
            form["scope"] = self.scope
        headers = {"Accept": "application/json"}
        if self.send_as == "header":
            pair = f"{quote_plus(client)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        status, body = await self._asked(form, headers)
        try:
            return _read(status, body)
        except AuthFailed as exc:
            # A provider may repeat what it was sent.
            said = str(exc).replace(secret, "***")
            raise AuthFailed(f"{self.token_url} gave no token: {said}") from None

    async def _asked(
        self, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        tls = await tls_context(self.verify, self.cert)
        timeout = aiohttp.ClientTimeout(total=self.timeout)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=tls),
                    timeout=timeout,
                    trust_env=True,
                ) as session,
                session.post(
                    self.token_url, data=form, headers=headers, allow_redirects=False
                ) as answer,
            ):
                return answer.status, await answer.read()
        except _FAILURES as exc:
            reason = reason_of(exc)
            raise AuthFailed(
                f"{self.token_url} is not reached: {reason}"
            ) from cause_of(exc)


def _check_url(url: str) -> None:
    """Refuse what is no URL, and one with a login, which is not shown."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_url = is_url and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        shown = "..." if "@" in url else url
        raise UsageError(
            f"token_url={shown!r} is no URL of a token endpoint; it looks like"
            " https://login.example.com/oauth2/token"
        )
    if parts.username is not None:
        raise UsageError(
            f"the token_url at {parts.hostname} holds a login, which everybody would"
            " see; give it as client_id and client_secret"
        )


class _Token(msgspec.Struct):
    """What a provider gives; some write the seconds as text."""

    access_token: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return f"<token for {self.expires_in} s>"


class _Refusal(msgspec.Struct):
    """Why a provider gives nothing."""

    error: str
    error_description: str = ""


class _Kept:
    """The present token, and what came of the last attempt to have one."""

    def __init__(self) -> None:
        self.token = ""
        self.attempts = 0
        self.failure = ""
        self._until: float | None = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    def is_good(self, refused: str) -> bool:
        """Whether the token can be used, as far as is known."""
        is_late = self._until is not None and clock.monotonic() >= self._until
        return bool(self.token) and self.token != refused and not is_late

    def lock(self) -> asyncio.Lock:
        """The lock of the running loop: settings outlive the loops they serve."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    def keep(self, found: _Token, renew_before: float) -> None:
        self.attempts += 1
        self.failure = ""
        self.token = found.access_token
        self._until = None
        if found.expires_in is not None:
            early = min(renew_before, found.expires_in / 2)
            self._until = clock.monotonic() + found.expires_in - early

    def failed(self, reason: str) -> None:
        self.attempts += 1
        self.failure = reason
        self.token = ""


def _read(status: int, body: bytes) -> _Token:
    if status == 200:
        found = _decoded(body, _Token)
        if found is not None and found.access_token:
            return found
        # A body that cannot be read may hold a token all the same.
        raise AuthFailed("200 without a token that can be read")
    refusal = _decoded(body, _Refusal)
    if refusal is not None:
        said = f"{refusal.error} {refusal.error_description}"
    else:
        said = body.decode("utf-8", "replace")
    raise AuthFailed(f"{status} {said[:_SAID].strip()}".strip())


def _decoded(body: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.MsgspecError:
        return None
