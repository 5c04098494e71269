"""Logins that are one header: user and password, a token, headers of one's own."""

from __future__ import annotations

import inspect
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from pichannels.errors import SettingsError, UsageError
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.login import Asked, Flow, Shown
from pichannels.secrets import Secret, reveal_in_thread

__all__ = [
    "Basic",
    "Bearer",
    "Given",
    "GivesHeaders",
    "Headers",
    "given_headers",
    "looked_up",
]

Headers: TypeAlias = Mapping[str, str | Secret]
GivesHeaders: TypeAlias = Callable[[], Headers | Awaitable[Headers]]
GivesToken: TypeAlias = Callable[[], str | Secret | Awaitable[str | Secret]]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Basic(Shown, msgspec.Struct, frozen=True, tag="basic"):
    """User and password, sent with each request; the same as `(user, password)`.

    Attributes:
        user: with the domain where there is one, `DOMAIN\\user`.
        password: best a `Secret`.
    """

    user: str | Secret
    password: str | Secret

    is_bound: ClassVar[bool] = False
    _shows: ClassVar[tuple[str, ...]] = ("user",)

    def __post_init__(self) -> None:
        for name, value in (("user", self.user), ("password", self.password)):
            if not isinstance(value, (str, Secret)):
                kind = type(value).__name__
                raise UsageError(f"the {name} is a text or a Secret, not {kind}")

    async def flow(self, asked: Asked) -> Flow:
        """One header."""
        user, password = await looked_up((self.user, self.password))
        pair = b64encode(f"{user}:{password}".encode()).decode()
        yield {"Authorization": f"Basic {pair}"}


class Bearer(Shown, msgspec.Struct, frozen=True, tag="bearer"):
    """A token, or a (coroutine) function that gives it.

    The function is called before each request and each handshake, and once more when
    the server refuses what it gave; a token that is another one then is tried.

    Attributes:
        token: best a `Secret`, or a function.
    """

    token: str | Secret | GivesToken

    is_bound: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.token, (str, Secret)) and not callable(self.token):
            kind = type(self.token).__name__
            raise UsageError(
                f"the token is a text, a Secret or a function that gives it, not {kind}"
            )

    async def flow(self, asked: Asked) -> Flow:
        """The token, and perhaps a newer one."""
        token = await self._token()
        answer = yield _bearer(token)
        if answer.status == 401 and callable(self.token):
            newer = await self._token()
            if newer != token:
                yield _bearer(newer)

    async def _token(self) -> str:
        token: Any = self.token
        if callable(token):
            token = await _called(token)
        return str(await looked_up(token))


class Given(msgspec.Struct, frozen=True):
    """Headers, or a (coroutine) function that gives them."""

    headers: Headers | GivesHeaders

    is_bound: ClassVar[bool] = False

    async def flow(self, asked: Asked) -> Flow:
        """What is given, once."""
        if isinstance(self.headers, Mapping):
            yield await given_headers(self.headers)
        else:
            yield _headers(await _called(self.headers))

    def __repr__(self) -> str:
        return "<Given>"


async def given_headers(headers: Headers | None) -> dict[str, str]:
    """Headers with the secrets in them looked up.

    Raises:
        AuthFailed: a secret is missing, or a value cannot be sent.
    """
    return _sendable(await looked_up(headers or {}))


async def looked_up(value: Any) -> Any:
    """The value with the secrets themselves in place of what names them.

    Raises:
        AuthFailed: a secret is missing.
    """
    try:
        return await reveal_in_thread(value)
    except SettingsError as exc:
        raise AuthFailed(str(exc)) from exc


async def _called(function: Callable[[], Any]) -> Any:
    try:
        given = function()
        if inspect.isawaitable(given):
            given = await given
        return await reveal_in_thread(given)
    except Exception as exc:
        # Only its type is told: its words may hold a secret.
        name = type(exc).__name__
        raise AuthFailed(f"the auth function raised {name}") from exc


def _bearer(token: str) -> dict[str, str]:
    return _sendable({"Authorization": f"Bearer {token}"})


def _headers(given: Any) -> dict[str, str]:
    """What a function gave, where these are headers."""
    if not isinstance(given, Mapping):
        raise AuthFailed(f"the auth function gave {type(given).__name__}, no headers")
    return _sendable(given)


def _sendable(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers, unless a library would refuse them; no value is told."""
    for name, value in headers.items():
        if not isinstance(value, str):
            kind = type(value).__name__
            raise AuthFailed(f"the header {name!r} wants a text, not {kind}")
        if _CONTROL.search(value):
            raise AuthFailed(f"the header {name!r} holds a line break or the like")
    return dict(headers)
