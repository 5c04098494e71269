"""Messages: search what is stored, follow what comes, look into one, replay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from pichannels.errors import UsageError
from pichannels.ui.budget import OverBudget
from pichannels.ui.content import MessageRow
from pichannels.ui.pages import (
    message_detail,
    message_search,
    parts,
    replays,
    tables,
)
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role
from pichannels.ui.searches import MessagePage
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["build"]

_KEPT: Final = 200
"""Rows that a followed search shows."""
_AGAIN: Final = 15 * TICKS_PER_SECOND
"""So far back what came before is read again: its state may be another one."""
_COUNTED: Final = ("received", "processed", "failed", "dropped", "rejected")


async def build(page: Page) -> None:
    """The search, what it has found, and the message that is looked at."""
    found = _Found(page)
    _install(page, found)
    await page.add(lambda: message_search.form(page))
    await page.add(partial(_top, page, found))
    if page.query.get("id"):
        await message_detail.build(page)
    await page.add(found.render, live=found.is_followed)


class _Found:
    """What a search has found: a page of it, or the newest as they come.

    Attributes:
        is_followed: whether what comes is shown as it comes.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.is_followed = page.query.get("tail") == "1"
        self._counts: object = None
        self._rows: dict[str, MessageRow] = {}
        self._shown = Markup("")

    async def render(self) -> Markup:
        """The table."""
        if not self.is_followed:
            page = self._page
            wanted = message_search.wanted(page)
            data, who = page.console.data, await page.current()
            return self._table(
                await data.messages(who, page.instance, wanted, with_values=True)
            )
        counts = self._counted()
        if counts is None or counts != self._counts or not self._shown:
            try:
                await self._follow()
            except OverBudget:
                # Many search just now; the next poll is soon.
                return self._shown or parts.loading("waiting for its turn")
            self._counts = counts
        return self._shown

    def _counted(self) -> object:
        """What changes when a message comes, or is settled; None: unknown."""
        status = self._page.watch.status
        if status is None:
            return None
        return [[each[name] for name in _COUNTED] for each in status["channels"]]

    async def _follow(self) -> None:
        page = self._page
        wanted = message_search.wanted(page)
        if wanted.cursor or wanted.oldest_first:
            wanted = msgspec.structs.replace(wanted, cursor=None, oldest_first=False)
        if self._rows:
            since = parse_ticks(next(iter(self._rows.values())).timestamp) - _AGAIN
            start = max(since, parse_ticks(wanted.start) if wanted.start else since)
            wanted = msgspec.structs.replace(
                wanted, start=format_ticks(start), count=_KEPT
            )
        data, who = page.console.data, await page.current()
        found = await data.messages(who, page.instance, wanted, with_values=True)
        known = {**self._rows, **{_key(row): row for row in found.messages}}
        newest = sorted(known.items(), key=lambda item: _place(item[1]), reverse=True)
        self._rows = dict(newest[:_KEPT])
        told = msgspec.structs.replace(found, messages=list(self._rows.values()))
        self._shown = self._table(msgspec.structs.replace(told, next=None))

    def _table(self, found: MessagePage) -> Markup:
        page = self._page
        chosen = f"{page.query.get('at', '')} {page.query.get('id', '')}"
        table = tables.table(
            page,
            _columns(page, found.messages),
            found.messages,
            key=_key,
            label="messages",
            chosen=chosen,
            can_select=page.may(Role.OPERATE) and not self.is_followed,
            nothing="no message fits",
        )
        told = [table, self._told(found)]
        if not self.is_followed:
            told.append(tables.pager(page, next=found.next))
        selected = None
        if found.messages and not self.is_followed:
            some = page.action("Into some sinks only", "replay-ticked-some")
            ticked = page.action("Replay those that are ticked", "replay-ticked")
            selected = join([ticked, some])
        told.append(tag("div", selected, classes="actions"))
        return tag("div", *told, data={"fields": True}, classes="found")

    def _told(self, found: MessagePage) -> Child:
        shown = f"{count_text(len(found.messages))} shown"
        if self.is_followed:
            return parts.note(f"{shown}, the newest first; new ones come by themselves")
        if found.scanned is not None:
            shown += f", {count_text(found.scanned)} looked at"
        told: list[Child] = [
            parts.note(f"not searched: {each}", "warn") for each in found.missing
        ]
        if found.complete:
            return join([*told, parts.note(shown)])
        more = f"{shown} in the time for one search; go on with Next"
        return join([*told, parts.note(more, "warn")])


def _key(row: MessageRow) -> str:
    return f"{row.channel} {row.id}"


def _place(row: MessageRow) -> tuple[int, int, str]:
    return parse_ticks(row.timestamp), len(row.id), row.id


def _columns(page: Page, rows: Sequence[MessageRow]) -> list[tables.Column[MessageRow]]:
    def address(row: MessageRow) -> str:
        return page.here(id=row.id, at=row.channel)

    def time(row: MessageRow) -> Child:
        return parts.link(address(row), page.time(row.timestamp))

    def cause(row: MessageRow) -> Child:
        if not row.error and not row.node:
            return None
        where = row.node.removeprefix(f"{row.channel}.") or row.channel
        told = tag("b", where, title=row.node or None)
        return join([told, tag("div", row.error, title=row.error or None)])

    def tries(row: MessageRow) -> Child:
        return row.attempts or None

    failed = [
        tables.Column("Where and why", cause, classes="cause"),
        tables.Column("Tries", tries, number=True),
    ]
    if not any(row.error or row.node or row.attempts for row in rows):
        # Room for what else there is.
        failed = []
    return [
        tables.Column("Time", time, classes="nowrap", sort="time"),
        tables.Column("State", lambda row: parts.state_badge(row.state)),
        tables.Column("Channel", lambda row: row.channel),
        tables.Column("Lane", lambda row: row.lane),
        *failed,
        tables.Column("Id", lambda row: parts.link(address(row), row.id), number=True),
        tables.Column("Payload", lambda row: row.payload, classes="mono payload"),
    ]


# What stands above


async def _top(page: Page, found: _Found) -> Markup:
    wanted = message_search.wanted(page)
    follow = parts.link(
        page.here(tail=None if found.is_followed else "1", cursor=None),
        parts.icon("paused" if found.is_followed else "busy"),
        "Pause" if found.is_followed else "Follow what comes",
        classes="button",
    )
    copied = parts.copy_button(message_search.command(page, wanted))
    replay = None
    chosen = message_search.selection(wanted)
    if chosen is not None and any(v for k, v in chosen.items() if k != "channel"):
        some = page.action("Into some sinks only", "replay-found-some")
        replay = join([page.action("Replay all found", "replay-found"), some])
    state = parts.badge("live", "good", "busy") if found.is_followed else None
    return tag(
        "div", state, follow, await _saved(page), replay, copied, classes="actions"
    )


async def _saved(page: Page) -> Markup:
    searches = await asyncio.to_thread(page.console.searches.of, page.who.name)
    links = [
        tag(
            "li",
            parts.link(f"{page.href(page.key)}{_more(page)}{query}", name),
            parts.button(
                "Forget", "forget-search", {"name": name}, kind="quiet", mark="close"
            ),
        )
        for name, query in searches.items()
    ]
    listed = tag("ul", *links) if links else parts.note("none yet")
    save = None
    if message_search.saved_query(page.query):
        save = parts.button("Save this search", "save-search")
    summary = tag("summary", f"Saved searches ({len(links)})", classes="button")
    return tag("details", summary, tag("div", listed, save), classes="saved")


def _more(page: Page) -> str:
    return "&" if "?" in page.href(page.key) else "?"


# What can be done


def _install(page: Page, found: _Found) -> None:
    async def replay_found(act: Act) -> None:
        chosen = _chosen(page)
        if act.name == "replay-found-some":
            await replays.replay_some(page, chosen, "Replay all found")
            return
        text = "They run again from the start of their channels, marked as replays."
        copied = replays.command(page, chosen)
        title = "Replay all found"
        await page.bulk("replay", chosen, title, text, aside=copied, verb="Replay")

    async def replay_ticked(act: Act) -> None:
        places = [key.rpartition(" ") for key in act.many("selected")]
        if not places:
            page.toasts.tell("tick some messages before", "warn")
        for channel in sorted({place[0] for place in places}):
            ids = [id for name, _, id in places if name == channel]
            given: dict[str, Any] = {"channel": channel, "ids": ids}
            title = f"Replay of {channel}"
            if act.name == "replay-ticked-some":
                await replays.replay_some(page, given, title)
                continue
            copied = replays.command(page, given)
            await page.bulk("replay", given, title, aside=copied, verb="Replay")

    for more in ("", "-some"):
        page.on(f"replay-found{more}", replay_found, Role.OPERATE)
        page.on(f"replay-ticked{more}", replay_ticked, Role.OPERATE)
    page.on("save-search", partial(_save, page))
    page.on("forget-search", partial(_forget, page))


def _chosen(page: Page) -> dict[str, Any]:
    found = message_search.selection(message_search.wanted(page))
    if found is None:
        raise UsageError("a replay does not take all of these conditions")
    return dict(found)


async def _save(page: Page, act: Act) -> None:
    query = message_search.saved_query(page.query)
    field = parts.text_field("name", "Name", autofocus=True, required=True)
    asked = await page.dialog.ask("Save this search", field, verb="Save")
    if asked is not None:
        save = page.console.searches.save
        await asyncio.to_thread(save, page.who.name, asked.text("name"), query)
        page.go(page.here())


async def _forget(page: Page, act: Act) -> None:
    forget: Any = page.console.searches.delete
    await asyncio.to_thread(forget, page.who.name, act.data["name"])
    page.go(page.here())
