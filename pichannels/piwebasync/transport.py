"""What HTTP and PI channels share towards the network: TLS, credentials, reasons."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike, fspath
from typing import Any, Final, TypeAlias

import aiohttp

from pichannels.errors import SettingsError, UsageError
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.secrets import Secret, reveal_in_thread

__all__ = [
    "Auth",
    "AuthFailed",
    "Cert",
    "FAILURES",
    "Headers",
    "Verify",
    "auth_headers",
    "given_headers",
    "reason_of",
    "tls_context",
]

Headers: TypeAlias = Mapping[str, str | Secret]
Auth: TypeAlias = (
    tuple[str | Secret, str | Secret]
    | Callable[[], Headers | Awaitable[Headers]]
    | Headers
    | None
)
"""User and password (Basic), headers, or a (coroutine) function that gives headers.

Secrets are looked up before each request and each handshake.

A function is asked before each request and each handshake, so that what it gives
may expire.
"""
Verify: TypeAlias = bool | str | PathLike[str] | ssl.SSLContext
"""True: the system's authorities; a path: a CA file; False: any certificate."""
Cert: TypeAlias = str | tuple[str, ...] | None
"""Client certificate: one PEM file, or (certificate, key[, password])."""


class AuthFailed(PIWebAsyncException):
    """The credentials cannot be had: their function failed, or a secret is missing."""


FAILURES: Final = (
    aiohttp.ClientError,
    AuthFailed,
    TimeoutError,
    OSError,
    UnicodeError,
)
"""What the network, the libraries below and the user's credentials raise."""


async def auth_headers(auth: Auth) -> dict[str, str]:
    """The headers that prove who we are.

    Raises:
        AuthFailed: the function that gives them has failed, or a secret is missing.
        UsageError: `auth` is of no known kind.
    """
    if auth is None:
        return {}
    if isinstance(auth, tuple):
        user, password = await _looked_up(auth)
        token = b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {token}"}
    if isinstance(auth, Mapping):
        return await given_headers(auth)
    if not callable(auth):
        raise UsageError(
            f"auth cannot be a {type(auth).__name__}; give (user, password), headers"
            " or a function that returns headers"
        )
    try:
        given = auth()
        headers: Any = await given if inspect.isawaitable(given) else given
        return dict(await reveal_in_thread(headers))
    except Exception as exc:
        # Only its type is told: its words may hold a secret.
        name = type(exc).__name__
        raise AuthFailed(f"the auth function raised {name}") from exc


async def given_headers(headers: Headers | None) -> dict[str, str]:
    """Headers with the secrets in them looked up.

    Raises:
        AuthFailed: a secret is missing.
    """
    return dict(await _looked_up(headers or {}))


async def _looked_up(value: Any) -> Any:
    try:
        return await reveal_in_thread(value)
    except SettingsError as exc:
        raise AuthFailed(str(exc)) from exc


async def tls_context(verify: Verify, cert: Cert) -> ssl.SSLContext | bool:
    """What aiohttp takes as `ssl`.

    Raises:
        UsageError: a file is missing or holds no certificate.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool) and cert is None:
        return verify
    try:
        # Certificates are read from files, which may be slow ones.
        return await asyncio.to_thread(_context, verify, cert)
    except OSError as exc:
        raise UsageError(f"the certificates cannot be used: {reason_of(exc)}") from exc


def _context(verify: bool | str | PathLike[str], cert: Cert) -> ssl.SSLContext:
    file = None if isinstance(verify, bool) else fspath(verify)
    context = ssl.create_default_context(cafile=file)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def reason_of(exc: BaseException) -> str:
    """Why it failed, in words; some errors have none of their own."""
    return str(exc) or type(exc).__name__
