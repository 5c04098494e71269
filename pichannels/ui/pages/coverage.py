"""Coverage and backfill: what was delivered, what is missing, and what repairs it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from pichannels import clock
from pichannels.control.coverage_reports import (
    ChannelCoverage,
    CoverageReport,
    CoverageWanted,
    TagCoverage,
)
from pichannels.errors import PichannelsError
from pichannels.ui.pages import jobs, parts, tables
from pichannels.ui.pages.budget_part import BudgetPart
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.formats import count_text, span_text
from pichannels.ui.pages.gantt import Row, group_rows, tag_row
from pichannels.ui.pages.gantt_view import chart, holes_table
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.tables import Column
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["build"]

_GOOD: Final = 8.0
_TOTALS_GOOD: Final = 20.0
_JOBS_GOOD: Final = 2.0
_TOGETHER: Final = 1000
_LINES: Final = 50
_USUAL: Final = "24h"
_MINUTE: Final = 60 * TICKS_PER_SECOND
_DAY: Final = 86_400 * TICKS_PER_SECOND


async def build(page: Page) -> None:
    """Totals, the chart, jobs, and what comparing has found."""
    gantt = Calm(partial(_gantt, page), _GOOD)
    listed = Calm(partial(jobs.jobs_part, page), _JOBS_GOOD)
    regions: list[Region] = []

    async def changed() -> None:
        gantt.forget()
        listed.forget()
        for region in regions:
            await region.refresh()

    jobs.install(page, changed)
    await page.add(Calm(partial(_totals, page), _TOTALS_GOOD), live=True)
    await page.add(partial(_form, page))
    await page.add(gantt, live=True)
    regions.append(await page.add(listed, live=True))
    await BudgetPart(page).add()
    await page.add(partial(jobs.reconciles_part, page), live=True)


# What is missing


async def _totals(page: Page) -> Markup:
    """Each channel with a ledger, and what is missing of a day and of a month."""
    who = await page.current()
    minute = clock.now() // _MINUTE * _MINUTE

    async def since(days: int) -> CoverageReport:
        wanted = CoverageWanted(start=format_ticks(minute - days * _DAY))
        return await page.console.data.coverage(who, page.instance, wanted)

    month, day = await since(30), await since(1)
    of_day = {one.channel: one for one in day.channels}
    if not month.channels:
        return parts.empty("no channel of this instance keeps a coverage ledger")
    shown = tables.table(
        page,
        [
            Column("Channel", lambda one: _channel(page, one)),
            Column("Tags", lambda one: count_text(one.tags), number=True),
            Column(
                "Missing, last 24 h",
                lambda one: _missing(of_day.get(one.channel)),
                number=True,
            ),
            Column("Missing, last 30 d", _missing, number=True),
            Column("With holes", _with_holes, number=True),
            Column("Longest hole", _longest, number=True),
            Column("Why", _reasons, classes="wide"),
            Column("Repair", _repair),
        ],
        month.channels,
        key=lambda one: one.channel,
        label="what is missing of each channel",
        chosen=page.query.get("channel", ""),
    )
    head = parts.heading("What is missing", page.cli("coverage"))
    return join([head, shown])


def _channel(page: Page, one: ChannelCoverage) -> Markup:
    address = page.here(channel=one.channel, tag=None, group=None, skip=None)
    note = None if one.is_running else parts.badge("stopped", "off")
    return join([parts.link(address, one.channel), note], " ")


def _missing(one: ChannelCoverage | None) -> Markup:
    """Minutes of all tags together."""
    minutes = one.hole_seconds / 60 if one else 0.0
    if minutes <= 0:
        return parts.badge("none", "good")
    text = count_text(minutes) if minutes >= 1 else "<1"
    title = f"{minutes:.1f} minutes of all tags together"
    return parts.badge(f"{text} tag-min", "bad", title=title)


def _with_holes(one: ChannelCoverage) -> str:
    return count_text(one.tags_with_holes)


def _longest(one: ChannelCoverage) -> Markup | str:
    if one.longest_hole <= 0:
        return "–"
    title = f"the oldest is known for {span_text(one.oldest_hole)}"
    return tag("span", span_text(one.longest_hole), title=title)


def _reasons(one: ChannelCoverage) -> str:
    told = [f"{r.reason}: {span_text(r.seconds)}" for r in one.holes[:3]]
    told += [f"excluded, {r.reason}: {span_text(r.seconds)}" for r in one.excluded[:2]]
    return "; ".join(told) or "–"


def _repair(one: ChannelCoverage) -> str:
    told = [f"{count_text(one.reads)} reads"] if one.reads else []
    told += [f"{count_text(one.waiting)} tags wait"] if one.waiting else []
    told += [f"{count_text(one.repaired)} values read"] if one.repaired else []
    return ", ".join(told) or "idle"


# The chart


def _form(page: Page) -> Markup:
    query = page.query
    status = page.watch.status
    known = [one["channel"] for one in status["coverage"]] if status else []
    choices = [("", "all"), *((name, name) for name in known)]
    holes = [("", "all tags"), ("1", "tags with holes")]
    return tables.filters(
        page,
        parts.select("channel", "Channel", choices, query.get("channel", "")),
        parts.text_field(
            "tag", "Tags", query.get("tag", ""), hint="name or path, with * and ?"
        ),
        parts.select("holes", "Show", holes, query.get("holes", "")),
        tables.range_fields(page, _USUAL),
        verb="Show",
        stay=("group",),
    )


async def _gantt(page: Page) -> Markup:
    start, end = _bounds(page)
    found = await _report(page, start, end)
    rows = await asyncio.to_thread(_rows, page, found.tags, start, end)
    if not rows:
        has_filter = page.query.get("holes") or page.query.get("tag")
        text = "no tag has a hole in this range" if has_filter else "no tag is covered"
        return parts.empty(text, page.action("Reconcile now …", "reconcile"))
    return join(
        [
            _head(page, found, start),
            chart(page, rows, start, end, partial(_way, page)),
            _pager(page, found),
            holes_table(page, found.tags),
        ]
    )


def _bounds(page: Page) -> tuple[int, int]:
    asked = tables.range_of(page, _USUAL)
    end = clock.now() if asked.end is None else asked.end
    start = end - 30 * _DAY if asked.start is None else asked.start
    if start >= end:
        raise PichannelsError("the range ends before it begins")
    return start, end


async def _report(page: Page, start: int, end: int) -> CoverageReport:
    who, query = await page.current(), page.query
    patterns = [query["tag"]] if query.get("tag") else []
    if not patterns and query.get("group"):
        patterns = [f"{query['group']}*"]
    text = query.get("skip", "0")
    wanted = CoverageWanted(
        channel=query.get("channel") or None,
        tags=patterns,
        holes=query.get("holes") == "1",
        start=format_ticks(start // TICKS_PER_SECOND * TICKS_PER_SECOND),
        end=format_ticks(end),
        skip=int(text) if text.isdecimal() else 0,
        count=_TOGETHER,
    )
    return await page.console.data.coverage(who, page.instance, wanted)


def _rows(page: Page, tags: list[TagCoverage], start: int, end: int) -> list[Row]:
    """Tags, or groups of them where there are many."""
    if len(tags) <= _LINES:
        some = sorted(tags, key=lambda one: (one.channel, one.tag))
        return [tag_row(one, start, end) for one in some]
    rows = group_rows(tags, page.query.get("group", ""), start, end)
    return rows[:_TOGETHER]


def _way(page: Page, row: Row) -> str:
    if row.path:
        return page.href("tags", tag=row.path, channel=row.channel, **_range(page))
    return page.here(group=row.name, channel=row.channel, tag=None, skip=None)


def _range(page: Page) -> dict[str, str]:
    names = ("range", "start", "end")
    return {name: page.query[name] for name in names if page.query.get(name)}


def _head(page: Page, found: CoverageReport, start: int) -> Markup:
    group = page.query.get("group")
    title = f"Coverage of {group}*" if group else "Coverage"
    back: Child = None
    if group:
        address = page.here(group=None, skip=None)
        back = parts.link(address, parts.icon("back"), "All groups", classes="button")
    words = [page.query["channel"]] if page.query.get("channel") else []
    words += ["--tag", page.query["tag"]] if page.query.get("tag") else []
    words += ["--tag", f"{group}*"] if group and not page.query.get("tag") else []
    words += ["--holes"] if page.query.get("holes") == "1" or len(words) < 2 else []
    words += ["--start", format_ticks(start // TICKS_PER_SECOND * TICKS_PER_SECOND)]
    if page.query.get("end"):
        words += ["--end", format_ticks(_bounds(page)[1])]
    noun = "tag" if found.matching == 1 else "tags"
    told = tag("small", f"{count_text(found.matching)} {noun}")
    return parts.heading(
        title,
        told,
        back,
        page.action("Reconcile now …", "reconcile"),
        page.action("New backfill …", "backfill", kind="main"),
        page.cli("coverage", *words),
    )


def _pager(page: Page, found: CoverageReport) -> Markup | None:
    """Where there are more tags than are looked at together."""
    text = page.query.get("skip", "0")
    skip = int(text) if text.isdecimal() else 0
    end = skip + len(found.tags)
    if not skip and end >= found.matching:
        return None
    told = f"tags {count_text(skip + 1)} to {count_text(end)}"
    told += f" of {count_text(found.matching)}, those with the longest holes first"
    after = str(end) if end < found.matching else None
    return tables.pager(page, next=after, name="skip", told=told)
