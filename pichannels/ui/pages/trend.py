"""What a trend shows of a range of a tag: lines, ribbons and bands, in parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Final, Literal, NamedTuple, TypeAlias
from zlib import crc32

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
    "archive_states",
    "axis",
    "bands_of",
    "held_before",
    "is_ribbon",
    "line_of",
    "states_of",
]

Kind: TypeAlias = Literal["hole", "flight", "bad", "late"]

COLUMNS: Final = 500
"""A line has no more than four points in each of so many parts of the range."""


SHADES: Final = 6
"""Of states, beside which their names stand."""


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
    """How long a digital tag had a state; one always has the same shade."""

    start: int
    end: int
    name: str
    is_bad: bool
    shade: int = 0


class Trend(NamedTuple):
    """What is drawn.

    Attributes:
        start, end: the range, ticks.
        lines: the numbers; a new line begins behind bad values and holes.
        states: of a digital tag.
        bands: what is to be told of parts of the range.
        archive: what PI itself holds, where it was asked.
        archive_states: the same of a digital tag.
        held: the value from before the range, where none came in it.
    """

    start: int
    end: int
    lines: list[list[Dot]]
    states: list[State]
    bands: list[Band]
    archive: list[list[Dot]]
    archive_states: list[State] = []
    held: Dot | None = None

    @property
    def is_ribbon(self) -> bool:
        """Whether there are states, which have no height."""
        return bool(self.states or self.archive_states)

    @property
    def curves(self) -> list[list[Dot]]:
        """All that has a height."""
        held = [[self.held]] if self.held else []
        return [*self.lines, *self.archive, *held]


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


def held_before(before: ValueRow | None) -> Dot | None:
    """The number that was the last one before the range; None where it is none."""
    number = None if before is None else _number(before)
    if before is None or number is None:
        return None
    return Dot(parse_ticks(before.time), number)


def states_of(
    values: Sequence[ValueRow], end: int, holes: Sequence[Band] = ()
) -> list[State]:
    """The states one after the other, those that are the same in one.

    Nobody knows what a state is in a hole, and from there on until the next value.
    """
    return _in_a_row(
        (
            (
                parse_ticks(row.time),
                row.error or str(row.value),
                is_bad(row),
                row.state,
            )
            for row in values
        ),
        end,
        sorted(hole.start for hole in holes),
    )


def archive_states(found: Archived | None, end: int) -> list[State]:
    """The same of what PI holds."""
    values = found.values if found else []
    return _in_a_row(
        (
            (parse_ticks(one.time), str(one.value), not one.good, one.state)
            for one in values
        ),
        end,
    )


def _in_a_row(
    told: Iterable[tuple[int, str, bool, int | None]],
    end: int,
    cuts: Sequence[int] = (),
) -> list[State]:
    """States from where they begin, each up to the next one or a cut."""
    values, found = list(told), list[State]()
    ends = [*(each[0] for each in values[1:]), end]
    for (start, name, bad, code), until in zip(values, ends, strict=False):
        until = next((cut for cut in cuts if start < cut < until), until)
        last = found[-1] if found else None
        if last and last[1:4] == (start, name, bad):
            found[-1] = last._replace(end=until)
        elif until > start:
            shade = (crc32(name.encode()) if code is None else code) % SHADES
            found.append(State(start, until, name, bad, shade))
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
