"""Where a redirection leads, and what of a request goes there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from yarl import URL

__all__ = ["Hop", "next_hop"]

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SEE_OTHER: Final = 303
# Any other header, whatever its name, may prove who we are.
_HARMLESS: Final = frozenset({"accept", "content-type", "x-requested-with"})


class Hop(msgspec.Struct, frozen=True):
    """A request as it is sent to one place."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes
    cookies: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<Hop {self.method}>"


def next_hop(answer: aiohttp.ClientResponse, hop: Hop) -> Hop | None:
    """The request that an answer redirects to; None where it does not.

    No login and no cookie of ours goes to another origin, but from http to https of
    one server.

    Raises:
        aiohttp.InvalidURL: the place is none.
    """
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or not location:
        return None
    try:
        url = hop.url.join(URL(location))
    except ValueError as exc:
        raise aiohttp.InvalidURL(location) from exc
    headers, cookies = dict(hop.headers), hop.cookies
    if not _is_same_server(hop.url, url):
        cookies = {}
        headers = {k: v for k, v in headers.items() if k.lower() in _HARMLESS}
    if not _becomes_get(answer.status, hop.method):
        return Hop(hop.method, url, headers, hop.body, cookies)
    headers = {k: v for k, v in headers.items() if k.lower() != "content-type"}
    return Hop("GET", url, headers, b"", cookies)


def _becomes_get(status: int, method: str) -> bool:
    if status == _SEE_OTHER:
        return method != "HEAD"
    return status in (301, 302) and method == "POST"


def _is_same_server(old: URL, new: URL) -> bool:
    if old.host != new.host:
        return False
    if old.scheme == new.scheme:
        return old.port == new.port
    return old.scheme == "http" and old.is_default_port() and new.is_default_port()
