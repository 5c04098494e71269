"""What browsers keep: the session, and that somebody has logged in with them."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.responses import Response

__all__ = [
    "cookie_of",
    "device_name",
    "is_device_of",
    "make_device",
    "session_name",
    "set_device",
    "set_session",
]

_SESSION: Final = "pichannels_session"
_DEVICE: Final = "pichannels_device"
_YEAR: Final = 365 * 86_400


def session_name(host: str) -> str:
    """The name of the cookie of sessions.

    Args:
        host: the header `Host`. Browsers keep one jar for all ports of a host, where
            several instances may have pages.
    """
    return _own(_SESSION, host)


def device_name(host: str) -> str:
    """The name of the cookie that tells a browser; `host` as for `session_name`."""
    return _own(_DEVICE, host)


def _own(name: str, host: str) -> str:
    port = host.rpartition(":")[2]
    return f"{name}_{port}" if port.isascii() and port.isdecimal() else name


def cookie_of(headers: Mapping[str, str], name: str) -> str:
    """What a browser shows, or ""."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def set_session(answer: Response, host: str, id: str, *, is_secure: bool) -> None:
    """Give a browser its session."""
    answer.set_cookie(
        session_name(host),
        id,
        httponly=True,
        secure=is_secure,
        samesite="strict",
        path="/",
    )


def set_device(
    answer: Response, host: str, device: str, path: str, *, is_secure: bool
) -> None:
    """Let a browser show at the next login that it is known.

    Args:
        path: where it shows that.
    """
    answer.set_cookie(
        device_name(host),
        device,
        max_age=_YEAR,
        httponly=True,
        secure=is_secure,
        samesite="strict",
        path=path,
    )


def make_device(password: str) -> str:
    """What tells a browser that somebody has logged in with.

    Args:
        password: what is kept of it: with another one the browser is a stranger again.
    """
    id = secrets.token_urlsafe(16)
    return f"{id}.{_proof(id, password)}"


def is_device_of(device: str, password: str) -> bool:
    """Whether somebody with this password has logged in with the browser before."""
    id, _, proof = device.partition(".")
    given = proof.encode("utf-8", "replace")
    return bool(password) and hmac.compare_digest(given, _proof(id, password).encode())


def _proof(id: str, password: str) -> str:
    text = f"device {id}".encode("utf-8", "replace")
    return hmac.new(password.encode(), text, "sha256").hexdigest()
