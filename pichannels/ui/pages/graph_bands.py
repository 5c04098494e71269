"""How a long channel graph is cut into bands that lie one below the other.

A band is a run of columns. It ends where few arrows go on, and bands are about as wide
as each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["bands"]

_CROSSED: Final = 0.15
"""What an arrow from band to band costs, where a band that is empty costs 1."""


def bands(
    widths: Sequence[float],
    ways: Iterable[tuple[int, int]],
    gap: float,
    most: float | None,
) -> list[range]:
    """The columns of each band, in as few bands as there may be.

    Args:
        widths: of the columns.
        ways: the columns where each arrow begins and ends.
        gap: between two columns.
        most: how wide a band may be, where it has more than one column; None for one
            band.
    """
    count = len(widths)
    if most is None or _width(widths, 0, count, gap) <= most:
        return [range(count)]
    crossed = [0] * (count + 1)
    for start, end in ways:
        for place in range(start + 1, end + 1):
            crossed[place] += 1
    ends = _best(widths, crossed, gap, most)
    return [range(first, end) for first, end in zip([0, *ends], ends, strict=False)]


def _best(
    widths: Sequence[float], crossed: Sequence[int], gap: float, most: float
) -> list[int]:
    """Where bands end, so that they cost least: first their number counts."""
    count = len(widths)
    found: list[tuple[tuple[int, float], int]] = [((0, 0.0), 0)]
    for end in range(1, count + 1):
        options = []
        for first in range(end - 1, -1, -1):
            width = _width(widths, first, end, gap)
            if width > most and first < end - 1:
                break
            number, cost = found[first][0]
            empty = max(0.0, 1 - width / most)
            line = _CROSSED * crossed[first]
            options.append(((number + 1, cost + empty * empty + line), first))
        found.append(min(options))
    ends = [count]
    while found[ends[0]][1]:
        ends.insert(0, found[ends[0]][1])
    return ends


def _width(widths: Sequence[float], first: int, end: int, gap: float) -> float:
    return sum(widths[first:end]) + gap * (end - first - 1)
