"""Which PI Web API, and how to prove to it who we are: shared by all that asks it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from pichannels.errors import UsageError
from pichannels.limiter import Priority
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify

__all__ = ["PIServer"]

_ROOT: Final = "/piwebapi"


class PIServer(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a PI Web API and the credentials for it.

    A channel that receives from one offers it as its attribute `pi_server`, and
    nodes behind it ask the same server unless they are told another.
    """

    url: str
    auth: Auth = None
    headers: Headers | None = None
    verify: Verify = True
    cert: Cert = None

    def controller(self, *, websocket: bool = False) -> Controller:
        """What makes requests to this server.

        Raises:
            UsageError: the URL is no address of a PI Web API.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"url={self.url!r} is no address of a PI Web API server; it looks like"
                " https://pi.example.com/piwebapi"
            )
        scheme = parts.scheme.replace("http", "ws") if websocket else parts.scheme
        return Controller(scheme, parts.hostname, parts.port, parts.path or _ROOT)

    def client(
        self, limiter: Limiter | None = None, priority: Priority = "live"
    ) -> HTTPClient:
        """A new client for this server; the caller closes it.

        `limiter` is the one that all clients of the server share.
        """
        return HTTPClient(
            auth=self.auth,
            headers=self.headers,
            verify=self.verify,
            cert=self.cert,
            limiter=limiter,
            priority=priority,
        )
