"""Charts of what became of the time of tags."""

from __future__ import annotations

import click
import pytest

from pichannels.cli.chart import Chart, Row, legend
from pichannels.values import TICKS_PER_SECOND as SECOND, parse_ticks

NINE = parse_ticks("2026-11-21T09:00:00Z")
HOUR = 3600


def at(seconds: float) -> int:
    return NINE + int(seconds * SECOND)


def row(name: str, *spans: tuple[str, float, float]) -> Row:
    return Row(name, [(kind, at(start), at(end)) for kind, start, end in spans])


def drawn(
    *rows: Row, width: int = 80, hours: float = 3, encoding: str = "ascii"
) -> list[str]:
    chart = Chart(NINE, at(hours * HOUR), rows, width, encoding)
    return [click.unstyle(line) for line in chart.lines()]


def test_each_kind_of_time_has_its_character() -> None:
    spans = [
        ("delivered", 0, 20),
        ("hole", 20, 30),
        ("excluded", 30, 40),
        ("in flight", 40, 50),
    ]
    (_, line) = drawn(row("T", *spans), width=52, hours=50 / HOUR)
    assert line == f"T {'=' * 20}{'X' * 10}{'.' * 10}{'-' * 10}"


def test_characters_are_finer_where_the_terminal_has_them() -> None:
    spans = [("delivered", 0, 25), ("hole", 25, 50)]
    (_, line) = drawn(row("T", *spans), width=12, hours=50 / HOUR, encoding="utf-8")
    assert line == "T ━━━━━╳╳╳╳╳"
    assert click.unstyle(legend("utf-8")).startswith("━ delivered  ┄ in flight")
    assert click.unstyle(legend("cp1252")).startswith("= delivered  - in flight")


def test_a_hole_is_seen_however_short_it_is() -> None:
    spans = [
        ("hole", 5000, 5000.1),
        ("delivered", 0, 5000),
        ("delivered", 5000.1, 9999),
    ]
    (_, line) = drawn(row("T", *spans))
    assert line.count("X") == 1


def test_what_is_outside_is_not_drawn() -> None:
    spans = [("delivered", -9 * HOUR, HOUR), ("hole", 2 * HOUR, 99 * HOUR)]
    before, after = row("T", spans[0]), row("U", ("hole", -5, 0), spans[1])
    (_, first, second) = drawn(before, after, width=32)
    assert first == f"T {'=' * 10}"
    assert second == f"U {' ' * 20}{'X' * 10}"


def test_times_stand_above_their_columns() -> None:
    (times, line) = drawn(row("T", ("hole", HOUR, 3 * HOUR)), width=62)
    assert times == "  |09:00    |09:30    |10:00    |10:30    |11:00    |11:30"
    assert times.index("|10:00") == line.index("X")


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (10, "|09:00:02"),
        (60, "|09:00:10"),
        (24 * HOUR, "|12:00"),
        (9 * 24 * HOUR, "|2026-11-23"),
        (900 * 24 * HOUR, "|2027-"),
        (50_000 * 24 * HOUR, "|2069-"),
    ],
)
def test_times_are_as_exact_as_there_is_room(seconds: float, label: str) -> None:
    (times,) = drawn(hours=seconds / HOUR)
    assert label in times


@pytest.mark.parametrize("width", [40, 80, 132])
def test_lines_fit_and_names_keep_their_ends(width: int) -> None:
    name = rf"\\PISRV\{'UNIT.' * 40}TEMP"
    lines = drawn(row(name, ("delivered", 0, 3 * HOUR)), width=width)
    assert max(map(len, lines)) == width
    assert lines[1].partition(" ")[0].endswith("UNIT.TEMP")
