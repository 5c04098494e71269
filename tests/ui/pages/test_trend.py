"""What a trend shows: lines that break where they should, bands, ribbons, axes."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.control.coverage_reports import Piece
from pichannels.ui.pages.trend import (
    Band,
    Dot,
    axis,
    bands_of,
    is_ribbon,
    line_of,
    states_of,
)
from pichannels.ui.tag_values import ValueRow
from pichannels.values import TICKS_PER_SECOND, format_ticks

SECOND = TICKS_PER_SECOND
START = 17_000_000_000 * SECOND
END = START + 100 * SECOND


def at(second: float) -> int:
    return START + int(second * SECOND)


def row(second: float, value: Any, **others: Any) -> ValueRow:
    facts: dict[str, Any] = {
        "tag": "T",
        "path": "T",
        "web_id": "W",
        "units": "",
        "message": "1",
        "state": None,
        "is_system": False,
        "error": "",
        "good": True,
        "questionable": False,
        "substituted": False,
        "annotated": False,
        "lane": "live",
        "time": format_ticks(at(second)),
        "value": value,
    }
    return ValueRow(**{**facts, **others})


def seconds(bands: list[Band]) -> list[tuple[str, float, float, str]]:
    return [
        (b.kind, (b.start - START) / SECOND, (b.end - START) / SECOND, b.text)
        for b in bands
    ]


def test_no_line_crosses_a_bad_value_or_a_hole() -> None:
    values = [row(1, 1.0), row(2, 2.0), row(3, "Bad Input", is_system=True)]
    values += [row(4, 4.0), row(8, 8.0)]
    hole = Band("hole", at(5), at(6), "lost")
    lines = line_of(values, START, END, [hole])
    assert [[dot.number for dot in line] for line in lines] == [
        [1.0, 2.0],
        [4.0],
        [8.0],
    ]


def test_a_long_line_keeps_its_extremes() -> None:
    values = [row(n / 200, float(n % 7)) for n in range(20_000)]
    values[10_001] = row(10_001 / 200, 99.0)
    (line,) = line_of(values, START, END, [])
    assert len(line) <= 2002
    assert max(dot.number for dot in line) == 99.0


def test_bands_tell_of_holes_bad_values_and_what_came_late() -> None:
    values = [row(10, 1.0), row(20, "I/O Timeout", is_system=True, good=False)]
    values += [row(30, 2.0, lane="repair"), row(40, 3.0, lane="repair"), row(50, 4.0)]
    hole = Piece(
        format_ticks(at(-10)), format_ticks(at(5)), "socket lost", format_ticks(START)
    )
    assert seconds(bands_of(values, [hole], [], START, END)) == [
        ("hole", 0.0, 5.0, "hole: socket lost"),
        ("bad", 20.0, 30.0, "I/O Timeout"),
        ("late", 30.0, 50.0, "repair"),
    ]


def test_a_state_lasts_until_another_one() -> None:
    values = [row(0, "RUN", state=1), row(10, "RUN", state=1), row(20, "STOP", state=0)]
    found = states_of(values, END)
    assert [(s.name, (s.end - s.start) / SECOND) for s in found] == [
        ("RUN", 20.0),
        ("STOP", 80.0),
    ]


def test_a_state_has_the_same_shade_whatever_was_before() -> None:
    values = [
        row(0, "STOP", state=0),
        row(10, "RUN", state=1),
        row(20, "A"),
        row(30, 1),
    ]
    shades = {state.name: state.shade for state in states_of(values, END)}
    assert shades == {s.name: s.shade for s in states_of(values[1:], END)} | {"STOP": 0}


def test_nobody_knows_a_state_in_a_hole() -> None:
    values = [row(0, "RUN", state=1), row(60, "RUN", state=1)]
    hole = Band("hole", at(20), at(40), "hole: network")
    found = states_of(values, END, [hole])
    assert [((s.start - START) / SECOND, (s.end - START) / SECOND) for s in found] == [
        (0.0, 20.0),
        (60.0, 100.0),
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2], False), (["RUN"], True), ([True, False], True), ([], False)],
)
def test_what_has_no_height_is_a_ribbon(values: list[Any], expected: bool) -> None:
    assert is_ribbon([row(n, value) for n, value in enumerate(values)]) is expected


@pytest.mark.parametrize("numbers", [[1.0, 9.7], [-3.2, 1e9], [5.0], [-0.002, 0.001]])
def test_an_axis_has_round_numbers_around_all_values(numbers: list[float]) -> None:
    steps = axis([[Dot(START, number) for number in numbers]])
    assert steps[0] <= min(numbers) <= max(numbers) <= steps[-1]
    assert 2 <= len(steps) <= 8
