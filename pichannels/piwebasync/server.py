"""Which PI Web API, and how to prove to it who we are: shared by all that asks it."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.limiter import Priority
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.failover import FailoverClient
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.members import Members
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.retry import RetryPolicy

__all__ = ["PIServer"]


class PIServer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The address of a PI Web API and the credentials for it.

    A channel that receives from one offers it as its attribute `pi_server`, and
    nodes behind it ask the same server unless they are told another.

    Attributes:
        url: base URL; without a path `/piwebapi` is meant.
        others: base URLs of further members of the same logical server, which
            have the same paths and values, and take the same login.
        auth, headers, verify, cert: as of `HTTPClient`.

    Raises:
        UsageError: a URL is no address of a PI Web API, or holds a login.
    """

    url: str
    auth: Auth = None
    headers: Headers | None = None
    verify: Verify = True
    cert: Cert = None
    others: tuple[str, ...] = ()
    _members: Members | None = None

    def __post_init__(self) -> None:
        for url in self.urls:
            Controller.from_url(url)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PIServer):
            return NotImplemented
        return self._address() == other._address()

    def __hash__(self) -> int:
        return hash(self.urls)

    def __repr__(self) -> str:
        # The login is nobody's business.
        return f"<PIServer {' '.join(self.urls)}>"

    def _address(self) -> tuple[object, ...]:
        return self.urls, self.auth, self.headers, self.verify, self.cert

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs of all members, the preferred one first."""
        return (self.url, *self.others)

    def at(self, url: str) -> PIServer:
        """The one member at this base URL."""
        return msgspec.structs.replace(self, url=url, others=(), _members=None)

    def members(self) -> Members:
        """Which member is used: one state for all that use this `PIServer`.

        Raises:
            UsageError: a URL is there twice.
        """
        if self._members is None:
            msgspec.structs.force_setattr(self, "_members", Members(self.urls))
        assert self._members is not None
        return self._members

    def controller(self, *, websocket: bool = False) -> Controller:
        """What makes requests to this server, by the URL of the first member.

        It serves both protocols; with `websocket` its own URL says so, too.
        """
        return Controller.from_url(self.url, websocket=websocket)

    def client(
        self,
        limiter: Limiter | None = None,
        priority: Priority = "live",
        *,
        retry: RetryPolicy | None = None,
    ) -> HTTPClient:
        """A new client for this server; the caller closes it.

        With several members it is a `FailoverClient`; all clients of this `PIServer`
        use the same member.

        Args:
            limiter: the one that all clients of the server share.
            priority: what the limiter takes its requests for.
            retry: as of `HTTPClient`.
        """
        options: dict[str, Any] = {
            "auth": self.auth,
            "headers": self.headers,
            "verify": self.verify,
            "cert": self.cert,
            "limiter": limiter,
            "priority": priority,
            "retry": retry,
        }
        if self.others:
            return FailoverClient(self.members(), **options)
        return HTTPClient(**options)
