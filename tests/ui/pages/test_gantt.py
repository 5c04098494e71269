"""The rows of the coverage chart: tags, groups, and what is worst in each part."""

from __future__ import annotations

from typing import Any

from pichannels.control.coverage_reports import Piece, Span, TagCoverage
from pichannels.coverage.tags import TagState
from pichannels.ui.pages.gantt import Bar, group_row, group_rows, tag_row
from pichannels.values import TICKS_PER_SECOND, format_ticks

START = 17_000_000_000 * TICKS_PER_SECOND
HOUR = 3600 * TICKS_PER_SECOND
END = START + HOUR


def text(part: float) -> str:
    return format_ticks(START + round(part * HOUR))


def hole(start: float, end: float, reason: str = "socket lost") -> Piece:
    return Piece(text(start), text(end), reason, text(start))


def covered(name: str, *holes: Piece, **others: Any) -> TagCoverage:
    facts: dict[str, Any] = {
        "channel": "plant",
        "tag": name,
        "path": f"P\\{name}",
        "key": name,
        "state": TagState.LIVE,
        "mark": None,
        "mark_since": None,
        "start": text(0),
        "end": text(1),
        "delivered_seconds": 3600.0,
        "in_flight_seconds": 0.0,
        "excluded_seconds": 0.0,
        "oldest_hole": 0.0,
        "hole_seconds": 60.0 * len(holes),
        "holes": list(holes),
        "delivered": [Span(text(0), text(1))],
        "in_flight": [],
        "excluded": [],
    }
    return TagCoverage(**{**facts, **others})


def holes_in(bars: list[Bar]) -> list[tuple[float, float, str, float]]:
    return [
        (
            round((bar.start - START) / HOUR, 2),
            round((bar.end - START) / HOUR, 2),
            bar.text,
            bar.part,
        )
        for bar in bars
        if bar.kind == "hole"
    ]


def test_a_tag_shows_its_holes_above_what_was_delivered() -> None:
    row = tag_row(covered("A", hole(0.25, 0.5)), START, END)
    assert [bar.kind for bar in row.bars] == ["delivered", "hole"]
    assert holes_in(row.bars) == [(0.25, 0.5, "socket lost", 1.0)]


def test_a_group_tells_how_many_of_its_tags_miss_something_and_why() -> None:
    tags = [
        covered("A", hole(0.25, 0.5)),
        covered("B", hole(0.25, 0.5)),
        *(covered(name) for name in "CD"),
    ]
    row = group_row("X.", tags, START, END)
    assert holes_in(row.bars) == [(0.25, 0.5, "2 of 4 tags: socket lost", 0.5)]
    assert (row.tags, row.hole) == (4, 120.0)


def test_very_many_holes_of_a_tag_are_drawn_in_cells() -> None:
    many = [hole(n / 2000, n / 2000 + 1 / 4000) for n in range(2000)]
    row = tag_row(covered("A", *many), START, END)
    assert holes_in(row.bars) == [(0.0, 1.0, "socket lost", 1.0)]


def test_groups_begin_where_names_differ() -> None:
    names = ["U1.BOILER.T", "U1.BOILER.P", "U1.PUMP.T", "U1.PUMP.P", "U1.LAB"]
    tags = [covered(name) for name in names]
    rows = group_rows(tags, "", START, END)
    assert [(row.name, row.tags) for row in rows] == [
        ("U1.BOILER.", 2),
        ("U1.LAB", 1),
        ("U1.PUMP.", 2),
    ]
    (first, second) = group_rows(tags[:2], "U1.BOILER.", START, END)
    assert [first.path, second.path] == [r"P\U1.BOILER.P", r"P\U1.BOILER.T"]
