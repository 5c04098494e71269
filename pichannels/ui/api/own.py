"""Routes of the console itself: sessions, users, operations, the audit log."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

import msgspec
from fastapi.responses import Response

from pichannels.control.arguments import ticks_of
from pichannels.control.audit import Found
from pichannels.ui.accounts import Accounts
from pichannels.ui.api.routing import Ask, Asked, Routes, reply
from pichannels.ui.cookies import (
    cookie_of,
    device_name,
    session_name,
    set_device,
    set_session,
)
from pichannels.ui.operations import Operation
from pichannels.ui.roles import Principal, Role
from pichannels.ui.sessions import Session
from pichannels.ui.users import User

__all__ = ["routes"]

routes = Routes("console")


class Login(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A name and its password, or the token that `start` has shown.

    Attributes:
        name: of the user.
        password: of the user.
        token: that `start` has shown, instead of both.
    """

    name: str = ""
    password: str = ""
    token: str = ""


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: `csrf` is what a session shows when it changes something.

    Attributes:
        name: of the user.
        role: what the user may do.
        way: how that was shown: `session`, `token`, or `start` for that of the start.
        csrf: what a session shows when it changes something.
    """

    name: str
    role: Role
    way: str
    csrf: str = ""


class SavedSearch(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A search that a user keeps: what is behind the question mark of an address.

    Attributes:
        name: of the search.
        query: what is behind the question mark of an address.
    """

    name: str
    query: str


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user; `tokens` are told without what they are.

    Attributes:
        name: what to log in with.
        role: what the user may do.
        has_password: whether one can log in with a password.
        tokens: of programs.
    """

    name: str
    role: Role
    has_password: bool
    tokens: list[TokenRow]


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A token of a program.

    Attributes:
        id: tells it from others.
        about: what it is for.
        made: when, ISO 8601.
        role: no more than this, or null for what the user may.
    """

    id: str
    about: str
    made: str
    role: Role | None


class NewUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A user; without a password only tokens are taken.

    Attributes:
        name: letters, digits, `.`, `_`, `@` and `-`.
        role: what the user may do.
        password: of 12 characters and more; without it only tokens are taken.
    """

    name: str
    role: Role
    password: str = ""


class ChangedUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise.

    Attributes:
        role: what the user may do from now on.
        password: of 12 characters and more.
    """

    role: Role | None = None
    password: str | None = None


class NewToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a token is for, for how many days it is taken, and for no more than what.

    Attributes:
        about: what it is for.
        days: how long it is taken; for ever without.
        role: no more than this.
    """

    about: str = ""
    days: Annotated[float, msgspec.Meta(gt=0, le=36500)] | None = None
    role: Role | None = None


class ShownToken(msgspec.Struct, frozen=True, kw_only=True):
    """The token; it is shown this once.

    Attributes:
        token: what to show.
    """

    token: str


class AuditWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which actions; `before` is `next` of the page before.

    Attributes:
        user: who did it.
        action: what was done, such as `stop-channel`.
        instance: where it was done.
        start, end: at or after, and before (ISO 8601).
        before: `next` of the page before.
        count: how many at most.
    """

    user: str | None = None
    action: str | None = None
    instance: str | None = None
    start: str | None = None
    end: str | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way in this process, and how often something was refused.

    Attributes:
        pid: of this process.
        requests: that are answered just now.
        searches: that run just now.
        refused: how often there was no budget.
    """

    pid: int
    requests: int
    searches: int
    refused: int


# Sessions


@routes.add("POST", "/session", role=None, answer=Me, body=Login)
async def log_in(ask: Ask, body: Any) -> Any:
    """Log in: a cookie, and the token that goes with it when something is changed."""
    client = ask.request.client
    address = client.host if client else ""
    console, host = ask.console, ask.request.headers.get("host", "")
    if body.token:
        session = await console.log_in_with_token(body.token, address)
    else:
        device = cookie_of(ask.request.headers, device_name(host))
        session = await console.log_in(body.name, body.password, address, device)
    before: Principal | None = ask.request.state.who
    if before is not None:
        console.sessions.close(before.session)
    answer = reply(await _me(ask, session, address))
    is_secure = console.is_secure
    set_session(answer, host, session.id, is_secure=is_secure)
    if device := await console.device_of(session):
        place = ask.request.url.path
        set_device(answer, host, device, place, is_secure=is_secure)
    return answer


@routes.add("GET", "/session", role=Role.VIEW, answer=Me)
async def get_session(ask: Ask) -> Any:
    """Who asks, and what it may."""
    session = ask.console.sessions.get(ask.who.session)
    return _shown(ask, session)


async def _me(ask: Asked, session: Session, address: str) -> Me:
    ask.request.state.who = await ask.console.of_session(session.id, address)
    return _shown(ask, session)


def _shown(ask: Asked, session: Session | None) -> Me:
    who = ask.who
    csrf = session.csrf if session else ""
    return Me(name=who.name, role=who.role, way=who.way, csrf=csrf)


@routes.add("DELETE", "/session", role=Role.VIEW)
async def log_out(ask: Ask) -> Any:
    """Log out."""
    return await _logged_out(ask)


@routes.add("DELETE", "/sessions", role=Role.VIEW)
async def log_out_everywhere(ask: Ask) -> Any:
    """End all sessions of the user who asks, in all browsers; tokens stay."""
    return await _logged_out(ask, everywhere=True)


async def _logged_out(ask: Asked, *, everywhere: bool = False) -> Response:
    await ask.console.log_out(ask.who, everywhere=everywhere)
    answer = Response(status_code=204)
    answer.delete_cookie(session_name(ask.request.headers.get("host", "")), path="/")
    return answer


# Operations


@routes.add("GET", "/operations", role=Role.VIEW, answer=list[Operation])
async def list_operations(ask: Ask) -> Any:
    """What goes on, and what has ended, the newest first."""
    mask = ask.console.data.mask_for(ask.who)
    return [each.seen(mask) for each in ask.console.commands.operations.all()]


@routes.add("GET", "/operations/{id}", role=Role.VIEW, answer=Operation)
async def get_operation(ask: Ask, id: str) -> Any:
    """One operation, and how far it is."""
    found = ask.console.commands.operations.get(id)
    return found.seen(ask.console.data.mask_for(ask.who))


@routes.add("POST", "/operations/{id}/cancel", role=Role.OPERATE, answer=Operation)
async def cancel_operation(ask: Ask, id: str) -> Any:
    """End a replay or a transfer before it is done."""
    found = await ask.console.commands.cancel(ask.who, id)
    return found.seen(ask.console.data.mask_for(ask.who))


class Known(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """That somebody knows how many it concerns.

    Attributes:
        count: how many, where it concerns more than one.
    """

    count: Annotated[int, msgspec.Meta(ge=0)] | None = None


@routes.add(
    "POST",
    "/operations/{id}/resume",
    role=Role.OPERATE,
    answer=Operation,
    body=Known,
    status=202,
)
async def resume_operation(ask: Ask, id: str, body: Any) -> Any:
    """Go on with what is left of an operation that was cut, cancelled or has failed.

    Replays go on behind the last message that was done, redrives, discards and prunes
    with what they have left; other operations can only be begun again.
    """
    found = await ask.console.commands.resume(ask.who, id, body.count)
    return found.seen(ask.console.data.mask_for(ask.who))


@routes.add(
    "POST",
    "/operations/{id}/repeat",
    role=Role.OPERATE,
    answer=Operation,
    body=Known,
    status=202,
)
async def repeat_operation(ask: Ask, id: str, body: Any) -> Any:
    """Begin an operation again from its start; what it has done is done twice."""
    found = await ask.console.commands.repeat(ask.who, id, body.count)
    return found.seen(ask.console.data.mask_for(ask.who))


@routes.add("GET", "/load", role=Role.VIEW, answer=Load)
async def get_load(ask: Ask) -> Any:
    """What is under way here."""
    budget = ask.console.budget
    return Load(
        pid=os.getpid(),
        requests=budget.requests,
        searches=budget.searches,
        refused=budget.refused,
    )


# The audit log


@routes.add("GET", "/searches", role=Role.VIEW, answer=list[SavedSearch])
async def list_searches(ask: Ask) -> Any:
    """The searches that the user keeps."""
    found = await asyncio.to_thread(ask.console.searches.of, ask.who.name)
    return [SavedSearch(name=name, query=query) for name, query in found.items()]


@routes.add("POST", "/searches", role=Role.VIEW, answer=SavedSearch, body=SavedSearch)
async def save_search(ask: Ask, body: Any) -> Any:
    """Keep a search; one of the same name is replaced."""
    save = ask.console.searches.save
    await asyncio.to_thread(save, ask.who.name, body.name, body.query)
    return body


@routes.add("DELETE", "/searches/{name}", role=Role.VIEW)
async def forget_search(ask: Ask, name: str) -> None:
    """Forget a search."""
    await asyncio.to_thread(ask.console.searches.delete, ask.who.name, name)


@routes.add("GET", "/audit", role=Role.ADMIN, answer=Found, query=AuditWanted)
async def list_audit(ask: Ask, query: Any) -> Any:
    """What was done, the newest first."""
    given = msgspec.structs.asdict(query)
    for name in ("start", "end"):
        given[name] = given[name] and ticks_of(name, given[name])
    return await asyncio.to_thread(lambda: ask.console.audit.find(**given))


# Users


def _row(user: User) -> UserRow:
    return UserRow(
        name=user.name,
        role=user.role,
        has_password=bool(user.password),
        tokens=[
            TokenRow(id=one.id, about=one.about, made=one.made, role=one.role)
            for one in user.tokens
        ],
    )


def _accounts(ask: Asked) -> Accounts:
    return Accounts(ask.console, ask.who)


@routes.add("GET", "/users", role=Role.ADMIN, answer=list[UserRow])
async def list_users(ask: Ask) -> Any:
    """The users."""
    return [_row(user) for user in await _accounts(ask).all()]


@routes.add("POST", "/users", role=Role.ADMIN, answer=UserRow, body=NewUser, status=201)
async def add_user(ask: Ask, body: Any) -> Any:
    """Add a user."""
    return _row(await _accounts(ask).add(body.name, body.role, body.password))


@routes.add("PATCH", "/users/{name}", role=Role.ADMIN, answer=UserRow, body=ChangedUser)
async def change_user(ask: Ask, name: str, body: Any) -> Any:
    """Give a user another role or password; sessions of that user end."""
    return _row(await _accounts(ask).change(name, body.role, body.password))


@routes.add("DELETE", "/users/{name}", role=Role.ADMIN)
async def remove_user(ask: Ask, name: str) -> None:
    """Remove a user, whose sessions and tokens end."""
    await _accounts(ask).remove(name)


@routes.add(
    "POST",
    "/users/{name}/tokens",
    role=Role.ADMIN,
    answer=ShownToken,
    body=NewToken,
    status=201,
)
async def make_token(ask: Ask, name: str, body: Any) -> Any:
    """Make a token of a user, for a program."""
    given = msgspec.structs.asdict(body)
    return ShownToken(token=await _accounts(ask).make_token(name, **given))


@routes.add("DELETE", "/users/{name}/tokens/{id}", role=Role.ADMIN)
async def remove_token(ask: Ask, name: str, id: str) -> None:
    """Take a token back."""
    await _accounts(ask).remove_token(name, id)
