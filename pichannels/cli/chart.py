"""What became of the time of tags, as lines of characters.

Each state has a character of its own, so that colours are not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import click

from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["KINDS", "Chart", "Row", "legend"]

KINDS: Final = ("delivered", "excluded", "in flight", "hole")
"""What time can be; the later ones show where several share a column."""

_PLAIN: Final = dict(zip(KINDS, "=.-X", strict=True))
_FINE: Final = dict(zip(KINDS, "━·┄╳", strict=True))
_COLOURS: Final = dict(zip(KINDS, ("green", "yellow", "cyan", "red"), strict=True))
_STEPS: Final = [
    *(1, 2, 5, 10, 15, 30),
    *(60 * n for n in (1, 2, 5, 10, 15, 30)),
    *(3600 * n for n in (1, 2, 3, 6, 12)),
    *(86_400 * n for n in (1, 2, 5, 10, 30, 90, 365, 3650, 36_500, 365_000)),
]
"""Seconds between two times that are written."""
_DAY: Final = 86_400
_APART: Final = 3
_NARROWEST: Final = 10


class Row(NamedTuple):
    """One line of a chart.

    Attributes:
        name: what stands before it.
        spans: kind, start and end of each, ticks.
    """

    name: str
    spans: Sequence[tuple[str, int, int]]


class Chart:
    """Lines of as many columns as fit.

    Args:
        start, end: from when to when, ticks.
        rows: the lines.
        width: of all together, in characters.
        encoding: of the output; where it has only few characters plain ones do.
    """

    def __init__(
        self, start: int, end: int, rows: Sequence[Row], width: int, encoding: str
    ) -> None:
        self._start = start
        self._span = max(end - start, 1)
        self._rows = rows
        self._marks = _marks(encoding)
        longest = max((len(row.name) for row in rows), default=0)
        self._margin = min(longest, width // 3)
        self._columns = max(width - self._margin - 1, _NARROWEST)

    def lines(self) -> Iterator[str]:
        """The times, and a line for each row."""
        yield f"{'':{self._margin}} {self._times()}".rstrip()
        for row in self._rows:
            name = _shortened(row.name, self._margin)
            yield f"{name:{self._margin}} {self._drawn(row.spans)}"

    @property
    def column(self) -> float:
        """How many seconds a column is."""
        return self._span / self._columns / TICKS_PER_SECOND

    def _drawn(self, spans: Iterable[tuple[str, int, int]]) -> str:
        cells = [" "] * self._columns
        for kind, start, end in sorted(spans, key=lambda span: KINDS.index(span[0])):
            first, last = max(self._place(start), 0), self._place_after(end)
            if first < last:
                cells[first:last] = [kind] * (last - first)
        return "".join(
            _coloured(kind, self._marks.get(kind, " ") * len(list(same)))
            for kind, same in groupby(cells)
        ).rstrip()

    def _place(self, at: int) -> int:
        """The column of an instant."""
        return (at - self._start) * self._columns // self._span

    def _place_after(self, end: int) -> int:
        """The first column that is wholly after the end of a range."""
        before = (self._start - end) * self._columns // self._span
        return min(-before, self._columns)

    def _times(self) -> str:
        """The times above their columns."""
        step = next((s for s in _STEPS if self._fits(s)), _STEPS[-1])
        ticks = step * TICKS_PER_SECOND
        text = [" "] * self._columns
        at = -(-self._start // ticks) * ticks
        while (place := self._place(at)) < self._columns:
            label = f"|{_time(at, step)}"
            if place + len(label) <= self._columns:
                text[place : place + len(label)] = label
            at += ticks
        return "".join(text)

    def _fits(self, step: int) -> bool:
        return step / self.column >= len(_time(0, step)) + _APART


def legend(encoding: str) -> str:
    """What the characters mean."""
    marks = _marks(encoding)
    shown = ("delivered", "in flight", "hole", "excluded")
    return "  ".join(f"{_coloured(kind, marks[kind])} {kind}" for kind in shown)


def _marks(encoding: str) -> dict[str, str]:
    try:
        "".join(_FINE.values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _PLAIN
    return _FINE


def _coloured(kind: str, text: str) -> str:
    return click.style(text, fg=_COLOURS[kind]) if kind in _COLOURS else text


def _shortened(name: str, width: int) -> str:
    """The end of a name, which tells more than its start."""
    return name if len(name) <= width else f"...{name[len(name) - width + 3 :]}"


def _time(at: int, step: int) -> str:
    text = format_ticks(at)
    if step >= _DAY:
        return text[:10]
    return text[11:16] if step >= 60 else text[11:19]
