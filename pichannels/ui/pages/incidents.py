"""What has happened in an instance, as a timeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pichannels.ui.operations import Operation
from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.outcomes import outcome_text, outcome_tone
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.watch import Incident
from pichannels.values import parse_ticks

__all__ = ["timeline"]

_KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "channel.state": ("busy", "channel"),
    "coverage.damaged": ("bad", "ledger damaged"),
    "coverage.overflow": ("warn", "overflow"),
    "coverage.reconciled": ("good", "reconciled"),
    "events.lost": ("warn", "events lost"),
    "instance.reloaded": ("good", "reloaded"),
    "instance.reloading": ("busy", "reloading"),
    "instance.started": ("good", "started"),
    "instance.stopping": ("warn", "stopping"),
    "lease.lost": ("bad", "lease lost"),
    "message.failed": ("bad", "message failed"),
    "pi.came_back": ("good", "live again"),
    "pi.connected": ("good", "PI connected"),
    "pi.failed": ("bad", "PI failed"),
    "pi.failed_over": ("warn", "failed over"),
    "pi.fell_back": ("warn", "fell back to polling"),
    "pi.lost": ("bad", "PI lost"),
    "pi.not_opened": ("bad", "PI not reached"),
    "pi.not_signed_up": ("warn", "not signed up"),
    "pi.tags_changed": ("busy", "tags changed"),
    "pi.unresolved": ("warn", "tags not found"),
    "reload.failed": ("bad", "reload failed"),
    "reload.refused": ("warn", "settings refused"),
    "store.connected": ("good", "store connected"),
    "tag.changed": ("busy", "metadata changed"),
    "tag.renamed": ("busy", "tag renamed"),
    "ui.connected": ("good", "instance answers"),
    "ui.disconnected": ("bad", "instance lost"),
}
_BAD: Final = ("fail", "lost", "unread", "unreach", "damaged", "disconnect")
_LONGEST: Final = 200
_QUERY: Final = re.compile(r"(?<=\w)\?[\w=&%.+/~-]{20,}")
"""What follows in an address: of PI channels it is very long, and says little."""
_TAGS: Final = re.compile(r"\s*</?[a-zA-Z][^<>]{0,100}>\s*")
"""Errors quote pages of servers, whose words are enough."""


def timeline(page: Page, count: int, channel: str = "") -> Markup:
    """The newest first: what happened, and what was done.

    Args:
        count: how many at most.
        channel: only of this one and of its sub-channels.
    """
    rows = [
        (one.ticks, _incident(page, one))
        for one in list(page.watch.incidents)[-count * 4 :]
        if _concerns(one.facts, channel)
    ]
    if not channel:
        rows += _done(page, page.console.commands.operations.all())
    rows.sort(key=lambda row: row[0], reverse=True)
    if not rows:
        return parts.empty("nothing has happened since the pages were started")
    return tag("ol", *(shown for _, shown in rows[:count]), classes="timeline")


def _concerns(facts: Mapping[str, Any], channel: str) -> bool:
    name = str(facts.get("channel", ""))
    return not channel or name == channel or name.startswith(f"{channel}.")


def _incident(page: Page, one: Incident) -> Markup:
    tone, words = _KNOWN.get(one.name, (_guess(one.name), one.name.replace(".", " ")))
    if one.name == "channel.state":
        state = str(one.facts.get("new", ""))
        mark = parts.state_badge(state)
    else:
        mark = parts.badge(words, tone)
    name = str(one.facts.get("channel", ""))
    where: Child = None
    if name:
        where = parts.link(page.href("graph", channel=name), name)
    times = parts.number(f"{one.times} times") if one.times > 1 else None
    told = tag("span", _told(page, one), classes="told")
    return _row(page, one.ticks, mark, where, times, told)


def _guess(name: str) -> str:
    return "bad" if any(part in name for part in _BAD) else "busy"


def _told(page: Page, one: Incident) -> str:
    """The facts, as far as who looks may see them."""
    mask = page.console.data.mask_for(page.who)
    facts = {
        name: value
        for name, value in one.facts.items()
        if name not in ("channel", "old", "new", "instance", "project", "url")
        and value not in (None, "", [], {})
        and not (mask is None and "error" in name)
    }
    shown = mask.applied(facts) if mask is not None else facts
    text = ", ".join(f"{name} {value}" for name, value in shown.items())
    text = _TAGS.sub(" ", _QUERY.sub("?…", text)).strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _done(page: Page, operations: Iterable[Operation]) -> Iterable[tuple[int, Markup]]:
    for each in operations:
        if each.instance != page.instance or each.state == "running":
            continue
        ticks = parse_ticks(each.ended or each.started)
        mark = parts.badge(f"{each.action} {each.state}", outcome_tone(each))
        way = parts.link(page.href("operations", part="done"), "operations")
        seen = each.seen(page.console.data.mask_for(page.who))
        told = [f"by {each.user}", outcome_text(seen)]
        text = tag("span", ": ".join(filter(None, told)), classes="told")
        yield ticks, _row(page, ticks, mark, way, None, text)


def _row(page: Page, ticks: int, *cells: Child) -> Markup:
    return tag("li", page.time(ticks, is_long=False), *cells)
