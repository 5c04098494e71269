"""The audit log: who did what, when, and what came of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from pichannels.control.audit import Entry
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role
from pichannels.values import format_ticks

__all__ = ["build"]

_PAGE: Final = 100
_LONGEST: Final = 200
_TONES: Final = {"done": "good", "asked": "busy", "refused": "warn", "failed": "bad"}


async def build(page: Page) -> None:
    """What is looked for, and a page of actions."""
    await page.add(partial(_form, page))
    await page.add(partial(_entries, page))


def _form(page: Page) -> Markup:
    query = page.query
    names = [
        ("", "all"),
        *((name, name) for name in ("", *page.watches.names()) if name),
    ]
    return tables.filters(
        page,
        parts.text_field("user", "User", query.get("user", "")),
        parts.text_field("action", "Action", query.get("action", ""), hint="replay"),
        parts.select("of", "Instance", names, query.get("of", "")),
        tables.range_fields(page),
        verb="Show",
        stay=("part",),
    )


async def _entries(page: Page) -> Markup:
    """A page of actions, the newest first."""
    who, query = await page.current(), page.query
    who.need(Role.ADMIN)
    asked = tables.range_of(page)
    before = query.get("before", "")
    find = partial(
        page.console.audit.find,
        user=query.get("user") or None,
        action=query.get("action") or None,
        instance=query.get("of") or None,
        start=asked.start,
        end=asked.end,
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
        count=_PAGE,
    )
    found = await asyncio.to_thread(find)
    shown = tables.table(
        page,
        [
            Column("Time", lambda one: page.time(one.time)),
            Column("User", _user),
            Column("Action", lambda one: one.action, classes="mono"),
            Column("Result", _result),
            Column("Instance", lambda one: one.instance or "–"),
            Column("With", lambda one: _cut(one.arguments), classes="cut mono"),
            Column("Told", lambda one: _cut(one.detail), classes="cut mono"),
            Column("From", _origin),
        ],
        found.entries,
        key=lambda one: str(one.id),
        label="audit log",
        nothing="nothing was done that fits",
    )
    told = None
    if not found.complete:
        text = "only a part of the log was looked at in time; go on with Next"
        told = parts.note(text, "warn")
    after = str(found.next) if found.next is not None else None
    given = {
        "user": query.get("user"),
        "action": query.get("action"),
        "instance": query.get("of"),
        "start": None if asked.start is None else format_ticks(asked.start),
        "end": None if asked.end is None else format_ticks(asked.end),
    }
    head = parts.heading("Audit log", page.api("/audit", **given))
    return join([head, shown, told, tables.pager(page, next=after, name="before")])


def _origin(one: Entry) -> str:
    # What came by a browser is the usual case.
    way = "" if one.way in ("session", "password") else one.way
    return " ".join(filter(None, (way, one.address)))


def _user(one: Entry) -> Markup:
    return tag("span", one.user, title=f"role {one.role}, by {one.way}")


def _result(one: Entry) -> Markup:
    return parts.badge(one.result, _TONES.get(one.result, "off"))


def _cut(text: str) -> Child:
    if text in ("", "{}", "null"):
        return "–"
    return tag("span", text[:_LONGEST], title=text)
