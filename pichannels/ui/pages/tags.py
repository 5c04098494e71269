"""Tags and trends: what is received of each tag, and its values over time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

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
    archive_states,
    bands_of,
    held_before,
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
_POINTS: Final = 4000
_PART: Final = 120 * TICKS_PER_SECOND
_PARTS: Final = 200
"""Of a long range something is read from so many parts of it."""
_ASK_EVERY: Final = 10 * TICKS_PER_SECOND
_AHEAD: Final = 7 * 86_400 * TICKS_PER_SECOND
"""So long before its time a forecast may have come."""
_LATER: Final = ("repair", "backfill", "late", "correction", "delete")
"""Lanes by which values come long after their time."""
_SOME: Final = (
    "not all values of so long a range could be read: these are some of each part"
)
_LATER_MISSING: Final = (
    "so much was read later that what of it belongs here may not all be shown"
)
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
    rows, is_complete = await _valued(page, channel, chosen.rows)
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
    late = (
        "there was no time to read all last values; the rest comes with the next look"
    )
    note = None if is_complete else parts.note(late, "warn")
    return join([_summary(page, channel, chosen), note, shown, _pager(page, chosen)])


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
    some = f"{count_text(chosen.matching)} of " * (chosen.matching < chosen.total)
    told = f"{some}{count_text(chosen.total)} tags of {channel}"
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


async def _valued(
    page: Page, channel: str, rows: list[TagRow]
) -> tuple[list[TagRow], bool]:
    """The rows with their last values, for who may see them; whether these are all."""
    who = await page.current()
    keys = [row.facts["web_id"] for row in rows if row.facts["web_id"]]
    if not who.role.may(Role.DATA) or page.link.journal is None or not keys:
        return rows, True
    found = await page.console.data.latest(who, page.instance, channel, keys)
    return with_values(rows, found.values), found.complete


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
    if age < 0:
        return f"in {seconds_text(-age)}"
    expected = row.facts["expected"]
    is_late = expected is not None and age > 3 * expected
    return parts.number(seconds_text(age), tone="warn" if is_late else "")


def _expected(row: TagRow) -> Child:
    expected = row.facts["expected"]
    return "–" if expected is None else seconds_text(expected)


def _state(row: TagRow) -> Child:
    mark, state, reason = (row.facts[name] for name in ("mark", "state", "reason"))
    if mark and state in _OPEN:
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
    start, end = _bounds(tables.range_of(page, _USUAL), _is_future(facts))
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


def _is_future(facts: Mapping[str, Any]) -> bool:
    """Whether values of the tag come long before their time."""
    return bool(facts["mark"] == "future")


def _bounds(asked: Range, is_future: bool) -> tuple[int, int]:
    """The range; of a forecast it goes as far ahead."""
    now = clock.now()
    end = now if asked.end is None else asked.end
    start = end - 3600 * TICKS_PER_SECOND if asked.start is None else asked.start
    if asked.end is None and is_future:
        end = max(end, now + (now - start))
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


class _Received(NamedTuple):
    """What came of a tag.

    Attributes:
        values: in the range, in order.
        before: the last one before it; a state holds until the next one.
        missing: what of it may be missing, in words; "" for nothing.
    """

    values: list[ValueRow]
    before: ValueRow | None
    missing: str

    @property
    def known(self) -> list[ValueRow]:
        """All of them."""
        return [self.before, *self.values] if self.before else self.values


async def _values(
    page: Page, channel: str, facts: Mapping[str, Any], start: int, end: int
) -> _Received:
    """What was received in the range, and what was read into it later."""
    who, asked_at = await page.current(), clock.now() - TICKS_PER_SECOND
    first, last = format_ticks(start), format_ticks(end)

    async def read(**wanted: Any) -> Values:
        key = facts["web_id"] or facts["tag"]
        given = {"tag": key, "channel": channel, "count": _POINTS, **wanted}
        data, asked = page.console.data, msgspec.convert(given, ValuesWanted)
        return await data.values(who, page.instance, asked)

    parts = max(1, min(_PARTS, (end - start) // _PART))
    if _is_future(facts):
        found = [await read(start=format_ticks(start - _AHEAD))]
    else:
        found = [await read(start=first, end=last, parts=parts)]
    if end < asked_at and not _is_future(facts):
        found += [await read(start=last, lane=lane) for lane in _LATER]
    earlier = await read(end=first, count=1)
    known: dict[tuple[str, str], ValueRow] = {}
    for row in [*(row for each in found for row in each.values), *earlier.values]:
        known.setdefault((row.time, str(row.value)), row)
    rows = sorted(known.values(), key=lambda row: parse_ticks(row.time))
    before = [row for row in rows if parse_ticks(row.time) < start]
    missing = "" if all(each.complete for each in found) else _LATER_MISSING
    return _Received(
        [row for row in rows if start <= parse_ticks(row.time) < end],
        before[-1] if before else None,
        missing if found[0].complete else _SOME,
    )


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
    # The same for all that look within some seconds, so that PI is asked once.
    step = max(_ASK_EVERY, (end - start) // _PARTS)
    wanted = ArchiveWanted(
        channel=channel,
        tag=facts["web_id"] or facts["tag"],
        start=format_ticks(start // step * step),
        end=format_ticks(end // step * step),
    )
    try:
        return await page.console.data.archive(who, page.instance, wanted), ""
    except PichannelsError as exc:
        return None, f"the PI archive: {exc}"


def _shown(
    page: Page,
    facts: Mapping[str, Any],
    found: _Received,
    covered: TagCoverage | None,
    archive: Archived | None,
    range_: Range,
) -> Markup:
    values = found.values
    trend = _drawn(found, covered, archive, range_.start or 0, range_.end or 0)
    if not found.known and not trend.bands and not archive:
        return parts.empty("nothing was received of this tag in this range")
    label = f"trend of {name_of(facts['tag'])}: {count_text(len(values))} values"
    part = parts.note(found.missing, "warn") if found.missing else None
    return tag(
        "div",
        legend(trend, facts["units"], page.zone),
        drawing(trend, page.zone, label),
        part,
        values_table(found.known, page.zone),
        classes="card",
    )


def _drawn(
    found: _Received,
    covered: TagCoverage | None,
    archive: Archived | None,
    start: int,
    end: int,
) -> Trend:
    """What is drawn of all that is known."""
    values, known = found.values, found.known
    holes, flights = (covered.holes, covered.in_flight) if covered else ([], [])
    bands = bands_of(known, holes, flights, start, end)
    cuts = [band for band in bands if band.kind == "hole"]
    lines = archive_line(archive)
    if is_ribbon(known) or not (known or lines):
        states = states_of(known, end, cuts)
        return Trend(start, end, [], states, bands, [], archive_states(archive, end))
    own, held = line_of(values, start, end, cuts), None
    if not values:
        held = held_before(found.before)
    return Trend(start, end, own, [], bands, lines, held=held)
