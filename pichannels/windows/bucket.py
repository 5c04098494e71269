"""What is known of the values of one window."""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

from pichannels import codecs
from pichannels.values import DigitalState, ValueFailure
from pichannels.windows.sketch import QuantileSketch

__all__ = ["MOST", "Bucket", "Weighed", "is_good", "number_of", "packed", "unpacked"]

_PLAIN: Final = frozenset({float, str, bool, bytes, type(None)})
MOST: Final = 1e150
"""Beyond that, sums of squares are not finite."""
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def is_good(value: Any) -> bool:
    """Whether this is a value: no system state, no failure, not nothing."""
    kind = type(value)
    if kind is DigitalState:
        return not value.is_system
    return kind is not ValueFailure and value is not None


def number_of(value: Any) -> float | None:
    """The number that a good value is; None where it is none, or beyond 1e150."""
    kind = type(value)
    if (kind is float or kind is int) and -MOST < value < MOST:
        number: float = value
        return number
    return None


def packed(value: Any) -> Any:
    """Plain data for any value that messages can carry; see `unpacked`.

    Raises:
        CodecError: the value has a type without codec.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is int and _INT_MIN <= value <= _INT_MAX):
        return value
    return [codecs.encode(value)]


def unpacked(data: Any) -> Any:
    """The value that `packed` has made plain."""
    return codecs.decode(data[0]) if type(data) is list else data


class Weighed:
    """A mean weighted by time: of lines, each from one number to another.

    Attributes:
        ticks: of how much time there are good numbers.
    """

    __slots__ = ("_area", "_origin", "ticks")

    def __init__(self) -> None:
        self.ticks = 0
        # The area is that of differences to the first number, which are small.
        self._origin: float | None = None
        self._area = 0.0

    def line(self, first: float, start: int, last: float, end: int) -> None:
        """Count a stretch of time, from one number to another."""
        origin = self._origin
        if origin is None:
            origin = self._origin = first
        ticks = end - start
        self.ticks += ticks
        self._area += ticks * ((first - origin) + (last - origin)) / 2

    @property
    def average(self) -> float | None:
        """The mean over the time that is good; None without any."""
        if not self.ticks or self._origin is None:
            return None
        return self._origin + self._area / self.ticks

    def dump(self) -> list[Any]:
        """Plain data; see `load`."""
        return [self.ticks, packed(self._origin), self._area]

    @classmethod
    def load(cls, data: list[Any]) -> Weighed:
        """What `dump` described."""
        weighed = cls()
        weighed.ticks, origin, weighed._area = data
        weighed._origin = unpacked(origin)
        return weighed


class Bucket:
    """The values of one window, added up in whatever order they come.

    Attributes:
        start, end: of the window, ticks.
        bad: how many values are not good.
        others: how many good ones are no numbers.
        numbers: how many are.
        low, high: the least and the greatest number.
        first, last: of the good values, with their ticks in `first_at`, `last_at`.
        revision: how often a result of it has been given.
    """

    __slots__ = (
        "_origin",
        "_shifted",
        "_squares",
        "bad",
        "end",
        "first",
        "first_at",
        "high",
        "last",
        "last_at",
        "low",
        "numbers",
        "others",
        "revision",
        "sketch",
        "start",
        "weighed",
    )

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.bad = self.others = self.numbers = self.revision = 0
        self.first: Any = None
        self.last: Any = None
        self.first_at: int | None = None
        self.last_at = 0
        self.low: Any = None
        self.high: Any = None
        self.sketch: QuantileSketch | None = None
        self.weighed: Weighed | None = None
        # Sums are those of differences to the first number, which are small.
        self._origin: Any = None
        self._shifted: Any = 0
        self._squares: Any = 0

    def add(self, ticks: int, value: Any, good: bool, number: float | None) -> None:
        """Count a value; `number` is what it is, if it is a good one."""
        if number is not None:
            self.add_number(ticks, number)
        elif good:
            self.others += 1
            self._place(ticks, value)
        else:
            self.bad += 1

    def add_number(self, ticks: int, number: float) -> None:
        """Count a good number."""
        if self.numbers:
            shifted = number - self._origin
            self._shifted += shifted
            self._squares += shifted * shifted
            if number < self.low:
                self.low = number
            elif number > self.high:
                self.high = number
            if ticks >= self.last_at:
                self.last = number
                self.last_at = ticks
            else:
                self._place(ticks, number)
        else:
            self._origin = self.low = self.high = number
            self._place(ticks, number)
        self.numbers += 1
        if self.sketch is not None:
            self.sketch.add(number)

    def _place(self, ticks: int, value: Any) -> None:
        """Let a good value be the first or the last, if it is."""
        if self.first_at is None:
            self.first = self.last = value
            self.first_at = self.last_at = ticks
        elif ticks >= self.last_at:
            self.last, self.last_at = value, ticks
        elif ticks < self.first_at:
            self.first, self.first_at = value, ticks

    @property
    def good(self) -> int:
        """How many values are good."""
        return self.numbers + self.others

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.numbers + self.others + self.bad

    @property
    def sum(self) -> Any:
        """Of the numbers; None without any."""
        return self._origin * self.numbers + self._shifted if self.numbers else None

    @property
    def mean(self) -> float | None:
        """Of the numbers; None without any."""
        return self._origin + self._shifted / self.numbers if self.numbers else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation, as of a sample; None for fewer than two numbers."""
        count = self.numbers
        if count < 2:
            return None
        rest = self._squares - float(self._shifted) * self._shifted / count
        return sqrt(max(rest, 0.0) / (count - 1))

    def dump(self) -> list[Any]:
        """Plain data; see `load`."""
        return [
            self.start,
            self.end,
            self.bad,
            self.others,
            self.numbers,
            self.revision,
            packed(self.first),
            self.first_at,
            packed(self.last),
            self.last_at,
            packed(self.low),
            packed(self.high),
            packed(self._origin),
            packed(self._shifted),
            packed(self._squares),
            None if self.sketch is None else self.sketch.dump(),
            None if self.weighed is None else self.weighed.dump(),
        ]

    @classmethod
    def load(cls, data: list[Any]) -> Bucket:
        """What `dump` described."""
        start, end, bad, others, numbers, revision, *rest = data
        first, first_at, last, last_at, low, high, origin, shifted, *rest = rest
        squares, sketch, weighed = rest
        bucket = cls(start, end)
        bucket.bad, bucket.others, bucket.numbers = bad, others, numbers
        bucket.revision = revision
        bucket.first, bucket.first_at = unpacked(first), first_at
        bucket.last, bucket.last_at = unpacked(last), last_at
        bucket.low, bucket.high = unpacked(low), unpacked(high)
        bucket._origin, bucket._shifted = unpacked(origin), unpacked(shifted)
        bucket._squares = unpacked(squares)
        bucket.sketch = None if sketch is None else QuantileSketch.load(sketch)
        bucket.weighed = None if weighed is None else Weighed.load(weighed)
        return bucket
