"""What HTTP and PI channels share towards the network: logins, TLS, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import aiohttp

from pichannels.errors import UsageError
from pichannels.piwebasync.auth import (
    NTLM,
    Basic,
    Bearer,
    ClientCredentials,
    HttpxAuth,
    Login,
    Negotiate,
)
from pichannels.piwebasync.credentials import (
    Given,
    GivesHeaders,
    Headers,
    given_headers,
)
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.httpx_flow import HttpxLogin, is_httpx_auth
from pichannels.piwebasync.tls import Cert, Verify, cause_of, reason_of, tls_context
from pichannels.secrets import Secret

__all__ = [
    "Auth",
    "AuthFailed",
    "Cert",
    "FAILURES",
    "Headers",
    "Verify",
    "cause_of",
    "given_headers",
    "login_of",
    "reason_of",
    "tls_context",
]

Auth: TypeAlias = (
    tuple[str | Secret, str | Secret]
    | Basic
    | Bearer
    | ClientCredentials
    | Negotiate
    | NTLM
    | Login
    | HttpxAuth
    | GivesHeaders
    | Headers
    | None
)
"""How we prove who we are.

User and password (Basic); a login of `auth` or one of the user's own; an
`httpx.Auth`; headers; or a (coroutine) function that gives headers and is asked
before each request and each handshake, so that what it gives may expire.

Secrets are looked up before each request and each handshake.
"""


FAILURES: Final = (
    aiohttp.ClientError,
    AuthFailed,
    TimeoutError,
    OSError,
    UnicodeError,
)
"""What the network, the libraries below and the user's credentials raise."""


def login_of(auth: Auth) -> Login | None:
    """The login that `auth` means.

    Raises:
        UsageError: `auth` is of no known kind.
    """
    found: Any = auth
    if found is None or isinstance(found, Login):
        return found
    if isinstance(found, tuple) and len(found) == 2:
        return Basic(*found)
    if is_httpx_auth(found):
        return HttpxLogin(found)
    if isinstance(found, Mapping) or callable(found):
        return Given(found)
    raise UsageError(
        f"auth cannot be a {type(auth).__name__}; give (user, password), a login such"
        " as Negotiate(), headers or a function that returns headers"
    )
