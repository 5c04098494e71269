"""Whether a request may be answered: its token, and the server that it is meant for."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from pichannels.config import is_loopback

__all__ = ["has_token", "is_known_host"]


def has_token(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request shows the token; takes the same time either way.

    An empty token is shown by nobody.
    """
    kind, _, shown = headers.get("Authorization", "").partition(" ")
    given = shown.strip().encode("utf-8", "surrogatepass")
    fits = hmac.compare_digest(given, token.encode())
    return fits and bool(token) and kind.lower() == "bearer"


def is_known_host(header: str, host: str) -> bool:
    """Whether a request was meant for this server.

    A page from elsewhere can have its name point here (DNS rebinding), and its
    requests then carry that name; addresses cannot be used so. A server that is
    meant for other machines may have any name, and has a token of the user's.
    """
    if not is_loopback(host):
        return True
    name = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    name = name.strip("[]").lower()
    if is_loopback(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
