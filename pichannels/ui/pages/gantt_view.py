"""The coverage chart as a drawing, and its holes as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pichannels.control.coverage_reports import TagCoverage
from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import count_text, span_text
from pichannels.ui.pages.gantt import Bar, Row
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.timescale import times
from pichannels.values import TICKS_PER_SECOND, parse_ticks

__all__ = ["chart", "holes_table"]

_TOLD: Final = 300
_NAMES: Final = {
    "delivered": "delivered",
    "flight": "in flight",
    "hole": "hole",
    "excluded": "excluded by policy",
}


def chart(
    page: Page, rows: Sequence[Row], start: int, end: int, way: Callable[[Row], str]
) -> Markup:
    """A line for each row, below a scale of times.

    Args:
        way: where the name of a row leads.
    """
    length = max(1, end - start)

    def place(ticks: int) -> float:
        return min(100.0, max(0.0, (ticks - start) / length * 100))

    scale = [
        tag("span", text, style=f"left:{place(at):.2f}%")
        for at, text in times(start, end, page.zone)
    ]
    keys = [
        tag("span", tag("i", classes=f"bar-{kind}"), name, classes="key")
        for kind, name in (*_NAMES.items(), ("none", "before it began"))
    ]
    head = tag(
        "div",
        tag("span", "Tags"),
        tag("div", *scale, classes="scale", aria_hidden="true"),
        tag("span", "Missing", classes="num"),
        classes="gantt-row head",
    )
    lines = [_line(row, place, way(row)) for row in rows]
    legend = tag("div", *keys, classes="legend")
    listed = tag("div", *lines, role="list")
    return tag("div", legend, head, listed, classes="gantt card")


def _line(row: Row, place: Callable[[int], float], href: str) -> Markup:
    count: Child = None
    if row.tags > 1:
        count = tag("small", f"{count_text(row.tags)} tags")
    name = f"{row.name}*" if row.tags > 1 else row.name
    mark = tag("small", row.mark) if row.mark else None
    return tag(
        "div",
        tag("div", parts.link(href, name, title=row.path or name), count, mark),
        tag(
            "div",
            *(_bar(bar, place) for bar in row.bars),
            classes="track",
            role="img",
            aria_label=_told(row),
        ),
        _missing(row),
        classes="gantt-row",
        role="listitem",
        data={"key": f"gantt-{row.channel}-{row.path or row.name}"},
    )


def _missing(row: Row) -> Markup:
    if row.hole <= 0:
        return tag("span", parts.icon("good"), "none", classes="num good")
    return tag("span", parts.icon("bad"), span_text(row.hole), classes="num bad")


def _told(row: Row) -> str:
    """The row in words."""
    lengths = (
        ("delivered", row.delivered),
        ("in flight", row.flight),
        ("missing", row.hole),
        ("excluded", row.excluded),
    )
    told = ", ".join(f"{name} {span_text(s)}" for name, s in lengths if s > 0)
    return f"{row.name}: {told or 'nothing is known of this range'}"


def _bar(bar: Bar, place: Callable[[int], float]) -> Markup:
    left = place(bar.start)
    width = max(place(bar.end) - left, 0.12)
    lasts = span_text((bar.end - bar.start) / TICKS_PER_SECOND)
    words = f"{_NAMES[bar.kind]}, {lasts}"
    few = "" if bar.part > 0.5 else " some" if bar.part > 0.05 else " few"
    return tag(
        "i",
        classes=f"bar-{bar.kind}{few}",
        style=f"left:{left:.3f}%;width:{width:.3f}%",
        title=f"{words}: {bar.text}" if bar.text else words,
    )


def holes_table(page: Page, tags: Iterable[TagCoverage]) -> Markup:
    """The holes one by one, the longest first."""
    found = [(one, hole) for one in tags for hole in one.holes]
    found.sort(key=lambda pair: parse_ticks(pair[1].start) - parse_ticks(pair[1].end))
    rows = []
    for one, hole in found[:_TOLD]:
        ticks = parse_ticks(hole.end) - parse_ticks(hole.start)
        cells: list[Child] = [
            parts.link(page.href("tags", tag=one.path, channel=one.channel), one.tag),
            page.time(hole.start),
            page.time(hole.end),
            span_text(ticks / TICKS_PER_SECOND),
            hole.reason,
            page.time(hole.since),
        ]
        rows.append(tag("tr", *(tag("td", cell) for cell in cells)))
    names = ("Tag", "From", "To", "Length", "Reason", "Known since")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    more = f", the longest {_TOLD} of them" if len(found) > _TOLD else ""
    noun = "hole" if len(found) == 1 else "holes"
    title = f"{count_text(len(found))} {noun} as a table{more}"
    inner = join([tag("thead", head), tag("tbody", *rows)])
    table = tag("table", inner, aria_label="holes")
    shown: Child = table if rows else parts.empty("there is no hole in this range")
    scroll = tag("div", shown, classes="scroll", tabindex="0", role="group")
    return tag("details", tag("summary", title), scroll, data={"key": "holes"})
