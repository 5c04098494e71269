"""What stands around every page: the header with its lamps, the ways to all pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pichannels.ui.operations import Operation
from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import (
    count_text,
    rate_text,
    seconds_text,
    span_text,
    took_text,
)
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.names import PLACES, Name, place_of
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["header", "install", "lamps", "navigation", "operations_strip"]

_LATE: Final = 30.0
_ALIKE: Final = ("part", "range", "start", "end")
"""What of an address means the same of each instance."""
_DOT: Final = " · "
_EVENT_ID: Final = re.compile(r"[^/]*/.+/-?[0-9]+/[0-9a-f]{8}\.[0-9a-f]\.[0-9]+")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-?)([0-9a-f]{4}\1){3}[0-9a-f]{12}", re.I)


def navigation(page: Page, keys: Sequence[str]) -> Markup:
    """The ways to the pages that exist.

    Args:
        keys: of those.
    """
    links = [_way(page, each) for each in PLACES if each.key in keys]
    return tag("ul", *links)


def _way(page: Page, name: Name) -> Markup:
    is_here = name.key == page.key
    key = tag("kbd", f"g {name.letter}", aria_hidden="true")
    shown = tag(
        "a",
        tag("span", name.title),
        key,
        href=page.href(name.key),
        aria_current="page" if is_here else None,
        data={"letter": name.letter},
    )
    return tag("li", shown)


# The header


def header(page: Page) -> Markup:
    """The instance, the search, and what everybody sets as they like."""
    return tag("div", _instance(page), _search(page), _own(page), classes="top")


def lamps(page: Page) -> Markup:
    """How the instance is, in one line; each lamp leads to what explains it."""
    return tag(
        "div",
        *_lamps(page),
        classes="lamps",
        role="group",
        aria_label="state of the instance",
    )


def _instance(page: Page) -> Markup:
    names = page.watches.names()
    if len(names) > 1:
        shown: Child = parts.select(
            "instance", "Instance", names, page.instance, act="instance"
        )
    else:
        shown = tag("strong", page.instance)
    return tag("div", shown, classes="instance", data={"fields": True})


def _search(page: Page) -> Markup:
    field = tag(
        "input",
        type="search",
        name="wanted",
        id="search",
        placeholder="Tag, message id or channel",
        title="Also an event id: the messages that brought the sample",
        aria_label="Search a tag, a message id or a channel",
        aria_keyshortcuts="/",
        autocomplete="off",
        list="channels",
    )
    channels = page.watch.status["channels"] if page.watch.status else []
    known = [tag("option", value=each["name"]) for each in channels[:300]]
    listed = tag("datalist", *known, id="channels")
    return tag(
        "form",
        parts.icon("search"),
        field,
        tag("kbd", "/"),
        listed,
        data={"act": "search"},
        classes="search",
        role="search",
    )


def _own(page: Page) -> Markup:
    zone = "UTC" if page.is_utc else "site"
    return tag(
        "div",
        tag(
            "button",
            f"Time: {zone}",
            type="button",
            classes="button quiet",
            data={"zone": "site" if page.is_utc else "utc"},
            title="Show times in UTC, or in the zone of this site",
        ),
        tag(
            "button",
            "Dark / light",
            type="button",
            classes="button quiet",
            data={"theme": True},
        ),
        tag(
            "button",
            "Keys",
            type="button",
            classes="button quiet",
            data={"keys": True},
            title="Keys of the keyboard (?)",
        ),
        tag("span", f"{page.who.name}{_DOT}{page.who.role}", classes="who"),
        tag(
            "button",
            "Log out",
            type="button",
            classes="button quiet",
            data={"logout": True},
        ),
        classes="own",
    )


def _lamps(page: Page) -> list[Child]:
    status = page.watch.status
    if status is None:
        shown = parts.badge("not connected", "bad")
        return [_lamp("Instance", shown, page.href("operations"), page.watch.error)]
    return [
        _lamp("Instance", _instance_state(status), page.href("operations")),
        *_pi(page, status),
        _sinks(page, status),
        _lag(page, status),
        _holes(page, status),
        _letters(page),
        _fill(page, status),
    ]


def _lamp(name: str, value: Child, href: str, title: str | None = None) -> Markup:
    inner = join([tag("span", name, classes="name"), value])
    return parts.link(href, inner, classes="lamp", title=title)


def _instance_state(status: Mapping[str, Any]) -> Markup:
    if status["state"] != "running":
        return parts.state_badge(status["state"])
    return parts.state_badge("running" if status["is_ready"] else "not ready")


def _pi(page: Page, status: Mapping[str, Any]) -> list[Child]:
    sources = [
        each["source"] for each in status["channels"] if "pi_channels" in each["source"]
    ]
    if not sources:
        return []
    opened = sum(each["open"] for each in sources)
    wanted = sum(each["pi_channels"] for each in sources)
    is_polled = any(each.get("fell_back") for each in sources)
    limit = sum(each["rate"] for each in status["pi_servers"])
    rates = [
        page.watch.rate(f"server {each['name']}", "sent") or 0.0
        for each in status["pi_servers"]
    ]
    if opened >= wanted and not is_polled:
        lamp = parts.badge("connected", "good")
    elif opened or is_polled:
        lamp = parts.badge("partly", "warn")
    else:
        lamp = parts.badge("not connected", "bad")
    latencies = [each["latency"] for each in status["pi_servers"]]
    half = max((t["p50"] for t in latencies if t["p50"] is not None), default=None)
    asked = f"{rate_text(sum(rates))} of {count_text(limit)} req/s"
    told = tag("small", asked if half is None else f"{took_text(half)}{_DOT}{asked}")
    title = f"{opened} of {wanted} PI channels open{_latency(latencies)}"
    return [_lamp("PI", join([lamp, told]), page.href("operations"), title)]


def _latency(latencies: Sequence[Mapping[str, Any]]) -> str:
    """How long the servers took to answer, in words; "" where none has answered."""
    told = [
        f"p50 {took_text(each['p50'])}, p99 {took_text(each['p99'])},"
        f" the last {took_text(each['last'])}"
        for each in latencies
        if each["p50"] is not None
    ]
    return f"; answers: {'; '.join(told)}" if told else ""


def _sinks(page: Page, status: Mapping[str, Any]) -> Markup:
    broken = [each for each in status["troubles"] if each["kind"] == "sink"]
    paused = [each["name"] for each in status["sinks"] if each["is_paused"]]
    total = len(status["sinks"])
    if broken:
        lamp = parts.badge(f"{len(broken)} of {total} down", "bad")
    elif paused:
        lamp = parts.badge(f"{len(paused)} of {total} paused", "warn", "paused")
    else:
        lamp = parts.badge(f"{total} ready", "good")
    told = [f"{each['part']}: {each['reason']}" for each in broken]
    title = "; ".join([*told, *(f"{name}: paused" for name in paused)])
    return _lamp("Sinks", lamp, page.href("sinks"), title or None)


def _lag(page: Page, status: Mapping[str, Any]) -> Markup:
    worst = max(status["channels"], key=lambda each: each["lag"], default=None)
    lag = worst["lag"] if worst else 0.0
    lamp = parts.badge(seconds_text(lag), "warn" if lag > _LATE else "good")
    channel = worst["name"] if worst and lag else None
    return _lamp("Lag", lamp, page.href("graph", channel=channel), channel)


def _holes(page: Page, status: Mapping[str, Any]) -> Markup:
    tags = sum(each["tags_with_holes"] for each in status["coverage"])
    seconds = sum(each["hole_seconds"] for each in status["coverage"])
    lamp = (
        parts.badge(f"{count_text(tags)} tags", "warn")
        if tags
        else parts.badge("none", "good")
    )
    title = f"{span_text(seconds)} of tag-time" if tags else None
    return _lamp("Holes", lamp, page.href("coverage", holes="1"), title)


def _letters(page: Page) -> Markup:
    found = page.watch.letters
    if found is None:
        lamp = parts.badge("unknown", "off")
    elif found.loud:
        more = " and more" if found.has_more else ""
        lamp = parts.badge(f"{count_text(found.loud)}{more}", "bad")
    else:
        lamp = parts.badge("none new" if found.muted else "none", "good")
    told: Child = lamp
    if found is not None and found.muted:
        told = join([lamp, tag("small", f"{count_text(found.muted)} muted")])
    return _lamp("Dead letters", told, page.href("errors"))


def _fill(page: Page, status: Mapping[str, Any]) -> Markup:
    journal = status["journal"]
    if journal is None:
        lamp: Child = parts.badge("not open", "bad")
    else:
        part = journal["used_bytes"] / max(1, journal["budget_bytes"])
        lamp = parts.meter(part, f"{part:.0%}")
        if journal["is_full"]:
            lamp = parts.badge("full", "bad")
    return _lamp("Store", lamp, page.href("sinks", part="stores"))


# What goes on


def operations_strip(page: Page) -> Markup:
    """The long actions on this instance that go on, and how far they are."""
    found = [
        each
        for each in page.console.commands.operations.all()
        if each.instance == page.instance and each.state == "running"
    ]
    return join(_operation(page, each) for each in found)


def _operation(page: Page, operation: Operation) -> Markup:
    done = next(
        (v for v in operation.progress.values() if isinstance(v, int | float)), None
    )
    told: Child = tag("span", f"since {operation.started[11:19]} UTC")
    if operation.total and done is not None:
        label = f"{count_text(done)} of {count_text(operation.total)}"
        told = parts.meter(done / operation.total, label, tone="good")
    end: Child = None
    if operation.can_cancel:
        end = page.action("Cancel", "cancel-operation", {"id": operation.id})
    return tag(
        "div",
        parts.badge(operation.action, "busy", "wait"),
        told,
        tag("span", operation.user, classes="who"),
        end,
        classes="operation",
        data={"key": f"operation-{operation.id}"},
    )


# What the frame does


def install(page: Page) -> None:
    """The acts of the frame."""

    async def search(act: Act) -> None:
        wanted = act.text("wanted")
        if wanted:
            page.go(_found(page, wanted))

    async def switch(act: Act) -> None:
        # Channels, tags and messages of one are not those of another.
        kept = {name: page.query[name] for name in _ALIKE if page.query.get(name)}
        query = urlencode({"instance": act.text("instance"), **kept})
        page.go(f"{place_of(page.key).path}?{query}")

    async def cancel(act: Act) -> None:
        who = await page.current()
        await page.console.commands.cancel(who, act.data["id"])
        page.toasts.tell("it ends")

    page.on("search", search)
    page.on("instance", switch)
    page.on("cancel-operation", cancel, Role.OPERATE)


def _found(page: Page, wanted: str) -> str:
    """Where something that was searched is shown."""
    status = page.watch.status
    channels = {each["name"] for each in status["channels"]} if status else set()
    if wanted in channels:
        return page.href("graph", channel=wanted)
    if _EVENT_ID.fullmatch(wanted) and page.may(Role.DATA):
        return page.href("messages", event_id=wanted)
    if _UUID.fullmatch(wanted):
        return page.href("messages", uuid=wanted)
    is_id = wanted.isascii() and wanted.isdecimal()
    if is_id:
        return page.href("messages", id=wanted)
    return page.href("tags", tag=wanted)
