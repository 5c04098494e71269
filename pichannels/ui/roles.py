"""Who may do what: four roles, each of which may what the one before may."""

from __future__ import annotations

import enum

import msgspec

from pichannels.errors import PichannelsError, UsageError, nearest

__all__ = ["NotAllowed", "NotLoggedIn", "Principal", "Role"]


class Role(enum.StrEnum):
    """What a user may do.

    `view`: see states, counts, coverage and settings. `data`: see payloads and values
    too, and search them. `operate`: command channels, replay, redrive, read history.
    `admin`: discard and delete, change settings and users, see what is masked.
    """

    VIEW = "view"
    DATA = "data"
    OPERATE = "operate"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where another one is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)

    @staticmethod
    def of(name: str) -> Role:
        """The role of this name.

        Raises:
            UsageError: there is none.
        """
        try:
            return Role(name)
        except ValueError as exc:
            hint = nearest(name, list(Role))
            raise UsageError(f"there is no role {name!r}{hint}") from exc


class Principal(msgspec.Struct, frozen=True):
    """Somebody who has shown who it is.

    Attributes:
        name: of the user.
        role: what it may do.
        way: how it was shown: `session`, `token`, or `start` for the token that is
            made at the start.
        session: the number of the session, or "".
        token: the number of the token of a user that was shown, or "".
        address: where the request came from.
    """

    name: str
    role: Role
    way: str = "session"
    session: str = ""
    address: str = ""
    token: str = ""

    def need(self, role: Role) -> None:
        """Refuse what takes more than the role of this user.

        Raises:
            NotAllowed: it does.
        """
        if not self.role.may(role):
            raise NotAllowed(self.name, self.role, role)


class NotLoggedIn(PichannelsError):
    """The request does not show whose it is."""

    def __init__(self, reason: str = "log in, or show a token") -> None:
        super().__init__(reason)


class NotAllowed(PichannelsError):
    """The user's role is not enough for this.

    Attributes:
        name: of the user.
        role: that it has.
        needed: that this takes.
    """

    def __init__(self, name: str, role: Role, needed: Role) -> None:
        self.name = name
        self.role = role
        self.needed = needed
        super().__init__(f"this takes the role {needed}; {name} has {role}")
