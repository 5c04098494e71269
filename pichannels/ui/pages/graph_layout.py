"""Where boxes and arrows of a channel graph are drawn: from left to right, in rows.

A chain stays in its row; what leaves it gets the next row below that is free there. A
channel that is wider than what there is goes on below, as the lines of a text do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pichannels.ui.pages.graph_bands import bands

__all__ = ["Arrow", "Box", "Drawing", "Turn", "apart", "draw", "fold", "sub_channels"]

_WIDTHS: Final = {"join": 14, "branch": 96, "out": 64}
_WIDTH: Final = 200
_HEIGHTS: Final = {"join": 14, "branch": 34, "out": 34}
_HEIGHT: Final = 80
_GAP: Final = 60
_ROW: Final = 98
_MARGIN: Final = 14
_TURN: Final = 34
"""Room for arrows that go on in the next band: beside the bands, and between two."""
_LEAD: Final = 64
"""The same before the next band, where their rates are."""
_LANE: Final = 8


class Box(NamedTuple):
    """Where a box is: its left upper corner and size, in pixels."""

    id: str
    x: float
    y: float
    width: float
    height: float
    facts: Mapping[str, Any]


class Turn(NamedTuple):
    """How an arrow goes to a band below.

    Attributes:
        right, y, left: up to where, then down to there, and back to there.
        on: where it goes on to the right, which is the row that it comes from where
            boxes are in the way.
    """

    right: float
    y: float
    left: float
    on: float


class Arrow(NamedTuple):
    """A line from one box to another; with a turn where that is in another band."""

    start: Box
    end: Box
    label: str
    turn: Turn | None = None


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


def apart(graph: Report) -> Report:
    """The graph where each way that leaves a channel has an end of its own.

    Args:
        graph: see `GraphReport`.
    """
    going = {each["start"] for each in graph["arrows"]}
    ends = {
        each["id"]: each
        for each in graph["boxes"]
        if each["kind"] == "out" and each["id"] not in going
    }
    last = {each["end"]: each["start"] for each in graph["arrows"]}
    boxes, arrows = list(graph["boxes"]), []
    for each in graph["arrows"]:
        start, end = each["start"], each["end"]
        if end in ends and last[end] != start:
            copy = f"{end}<{start}"
            boxes.append({**ends[end], "id": copy})
            each = {**each, "end": copy}
        arrows.append(each)
    return {"boxes": boxes, "arrows": arrows}


def draw(graph: Report, width: float | None = None) -> Drawing:
    """Where everything goes; channels are one below the other.

    Args:
        graph: see `GraphReport`.
        width: how wide it may be; None for any width.
    """
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    across, top = 0.0, float(_MARGIN)
    for names in _together(graph):
        mine = [each for each in graph["boxes"] if each["id"] in names]
        ways = [each for each in graph["arrows"] if each["start"] in names]
        drawn = _Layout(mine, ways, width, top).drawing()
        boxes += drawn.boxes
        arrows += drawn.arrows
        across, top = max(across, drawn.width), drawn.height
    return Drawing(boxes, arrows, across, top + _MARGIN)


def _together(graph: Report) -> list[set[str]]:
    """The boxes that arrows connect, as they come."""
    homes: dict[str, set[str]] = {each["id"]: {each["id"]} for each in graph["boxes"]}
    for each in graph["arrows"]:
        one, other = homes[each["start"]], homes[each["end"]]
        if one is not other:
            small, large = sorted((one, other), key=len)
            large |= small
            homes.update(dict.fromkeys(small, large))
    found: list[set[str]] = []
    seen: set[int] = set()
    for home in homes.values():
        if id(home) not in seen:
            seen.add(id(home))
            found.append(home)
    return found


class _Layout:
    """What hangs together, from `top` down; its height is where it ends."""

    def __init__(
        self,
        boxes: Sequence[Report],
        arrows: Sequence[Report],
        most: float | None,
        top: float,
    ) -> None:
        self._most = most
        self._top = top
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
        widths = self._widths()
        ways = [
            (self._column[each["start"]], self._column[each["end"]])
            for each in self._arrows
        ]
        most = None if self._most is None else self._most - _LEAD - _TURN - _MARGIN
        cut = bands(widths, ways, _GAP, most)
        lefts: dict[int, float] = {}
        tops: dict[tuple[int, int], float] = {}
        turns, right, y = [], 0.0, self._top
        for number, columns in enumerate(cut):
            x = float(_LEAD if number else _MARGIN)
            for column in columns:
                lefts[column] = x
                x += widths[column] + _GAP
            right = max(right, x - _GAP)
            rows = sorted({row for at, row in self._taken if at in columns})
            for place, row in enumerate(rows):
                tops |= {(column, row): y + place * _ROW for column in columns}
            y += len(rows) * _ROW
            turns.append(y)
            y += _TURN if number < len(cut) - 1 else 0
        band = {at: number for number, columns in enumerate(cut) for at in columns}
        boxes = {id: self._box(id, lefts, widths, tops) for id in self._boxes}
        arrows = self._turned(boxes, band, turns, tops, right)
        width = right + (_TURN if len(cut) > 1 else _MARGIN)
        return Drawing(list(boxes.values()), arrows, width, y)

    def _turned(
        self,
        boxes: Mapping[str, Box],
        band: Mapping[int, int],
        turns: Sequence[float],
        tops: Mapping[tuple[int, int], float],
        right: float,
    ) -> list[Arrow]:
        found: list[Arrow] = []
        lanes: dict[int, dict[str, int]] = {}
        for each in self._arrows:
            start, end = each["start"], each["end"]
            one, other = band[self._column[start]], band[self._column[end]]
            turn = None
            if other > one:
                # Ways that come together, or begin together, may lie on each other.
                known = lanes.setdefault(other, {})
                lane = known.get(start, known.get(end, len(set(known.values())))) % 3
                known[start] = known[end] = lane
                aside = lane * _LANE
                y = turns[other - 1] + _TURN / 2 - _LANE + aside
                place = self._column[end] - 1, self._row[start]
                on = boxes[end].y + boxes[end].height / 2
                if place in self._taken and band[place[0]] == other:
                    on = tops[place] + _ROW / 2
                turn = Turn(right + _LANE + aside, y, _LEAD - 50 - aside / 2, on)
            found.append(Arrow(boxes[start], boxes[end], each["label"], turn))
        return found

    def _widths(self) -> list[int]:
        """How wide each column is."""
        widths = [0] * (1 + max(self._column.values(), default=-1))
        for id, column in self._column.items():
            widths[column] = max(widths[column], _width(self._boxes[id]))
        return widths

    def _box(
        self,
        id: str,
        lefts: Mapping[int, float],
        widths: Sequence[int],
        tops: Mapping[tuple[int, int], float],
    ) -> Box:
        facts, column = self._boxes[id], self._column[id]
        width, height = _width(facts), _HEIGHTS.get(facts["kind"], _HEIGHT)
        x = lefts[column] + (widths[column] - width) / 2
        y = tops[column, self._row[id]] + (_ROW - height) / 2
        return Box(id, x, y, width, height, facts)


def _width(facts: Report) -> int:
    return _WIDTHS.get(facts["kind"], _WIDTH)


def sub_channels(boxes: Iterable[Report]) -> list[str]:
    """The full names of the sub-channels of a graph."""
    return [
        each["id"].removesuffix(":start")
        for each in boxes
        if each["id"].endswith(":start")
    ]
