"""Which member of a logical server a source receives from."""

from __future__ import annotations

from pichannels.piwebasync.exceptions import (
    ChannelRefused,
    HTTPClientError,
    HTTPStatusError,
    WebsocketClientError,
)
from pichannels.piwebasync.server import PIServer

__all__ = ["Membership"]

_SERVERS_FAULT = 500


class Membership:
    """The members of a server, and the one that is used now.

    Args:
        server: with all its members.

    Attributes:
        trouble: what went wrong last; empty since it works.
    """

    def __init__(self, server: PIServer) -> None:
        self.trouble = ""
        self._server = server
        self._members = server.members() if server.others else None

    @property
    def current(self) -> PIServer:
        """The member that is used now, as a server of its own."""
        members = self._members
        return self._server if members is None else self._server.at(members.current)

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs of all members."""
        return self._server.urls

    @property
    def switches(self) -> int:
        """How often another member was taken into use."""
        return 0 if self._members is None else self._members.switches

    def answered(self) -> None:
        """The member in use works."""
        self.trouble = ""
        if self._members is not None:
            self._members.answered(self._members.current)

    def leave(self, error: Exception) -> bool:
        """Take another member into use because of an error; False to stay."""
        members = self._members
        if members is None or not _is_members_fault(error):
            return False
        before = members.current
        return members.leave(before, str(error)) != before


def _is_members_fault(error: Exception) -> bool:
    """Whether another member might do better."""
    if isinstance(error, ChannelRefused | HTTPStatusError):
        return error.status_code >= _SERVERS_FAULT
    return isinstance(error, WebsocketClientError | HTTPClientError)
