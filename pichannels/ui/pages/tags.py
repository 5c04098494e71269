"""Tags and trends: what is received of each tag, and its values over time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from pichannels import clock
from pichannels.control.archive import Archived, ArchiveWanted
from pichannels.control.coverage_reports import CoverageWanted, TagCoverage
from pichannels.errors import PichannelsError
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.formats import count_text, number_text, seconds_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.tables import Column, Range
from pichannels.ui.pages.tag_rows import (
    MARKS,
    Chosen,
    TagRow,
    choose,
    exact,
    name_of,
    with_values,
)
from pichannels.ui.pages.trend import (
    Trend,
    archive_line,
    bands_of,
    is_ribbon,
    line_of,
    states_of,
)
from pichannels.ui.pages.trend_view import drawing, legend, quality_of, values_table
from pichannels.ui.roles import Role
from pichannels.ui.tag_values import ValueRow, Values, ValuesWanted
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["build"]

_PAGE: Final = 50
_TABLE_GOOD: Final = 6.0
_TREND_GOOD: Final = 10.0
_POINTS: Final = 10_000
_RANGES: Final = ("15m", "1h", "6h", "24h", "7d")
_USUAL: Final = "1h"
_MARK_TONES: Final = {"quiet": "off", "future": "off", "flat": "warn", "stale": "warn"}
_OPEN: Final = ("open", "polled")


async def build(page: Page) -> None:
    """The trend of the tag in the address, and the table below it."""
    if page.query.get("tag"):
        await page.add(Calm(lambda: _trend(page), _TREND_GOOD), live=True)
    await page.add(lambda: _form(page))
    await page.add(Calm(lambda: _table(page), _TABLE_GOOD), live=True)


# Which channel


def _channels(page: Page) -> list[str]:
    """The channels that receive tags of PI."""
    status = page.watch.status
    found = status["channels"] if status else []
    return [each["name"] for each in found if "tags" in each["source"]]


def _channel(page: Page) -> str:
    """The one that is looked at."""
    known = _channels(page)
    if page.watch.status is None:
        raise PichannelsError(page.watch.error)
    if not known:
        raise PichannelsError("no channel of this instance receives tags of PI")
    wanted = page.query.get("channel", "")
    if wanted and wanted not in known:
        raise PichannelsError(f"channel {wanted!r} receives no tags of PI")
    return wanted or known[0]


async def _streams(page: Page, channel: str) -> list[dict[str, Any]]:
    who = await page.current()
    found = await page.console.data.tags(who, page.instance, channel)
    streams: list[dict[str, Any]] = found["streams"]
    return streams


async def _found(page: Page) -> tuple[str, Mapping[str, Any]] | None:
    """The tag of the address, and its channel."""
    first = _channel(page)
    others = [] if page.query.get("channel") else _channels(page)
    for channel in dict.fromkeys([first, *others]):
        one = exact(await _streams(page, channel), page.query["tag"])
        if one is not None:
            return channel, one
    return None


# The table


async def _form(page: Page) -> Markup:
    query, known = page.query, _channels(page)
    fields: list[Child] = []
    if len(known) > 1:
        chosen = query.get("channel", "")
        fields.append(parts.select("channel", "Channel", known, chosen))
    marks = [("", "all"), ("any", "any mark"), *((each, each) for each in MARKS)]
    states = ["open", "polled", "connecting", "unresolved", "removed", "no access"]
    pairs = [("", "all"), *((each, each) for each in states)]
    wanted = query.get("tag", "")
    is_shown = bool(wanted) and await _found(page) is not None
    text = query.get("q", "") or ("" if is_shown else wanted)
    return tables.filters(
        page,
        *fields,
        parts.text_field("q", "Name or path has", text, size=28),
        parts.select("mark", "Mark", marks, query.get("mark", "")),
        parts.select("state", "State", pairs, query.get("state", "")),
        verb="Show",
        stay=("tag", "range", "start", "end", "pi") if is_shown else (),
    )


async def _table(page: Page) -> Markup:
    channel = _channel(page)
    streams = await _streams(page, channel)
    query = dict(page.query)
    if query.get("tag") and "q" not in query and exact(streams, query["tag"]) is None:
        query["q"] = query["tag"]
    # There may be very many.
    chosen = await asyncio.to_thread(choose, streams, query, _PAGE)
    rows = await _valued(page, channel, chosen.rows)
    now = clock.now()
    shown = tables.table(
        page,
        [
            Column("Tag", lambda row: _name(page, channel, row), sort="tag"),
            Column("Last value", _value, number=True),
            Column("Units", lambda row: row.facts["units"]),
            Column("Quality", _quality),
            Column("Age", lambda row: _age(row, now), number=True, sort="newest"),
            Column("Expected", _expected, number=True, sort="expected"),
            Column("State", _state, sort="state"),
            Column("Type", lambda row: row.facts["type"], sort="type"),
            Column("Path", _path, classes="path", sort="path"),
        ],
        rows,
        key=lambda row: str(row.facts["tag"]),
        label=f"tags of {channel}",
        chosen=page.query.get("tag", ""),
        nothing="no tag fits",
    )
    return join([_summary(page, channel, chosen), shown, _pager(page, chosen)])


def _summary(page: Page, channel: str, chosen: Chosen) -> Markup:
    marks: list[Child] = [
        parts.link(
            page.here(mark=name, skip=None, tag=None),
            parts.badge(
                f"{count_text(count)} {name}",
                _MARK_TONES.get(name, "bad"),
                "paused" if name in ("quiet", "future") else "warn",
            ),
        )
        for name, count in sorted(chosen.marks.items())
    ]
    absent = {k: v for k, v in chosen.states.items() if k not in _OPEN}
    marks += [
        parts.link(
            page.here(state=name, skip=None, tag=None),
            parts.badge(f"{count_text(count)} {name}", "warn"),
        )
        for name, count in sorted(absent.items())
    ]
    told = f"{count_text(chosen.total)} tags of {channel}"
    title = tag("h2", told)
    return tag(
        "div", title, *marks, page.cli("tags", channel), classes="heading tag-summary"
    )


def _pager(page: Page, chosen: Chosen) -> Markup:
    text = page.query.get("skip", "0")
    skip = int(text) if text.isdecimal() else 0
    end = skip + len(chosen.rows)
    after = str(end) if end < chosen.matching else None
    told = f"{count_text(min(skip + 1, end))} to {count_text(end)}"
    told += f" of {count_text(chosen.matching)}"
    return tables.pager(page, next=after, name="skip", told=told)


async def _valued(page: Page, channel: str, rows: list[TagRow]) -> list[TagRow]:
    """The rows with their last values, for those who may see them."""
    who = await page.current()
    keys = [row.facts["web_id"] for row in rows if row.facts["web_id"]]
    if not who.role.may(Role.DATA) or page.link.journal is None or not keys:
        return rows
    found = await page.console.data.latest(who, page.instance, channel, keys)
    return with_values(rows, found.values)


def _name(page: Page, channel: str, row: TagRow) -> Markup:
    path = row.facts["tag"]
    many = len(_channels(page)) > 1
    address = page.here(tag=path, channel=channel if many else None)
    return parts.link(address, row.name, title=path)


def _path(row: TagRow) -> Markup:
    return tag("span", row.facts["tag"], title=row.facts["tag"])


def _value(row: TagRow) -> Child:
    value = row.value
    if value is None:
        return "–"
    if value.error:
        return value.error
    is_number = isinstance(value.value, int | float) and value.value is not True
    if is_number and value.value is not False:
        return number_text(float(value.value), 6)
    return str(value.value)


def _quality(row: TagRow) -> Child:
    if row.value is None:
        return "–"
    words = quality_of(row.value)
    first, _, more = words.partition(", ")
    tone = {"good": "good", "bad": "bad"}.get(first, "warn")
    return parts.badge(first, tone, title=words if more else None)


def _age(row: TagRow, now: int) -> Child:
    age = row.age(now)
    if age is None:
        return "–"
    expected = row.facts["expected"]
    is_late = expected is not None and age > 3 * expected
    return parts.number(seconds_text(age), tone="warn" if is_late else "")


def _expected(row: TagRow) -> Child:
    expected = row.facts["expected"]
    return "–" if expected is None else seconds_text(expected)


def _state(row: TagRow) -> Child:
    mark, state, reason = (row.facts[name] for name in ("mark", "state", "reason"))
    if mark:
        since = row.facts["mark_since"]
        title = f"since {since}" if since else None
        icon = "paused" if mark in ("quiet", "future") else "warn"
        return parts.badge(mark, _MARK_TONES.get(mark, "bad"), icon, title=title)
    tone = "good" if state in _OPEN else "busy" if state == "connecting" else "warn"
    return parts.badge(state, tone, title=reason or None)


# The trend


async def _trend(page: Page) -> Markup:
    found = await _found(page)
    if found is None:
        wanted = page.query["tag"]
        return parts.note(f"no tag is called {wanted!r}; those that contain it:")
    channel, facts = found
    head = _head(page, channel, facts)
    if not page.may(Role.DATA):
        return join([head, parts.note("values take the role data")])
    asked = tables.range_of(page, _USUAL)
    start, end = _bounds(asked)
    values = await _values(page, channel, facts, start, end)
    covered = await _coverage(page, channel, facts, start, end)
    archive, refused = await _archive(page, channel, facts, start, end)
    return join(
        [
            head,
            _shown(page, facts, values, covered, archive, Range(start, end)),
            parts.note(refused, "warn") if refused else None,
        ]
    )


def _bounds(asked: Range) -> tuple[int, int]:
    end = clock.now() if asked.end is None else asked.end
    start = end - 3600 * TICKS_PER_SECOND if asked.start is None else asked.start
    return (start, end) if start < end else (end - TICKS_PER_SECOND, end)


def _head(page: Page, channel: str, facts: Mapping[str, Any]) -> Markup:
    chosen = page.query.get("range") or _USUAL
    is_own = bool(page.query.get("start") or page.query.get("end"))
    ranges = [
        parts.link(
            page.here(range=each, start=None, end=None),
            each,
            classes=f"button {'main' if each == chosen and not is_own else ''}".strip(),
        )
        for each in _RANGES
    ]
    has_pi = page.query.get("pi") == "1"
    reference = parts.link(
        page.here(pi=None if has_pi else "1"),
        "Without PI archive" if has_pi else "With PI archive",
        classes="button",
        title="Ask PI for what its archive holds, and draw it over ours",
    )
    path = str(facts["tag"])
    name = tag("span", name_of(path), tag("small", path))
    return tag(
        "div",
        tag("h2", name),
        tag("span", *ranges, classes="actions", role="group", aria_label="range"),
        reference,
        parts.link(page.href("messages", tag=path), "Messages", classes="button"),
        parts.link(
            page.href("coverage", channel=channel, tag=path),
            "Coverage",
            classes="button",
        ),
        page.cli("coverage", channel, "--tag", path),
        classes="heading",
    )


async def _values(
    page: Page, channel: str, facts: Mapping[str, Any], start: int, end: int
) -> Values:
    """What was received in the range, and what was read into it later.

    A state holds until the next one: then also the one before.
    """
    who, asked_at = await page.current(), clock.now() - TICKS_PER_SECOND
    first, last = format_ticks(start), format_ticks(end)
    key = facts["web_id"] or facts["tag"]
    wanted = ValuesWanted(
        tag=key, channel=channel, start=first, end=last, count=_POINTS
    )
    data = page.console.data
    live = await data.values(who, page.instance, wanted)
    read = Values(values=[], complete=True)
    if end < asked_at:
        later = ValuesWanted(
            tag=key, channel=channel, start=last, lane="repair", count=_POINTS
        )
        read = await data.values(who, page.instance, later)
    known: dict[tuple[str, str], ValueRow] = {}
    for row in [*live.values, *read.values]:
        if start <= parse_ticks(row.time) < end:
            known.setdefault((row.time, str(row.value)), row)
    rows = sorted(known.values(), key=lambda row: parse_ticks(row.time))
    if is_ribbon(rows) or not rows:
        before = ValuesWanted(tag=key, channel=channel, end=first, count=1)
        found = await data.values(who, page.instance, before)
        rows = [row for row in found.values if parse_ticks(row.time) < start] + rows
    return Values(values=rows, complete=live.complete and read.complete)


async def _coverage(
    page: Page, channel: str, facts: Mapping[str, Any], start: int, end: int
) -> TagCoverage | None:
    who = await page.current()
    wanted = CoverageWanted(
        channel=channel,
        tags=[facts["tag"]],
        start=format_ticks(start),
        end=format_ticks(end),
        count=1,
    )
    found = await page.console.data.coverage(who, page.instance, wanted)
    return found.tags[0] if found.tags else None


async def _archive(
    page: Page, channel: str, facts: Mapping[str, Any], start: int, end: int
) -> tuple[Archived | None, str]:
    """What PI holds, where that is wanted, and why it cannot be told."""
    if page.query.get("pi") != "1":
        return None, ""
    who = await page.current()
    wanted = ArchiveWanted(
        channel=channel,
        tag=facts["web_id"] or facts["tag"],
        start=format_ticks(start),
        end=format_ticks(end),
    )
    try:
        return await page.console.data.archive(who, page.instance, wanted), ""
    except PichannelsError as exc:
        return None, f"the PI archive: {exc}"


def _shown(
    page: Page,
    facts: Mapping[str, Any],
    found: Values,
    covered: TagCoverage | None,
    archive: Archived | None,
    range_: Range,
) -> Markup:
    start, end = range_.start or 0, range_.end or 0
    values = found.values
    holes = covered.holes if covered else []
    bands = bands_of(values, holes, covered.in_flight if covered else [], start, end)
    is_states = is_ribbon(values)
    cuts = [band for band in bands if band.kind == "hole"]
    trend = Trend(
        start,
        end,
        [] if is_states else line_of(values, start, end, cuts),
        states_of(values, end) if is_states else [],
        bands,
        [] if is_states else archive_line(archive),
    )
    if not values and not bands and not trend.archive:
        return parts.empty("nothing was received of this tag in this range")
    label = f"trend of {name_of(facts['tag'])}: {count_text(len(values))} values"
    some = "only a part was read in time"
    part = None if found.complete else parts.note(some, "warn")
    return tag(
        "div",
        legend(trend, facts["units"]),
        drawing(trend, page.zone, label),
        part,
        values_table(values, page.zone),
        classes="card",
    )
