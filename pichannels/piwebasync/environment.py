"""What the environment says of servers: proxies, and logins in a netrc file.

aiohttp would do this by itself, but for each request anew, and it takes a login of the
file beside the one that is given.
"""

from __future__ import annotations

import asyncio
import netrc
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pichannels.piwebasync.credentials import Basic

__all__ = ["is_proved", "netrc_login", "proxy_of"]

_NAME: Final = "_netrc" if os.name == "nt" else ".netrc"


def proxy_of(url: str) -> str | None:
    """The proxy for this URL (`http_proxy`, `https_proxy`, `no_proxy`)."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def is_proved(headers: Iterable[str]) -> bool:
    """Whether a login is among headers that are given by name."""
    return any(name.lower() == "authorization" for name in headers)


async def netrc_login(url: str) -> Basic | None:
    """The user and password for the host of this URL, where the file has them."""
    host = urlsplit(url).hostname
    return await asyncio.to_thread(_found, host) if host else None


def _found(host: str) -> Basic | None:
    try:
        file = os.environ.get("NETRC") or Path.home() / _NAME
        entry = netrc.netrc(os.fspath(file)).authenticators(host)
    except (OSError, RuntimeError, UnicodeDecodeError, netrc.NetrcParseError):
        # Mostly there is none.
        return None
    return Basic(entry[0] or entry[1], entry[2] or "") if entry else None
