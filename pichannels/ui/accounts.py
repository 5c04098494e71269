"""Users and tokens as administrators change them: who was changed is logged out."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from pichannels.ui.console import Console
from pichannels.ui.roles import Principal, Role
from pichannels.ui.users import User

__all__ = ["Accounts"]


class Accounts:
    """Changes users, and writes into the audit log who has done it.

    All methods raise `NotAllowed` for all but administrators, and `UsageError` as those
    of `Users` do.

    Args:
        console: whose users.
        who: changes them.
    """

    def __init__(self, console: Console, who: Principal) -> None:
        self._console = console
        self._who = who

    async def all(self) -> list[User]:
        """The users, by name."""
        self._who.need(Role.ADMIN)
        return await asyncio.to_thread(self._console.users.all)

    async def add(self, name: str, role: Role, password: str = "") -> User:
        """Add a user; without a password only tokens are taken."""
        self._who.need(Role.ADMIN)
        add = self._console.users.add
        async with self._noted("add-user", name, role=str(role)):
            return await asyncio.to_thread(add, name, role, password)

    async def change(
        self, name: str, role: Role | None = None, password: str | None = None
    ) -> User:
        """Give a user another role or password; sessions of that user end."""
        self._who.need(Role.ADMIN)
        change = self._console.users.change
        facts = {"role": role and str(role), "password": password is not None}
        async with self._noted("change-user", name, **facts):
            user = await asyncio.to_thread(
                lambda: change(name, role=role, password=password)
            )
            self._console.sessions.close_all_of(name)
        return user

    async def remove(self, name: str) -> None:
        """Remove a user, whose sessions and tokens end."""
        self._who.need(Role.ADMIN)
        async with self._noted("remove-user", name):
            await asyncio.to_thread(self._console.users.remove, name)
            self._console.sessions.close_all_of(name)

    async def make_token(
        self,
        name: str,
        about: str = "",
        days: float | None = None,
        role: Role | None = None,
    ) -> str:
        """Make a token of a user, for a program; it is shown this once."""
        self._who.need(Role.ADMIN)
        make = self._console.users.make_token
        facts = {"about": about, "days": days, "role": role and str(role)}
        async with self._noted("make-token", name, **facts):
            return await asyncio.to_thread(
                lambda: make(name, about=about, days=days, role=role)
            )

    async def remove_token(self, name: str, id: str) -> None:
        """Take a token back."""
        self._who.need(Role.ADMIN)
        async with self._noted("remove-token", name, id=id):
            await asyncio.to_thread(self._console.users.remove_token, name, id)

    def _noted(
        self, action: str, name: str, **facts: Any
    ) -> AbstractAsyncContextManager[None]:
        return self._console.commands.noted(self._who, action, {"name": name, **facts})
