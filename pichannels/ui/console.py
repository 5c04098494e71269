"""Everything that the pages and the API share in their process."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Final

import msgspec

from pichannels.config import is_loopback
from pichannels.control.access import make_token
from pichannels.control.audit import Audit
from pichannels.control.masking import Mask
from pichannels.errors import SettingsError
from pichannels.ui.budget import Budget
from pichannels.ui.commands import Commands
from pichannels.ui.cookies import is_device_of, make_device
from pichannels.ui.data import ReadModel
from pichannels.ui.links import Links, Place
from pichannels.ui.log_lines import LogLines
from pichannels.ui.operation_store import OperationStore
from pichannels.ui.operations import REMEMBERED
from pichannels.ui.roles import NotLoggedIn, Principal, Role
from pichannels.ui.saved_searches import SavedSearches
from pichannels.ui.session_store import SessionStore
from pichannels.ui.sessions import Session, Sessions, Throttle, network_of
from pichannels.ui.settings_files import SettingsFiles
from pichannels.ui.taps import NodeTaps
from pichannels.ui.tracing import Tracer
from pichannels.ui.users import Users
from pichannels.ui_config import UIConfig

__all__ = ["Console", "ConsolePlan"]

_AT_THE_START: Final = "start"
"""The name of who shows the token that is made at the start."""
_HOUR: Final = 3600.0
_PASSWORDS_AT_ONCE: Final = 2
_LONGEST_NAME: Final = 64


class ConsolePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a console is made of; its paths are absolute.

    Attributes:
        config: the settings.
        places: the instances.
        folder: where users, the audit log and versions of settings are kept.
    """

    config: UIConfig
    places: list[Place]
    folder: str


class Console:
    """The instances, the users and what they may take, of one process.

    Attributes:
        config: the settings.
        data: what can be looked at.
        commands: what can be done.
        settings: settings files: checks, plans, applies, rolls back.
        tracer: the way of stored messages through the nodes.
        log: the last lines of the log of each instance.
        taps: what comes to nodes and leaves them.
        links: the instances.
        users: who may log in.
        audit: what was done.
        searches: searches that users keep.
        budget: what requests may take.
        token: logs in as an administrator while there is none among the users; "" where
            there was one at the start.

    Raises:
        SettingsError: it is to be served to other machines, and there are no users.
    """

    def __init__(self, plan: ConsolePlan) -> None:
        config, folder = plan.config, Path(plan.folder)
        self.config = config
        self.users = Users(folder / "users.json")
        kept_sessions = SessionStore(folder / "sessions.sqlite")
        self.sessions = Sessions(config.session_hours * _HOUR, kept_sessions)
        self.throttle = Throttle()
        self.budget = Budget(
            config.requests, config.searches, config.search_seconds, config.search_share
        )
        self.audit = Audit(folder / "audit.sqlite")
        self.searches = SavedSearches(folder / "searches.json")
        self.links = Links(plan.places, config.searches)
        mask = Mask(config.mask, config.mask_text)
        self.data = ReadModel(self.links, self.budget, mask)
        kept = OperationStore(folder / "operations.sqlite", REMEMBERED)
        self.commands = Commands(self.links, self.audit, kept, is_masked=bool(mask))
        self.settings = SettingsFiles(self.links, self.commands, folder / "versions")
        self.tracer = Tracer(self.links, self.commands, self.data)
        self.log = LogLines(self.links, self.data)
        self.taps = NodeTaps(self.links, self.data)
        self.token = ""
        self._checking = asyncio.Semaphore(_PASSWORDS_AT_ONCE)
        if is_loopback(config.host):
            self.token = "" if self._has_administrator() else make_token()
        elif not self.users.all():
            raise SettingsError(
                "beyond this machine there have to be users; add one with"
                " `pichannels ui user add NAME --role admin`",
                key="UI['host']",
                found=self.config.host,
                allowed="a loopback host, as long as there are no users",
            )

    def _has_administrator(self) -> bool:
        return any(user.role is Role.ADMIN for user in self.users.all())

    async def _takes_start(self) -> bool:
        """Whether the token of the start still counts."""
        if not self.token:
            return False
        return not await asyncio.to_thread(self._has_administrator)

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS."""
        return bool(self.config.cert) or self.config.behind_proxy

    async def open(self) -> None:
        """Begin to follow the instances."""
        await self.commands.open()
        await self.settings.open()
        await self.links.open()

    async def close(self) -> None:
        """End everything; what was begun is cut off."""
        await self.log.close()
        await self.settings.close()
        await self.commands.operations.close()
        await self.links.close()
        await asyncio.to_thread(self.audit.close)
        await asyncio.to_thread(self.sessions.end)

    # Who it is

    async def log_in(
        self, name: str, password: str, address: str, device: str = ""
    ) -> Session:
        """A new session of a user.

        Args:
            device: what `device_of` has given the browser before: then it waits only
                for its own wrong attempts, and nobody else can lock its user out.

        Raises:
            NotLoggedIn: there is no such user, or it is another password.
            Throttled: there were too many wrong attempts.
        """
        user = await asyncio.to_thread(self.users.get, name) if device else None
        keys = [f"name {name[:_LONGEST_NAME]}", f"address {network_of(address)}"]
        if user is not None and is_device_of(device, user.password):
            keys = [f"device {device}"]
        self.throttle.check(*keys)
        # Counted before, so that attempts side by side are no way around it.
        self.throttle.fail(*keys)
        async with self._checking:
            user = await asyncio.to_thread(self.users.check, name, password)
        await self._note_login(name, address, user.role if user else None)
        if user is None:
            raise NotLoggedIn("there is no such user with this password")
        self.throttle.succeed(*keys)
        return self.sessions.open(user.name, user.password_hash)

    async def device_of(self, session: Session) -> str:
        """What tells the browser of a new session at the next login; "" for nothing."""
        user = await asyncio.to_thread(self.users.get, session.user)
        return make_device(user.password) if user and user.password else ""

    async def log_in_with_token(self, token: str, address: str) -> Session:
        """A new session of whoever has this token.

        Raises:
            NotLoggedIn: it is none.
            Throttled: there were too many wrong attempts.
        """
        who = await self.of_token(token, address)
        if who is None:
            # A right one need not wait: nobody guesses it.
            key = f"address {network_of(address)}"
            self.throttle.check(key)
            self.throttle.fail(key)
            await self._note_login("", address, None)
            raise NotLoggedIn("this is no token")
        if who.way != _AT_THE_START:
            raise NotLoggedIn("tokens of users are for programs; take a password")
        await self._note_login(who.name, address, who.role, who.way)
        return self.sessions.open("")

    async def log_out(self, who: Principal, *, everywhere: bool = False) -> None:
        """End the session of a user, or all of them."""
        session = self.sessions.get(who.session)
        self.sessions.close(who.session)
        if everywhere:
            self.sessions.close_all_of(session.user if session else who.name)
        told = {"everywhere": True} if everywhere else {}
        await self.commands.note(who, "log-out", told)

    async def _note_login(
        self, name: str, address: str, role: Role | None, way: str = "password"
    ) -> None:
        shown = name[:_LONGEST_NAME]
        who = Principal(shown, role or Role.VIEW, way, "", address)
        result = "done" if role else "refused"
        await self.commands.note(who, "log-in", {}, result=result)

    async def of_session(self, id: str, address: str) -> Principal | None:
        """Whose session this is, while the user exists."""
        session = self.sessions.get(id)
        if session is None:
            return None
        if session.user == "":
            is_good = await self._takes_start()
            found = Principal(_AT_THE_START, Role.ADMIN, "session", id, address)
            return found if is_good else None
        user = await asyncio.to_thread(self.users.get, session.user)
        if user is None or user.password_hash != session.password:
            self.sessions.close(id)
            return None
        return Principal(user.name, user.role, "session", id, address)

    async def of_token(self, token: str, address: str) -> Principal | None:
        """Whose token this is."""
        shown = token.encode("utf-8", "replace")
        if (
            hmac.compare_digest(shown, self.token.encode())
            and await self._takes_start()
        ):
            return Principal(_AT_THE_START, Role.ADMIN, _AT_THE_START, "", address)
        found = await asyncio.to_thread(self.users.of_token, token)
        if found is None:
            return None
        user, role, id = found
        return Principal(user.name, role, "token", "", address, id)

    async def again(self, who: Principal) -> Principal | None:
        """Who this is by now; None where the session or the token has ended."""
        if who.session:
            return await self.of_session(who.session, who.address)
        if who.way == _AT_THE_START:
            return who if await self._takes_start() else None
        role = await asyncio.to_thread(self.users.role_of_token, who.name, who.token)
        return None if role is None else msgspec.structs.replace(who, role=role)
