"""Counters, gauges and histograms with fixed names, in Prometheus' text form.

Counting is adding to plain integers where things happen; this module only
gathers them (text exposition format 0.0.4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, Literal

import msgspec

__all__ = ["Family", "Histogram", "Point", "Spread", "render"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_LONGER: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Spread(msgspec.Struct, frozen=True):
    """How a quantity is spread, at one moment.

    Attributes:
        bounds: the upper bounds of all parts but the last, which has none.
        counts: how many values are in each part.
        sum: of all values.
        labels: of the points.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = (0,)
    sum: float = 0.0
    labels: Mapping[str, str] = {}

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)


class Histogram:
    """Counts values by how large they are; noting one takes two additions.

    Args:
        bounds: rising upper bounds; by default of seconds, from 1 ms to an hour.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...] = (*_SECONDS, *_LONGER)) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def note(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def spread(self, **labels: str) -> Spread:
        """What was noted so far."""
        return Spread(self._bounds, tuple(self._counts), self._sum, labels)


class Point(msgspec.Struct, frozen=True):
    """One number with its labels."""

    value: float
    labels: Mapping[str, str] = {}


class Family(msgspec.Struct, frozen=True):
    """All points of one metric; counters end in `_total`.

    Attributes:
        points: of a counter, gauge or summary; each of a summary tells its `quantile`.
        spreads: of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    points: list[Point] = []
    spreads: list[Spread] = []


def render(families: Iterable[Family]) -> str:
    """The text that a Prometheus server reads."""
    lines: list[str] = []
    for family in families:
        name = f"pichannels_{family.name}"
        lines.append(f"# HELP {name} {family.help}")
        lines.append(f"# TYPE {name} {family.kind}")
        for point in family.points:
            lines.append(f"{name}{_labels(point.labels)} {_number(point.value)}")
        for spread in family.spreads:
            lines.extend(_buckets(name, spread))
    return "\n".join(lines) + "\n"


def _buckets(name: str, spread: Spread) -> Iterator[str]:
    count = 0
    for bound, more in zip((*spread.bounds, inf), spread.counts, strict=True):
        count += more
        labels = {**spread.labels, "le": _number(bound)}
        yield f"{name}_bucket{_labels(labels)} {count}"
    yield f"{name}_sum{_labels(spread.labels)} {_number(spread.sum)}"
    yield f"{name}_count{_labels(spread.labels)} {count}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)
