"""The rows of the coverage chart: tags, and tags of one group together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from pichannels.control.coverage_reports import Piece, Span, TagCoverage
from pichannels.values import TICKS_PER_SECOND, parse_ticks

__all__ = ["Bar", "Kind", "Row", "group_rows", "group_row", "prefix_of", "tag_row"]

Kind: TypeAlias = Literal["delivered", "flight", "excluded", "hole"]

_SEPARATORS: Final = re.compile(r"[.:_|/\\-]")
_CELLS: Final = 240
_MOST: Final = 300
"""Bars of one row; with more of them a row is drawn in cells."""
_DEEPEST: Final = 6
_WORST: Final[tuple[Kind, ...]] = ("hole", "flight", "excluded")
_ORDER: Final[tuple[Kind, ...]] = ("delivered", "excluded", "flight", "hole")


class Bar(NamedTuple):
    """A part of a row; times in ticks.

    Attributes:
        kind: what it is.
        start, end: from when to when.
        text: why, or how many.
        part: of the tags, 0 to 1.
    """

    kind: Kind
    start: int
    end: int
    text: str = ""
    part: float = 1.0


class Row(NamedTuple):
    """A tag, or a group of them.

    Attributes:
        name: of the tag, or what the names of the group begin with.
        channel: its full name.
        path: of the tag; "" for a group.
        tags: how many it stands for.
        delivered, flight, excluded, hole: how long, seconds of all tags together.
        bars: in order; what comes later lies above.
        mark: of the tag, or "".
    """

    name: str
    channel: str
    path: str
    tags: int
    delivered: float
    flight: float
    excluded: float
    hole: float
    bars: list[Bar]
    mark: str = ""


def tag_row(one: TagCoverage, start: int, end: int) -> Row:
    """A tag; with very many parts it is drawn in cells."""
    bars = _bars(one)
    if len(bars) > _MOST:
        bars = _cells([bars], start, end)
    return Row(
        one.tag,
        one.channel,
        one.path,
        1,
        one.delivered_seconds,
        one.in_flight_seconds,
        one.excluded_seconds,
        one.hole_seconds,
        bars,
        str(one.mark or ""),
    )


def group_row(name: str, tags: Sequence[TagCoverage], start: int, end: int) -> Row:
    """Tags together: each part tells what most concerns, the worst first."""
    return Row(
        name,
        tags[0].channel,
        "",
        len(tags),
        sum(one.delivered_seconds for one in tags),
        sum(one.in_flight_seconds for one in tags),
        sum(one.excluded_seconds for one in tags),
        sum(one.hole_seconds for one in tags),
        _cells([_bars(one) for one in tags], start, end),
    )


def group_rows(
    tags: Iterable[TagCoverage], inside: str, start: int, end: int
) -> list[Row]:
    """Groups of tags by how their names begin behind `inside`, by channel and name.

    A group of one tag is that tag.
    """
    some = sorted(tags, key=lambda one: (one.channel, one.tag))
    depth = _depth([one.tag for one in some], inside)
    rows = []
    for (_, name), same in groupby(
        some, key=lambda one: (one.channel, prefix_of(one.tag, depth))
    ):
        found = list(same)
        if len(found) == 1:
            rows.append(tag_row(found[0], start, end))
        else:
            rows.append(group_row(name, found, start, end))
    return rows


def prefix_of(name: str, depth: int) -> str:
    """How a name begins, up to the separator of this number; else all of it."""
    ends = [found.end() for found in _SEPARATORS.finditer(name)]
    return name[: ends[depth - 1]] if 0 < depth <= len(ends) else name


def _depth(names: Sequence[str], inside: str) -> int:
    """How many separators deep the names first differ, behind `inside`."""
    first = len(_SEPARATORS.findall(inside)) + 1
    for depth in range(first, first + _DEEPEST):
        if len({prefix_of(name, depth) for name in names}) > 1:
            return depth
    return first + _DEEPEST


def _bars(one: TagCoverage) -> list[Bar]:
    found = [_bar("delivered", span) for span in one.delivered]
    found += [_bar("excluded", piece, piece.reason) for piece in one.excluded]
    found += [_bar("flight", span) for span in one.in_flight]
    return found + [_bar("hole", piece, piece.reason) for piece in one.holes]


def _bar(kind: Kind, span: Span | Piece, text: str = "") -> Bar:
    return Bar(kind, parse_ticks(span.start), parse_ticks(span.end), text)


def _cells(rows: Sequence[Sequence[Bar]], start: int, end: int) -> list[Bar]:
    """The rows together, in cells of which those that are the same are one bar."""
    size = max(TICKS_PER_SECOND, -(-(end - start) // _CELLS))
    counts: dict[tuple[Kind, str], _Counts] = {}
    for row in rows:
        for bar in row:
            first, last = (bar.start - start) // size, (bar.end - 1 - start) // size
            known = counts.setdefault((bar.kind, bar.text), _Counts())
            known.add(max(0, first), min(_CELLS - 1, last))
        for each in counts.values():
            each.next_row()
    totals = {key: each.totals() for key, each in counts.items()}
    bars: list[Bar] = []
    for at in range(_CELLS):
        span = (start + at * size, min(start + (at + 1) * size, end))
        if span[0] < span[1]:
            here = {key: each[at] for key, each in totals.items() if each[at]}
            bars += _cell(here, *span, len(rows))
    return _merged(bars)


class _Counts:
    """In how many rows each cell has something; found from where that begins."""

    def __init__(self) -> None:
        self._steps = [0] * (_CELLS + 1)
        self._after = 0

    def add(self, first: int, last: int) -> None:
        """This row has it in these cells; what is behind comes later."""
        first = max(first, self._after)
        if first <= last:
            self._steps[first] += 1
            self._steps[last + 1] -= 1
            self._after = last + 1

    def next_row(self) -> None:
        """What comes is of another row."""
        self._after = 0

    def totals(self) -> list[int]:
        """For each cell in how many rows."""
        return list(accumulate(self._steps))


def _cell(
    here: Mapping[tuple[Kind, str], int], start: int, end: int, total: int
) -> Iterator[Bar]:
    """What is worst in a cell, over what is best."""
    if any(kind == "delivered" for kind, _ in here):
        yield Bar("delivered", start, end)
    for kind in _WORST:
        found = {text: count for (name, text), count in here.items() if name == kind}
        if found:
            # Rows with several reasons count as one: it is no more than all of them.
            count = min(total, sum(found.values()))
            words = ", ".join(sorted(filter(None, found)))
            told = f"{count} of {total} tags" if total > 1 else ""
            text = f"{told}: {words}" if told and words else told or words
            yield Bar(kind, start, end, text, count / total)
            return


def _merged(bars: Sequence[Bar]) -> list[Bar]:
    """The same, with those that touch and are alike as one."""
    found: list[Bar] = []
    ends: dict[tuple[str, str, float], int] = {}
    for bar in bars:
        alike = (bar.kind, bar.text, bar.part)
        at = ends.get(alike)
        if at is not None and found[at].end == bar.start:
            found[at] = found[at]._replace(end=bar.end)
        else:
            ends[alike] = len(found)
            found.append(bar)
    return sorted(found, key=lambda bar: _ORDER.index(bar.kind))
