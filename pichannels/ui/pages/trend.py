"""What a trend shows of a range of a tag: lines, ribbons and bands, in parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Final, Literal, NamedTuple, TypeAlias

from pichannels.control.archive import Archived
from pichannels.control.coverage_reports import Piece, Span
from pichannels.ui.tag_values import ValueRow
from pichannels.values import parse_ticks

__all__ = [
    "Band",
    "Dot",
    "State",
    "Trend",
    "archive_line",
    "axis",
    "bands_of",
    "is_ribbon",
    "line_of",
    "states_of",
]

Kind: TypeAlias = Literal["hole", "flight", "bad", "late"]

COLUMNS: Final = 500
"""A line has no more than four points in each of so many parts of the range."""


class Dot(NamedTuple):
    """A value: its time in ticks, and its number."""

    ticks: int
    number: float


class Band(NamedTuple):
    """A part of the range, in ticks, of which something is to be told."""

    kind: Kind
    start: int
    end: int
    text: str


class State(NamedTuple):
    """How long a digital tag had a state."""

    start: int
    end: int
    name: str
    is_bad: bool


class Trend(NamedTuple):
    """What is drawn.

    Attributes:
        start, end: the range, ticks.
        lines: the numbers; a new line begins behind bad values and holes.
        states: of a digital tag.
        bands: what is to be told of parts of the range.
        archive: what PI itself holds, where it was asked.
    """

    start: int
    end: int
    lines: list[list[Dot]]
    states: list[State]
    bands: list[Band]
    archive: list[list[Dot]]


def is_bad(row: ValueRow) -> bool:
    """Whether this is no value that one should count on."""
    return bool(not row.good or row.is_system or row.error)


def is_ribbon(values: Iterable[ValueRow]) -> bool:
    """Whether these are states or texts, which have no height."""
    good = [row.value for row in values if not is_bad(row)]
    numbers = [
        each for each in good if isinstance(each, int | float) and each is not True
    ]
    return bool(good) and not any(each is not False for each in numbers)


def _number(row: ValueRow) -> float | None:
    value = row.value
    if is_bad(row) or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) else None


def line_of(
    values: Sequence[ValueRow], start: int, end: int, holes: Sequence[Band]
) -> list[list[Dot]]:
    """The numbers as lines, of which none crosses a bad value or a hole."""
    lines: list[list[Dot]] = [[]]
    for row in values:
        number, ticks = _number(row), parse_ticks(row.time)
        last = lines[-1]
        is_cut = bool(last) and any(
            last[-1].ticks < hole.end and hole.start < ticks for hole in holes
        )
        if (number is None or is_cut) and last:
            lines.append([])
        if number is not None:
            lines[-1].append(Dot(ticks, number))
    return [_thinned(line, start, end) for line in lines if line]


def _thinned(line: list[Dot], start: int, end: int) -> list[Dot]:
    """The first, last, lowest and highest of each small part of the range."""
    width = max(1, (end - start) // COLUMNS)
    parts: dict[int, list[Dot]] = {}
    for dot in line:
        parts.setdefault((dot.ticks - start) // width, []).append(dot)
    found: list[Dot] = []
    for part in parts.values():
        lowest = min(part, key=lambda dot: dot.number)
        highest = max(part, key=lambda dot: dot.number)
        found += sorted({part[0], part[-1], lowest, highest})
    return found


def archive_line(found: Archived | None) -> list[list[Dot]]:
    """What PI holds, as lines that no bad value interrupts."""
    lines: list[list[Dot]] = [[]]
    for one in found.values if found else ():
        is_number = isinstance(one.value, int | float) and one.value is not True
        if one.good and is_number and one.value is not False:
            lines[-1].append(Dot(parse_ticks(one.time), float(one.value)))
        elif lines[-1]:
            lines.append([])
    return [line for line in lines if line]


def states_of(values: Sequence[ValueRow], end: int) -> list[State]:
    """The states one after the other, those that are the same in one."""
    found: list[State] = []
    ends = [*(parse_ticks(row.time) for row in values[1:]), end]
    for row, until in zip(values, ends, strict=False):
        name = row.error or str(row.value)
        state = State(parse_ticks(row.time), until, name, is_bad(row))
        if found and found[-1][2:] == state[2:]:
            found[-1] = found[-1]._replace(end=until)
        elif until > state.start:
            found.append(state)
    return found


def bands_of(
    values: Sequence[ValueRow],
    holes: Iterable[Piece],
    flights: Iterable[Span],
    start: int,
    end: int,
) -> list[Band]:
    """Holes, what is in flight, bad values, and values that came late."""
    found = [_band("hole", one, f"hole: {one.reason}") for one in holes]
    found += [_band("flight", one, "in flight") for one in flights]
    found += _runs(values, end)
    cut = (
        band._replace(start=max(band.start, start), end=min(band.end, end))
        for band in found
    )
    return [band for band in cut if band.start < band.end]


def _band(kind: Kind, span: Span, text: str) -> Band:
    return Band(kind, parse_ticks(span.start), parse_ticks(span.end), text)


def _runs(values: Sequence[ValueRow], end: int) -> list[Band]:
    """Bad values until the next good one; late ones until the next live one."""
    found: list[Band] = []
    ends = [*(parse_ticks(row.time) for row in values[1:]), end]
    for row, until in zip(values, ends, strict=False):
        start = parse_ticks(row.time)
        if is_bad(row):
            _grow(found, Band("bad", start, until, row.error or str(row.value)))
        if row.lane not in ("live", ""):
            _grow(found, Band("late", start, until, row.lane))
    return found


def _grow(found: list[Band], band: Band) -> None:
    same = [one for one in found[-2:] if one.kind == band.kind]
    if same and same[-1].end == band.start and same[-1].text == band.text:
        found[found.index(same[-1])] = same[-1]._replace(end=band.end)
    else:
        found.append(band)


def axis(lines: Iterable[Sequence[Dot]], count: int = 5) -> list[float]:
    """Round numbers below, between and above all values; two at least."""
    numbers = [dot.number for line in lines for dot in line]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1.0):
        low, high = low - max(abs(low) * 0.05, 0.5), high + max(abs(high) * 0.05, 0.5)
    step = _round((high - low) / count)
    first, last = int(low // step), -int(-high // step)
    return [place * step for place in range(first, last + 1)]


def _round(step: float) -> float:
    """1, 2 or 5 of a power of ten, not below."""
    power = 10.0 ** int(f"{step:e}".partition("e")[2])
    return next(power * n for n in (1, 2, 5, 10) if power * n >= step * (1 - 1e-9))
