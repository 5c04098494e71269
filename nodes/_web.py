"""What nodes that talk to web servers share: logins, errors, what answers mean."""

from __future__ import annotations

import base64
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from pichannels import clock
from pichannels.errors import MessageError, RetryLater, SettingsError, UsageError
from pichannels.probes import Finding
from pichannels.secrets import Secret
from pichannels.values import TICKS_PER_SECOND, ticks_from_datetime

__all__ = [
    "TEMPORARY",
    "RequestRefused",
    "answered",
    "authorization",
    "checked_auth",
    "failure_of",
    "media_type",
    "target_of",
]

TEMPORARY: Final = frozenset({408, 425, 429})
"""Answers that are worth another try, beside those of 500 and more."""

_LONGEST_WAIT: Final = 3600.0


class RequestRefused(MessageError):
    """The server does not want this request, now or later."""

    def __init__(self, target: str, status: int, answer: str = "") -> None:
        self.target = target
        self.status = status
        self.answer = answer
        super().__init__(
            f"{target} answered {status}" + (f": {answer}" if answer else "")
        )


def failure_of(
    target: str,
    response: aiohttp.ClientResponse,
    answer: str,
    temporary: Collection[int] = TEMPORARY,
) -> RetryLater | RequestRefused:
    """What to raise for an answer that is none of 2xx."""
    status = response.status
    if status >= 500 or status in temporary:
        wait = _retry_after(response.headers.get("Retry-After", ""))
        return RetryLater(f"{target} answered {status}: {answer}", wait)
    if 300 <= status < 400:
        answer = f"it has moved to {response.headers.get('Location', '?')}"
    return RequestRefused(target, status, answer)


def answered(target: str, status: int) -> Finding:
    """What an answer to HEAD tells about a server."""
    # HEAD itself may be refused: only what concerns any request tells something.
    text = f"{target} answers (HEAD: {status})"
    if status in (401, 403):
        return Finding(False, "server", f"{text}: it does not accept the login")
    if status in (502, 503, 504):
        return Finding(False, "server", f"{text}: what is behind it does not work")
    return Finding(True, "server", text)


def target_of(url: Any) -> str:
    """The URL without what may be secret.

    Raises:
        SettingsError: it is none.
    """
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            "not a URL", key="url", found=url, allowed="http://..., https://..."
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def checked_auth(auth: Any) -> Any:
    """The login, which has to be one that `authorization` can make a header of.

    Raises:
        UsageError: it is none.
    """
    is_pair = isinstance(auth, tuple) and len(auth) == 2
    if auth is None or is_pair or isinstance(auth, str | Secret):
        return auth
    raise UsageError("auth is (user, password), or a bearer token as text or Secret")


def authorization(auth: Any) -> dict[str, str]:
    """The header of a login: a user with a password, or a bearer token."""
    if auth is None:
        return {}
    if isinstance(auth, str):
        return {"Authorization": f"Bearer {auth}"}
    pair = base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def media_type(content_type: str) -> str:
    """The media type of a body; ours for text is not a registered one."""
    is_text = content_type == "application/text"
    return "text/plain; charset=utf-8" if is_text else content_type


def _retry_after(text: str) -> float | None:
    """Seconds that the server asks to wait: a number or a date (RFC 9110)."""
    if text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    try:
        until = ticks_from_datetime(parsedate_to_datetime(text))
    except ValueError:
        return None
    seconds = (until - clock.now()) / TICKS_PER_SECOND
    return min(max(seconds, 0.0), _LONGEST_WAIT)
