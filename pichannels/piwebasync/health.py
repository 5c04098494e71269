"""A first look at a PI Web API server: is it there, does it take us, what is its time.

What goes wrong is told with what to do about it.
"""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any, Final

import aiohttp
import msgspec

from pichannels import clock
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import (
    AuthFailed,
    HTTPClientError,
    HTTPStatusError,
    PIWebAsyncException,
)
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.login import challenges
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.probes import Finding
from pichannels.values import TICKS_PER_SECOND, parse_ticks, ticks_from_datetime

__all__ = ["Health", "NotUsable", "advice", "ask", "examine", "findings"]

_ROUNDS: Final = 3
_OFFSET_ALLOWED: Final = 2.0


class NotUsable(PIWebAsyncException):
    """The server does not do what was asked; the words say what helps."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a server told of itself.

    Attributes:
        first, latency: seconds of the first request, and of later ones (median).
        data_servers: names of the PI Data Archives.
        user: who it takes us for; "" where it does not tell.
        versions: part -> version; empty where it does not tell.
        offset: seconds that its clock is ahead of ours; None where unknown.
        doubt: by how many seconds the offset may be wrong.
    """

    first: float
    latency: float
    data_servers: list[str]
    user: str = ""
    versions: dict[str, str] = {}
    offset: float | None = None
    doubt: float = 0.0


async def examine(client: HTTPClient, controller: Controller) -> Health:
    """Ask a server a few harmless things.

    Raises:
        NotUsable: it is not reached, or refuses us.
    """
    took: list[float] = []
    for _ in range(1 + _ROUNDS):
        start = clock.monotonic()
        response = await ask(client, controller.dataservers.list())
        took.append(clock.monotonic() - start)
    names = response.select("Items.Name")["Items.Name"]
    offset, doubt = await _clock_offset(client, controller)
    user = await _told(client, controller.system.user_info())
    return Health(
        first=took[0],
        latency=median(took[1:]),
        data_servers=[str(name) for name in names if name],
        user=str(user.get("Name") or ""),
        versions=_versions(await _told(client, controller.system.versions())),
        offset=offset,
        doubt=doubt,
    )


def findings(health: Health) -> list[Finding]:
    """A server's health as it is told to people."""
    first, later = health.first * 1000, health.latency * 1000
    servers = ", ".join(health.data_servers) or "none"
    found = [
        Finding(True, "reachable", f"in {later:.0f} ms ({first:.0f} ms at first)"),
        Finding(True, "login", f"accepted, as {health.user or 'an unnamed user'}"),
        Finding(bool(health.data_servers), "data servers", servers),
    ]
    if health.versions:
        text = ", ".join(f"{name} {v}" for name, v in health.versions.items())
        found.append(Finding(True, "version", text))
    if health.offset is not None:
        found.append(_clock_finding(health.offset, health.doubt))
    return found


def _clock_finding(offset: float, doubt: float) -> Finding:
    side = "ahead of" if offset > 0 else "behind"
    text = f"the server is {abs(offset):.1f} s {side} this machine (+-{doubt:.1f} s)"
    if abs(offset) <= _OFFSET_ALLOWED + doubt:
        return Finding(True, "clock", text)
    return Finding(False, "clock", f"{text}: let both follow the same time server")


async def ask(client: HTTPClient, request: APIRequest) -> HTTPResponse:
    """The answer to a request, if it is one.

    Raises:
        NotUsable: there is none, or it says no.
    """
    try:
        response = await client.get(request)
        if response.status_code == 401:
            raise NotUsable(_unauthorised(response))
        response.raise_for_status()
    except HTTPClientError as exc:
        raise NotUsable(f"{exc}; {advice(exc)}") from exc
    return response


def _unauthorised(response: HTTPResponse) -> str:
    """What is told of a 401, with the options that answer it."""
    offered = [name for name, _ in challenges(response.challenges)]
    schemes = sorted(set(offered))
    known = f" (it offers {', '.join(schemes)})" if schemes else ""
    ways = [text for name, text in _LOGINS.items() if name in schemes]
    if schemes and not ways:
        what = "give a login of its own in the settings, such as an httpx.Auth"
    else:
        what = f"give one: {', or '.join(ways or _LOGINS.values())}"
    return (
        f"401 from {response.url}: the server does not accept the login{known}; {what}"
    )


_LOGINS: Final = {
    "Basic": "--auth USER:PASSWORD (with the domain: 'DOMAIN\\USER:...')",
    "Bearer": "--auth 'Bearer TOKEN'",
    "Negotiate": "--auth Negotiate (as this session's user; 'Negotiate USER:PASSWORD'"
    " for another)",
    "NTLM": "--auth 'NTLM DOMAIN\\USER:PASSWORD'",
}


def advice(error: Exception) -> str:
    """What helps against an error of the client."""
    if isinstance(error, HTTPStatusError):
        return _STATUS.get(error.status_code, "the log of the PI Web API tells why")
    return _network_advice(error.__cause__)


_STATUS: Final = {
    200: "something else than a PI Web API answers there (a proxy, a login page?):"
    " check the path, mostly /piwebapi",
    400: "the server does not understand the request: check names and times",
    401: "give a login: --auth USER:PASSWORD",
    403: "the login is right, but this user may not: ask for read access in PI",
    404: "no PI Web API, or no such thing, is there: check the path of the URL"
    " (mostly https://HOST/piwebapi) and the names",
    429: "the server is asked too often: try again later",
    502: "a proxy does not reach the PI Web API: check the path and the service",
    503: "the PI Web API is starting or overloaded: try again later",
}


def _network_advice(cause: BaseException | None) -> str:
    if isinstance(cause, AuthFailed):
        return "check --auth, or the login in the settings"
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return (
            "on the command line the authority is --ca FILE, and any certificate is"
            " taken, for a try only, with --insecure"
        )
    if isinstance(cause, aiohttp.ClientSSLError | ssl.SSLError):
        return "there is no TLS at that port, or none that fits: check https and port"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "the name of the host is not known here: check it, and the VPN"
    if isinstance(cause, TimeoutError):
        return "check host and port; a firewall may swallow what is sent"
    return "check scheme, host and port, and whether the server runs"


# What a server tells of itself


async def _told(client: HTTPClient, request: APIRequest) -> dict[str, Any]:
    """What not every user is told; then nothing."""
    try:
        response = await client.get(request)
        response.raise_for_status()
    except HTTPClientError:
        return {}
    return response.dict()


def _versions(told: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(version["FullVersion"])
        for name, version in told.items()
        if isinstance(version, dict) and version.get("FullVersion")
    }


async def _clock_offset(
    client: HTTPClient, controller: Controller
) -> tuple[float | None, float]:
    """Seconds that the server's clock is ahead, and the doubt about it."""
    before = clock.now()
    try:
        response = await client.get(controller.system.status())
    except HTTPClientError:
        return None, 0.0
    after = clock.now()
    theirs, step = _server_time(response)
    if theirs is None:
        return None, 0.0
    offset = theirs - (before + after) / 2
    doubt = (after - before) / 2 + step / 2
    return (offset + step / 2) / TICKS_PER_SECOND, doubt / TICKS_PER_SECOND


def _server_time(response: HTTPResponse) -> tuple[int | None, int]:
    """The server's time in ticks, and how coarse it is."""
    text = response.dict().get("ServerTime")
    try:
        if isinstance(text, str):
            return parse_ticks(text), 0
        date = parsedate_to_datetime(response.headers["Date"])
        return ticks_from_datetime(date), TICKS_PER_SECOND
    except (KeyError, ValueError, TypeError):
        return None, 0
