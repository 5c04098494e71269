"""What is told of a window, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pichannels.errors import UsageError, nearest
from pichannels.windows.bucket import Bucket, Weighed
from pichannels.windows.sketch import DEFAULT_ERROR, QuantileSketch

__all__ = ["AGGREGATES", "Aggregates"]

Tell = Callable[[Bucket], Any]


def _range(bucket: Bucket) -> Any:
    return bucket.high - bucket.low if bucket.numbers else None


def _percent_good(bucket: Bucket) -> float | None:
    return 100.0 * bucket.good / bucket.count if bucket.count else None


def _time_average(bucket: Bucket) -> float | None:
    assert bucket.weighed is not None
    average = bucket.weighed.average
    if average is None and bucket.start == bucket.end:
        # A session of one instant has no time to weigh by.
        return bucket.mean
    return average


def _time_percent_good(bucket: Bucket) -> float:
    assert bucket.weighed is not None
    if bucket.start == bucket.end:
        return 100.0 if bucket.numbers else 0.0
    return 100.0 * bucket.weighed.ticks / (bucket.end - bucket.start)


_OF_VALUES: Final[Mapping[str, Tell]] = {
    "count": lambda bucket: bucket.good,
    "sum": lambda bucket: bucket.sum,
    "mean": lambda bucket: bucket.mean,
    "min": lambda bucket: bucket.low,
    "max": lambda bucket: bucket.high,
    "range": _range,
    "stddev": lambda bucket: bucket.deviation,
    "first": lambda bucket: bucket.first,
    "last": lambda bucket: bucket.last,
    "percent_good": _percent_good,
}
_OF_TIME: Final[Mapping[str, Tell]] = {
    "time_average": _time_average,
    "time_percent_good": _time_percent_good,
}
AGGREGATES: Final = (*_OF_VALUES, *_OF_TIME, "p50", "p99")
"""The names, with two of the percentiles: `p` and a number from 0 to 100."""

_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d+)?)")


class Aggregates:
    """What is told of each window.

    Args:
        names: some of `AGGREGATES`, in the order of the result.
        error: the relative error of percentiles.

    Attributes:
        names: the same.
        is_weighed: whether time weighs something, so that order matters.

    Raises:
        UsageError: a name is not known, or given twice, or there is none.
    """

    def __init__(self, names: Iterable[str], error: float = DEFAULT_ERROR) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(names)
        if not self.names or len(set(self.names)) != len(self.names):
            raise UsageError(f"aggregates are names, each once, not {self.names!r}")
        self._tells = [self._tell_of(name) for name in self.names]
        self.is_weighed = any(name in _OF_TIME for name in self.names)
        self._has_sketch = any(name not in _KNOWN for name in self.names)
        QuantileSketch(error)
        self._error = error

    def _tell_of(self, name: str) -> Tell:
        known = _KNOWN.get(name) if isinstance(name, str) else None
        if known is not None:
            return known
        found = _PERCENTILE.fullmatch(str(name))
        if found is None or float(found[1]) > 100:
            hint = nearest(str(name), AGGREGATES)
            raise UsageError(
                f"no aggregate {name!r}{hint} (there are: {', '.join(AGGREGATES)})"
            )
        part = float(found[1]) / 100
        return lambda bucket: _quantile(bucket, part)

    @property
    def needs(self) -> list[Any]:
        """What a bucket has to have for these, as plain data."""
        return [self.is_weighed, self._error if self._has_sketch else None]

    def bucket(self, start: int, end: int) -> Bucket:
        """An empty one, with what these need."""
        bucket = Bucket(start, end)
        if self._has_sketch:
            bucket.sketch = QuantileSketch(self._error)
        if self.is_weighed:
            bucket.weighed = Weighed()
        return bucket

    def values(self, bucket: Bucket) -> dict[str, Any]:
        """Name -> what is told; None where there is nothing to tell."""
        return {
            name: tell(bucket)
            for name, tell in zip(self.names, self._tells, strict=True)
        }


def _quantile(bucket: Bucket, part: float) -> Any:
    assert bucket.sketch is not None
    found = bucket.sketch.quantile(part)
    # What stands for a bin may lie beyond all that is in it.
    return None if found is None else min(max(found, bucket.low), bucket.high)


_KNOWN: Final[Mapping[str, Tell]] = {**_OF_VALUES, **_OF_TIME}
