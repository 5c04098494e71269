"""Tables for terminals of any width: names keep their room; what tells least goes."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["FittingTable"]

_LEAST: Final = (
    "BYTES/S",
    "OLDEST",
    "RETRIES",
    "LOSSES",
    "P50",
    "DROPPED",
    "UNRESOLVED",
    "QUEUED",
    "HOLES",
    "UNSETTLED",
)
"""Columns that are left out first, in this order."""

_NAMES: Final = 24
"""So wide names may be without being cut."""
_USUAL: Final = 7
_WIDEST: Final = 120
"""So wide a table is on a terminal that has the room, unless it needs more."""

Cell = str | Text


class FittingTable:
    """Names at the left, numbers at the right; as many columns as there is room for.

    Args:
        first: head of the names.
        others: heads of the other columns; `^` or `v` behind one marks the order, and
            it stays.
    """

    def __init__(self, first: str, *others: str) -> None:
        self._heads = (first, *others)
        self._rows: list[tuple[Cell, ...]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row with a cell for each column."""
        self._rows.append(cells)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        room = min(options.max_width, self._enough())
        kept = self._kept(room)
        table = Table(box=None, width=room, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column(self._heads[0], ratio=1, no_wrap=True, overflow="ellipsis")
        for place in kept[1:]:
            head = self._heads[place]
            is_text = head.startswith("STATE")
            justify: Any = "left" if is_text else "right"
            table.add_column(
                head, justify=justify, no_wrap=True, min_width=self._width(place)
            )
        for row in self._rows:
            table.add_row(*(row[place] for place in kept))
        yield table

    def _enough(self) -> int:
        """How wide it is at most: numbers far from their names are hard to read."""
        places = range(1, len(self._heads))
        whole = sum(self._width(place) + 1 for place in places) + self._width(0) + 1
        return max(whole, _WIDEST)

    def _kept(self, room: int) -> list[int]:
        """The columns that are shown, by number."""
        kept = list(range(len(self._heads)))
        names = min(self._width(0), _NAMES)
        for least in _LEAST:
            taken = sum(self._width(place) + 1 for place in kept[1:]) + names + 1
            if taken <= room:
                break
            if least in self._heads[1:]:
                kept.remove(self._heads.index(least, 1))
        return kept

    def _width(self, place: int) -> int:
        cells = [len(row[place]) for row in self._rows]
        least = 0 if place == 0 else _USUAL
        return max([least, len(self._heads[place]), *cells])
