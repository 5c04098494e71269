"""Quantiles in little memory, with a bound on how wrong they can be (DDSketch).

Numbers are counted in bins whose bounds grow by a constant factor, so each bin stands
for its numbers with the same relative error. Sketches of the same error add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log
from typing import Any, Final

from pichannels.checks import at_least
from pichannels.errors import UsageError

__all__ = ["DEFAULT_ERROR", "QuantileSketch", "place_of"]

DEFAULT_ERROR: Final = 0.01
_MOST_BINS: Final = 2048


def place_of(part: float, count: int) -> int:
    """Which of so many numbers in order, counted from 0, is that quantile."""
    # What is a whole number but for the last digits is one.
    return max(ceil(round(part * count, 6)) - 1, 0)


class QuantileSketch:
    """The quantiles of numbers, each within a relative error.

    `quantile(q)` is wrong by no more than `error` times the number that stands at
    place `ceil(q * n)`, counted from 1, of all `n` in order. There are 2,048 bins for
    each sign. At an error of 0.01 they span magnitudes of 17 orders; where numbers span
    more, those nearest to zero share a bin, and for these the bound does not hold.

    Args:
        error: the relative error, above 0 and below 1.

    Raises:
        UsageError: it is not.
    """

    __slots__ = ("_factor", "_log", "_negative", "_positive", "_zeros", "error")

    def __init__(self, error: float = DEFAULT_ERROR) -> None:
        at_least("error", error, 0, above=True)
        if error >= 1:
            raise UsageError(f"error is a number below 1, not {error!r}")
        self.error = error
        self._factor = (1 + error) / (1 - error)
        self._log = log(self._factor)
        self._positive: dict[int, int] = {}
        self._negative: dict[int, int] = {}
        self._zeros = 0

    @property
    def count(self) -> int:
        """How many numbers it has got."""
        bins = (*self._positive.values(), *self._negative.values())
        return self._zeros + sum(bins)

    def add(self, number: float) -> None:
        """Count a finite number."""
        if number == 0:
            self._zeros += 1
            return
        bins = self._positive if number > 0 else self._negative
        place = ceil(log(abs(number)) / self._log)
        bins[place] = bins.get(place, 0) + 1
        if len(bins) > _MOST_BINS:
            _share(bins)

    def merge(self, other: QuantileSketch) -> None:
        """Count what another one has got.

        Raises:
            UsageError: it has another error.
        """
        if other.error != self.error:
            raise UsageError("sketches of different errors do not add up")
        self._zeros += other._zeros
        _add(self._positive, other._positive)
        _add(self._negative, other._negative)

    def quantile(self, part: float) -> float | None:
        """The number that this part (0 to 1) of all is not above; None without any."""
        count = self.count
        if not count:
            return None
        left = place_of(part, count)
        for place in sorted(self._negative, reverse=True):
            left -= self._negative[place]
            if left < 0:
                return -self._number(place)
        left -= self._zeros
        if left < 0:
            return 0.0
        for place in sorted(self._positive):
            left -= self._positive[place]
            if left < 0:
                break
        return self._number(place)

    def _number(self, place: int) -> float:
        """What stands for all in a bin: equally wrong at both of its ends."""
        try:
            return 2 * self._factor**place / (self._factor + 1)
        except OverflowError:
            return 2 / (self._factor + 1) * self._factor ** (place - 1) * self._factor

    def dump(self) -> list[Any]:
        """Plain data; see `load`."""
        return [self.error, self._zeros, self._positive, self._negative]

    @classmethod
    def load(cls, data: list[Any]) -> QuantileSketch:
        """The sketch that `dump` described."""
        error, zeros, positive, negative = data
        sketch = cls(error)
        sketch._zeros = zeros
        sketch._positive = dict(positive)
        sketch._negative = dict(negative)
        return sketch


def _add(bins: dict[int, int], more: Mapping[int, int]) -> None:
    for place, count in more.items():
        bins[place] = bins.get(place, 0) + count
    while len(bins) > _MOST_BINS:
        _share(bins)


def _share(bins: dict[int, int]) -> None:
    """Put the two bins nearest to zero together."""
    lowest = min(bins)
    count = bins.pop(lowest)
    bins[min(bins)] += count
