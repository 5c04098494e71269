"""Errors: dead letters that are alike together, and what to do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from pichannels.control.chosen import Chosen, Grouped
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.masking import HIDDEN
from pichannels.errors import UsageError
from pichannels.ui.failures import LettersWanted
from pichannels.ui.pages import message_texts, mutes, parts, tables
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.roles import Role
from pichannels.values import format_ticks

__all__ = ["build"]

_COUNT: Final = 50
_GOOD: Final = 30.0
_PARKED: Final = 200

Row = dict[str, Any]


async def build(page: Page) -> None:
    """Groups; below them the letters of one, and one letter whole."""
    shown = [Calm(partial(_groups, page), _GOOD)]
    if page.query.get("group"):
        shown.append(Calm(partial(_letters, page), _GOOD))
    if page.query.get("letter"):
        shown.append(Calm(partial(_letter, page), _GOOD))
    shown.append(Calm(partial(_parked, page), _GOOD))
    regions: list[Region] = []

    async def again() -> None:
        for each in shown:
            each.forget()
        for region in regions:
            await region.refresh()

    _install(page, again)
    await page.add(partial(_form, page))
    regions.extend([await page.add(each, live=True) for each in shown])


def _chosen(page: Page) -> Chosen:
    """What the form asks for."""
    found = tables.range_of(page)
    query = page.query
    return Chosen(
        channel=query.get("channel") or None,
        node=query.get("node") or None,
        error=query.get("error") or None,
        start=None if found.start is None else format_ticks(found.start),
        end=None if found.end is None else format_ticks(found.end),
    )


def _form(page: Page) -> Markup:
    status = page.watch.status
    names = [each["name"] for each in status["channels"]] if status else []
    choices = [("", "all"), *((name, name) for name in names)]
    query = page.query
    fields: list[Child] = [
        tables.range_fields(page),
        parts.select("channel", "Channel", choices, query.get("channel", "")),
        parts.text_field("node", "Node", query.get("node", ""), hint="publish"),
    ]
    if page.may(Role.DATA):
        text = query.get("error", "")
        fields.append(parts.text_field("error", "Error contains", text))
    return tables.filters(page, *fields)


# Groups


async def _groups(page: Page) -> Markup:
    wanted = Grouped(**msgspec.structs.asdict(_chosen(page)))
    data, who = page.console.data, await page.current()
    found = await data.dead_groups(who, page.instance, wanted)
    total = sum(each.count for each in found.groups)
    many = len(found.groups)
    told = (
        f"{count_text(total)} dead letters, {count_text(many)} kind{'s' * (many != 1)}"
    )
    if not found.complete:
        told = f"the newest {count_text(found.scanned)} dead letters; there are more"
    head = parts.heading(
        "Dead letters that are alike", tag("span", told), page.cli("dead", "groups")
    )
    table = tables.table(
        page,
        _group_columns(page),
        found.groups,
        key=lambda group: group.id,
        label="groups of dead letters",
        chosen=page.query.get("group", ""),
        nothing="there are no dead letters here",
    )
    return tag("section", head, table)


def _group_columns(page: Page) -> list[tables.Column[FailureGroup]]:
    def where(group: FailureGroup) -> Child:
        address = page.here(group=group.id, letter=None, cursor=None)
        name = parts.link(address, group.node or group.channel)
        muting = mutes.muting(page, group)
        return tag("div", name, tag("small", group.error), muting)

    def sample(group: FailureGroup) -> Child:
        address = page.here(group=group.id, letter=group.sample, cursor=None)
        return parts.link(address, group.message or "show one")

    def tags(group: FailureGroup) -> Child:
        if not group.tags:
            return "whole messages"
        return join([group.tags, tag("small", f"{count_text(group.samples)} samples")])

    def times(group: FailureGroup) -> Child:
        return join([page.time(group.first), tag("br"), page.time(group.last)])

    return [
        tables.Column("Count", _count),
        tables.Column("Node and exception", where),
        tables.Column("Tags", tags),
        tables.Column("First and last", times, classes="nowrap"),
        tables.Column("What the newest says", sample, classes="cause"),
        tables.Column("", lambda g: _group_actions(page, g)),
    ]


def _count(group: FailureGroup) -> Child:
    return parts.badge(count_text(group.count), "off" if group.is_quiet else "bad")


def _group_actions(page: Page, group: FailureGroup) -> Child:
    data = {"group": group.id}
    return tag(
        "div",
        page.action("Redrive", "redrive-group", data),
        mutes.actions(page, group),
        page.action("Discard", "discard-group", data, kind="danger"),
        page.cli("dead", "redrive", "--group", group.id),
        classes="actions",
    )


# The letters of a group


async def _letters(page: Page) -> Markup:
    given = {
        **msgspec.structs.asdict(_chosen(page)),
        "group": page.query["group"],
        "cursor": page.query.get("cursor") or None,
        "count": _COUNT,
    }
    data, who = page.console.data, await page.current()
    found = await data.letters(who, page.instance, LettersWanted(**given))
    table = tables.table(
        page,
        _letter_columns(page),
        found.letters,
        key=lambda row: str(row["id"]),
        label="dead letters of the group",
        chosen=page.query.get("letter", ""),
        can_select=page.may(Role.OPERATE),
        nothing="none is left in this group",
    )
    actions = tag(
        "div",
        page.action("Redrive those that are ticked", "redrive-ticked"),
        page.action("Discard those that are ticked", "discard-ticked", kind="danger"),
        classes="actions",
    )
    told = (
        "" if found.is_complete else "found in the time for one search; go on with Next"
    )
    pager = tables.pager(page, next=found.next, told=told)
    away = parts.link(
        page.here(group=None, letter=None, cursor=None), "Close", classes="button quiet"
    )
    head = parts.heading("Dead letters of this group", away)
    under = [actions, pager] if found.letters else [pager]
    return tag("section", head, table, *under, data={"fields": True}, classes="found")


def _letter_columns(page: Page) -> list[tables.Column[Row]]:
    def time(row: Row) -> Child:
        return parts.link(page.here(letter=row["id"]), page.time(row["timestamp"]))

    def samples(row: Row) -> Child:
        return "all" if row["samples"] is None else count_text(row["samples"])

    return [
        tables.Column("Time", time, classes="nowrap"),
        tables.Column("Id", lambda row: row["id"], number=True),
        tables.Column("Lane", lambda row: row["lane"]),
        tables.Column("Samples", samples, number=True),
        tables.Column("Tries", lambda row: row["attempts"], number=True),
        tables.Column("Error", lambda row: row["error"], classes="cause"),
        tables.Column("Payload", lambda row: row["payload"], classes="mono payload"),
    ]


# One letter


async def _letter(page: Page) -> Markup:
    id, data = page.query["letter"], page.console.data
    who = await page.current()
    if not page.may(Role.DATA):
        return parts.note("what a dead letter holds takes the role data")
    found = await data.dead_letter(who, page.instance, id)
    outcome, message = found["outcome"], found["message"]
    given = {"id": id}
    away = parts.link(page.here(letter=None), "Close", classes="button quiet")
    actions = tag(
        "div",
        page.action("Redrive", "redrive-one", given),
        page.action("Edit", "edit-letter", given),
        page.action("Discard", "discard-one", given, kind="danger"),
        parts.link(page.href("messages", id=id, at=found["channel"]), "As a message"),
        page.cli("dead", "show", id),
        classes="actions",
    )
    facts = parts.facts(
        [
            ("Error", tag("b", str(outcome.get("err_msg", "")))),
            ("Exception", str(outcome.get("error", ""))),
            ("Node", _node_link(page, found["channel"], str(outcome.get("node", "")))),
            ("Tries", outcome.get("attempts")),
            ("Made", page.time(str(message.get("timestamp", "")))),
            ("UUID", tag("span", str(message.get("uuid", "")), classes="mono")),
        ]
    )
    stack: Child = None
    if outcome.get("stack"):
        text = tag("pre", str(outcome["stack"]), classes="stack", tabindex="0")
        stack = tag("details", tag("summary", "Stack"), text)
    body = tag(
        "pre",
        message_texts.decoded(message.get("payload")),
        classes="body",
        tabindex="0",
        role="region",
        aria_label="payload",
    )
    head = parts.heading(f"Dead letter {id} of {found['channel']}", away)
    return tag(
        "section",
        head,
        actions,
        tag("div", facts, tag("div", stack), classes="columns"),
        body,
        classes="card letter",
        aria_label=f"dead letter {id}",
    )


def _node_link(page: Page, channel: str, node: str) -> Child:
    return parts.link(page.href("graph", channel=channel, node=node), node or channel)


# Tags that wait


async def _parked(page: Page) -> Markup:
    data, who = page.console.data, await page.current()
    channel = page.query.get("channel") or None
    rows = await data.parked(who, page.instance, channel)
    if not rows:
        return Markup("")
    columns: list[tables.Column[Row]] = [
        tables.Column("Channel", lambda row: row["channel"]),
        tables.Column("Node", lambda row: row["node"]),
        tables.Column("Tag", lambda row: row["tag"], classes="mono"),
        tables.Column("Dead letters", lambda row: row["letters"], number=True),
    ]
    told = "later samples of these wait until the dead letters before are settled"
    return tag(
        "section",
        parts.heading(f"{count_text(len(rows))} tags are parked", tag("span", told)),
        tables.table(
            page,
            columns,
            rows[:_PARKED],
            key=lambda row: f"{row['node']} {row['tag']}",
            label="parked tags",
        ),
    )


# What can be done


def _install(page: Page, again: Callable[[], Awaitable[None]]) -> None:
    async def bulk(action: str, given: dict[str, Any], verb: str) -> None:
        is_discard = action == "dead-discard"
        text = (
            "They are given up, and count as dropped from then on."
            if is_discard
            else "They run again, the oldest first; what fails again stays."
        )
        begun = await page.bulk(
            action, given, f"{verb} dead letters", text, verb=verb, danger=is_discard
        )
        if begun is not None:
            await page.console.commands.operations.wait(begun.id)
            page.watch.ask_soon()
            await again()

    def of_group(act: Act) -> dict[str, Any]:
        given = msgspec.structs.asdict(_chosen(page))
        return {**given, "group": act.data["group"]}

    def ticked(act: Act) -> dict[str, Any]:
        ids = act.many("selected")
        if not ids:
            raise UsageError("tick some dead letters before")
        return {"ids": ids}

    def one(act: Act) -> dict[str, Any]:
        return {"ids": [act.data["id"]]}

    for name, chosen in (("group", of_group), ("ticked", ticked), ("one", one)):

        async def redrive(act: Act, chosen: Any = chosen) -> None:
            await bulk("dead-redrive", chosen(act), "Redrive")

        async def discard(act: Act, chosen: Any = chosen) -> None:
            await bulk("dead-discard", chosen(act), "Discard")

        page.on(f"redrive-{name}", redrive, Role.OPERATE)
        page.on(f"discard-{name}", discard, Role.ADMIN)
    mutes.install(page, again)
    page.on("edit-letter", partial(_edit, page), Role.ADMIN)


async def _edit(page: Page, act: Act) -> None:
    id = act.data["id"]
    who = await page.current()
    found = await page.console.data.dead_letter(who, page.instance, id)
    message = found["message"]
    payload = message.get("payload")
    if HIDDEN in message_texts.shown_value(message):
        raise UsageError("parts of it are masked, and would be lost")
    text = message_texts.editable(payload)
    area = tag("textarea", text, name="payload", rows="14", spellcheck="false")
    asked = await page.dialog.ask(
        f"Edit dead letter {id}",
        tag("label", tag("span", "Payload"), area, classes="field"),
        parts.note("the changed one takes its place, and waits for a redrive"),
        page.cli("dead", "edit", id),
        verb="Save",
        wide=True,
    )
    if asked is None:
        return
    typed = str(asked.fields.get("payload") or "")
    changed = message_texts.edited(payload, typed)
    given = {"id": id, "changes": {"payload": changed}}
    made = await page.run("dead-edit", given, f"dead letter {id} was changed")
    page.go(page.here(letter=made["id"]))
