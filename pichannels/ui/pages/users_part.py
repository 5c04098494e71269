"""Users, their roles, and tokens for programs."""

from __future__ import annotations

from typing import Final

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.ui.accounts import Accounts
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role
from pichannels.ui.users import SHORTEST_PASSWORD, Token, User
from pichannels.values import format_ticks

__all__ = ["build"]

_ROLES: Final = {
    Role.VIEW: "states, counts, coverage, settings",
    Role.DATA: "payloads and values, too",
    Role.OPERATE: "commands, replays, backfills",
    Role.ADMIN: "discards, settings, users",
}


async def build(page: Page) -> None:
    """The users, and what is done with them."""
    await _Users(page).build()


class _Users:
    """The users, as an administrator sees them."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._region: Region | None = None

    async def build(self) -> None:
        page = self._page
        for act, handler in (
            ("user-add", self._on_add),
            ("user-change", self._on_change),
            ("user-remove", self._on_remove),
            ("token-make", self._on_token),
            ("token-remove", self._on_token_back),
        ):
            page.on(act, handler, Role.ADMIN)
        self._region = await page.add(self._table)

    async def _accounts(self) -> Accounts:
        return Accounts(self._page.console, await self._page.current())

    async def _done(self, text: str) -> None:
        self._page.toasts.tell(text)
        if self._region is not None:
            await self._region.refresh()

    async def _table(self) -> Markup:
        page = self._page
        found = await (await self._accounts()).all()
        shown = tables.table(
            page,
            [
                Column("Name", lambda one: one.name),
                Column("Role", lambda one: _role(one.role)),
                Column("Password", _password),
                Column("Tokens", self._tokens, classes="wide"),
                Column("", self._buttons),
            ],
            found,
            key=lambda one: one.name,
            label="users",
            nothing="there are no users; the token of the start logs in",
        )
        head = parts.heading(
            "Users and tokens",
            page.action("Add a user …", "user-add", kind="main"),
            page.cli("ui", "user", "list"),
        )
        return join([head, shown])

    def _tokens(self, user: User) -> Child:
        lines = [self._token(user, one) for one in user.tokens]
        return tag("ul", *lines, classes="tokens") if lines else "–"

    def _token(self, user: User, token: Token) -> Markup:
        until = "for ever"
        if token.expires is not None:
            is_over = token.expires <= clock.now()
            day = format_ticks(token.expires)[:10]
            until = f"over since {day}" if is_over else f"until {day}"
        role = f", no more than {token.role}" if token.role else ""
        told = f"{token.about or token.id}, {until}{role}"
        data = {"user": user.name, "id": token.id}
        back = self._page.action(
            "Take back …", "token-remove", data, title=f"take {token.id} back"
        )
        return tag("li", tag("span", told), back)

    def _buttons(self, user: User) -> Markup:
        data = {"user": user.name, "role": str(user.role)}
        make = self._page.action
        return tag(
            "span",
            make("Change …", "user-change", data, title=f"change {user.name}"),
            make("New token …", "token-make", data, title=f"token of {user.name}"),
            make("Remove …", "user-remove", data, kind="danger"),
            classes="actions",
        )

    async def _on_add(self, act: Act) -> None:
        answer = await self._page.dialog.ask(
            "Add a user",
            parts.text_field("name", "Name", required=True),
            _role_field(Role.VIEW),
            _password_field("Password; empty: only tokens are taken"),
            verb="Add",
        )
        if answer is None:
            return
        name, role = answer.text("name"), Role.of(answer.text("role"))
        # Spaces are part of a password.
        password = str(answer.fields.get("password") or "")
        await (await self._accounts()).add(name, role, password)
        await self._done(f"user {name} was added")

    async def _on_change(self, act: Act) -> None:
        name = act.data["user"]
        answer = await self._page.dialog.ask(
            f"Change {name}",
            _role_field(Role.of(act.data["role"])),
            _password_field("New password; empty: it stays"),
            verb="Change",
        )
        if answer is None:
            return
        password = str(answer.fields.get("password") or "") or None
        role = Role.of(answer.text("role"))
        await (await self._accounts()).change(name, role, password)
        await self._done(f"user {name} was changed, and is logged out")

    async def _on_remove(self, act: Act) -> None:
        name = act.data["user"]
        if await self._page.dialog.confirm(
            f"Remove user {name}",
            "Sessions and tokens of this user end at once.",
            verb="Remove",
            danger=True,
        ):
            await (await self._accounts()).remove(name)
            await self._done(f"user {name} was removed")

    async def _on_token(self, act: Act) -> None:
        name = act.data["user"]
        answer = await self._page.dialog.ask(
            f"New token of {name}",
            parts.text_field("about", "What it is for", size=40, required=True),
            parts.text_field("days", "Taken for so many days; empty: for ever"),
            _role_field(Role.of(act.data["role"])),
            verb="Make",
        )
        if answer is None:
            return
        shown = await (await self._accounts()).make_token(
            name,
            answer.text("about"),
            _days(answer.text("days")),
            Role.of(answer.text("role")),
        )
        await self._done(f"a token of {name} was made")
        self._page.dialog.show(
            f"Token of {name}",
            tag("p", "It is shown this once. Who has it may what the role may."),
            tag("pre", shown),
            parts.copy_button(shown, "Copy the token"),
        )

    async def _on_token_back(self, act: Act) -> None:
        name, id_ = act.data["user"], act.data["id"]
        if await self._page.dialog.confirm(
            f"Take token {id_} of {name} back",
            "Programs that show it are refused from now on.",
            verb="Take it back",
            danger=True,
        ):
            await (await self._accounts()).remove_token(name, id_)
            await self._done(f"token {id_} was taken back")


def _role(role: Role) -> Markup:
    return tag("span", str(role), tag("small", _ROLES[role]))


def _password(user: User) -> Markup:
    if user.password:
        return parts.badge("set", "good")
    return parts.badge("none", "off", title="only tokens are taken")


def _role_field(role: Role) -> Markup:
    choices = [(str(one), f"{one}: {about}") for one, about in _ROLES.items()]
    return parts.select("role", "Role", choices, str(role))


def _password_field(label: str) -> Markup:
    return parts.text_field(
        "password",
        f"{label} ({SHORTEST_PASSWORD} characters and more)",
        kind="password",
        autocomplete="new-password",
    )


def _days(text: str) -> float | None:
    if not text:
        return None
    try:
        days = float(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is no number of days") from exc
    if not 0 < days <= 36_500:
        raise UsageError("a token is taken for up to 36 500 days")
    return days
