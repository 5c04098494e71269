"""Operations: health, what is under way, what happened, users, the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from pichannels import clock
from pichannels.errors import PichannelsError
from pichannels.ui.content import MessageRow
from pichannels.ui.pages import (
    audit_part,
    log_part,
    operations_part,
    parts,
    tables,
    users_part,
)
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.formats import (
    bytes_text,
    count_text,
    rate_text,
    seconds_text,
    span_text,
)
from pichannels.ui.pages.incidents import timeline
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role
from pichannels.ui.searching import MessagesWanted
from pichannels.values import TICKS_PER_SECOND, parse_ticks

__all__ = ["build"]

_EVENTS: Final = 200
_UNDER_WAY: Final = ("processing", "wait_retry", "pending")
_EACH: Final = 100
_FULL: Final = 0.95
_GOOD: Final = 4.0

Report = Mapping[str, Any]


class _Part(NamedTuple):
    """A part of this page, which the address chooses."""

    key: str
    title: str
    build: Callable[[Page], Awaitable[None]]
    role: Role = Role.VIEW


async def build(page: Page) -> None:
    """The part that the address chooses, below the ways to the others."""
    chosen = page.query.get("part") or _PARTS[0].key
    part = next((one for one in _PARTS if one.key == chosen), _PARTS[0])
    await page.add(partial(_ways, page, part))
    if page.may(part.role):
        await part.build(page)
    else:
        text = f"{part.title}: this takes the role {part.role}"
        await page.add(partial(parts.error, text))


def _ways(page: Page, chosen: _Part) -> Markup:
    links = [
        tag(
            "a",
            one.title,
            href=page.href("operations", part=one.key),
            classes="button" if one is not chosen else "button main",
            aria_current="true" if one is chosen else None,
        )
        for one in _PARTS
        if page.may(one.role)
    ]
    return tag("nav", *links, classes="actions", aria_label="parts of this page")


# Health


async def _health(page: Page) -> None:
    await page.add(partial(_ready, page), live=True)
    await page.add(partial(_servers, page), live=True)
    await page.add(partial(_numbers, page), live=True)


def _ready(page: Page) -> Markup:
    """What works, and otherwise what does not, and why."""
    status = page.watch.status
    if status is None:
        return join([parts.heading("Health"), parts.error(page.watch.error)])
    state = "ready" if status["is_ready"] else "not ready"
    head = parts.heading(
        "Health",
        parts.state_badge(status["state"]),
        parts.state_badge(state),
        page.cli("status"),
    )
    if not status["troubles"]:
        well = parts.badge("channels, sources, sinks and journal work", "good")
        return join([head, parts.card(None, well)])
    shown = tables.table(
        page,
        [
            Column("What", lambda one: parts.badge(one["kind"], "bad")),
            Column("Part", lambda one: _way(page, one)),
            Column("Why", lambda one: one["reason"], classes="wide"),
        ],
        status["troubles"],
        key=lambda one: f"{one['part']} {one['kind']}",
        label="what does not work",
    )
    return join([head, shown])


def _way(page: Page, trouble: Report) -> Child:
    name, kind = trouble["part"], trouble["kind"]
    if kind in ("channel", "source"):
        return parts.link(page.href("graph", channel=name), name)
    if kind in ("sink", "journal"):
        return parts.link(page.href("sinks"), name)
    return str(name)


def _servers(page: Page) -> Markup:
    """How much each PI Web API server is asked, and may be."""
    status = page.watch.status
    if status is None:
        return Markup("")
    head = parts.heading("PI servers and their limits", page.cli("top"))
    shown = tables.table(
        page,
        [
            Column("Server", lambda one: one["name"]),
            Column("State", _pace),
            Column("Requests/s", lambda one: _asked(page, one), number=True),
            Column("Allowed/s", lambda one: count_text(one["rate"]), number=True),
            Column("History/s", lambda one: _history(page, one), number=True),
            Column("Under way", _running, number=True),
            Column("At once", lambda one: count_text(one["concurrency"]), number=True),
            Column("Waiting, live + history", lambda one: _both(one, "waiting"), True),
            Column("Sent, live + history", lambda one: _both(one, "sent"), True),
            Column("Slowed", lambda one: count_text(one["slowed"]), number=True),
            Column("429", lambda one: count_text(one["too_many"]), number=True),
        ],
        status["pi_servers"],
        key=lambda one: str(one["name"]),
        label="PI servers",
        nothing="no PI server is asked",
    )
    return join([head, shown])


def _pace(server: Report) -> Markup:
    if server["pause"] > 0:
        return parts.badge(f"pauses {seconds_text(server['pause'])}", "warn", "wait")
    if server["history_paused"]:
        return parts.badge("history paused", "warn", "paused")
    part = server["rate"] / server["full_rate"]
    if part < _FULL:
        title = f"of {server['full_rate']:g}/s, as it answered slowly or with errors"
        return parts.badge(f"slowed to {part:.0%}", "warn", title=title)
    return parts.badge("open", "good")


def _asked(page: Page, server: Report) -> str:
    return rate_text(page.watch.rate(f"server {server['name']}", "sent"))


def _history(page: Page, server: Report) -> Markup:
    """What repair and backfill have of it, and may have; changed elsewhere."""
    own = server["history_rate"]
    limit = "" if own is None else f" of {own:g}"
    text = f"{server['history_used']:.1f}{limit}"
    title = "repair and backfill, each part of a batch counted; to be changed there"
    return parts.link(page.href("coverage"), text, title=title)


def _running(server: Report) -> str:
    return count_text(sum(server["running"].values()))


def _both(server: Report, what: str) -> str:
    """Of live requests, and of those for history."""
    return " + ".join(count_text(server[what][each]) for each in ("live", "history"))


def _numbers(page: Page) -> Markup:
    """The metrics that tell most, and where all of them are."""
    status = page.watch.status
    if status is None:
        return Markup("")
    cards = [
        parts.card("Instance", parts.facts(_of_instance(page, status))),
        parts.card("Messages", parts.facts(_of_messages(page, status))),
        parts.card("Pages", parts.facts(_of_pages(page))),
    ]
    if status["journal"] is not None:
        cards.insert(2, parts.card("Journal", parts.facts(_of_journal(status))))
    where = f"{status['control']}/metrics" if status["control"] else ""
    told = tag("small", f"all metrics: {where}" if where else "")
    head = parts.heading("In numbers", told)
    return join([head, tag("div", *cards, classes="cards")])


def _of_instance(page: Page, status: Report) -> list[tuple[str, Child]]:
    cpu = page.watch.rate("instance", "cpu")
    found: list[tuple[str, Child]] = [
        ("Version", status["version"]),
        ("Process", str(status["pid"])),
        ("Up for", span_text(status["uptime"])),
        ("Processor", "–" if cpu is None else f"{cpu:.0%} of one"),
        ("Event loop late, p50", quantile_text(status["loop_lag"], 0.5)),
        ("p99", quantile_text(status["loop_lag"], 0.99)),
    ]
    if status["lease"] is not None:
        held = parts.badge("held", "good") if status["lease"]["is_held"] else None
        found.append(("Lease", held or parts.badge("lost", "bad")))
    return found


def _of_messages(page: Page, status: Report) -> list[tuple[str, Child]]:
    channels = status["channels"]

    def total(name: str) -> str:
        return count_text(sum(one[name] for one in channels))

    failed = sum(one["failed"] for one in channels)
    errors = page.href("errors")
    return [
        ("Received", total("received")),
        ("Processed", total("processed")),
        ("Dropped", total("dropped")),
        ("Rejected", total("rejected")),
        ("Failed", parts.link(errors, count_text(failed))),
        ("Run again", total("retries")),
        ("On their way", total("in_memory")),
        ("Not settled", total("unsettled")),
    ]


def _of_journal(status: Report) -> list[tuple[str, Child]]:
    journal = status["journal"]
    full = parts.badge("full", "bad") if journal["is_full"] else None
    used, budget = journal["used_bytes"], journal["budget_bytes"]
    told = f"{bytes_text(used)} of {bytes_text(budget)}"
    found: list[tuple[str, Child]] = [
        ("Filled", full or parts.meter(used / max(1, budget), told)),
        ("File", bytes_text(journal["file_bytes"])),
        ("Commit, p50", quantile_text(journal["commit_seconds"], 0.5)),
        ("p99", quantile_text(journal["commit_seconds"], 0.99)),
        ("Worst commit", seconds_text(journal["worst_commit"])),
        ("Waits for room", count_text(journal["waiting"])),
        ("Failed commits", count_text(journal["failures"])),
    ]
    if journal["last_error"]:
        found.append(("Last error", journal["last_error"]))
    return found


def _of_pages(page: Page) -> list[tuple[str, Child]]:
    budget = page.console.budget
    return [
        ("Requests under way", count_text(budget.requests)),
        ("Searches under way", count_text(budget.searches)),
        ("Refused over budget", count_text(budget.refused)),
    ]


# What is under way


async def _flight(page: Page) -> None:
    await page.add(Calm(partial(_under_way, page), _GOOD), live=True)


async def _under_way(page: Page) -> Markup:
    """Messages that are not settled, the oldest first."""
    who = await page.current()
    found: list[MessageRow] = []
    for state in _UNDER_WAY:
        wanted = MessagesWanted(state=state, oldest_first=True, count=_EACH)
        try:
            one = await page.console.data.messages(who, page.instance, wanted)
        except PichannelsError as exc:
            return parts.error(str(exc))
        found += one.messages
    found.sort(key=lambda row: row.timestamp)
    now = clock.now()
    shown = tables.table(
        page,
        [
            Column("Message", lambda row: _message(page, row)),
            Column("State", lambda row: parts.state_badge(row.state)),
            Column("For", lambda row: _elapsed(row, now), number=True),
            Column("Channel", lambda row: _channel(page, row)),
            Column("Lane", lambda row: row.lane),
            Column("Attempts", lambda row: count_text(row.attempts), number=True),
            Column("Made", lambda row: page.time(row.timestamp)),
        ],
        found,
        key=lambda row: row.id,
        label="messages under way",
        nothing="no message is under way just now",
    )
    head = parts.heading(
        f"{count_text(len(found))} messages under way",
        page.cli("store", "search", "--state", "processing"),
    )
    return join([head, shown])


def _message(page: Page, row: MessageRow) -> Markup:
    return parts.link(page.href("messages", id=row.id), row.id)


def _channel(page: Page, row: MessageRow) -> Markup:
    return parts.link(page.href("graph", channel=row.channel), row.channel)


def _elapsed(row: MessageRow, now: int) -> str:
    return seconds_text((now - parse_ticks(row.timestamp)) / TICKS_PER_SECOND)


# What happened


async def _log(page: Page) -> None:
    await page.add(partial(_log_form, page))
    await page.add(partial(_log_lines, page), live=True)


def _log_form(page: Page) -> Markup:
    status = page.watch.status
    names = [one["name"] for one in status["channels"]] if status else []
    choices = [("", "all"), *((name, name) for name in names)]
    return tables.filters(
        page,
        parts.select("channel", "Channel", choices, page.query.get("channel", "")),
        verb="Show",
        stay=("part",),
    )


def _log_lines(page: Page) -> Markup:
    told = "What the instance has told since these pages follow it."
    shown = timeline(page, _EVENTS, page.query.get("channel", ""))
    copied = page.api(f"/instances/{quote(page.instance)}/events")
    head = parts.heading("What happened", copied)
    return join([head, tag("p", told), shown])


_PARTS: Final = (
    _Part("health", "Health", _health),
    _Part("flight", "Under way", _flight),
    _Part("done", "Operations", operations_part.build),
    _Part("log", "Events", _log),
    _Part("lines", "Log", log_part.build, Role.DATA),
    _Part("users", "Users and tokens", users_part.build, Role.ADMIN),
    _Part("audit", "Audit log", audit_part.build, Role.ADMIN),
)
