"""Where boxes and arrows of a channel graph are drawn: from left to right, in rows.

A chain stays in its row; what leaves it gets the next row below that is free there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["Arrow", "Box", "Drawing", "draw", "fold", "sub_channels"]

_WIDTHS: Final = {"join": 14, "branch": 96, "out": 64}
_WIDTH: Final = 200
_HEIGHTS: Final = {"join": 14, "branch": 34, "out": 34}
_HEIGHT: Final = 80
_GAP: Final = 60
_ROW: Final = 104
_MARGIN: Final = 14


class Box(NamedTuple):
    """Where a box is: its left upper corner and size, in pixels."""

    id: str
    x: float
    y: float
    width: float
    height: float
    facts: Mapping[str, Any]


class Arrow(NamedTuple):
    """A line from one box to another."""

    start: Box
    end: Box
    label: str


class Drawing(NamedTuple):
    """All of it, and how large it is."""

    boxes: list[Box]
    arrows: list[Arrow]
    width: float
    height: float


Report = Mapping[str, Any]


def fold(graph: Report, folded: Collection[str]) -> Report:
    """The graph where some sub-channels are one box each.

    Args:
        graph: see `GraphReport`.
        folded: full names of sub-channels.
    """

    def home(id: str) -> str:
        inside = [name for name in folded if id.startswith(f"{name}.")]
        return f"{min(inside, key=len)}:start" if inside else id

    boxes = [each for each in graph["boxes"] if home(each["id"]) == each["id"]]
    known = {each["id"] for each in boxes}
    arrows: dict[tuple[str, str], Report] = {}
    for each in graph["arrows"]:
        start, end = home(each["start"]), home(each["end"])
        if start != end and start in known and end in known:
            arrow = {"start": start, "end": end, "label": each["label"]}
            arrows.setdefault((start, end), arrow)
    return {"boxes": boxes, "arrows": list(arrows.values())}


def draw(graph: Report) -> Drawing:
    """Where everything goes; channels are one below the other.

    Args:
        graph: see `GraphReport`.
    """
    return _Layout(graph["boxes"], graph["arrows"]).drawing()


class _Layout:
    def __init__(self, boxes: Sequence[Report], arrows: Sequence[Report]) -> None:
        self._boxes = {each["id"]: each for each in boxes}
        self._arrows = arrows
        self._after: dict[str, list[str]] = {id: [] for id in self._boxes}
        self._before: dict[str, int] = dict.fromkeys(self._boxes, 0)
        for each in arrows:
            self._after[each["start"]].append(each["end"])
            self._before[each["end"]] += 1
        self._column = self._columns()
        self._row: dict[str, int] = {}
        self._taken: set[tuple[int, int]] = set()
        self._first_row = 0

    def drawing(self) -> Drawing:
        """Places for all of them."""
        for id in self._boxes:
            if id not in self._row:
                # What nothing leads to begins a channel, below the others.
                self._first_row = 1 + max((row for _, row in self._taken), default=-1)
                self._place([id], self._first_row)
        return self._measured()

    def _columns(self) -> dict[str, int]:
        """How far each is from the beginning, by the longest way."""
        left = dict(self._before)
        found = dict.fromkeys(self._boxes, 0)
        ready = [id for id, count in left.items() if not count]
        while ready:
            id = ready.pop()
            for after in self._after[id]:
                found[after] = max(found[after], found[id] + 1)
                left[after] -= 1
                if not left[after]:
                    ready.append(after)
        return found

    def _place(self, starts: list[str], row: int) -> None:
        """Chains, each with all that leaves it; what is open waits on a stack."""
        waiting = [(id, row) for id in starts]
        while waiting:
            id, lowest = waiting.pop()
            if id in self._row:
                continue
            chain = self._chain(id)
            found = self._free_row(chain, lowest)
            for one in chain:
                self._row[one] = found
            # The last one that leaves is nearest to the chain, so that lines do not
            # cross.
            for one in chain:
                waiting += [(next, found + 1) for next in self._after[one]]

    def _chain(self, id: str) -> list[str]:
        chain = [id]
        while True:
            after = self._after[chain[-1]]
            if not after or after[-1] in self._row or after[-1] in chain:
                return chain
            chain.append(after[-1])

    def _free_row(self, chain: list[str], row: int) -> int:
        # Its line to where it joins another chain takes room too.
        after = [self._column[id] for id in self._after[chain[-1]] if id in self._row]
        end = max([self._column[chain[-1]] + 1, *after])
        columns = range(self._column[chain[0]], end)
        while any((column, row) in self._taken for column in columns):
            row += 1
        self._taken |= {(column, row) for column in columns}
        return row

    def _measured(self) -> Drawing:
        lefts, width = self._lefts()
        boxes = {id: self._box(id, lefts) for id in self._boxes}
        arrows = [
            Arrow(boxes[each["start"]], boxes[each["end"]], each["label"])
            for each in self._arrows
        ]
        rows = 1 + max(self._row.values(), default=0)
        height = rows * _ROW + 2 * _MARGIN
        return Drawing(list(boxes.values()), arrows, width, height)

    def _lefts(self) -> tuple[dict[int, tuple[float, float]], float]:
        """Where each column begins and how wide it is; how wide all are."""
        widths: dict[int, int] = {}
        for id, column in self._column.items():
            widths[column] = max(widths.get(column, 0), _width(self._boxes[id]))
        found, x = {}, float(_MARGIN)
        for column in sorted(widths):
            found[column] = (x, float(widths[column]))
            x += widths[column] + _GAP
        return found, x - _GAP + _MARGIN

    def _box(self, id: str, lefts: Mapping[int, tuple[float, float]]) -> Box:
        facts = self._boxes[id]
        left, across = lefts[self._column[id]]
        width, height = _width(facts), _HEIGHTS.get(facts["kind"], _HEIGHT)
        y = _MARGIN + self._row[id] * _ROW + (_ROW - height) / 2
        return Box(id, left + (across - width) / 2, y, width, height, facts)


def _width(facts: Report) -> int:
    return _WIDTHS.get(facts["kind"], _WIDTH)


def sub_channels(boxes: Iterable[Report]) -> list[str]:
    """The full names of the sub-channels of a graph."""
    return [
        each["id"].removesuffix(":start")
        for each in boxes
        if each["id"].endswith(":start")
    ]
