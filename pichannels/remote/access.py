"""Who may do what: actions on names, granted by patterns."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import msgspec

from pichannels.patterns import matching
from pichannels.remote.modes import Mode

__all__ = [
    "EVERYTHING",
    "Access",
    "Action",
    "Authorizer",
    "Permission",
    "actions_of",
]


class Action(enum.StrEnum):
    """What a permission is for."""

    LIST = "list"
    READ = "read"
    WRITE = "write"
    CALL = "call"


class Permission(msgspec.Struct, frozen=True):
    """Some actions on all names that fit a pattern.

    Attributes:
        pattern: a name of a stream or service, with `*` and `?`.
        actions: what may be done with these; reading includes listing them.
    """

    pattern: str
    actions: Collection[Action] = (Action.LIST, Action.READ)


class Access(msgspec.Struct, frozen=True):
    """What one client may do.

    Attributes:
        client: who it is, for logs, and for limits that count by client.
        permissions: any of them is enough.
    """

    client: str = ""
    permissions: Sequence[Permission] = ()

    def allows(self, action: Action, name: str) -> bool:
        """Whether this may be done with this name."""
        return any(
            action in _granted(permission) and matching([permission.pattern])(name)
            for permission in self.permissions
        )


def _granted(permission: Permission) -> Collection[Action]:
    if Action.READ in permission.actions:
        return {*permission.actions, Action.LIST}
    return permission.actions


EVERYTHING: Final = Access("", (Permission("*", tuple(Action)),))
"""Of a client that may do all."""

Authorizer = Callable[[str | None], Access | None | Awaitable[Access | None]]
"""Tells what who shows this token (or none) may do; None lets nobody in.

Called once for each link. It should compare tokens in constant time
(`hmac.compare_digest`).
"""


def actions_of(mode: Mode) -> list[Action]:
    """What has to be allowed for a stream that is opened so."""
    wanted = {Mode.READ: Action.READ, Mode.WRITE: Action.WRITE}
    return [action for flag, action in wanted.items() if mode & flag]
