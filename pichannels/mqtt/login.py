"""Where a broker is, and how to get in."""

from __future__ import annotations

import os
import ssl
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pichannels.certificates import tls_context
from pichannels.errors import SettingsError
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["VERSIONS", "Login", "checked_url"]

VERSIONS: Final = {"5": 5, "3.1.1": 4}
"""The versions of the protocol that there are, and their numbers in it."""

_SCHEMES: Final = ("mqtt", "mqtts")
_PORTS: Final = (1883, 8883)
"""Without TLS, and with it."""
_ALLOWED: Final = "mqtt://host:port, mqtts://host:port"


class Login(NamedTuple):
    """Where the broker is, and how to get in.

    Attributes:
        url: `mqtt://host:port`, or `mqtts://` for TLS.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with the client's own certificate, and perhaps its key.
        cert_key: a file with its key.
        protocol: `5` or `3.1.1`.
        keep_alive: seconds after which a silent connection is tried.
        timeout: seconds for the connection, and for an answer.
    """

    url: str
    user: str | Secret | None = None
    password: str | Secret | None = None
    tls: bool | ssl.SSLContext = False
    verify: bool = True
    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    cert_key: str | os.PathLike[str] | None = None
    protocol: str = "5"
    keep_alive: float = 30.0
    timeout: float = 10.0

    def __repr__(self) -> str:
        return f"Login({self.target})"

    @property
    def secrets(self) -> list[str | Secret | None]:
        """What is looked up for each connection."""
        return [self.user, self.password]

    @property
    def target(self) -> str:
        """The URL, as errors show it."""
        scheme = "mqtts" if self.is_secure else "mqtt"
        return f"{scheme}://{self.host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return bool(self.tls) or _parts(self.url).scheme == "mqtts"

    @property
    def host(self) -> str:
        """The name or address of the broker."""
        return _parts(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return _parts(self.url).port or _PORTS[self.is_secure]

    @property
    def version(self) -> int:
        """The number of the protocol's version."""
        return VERSIONS[self.protocol]

    async def context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without.

        Raises:
            SettingsError: a file is missing, or has no certificate.
        """
        if not self.is_secure:
            return None
        return await tls_context(
            self.tls,
            verify=self.verify,
            ca=self.ca,
            certificate=self.certificate,
            key=self.cert_key,
        )

    async def credentials(self) -> tuple[str | None, str | None]:
        """User and password themselves.

        Raises:
            SettingsError: a secret is missing.
        """
        found: Any = await reveal_in_thread(self.secrets)
        user, password = found
        return user, password


def checked_url(url: Any) -> str:
    """The URL of a broker.

    Raises:
        SettingsError: it is none, or a login is in it.
    """
    parts = _parts(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in _SCHEMES or not parts.hostname:
        raise SettingsError("not a URL", key="url", found=url, allowed=_ALLOWED)
    if "@" in parts.netloc:
        shown = f"{parts.scheme}://...@{parts.hostname}"
        raise SettingsError(
            "a login is no part of the URL; use user and password",
            key="url",
            found=shown,
            allowed=_ALLOWED,
        )
    return str(url)


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018 - it raises where it is no number
    except ValueError as exc:
        raise SettingsError(str(exc), key="url", found=url, allowed=_ALLOWED) from exc
    return parts
