"""What the page of messages searches for, as its address has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from pichannels.errors import UsageError
from pichannels.states import State
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role
from pichannels.ui.searching import MOST, MessagesWanted
from pichannels.values import format_ticks

__all__ = ["CONDITIONS", "command", "form", "saved_query", "selection", "wanted"]

_COUNT: Final = 50
_LANES: Final = ("live", "late", "repair", "correction", "delete", "replay")
_TEXTS: Final = (
    *("channel", "state", "lane", "node", "error", "error_class", "tag", "meta"),
    *("event_id", "uuid"),
    *("text", "regex", "json_path", "json_value"),
)
CONDITIONS: Final = (*_TEXTS, "attempts", "range", "start", "end")
"""The names of the fields that say what is searched for."""

_JSON: Final = ("json_path", "json_value")
_SELECTABLE: Final = ("channel", "state", "text", "regex")


def wanted(page: Page) -> MessagesWanted:
    """What is searched for.

    Raises:
        UsageError: a condition is not of its kind.
    """
    query, found = page.query, tables.range_of(page)
    given = {name: query[name] for name in _TEXTS if query.get(name)}
    return MessagesWanted(
        **given,
        attempts=_number(query, "attempts", 0, 2**31),
        start=None if found.start is None else format_ticks(found.start),
        end=None if found.end is None else format_ticks(found.end),
        oldest_first=query.get("sort") == "time",
        count=_number(query, "count", 1, MOST) or _COUNT,
        cursor=query.get("cursor") or None,
    )


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) < 12
    if not is_number or not least <= int(text) <= most:
        raise UsageError(f"{name} is a number from {least} to {most}, not {text!r}")
    return int(text)


def selection(found: MessagesWanted) -> dict[str, str | None] | None:
    """The same as a replay takes it; None where it takes not all of the conditions."""
    used = {name for name in _TEXTS if getattr(found, name) is not None}
    if found.attempts is not None or not used <= set(_SELECTABLE):
        return None
    chosen = {name: getattr(found, name) for name in _SELECTABLE}
    return {**chosen, "start": found.start, "end": found.end}


def saved_query(query: Mapping[str, str]) -> str:
    """The conditions of an address, as they are kept by a name."""
    return urlencode({name: query[name] for name in CONDITIONS if query.get(name)})


# What does the same


def command(page: Page, found: MessagesWanted) -> str:
    """What shows the same on a command line."""
    words = [found.text] if found.text else []
    for name in (*_TEXTS, "attempts", "start", "end"):
        value = getattr(found, name)
        if value is not None and name != "text":
            words += [f"--{name.replace('_', '-')}", str(value)]
    if found.oldest_first:
        words.append("--oldest-first")
    return page.command("store", "search", *words)


# The form


def form(page: Page) -> Markup:
    """The fields of all conditions; those on payloads only for who may see them."""
    query = page.query
    status = page.watch.status
    names = [each["name"] for each in status["channels"]] if status else []
    if query.get("channel") and query["channel"] not in names:
        names = [*names, query["channel"]]
    lanes = list(_LANES)
    if query.get("lane") and query["lane"] not in lanes:
        lanes.append(query["lane"])
    first: list[Child] = [
        tables.range_fields(page),
        _choice(page, "channel", "Channel", names),
        _choice(page, "state", "State", list(map(str, State))),
        _choice(page, "lane", "Lane", lanes),
        _text(page, "tag", "Tag", "name, path or WebID", 17),
    ]
    if page.may(Role.DATA):
        first.append(_text(page, "text", "Payload contains", "", 17))
    return tables.filters(page, *first, _more(page))


def _more(page: Page) -> Markup:
    fields: list[Child] = [
        _text(page, "node", "Failed at node", "publish", 16),
        _text(page, "error_class", "Exception", "ValueError", 16),
        _text(page, "attempts", "Tried at least", "2", 6),
        _text(page, "uuid", "UUID", "", 32),
    ]
    used = ["node", "error_class", "attempts", "uuid"]
    if page.may(Role.DATA):
        used += ["error", "meta", "regex", "event_id", *_JSON]
        fields += [
            _text(page, "event_id", "Event id of a sample", "SIMSRV/4711/17...", 30),
            _text(page, "error", "Error contains", "", 20),
            _text(page, "meta", "Metadata", "name=value", 20),
            _text(page, "regex", "Payload matches", "pump [0-9]+", 20),
            _text(page, "json_path", "JSON path", "$.pump.speed", 20),
            _text(page, "json_value", "is", "9", 10),
        ]
    is_open = any(page.query.get(name) for name in used)
    inner = tag("div", *fields, classes="filters")
    summary = tag("summary", "More conditions")
    return tag("details", summary, inner, classes="more", open=is_open)


def _choice(page: Page, name: str, label: str, values: list[str]) -> Markup:
    choices = [("", "all"), *((each, each) for each in values)]
    return parts.select(name, label, choices, page.query.get(name, ""))


def _text(page: Page, name: str, label: str, hint: str, size: int) -> Markup:
    value = page.query.get(name, "")
    return parts.text_field(name, label, value, hint=hint, size=size)
