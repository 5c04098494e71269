"""Backfill jobs and comparing with the archive: looked at, begun, paused, cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pichannels import clock
from pichannels.control.coverage_reports import CoverageWanted
from pichannels.errors import UsageError
from pichannels.ui.operations import Operation
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.formats import count_text, rate_text, span_text, time_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["install", "jobs_part", "reconciles_part"]

_SHOWN: Final = 50
_RECONCILES: Final = 5
_DAY: Final = 86_400 * TICKS_PER_SECOND
_DOES: Final = {
    "pause": ("Pause", ("running",)),
    "resume": ("Resume", ("paused",)),
    "cancel": ("Cancel …", ("running", "paused", "failed")),
}

_OVER: Final = ("done", "cancelled")
_PRIORITIES: Final = ("high", "normal", "low")

Job = Mapping[str, Any]


def install(page: Page, changed: Callable[[], Awaitable[None]]) -> None:
    """The acts of jobs.

    Args:
        page: where they are.
        changed: called when something was done; writes what shows it anew.
    """

    async def change(act: Act) -> None:
        what, id_ = act.data["what"], act.data["job"]
        if what == "cancel" and not await page.dialog.confirm(
            f"Cancel job {id_}",
            "What it has not delivered counts as excluded from now on.",
            page.cli("backfill", "cancel", id_),
            verb="Cancel the job",
            danger=True,
        ):
            return
        await page.run(f"backfill-{what}", {"id": id_}, f"job {id_}: {what}")
        await changed()

    async def create(act: Act) -> None:
        await _create(page)
        await changed()

    async def reconcile(act: Act) -> None:
        await _reconcile(page)
        await changed()

    async def prioritise(act: Act) -> None:
        id_, priority = act.data["job"], act.text("priority")
        given = {"id": id_, "priority": priority}
        await page.run("backfill-priority", given, f"job {id_}: priority {priority}")
        await changed()

    page.on("job", change, Role.OPERATE)
    page.on("job-priority", prioritise, Role.OPERATE)
    page.on("backfill", create, Role.OPERATE)
    page.on("reconcile", reconcile, Role.OPERATE)


# Jobs


async def jobs_part(page: Page) -> Markup:
    """The jobs, those that go on first."""
    who = await page.current()
    channel = page.query.get("channel") or None
    found = await page.console.data.jobs(who, page.instance, channel=channel)
    order = ("running", "failed", "paused", "done", "cancelled")
    found.sort(key=lambda job: job["created"], reverse=True)
    found.sort(key=lambda job: order.index(job["state"]))
    shown = tables.table(
        page,
        [
            Column("Job", lambda job: tag("span", job["id"], title=_why(job))),
            Column("State", lambda job: parts.state_badge(job["state"])),
            Column("Delivered", _progress),
            Column("Ready in", _eta, number=True),
            Column("Do", lambda job: _buttons(page, job)),
            Column("Priority", lambda job: _priority(page, job)),
            Column("Tags", _tags, classes="wide"),
            Column("Range", lambda job: _range(page, job)),
            Column("Values", _values, number=True),
            Column("By", lambda job: job["who"] or "–"),
        ],
        found[:_SHOWN],
        key=lambda job: str(job["id"]),
        label="backfill jobs",
        nothing="there is no backfill job",
    )
    told = f", the last {_SHOWN} of {len(found)}" if len(found) > _SHOWN else ""
    return join([parts.heading(f"Backfill{told}", page.cli("backfill", "list")), shown])


def _why(job: Job) -> str:
    again = "delivers again what was delivered" if job["again"] else ""
    return "; ".join(filter(None, (job["reason"], again))) or "no reason is given"


def _tags(job: Job) -> str:
    count = job["tag_count"]
    noun = "tag" if count == 1 else "tags"
    return f"{', '.join(job['tags'])} ({count_text(count)} {noun})"


def _range(page: Page, job: Job) -> Markup:
    start, end = (time_text(job[name], page.zone)[:16] for name in ("start", "end"))
    return tag("span", start, tag("br"), end, classes="num")


def _progress(job: Job) -> Markup:
    done = job["done"]
    text = f"{done:.0%}" if done in (0, 1) else f"{min(done, 0.999):.1%}"
    left = f", {span_text(job['left'])} of tag-time left" if job["left"] else ""
    shown = parts.meter(done, text, tone="good")
    bad: Child = None
    if job["unreadable"]:
        bad = parts.badge(f"{count_text(job['unreadable'])} unreadable", "bad")
    return tag("span", shown, bad, title=f"{text}{left}")


def _values(job: Job) -> Markup:
    """How many were read, and how many come in a second."""
    lines: list[Child] = [count_text(job["values"])]
    if job["state"] == "running" and job["rate"] is not None:
        lines += [tag("br"), tag("small", f"{rate_text(job['rate'])}/s")]
    return tag("span", *lines)


def _eta(job: Job) -> str:
    if job["state"] != "running" or job["eta"] is None:
        return "–"
    return span_text(job["eta"])


def _priority(page: Page, job: Job) -> Markup | str:
    """What a job goes before or after, with a choice for who may change it."""
    now: str = job["priority"]
    if not page.may(Role.OPERATE) or job["state"] in _OVER:
        return now
    options = [
        tag("option", each, value=each, selected=each == now) for each in _PRIORITIES
    ]
    field = tag(
        "select",
        *options,
        name="priority",
        aria_label=f"priority of {job['id']}",
        title="high: before all other holes; low: after them",
        data={"act": "job-priority", "job": job["id"]},
    )
    return tag("span", field, data={"fields": "1"})


def _buttons(page: Page, job: Job) -> Markup:
    shown = [
        page.action(
            label,
            "job",
            {"what": what, "job": job["id"]},
            kind="danger" if what == "cancel" else "",
            title=f"{what} {job['id']}",
        )
        for what, (label, states) in _DOES.items()
        if job["state"] in states
    ]
    return tag("span", *shown, classes="actions")


# Beginning something


def _channels(page: Page) -> list[str]:
    status = page.watch.status
    return [one["channel"] for one in status["coverage"]] if status else []


async def _create(page: Page) -> None:
    act = await page.dialog.ask(
        "New backfill",
        *_fields(page, days=7),
        tag(
            "label",
            tag("input", type="checkbox", name="again"),
            " deliver again what was delivered",
        ),
        parts.select("priority", "Priority", _PRIORITIES, "normal"),
        parts.text_field("reason", "Reason", size=40, hint="kept with the job"),
        verb="Count the tags …",
    )
    if act is None:
        return
    channel, patterns, start, end = _asked(page, act)
    count = await _matching(page, channel, patterns)
    lasts = span_text((end - start) / TICKS_PER_SECOND)
    text = f"Of each tag {lasts} are read from the archive, behind what is live."
    noun = "tag" if count == 1 else "tags"
    given = {
        "channel": channel,
        "tags": patterns,
        "start": format_ticks(start),
        "end": format_ticks(end),
        "again": act.fields.get("again") == "on",
        "who": page.who.name,
        "reason": act.text("reason"),
        "priority": act.text("priority") or "normal",
    }
    if not await page.dialog.confirm(
        f"Backfill {count_text(count)} {noun} of {channel}",
        text,
        page.cli("backfill", "create", channel, *_words(given)),
        count=count if count > 1 else None,
        verb="Begin",
    ):
        return
    found = await page.run("backfill-create", given)
    page.toasts.tell(f"job {found['id']} has begun", "busy")


def _words(given: Mapping[str, Any]) -> list[str]:
    """The same as options of a command."""
    words = [word for tag_ in given.get("tags") or () for word in ("--tag", tag_)]
    for name in ("start", "end", "priority", "reason"):
        if given.get(name) not in (None, "", "normal"):
            words += [f"--{name}", str(given[name])]
    return [*words, "--again"] if given.get("again") else words


async def _reconcile(page: Page) -> None:
    act = await page.dialog.ask(
        "Reconcile now",
        tag(
            "p",
            "Whole hours are compared with the archive of PI; an hour of which an"
            " event is missing becomes a hole, and is read again.",
        ),
        *_fields(page, days=1),
        verb="Compare",
    )
    if act is None:
        return
    channel, patterns, start, end = _asked(page, act)
    given = {
        "channel": channel,
        "tags": patterns,
        "start": format_ticks(start),
        "end": format_ticks(end),
    }
    who = await page.current()
    await page.console.commands.begin(who, page.instance, "reconcile", given)
    page.toasts.tell("comparing has begun", "busy")
    page.watch.ask_soon()


def _fields(page: Page, days: int) -> list[Markup]:
    """Of which tags, and from when to when."""
    group = page.query.get("group")
    tags = page.query.get("tag") or (f"{group}*" if group else "*")
    now = clock.now()
    start, end = (time_text(at, page.zone)[:16] for at in (now - days * _DAY, now))
    zone = "UTC" if page.is_utc else "site time"
    channel = page.query.get("channel", "")
    return [
        parts.select("channel", "Channel", _channels(page), channel),
        parts.text_field("tags", "Tags, with * and ?", tags, size=40, required=True),
        parts.text_field("start", f"From ({zone})", start, required=True),
        parts.text_field("end", f"To ({zone})", end, required=True),
    ]


def _asked(page: Page, act: Act) -> tuple[str, list[str], int, int]:
    """What was asked for in a dialog.

    Raises:
        UsageError: a time is none, or no tag is named.
    """
    start = tables.time_of(page, "from", act.text("start"))
    end = tables.time_of(page, "to", act.text("end"))
    patterns = [part for part in act.text("tags").replace(",", " ").split() if part]
    if start is None or end is None or start >= end:
        raise UsageError("the range begins before it ends")
    if not patterns:
        raise UsageError("name tags; * stands for all of them")
    return act.text("channel"), patterns, start, end


async def _matching(page: Page, channel: str, patterns: list[str]) -> int:
    """How many tags that concerns.

    Raises:
        UsageError: none.
    """
    wanted = CoverageWanted(channel=channel, tags=patterns, count=1)
    who = await page.current()
    found = await page.console.data.coverage(who, page.instance, wanted)
    if not found.matching:
        raise UsageError(f"no tag of {channel} fits {', '.join(patterns)}")
    return found.matching


# What comparing has found


def reconciles_part(page: Page) -> Markup:
    """What was compared of late."""
    found = [
        one
        for one in page.console.commands.operations.all()
        if one.action == "reconcile" and one.instance == page.instance
    ][:_RECONCILES]
    if not found:
        return Markup("")
    return join([parts.heading("Reconciled"), *(_result(page, one) for one in found)])


def _result(page: Page, one: Operation) -> Markup:
    given = page.console.commands.operations.given(one.id)
    head = tag(
        "span",
        parts.state_badge(one.state),
        tag("small", f"by {one.user}, ", page.time(one.started)),
        page.cli("reconcile", str(given.get("channel", "")), *_words(given)),
    )
    key = f"reconcile-{one.id}"
    if one.state != "done":
        return parts.card(head, tag("p", one.error or "it goes on"), key=key)
    report = one.report
    skipped = sum(report["not_comparable"].values())
    facts: list[tuple[str, Child]] = [
        ("Hours of tags that are the same", count_text(report["equal"])),
        ("Hours with missing events, now holes", _bad(report["missing"])),
        ("Missing events", _bad(report["missing_events"])),
        ("Hours with more than PI has", count_text(report["extra"])),
        ("Hours that cannot be compared", count_text(skipped)),
    ]
    facts += [
        (f"… as {why}", count_text(count))
        for why, count in report["not_comparable"].items()
    ]
    return parts.card(head, parts.facts(facts), _differences(page, report), key=key)


def _bad(count: int) -> Markup:
    return parts.badge(count_text(count), "bad" if count else "good")


def _differences(page: Page, report: Mapping[str, Any]) -> Markup | None:
    rows = report["differences"]
    if not rows:
        return None
    shown = [
        tag(
            "tr",
            tag("td", parts.link(page.href("tags", tag=row["tag"]), row["tag"])),
            tag("td", page.time(row["start"])),
            tag("td", count_text(row["missing"]), classes="num"),
            tag("td", count_text(row["extra"]), classes="num"),
        )
        for row in rows
    ]
    names = ("Tag", "Hour", "Missing in what we delivered", "More than PI has")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    inner = join([tag("thead", head), tag("tbody", *shown)])
    table = tag("table", inner, aria_label="differences")
    title = f"The first {len(rows)} differences"
    scroll = tag("div", table, classes="scroll", tabindex="0", role="group")
    return tag("details", tag("summary", title), scroll)
