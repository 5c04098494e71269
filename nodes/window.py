"""Windows over the values of each tag, and joins of tags by time.

What is open outlives the process: a message is settled when its values are saved with
the windows that they are in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nodes._joining import Join
from nodes._windowing import Windows
from pichannels import windows

__all__ = ["Hopping", "Join", "Session", "Sliding", "Tumbling"]

_USUAL = ("count", "mean", "min", "max")


class Tumbling(Windows):
    """Windows of one size, one after the other.

    Args:
        size: seconds. The grid begins at 1970 UTC: 3600 gives the hours.
        aggregates: names of what is told of each window: `count`, `sum`, `mean`, `min`,
            `max`, `range`, `stddev`, `first`, `last`, `percent_good`, `time_average`,
            `time_percent_good`, and percentiles such as `p95`.
        offset: seconds by which the grid begins later.
        options: `lateness`, `late`, `keep`, `step`, `error`, `key`, `time`, `value`,
            `output`, `tag`, `stamp`, `idle`, `ahead`, `max_hold`, and those of every
            node.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable.
    """

    def __init__(
        self,
        size: float,
        aggregates: Sequence[str] = _USUAL,
        *,
        offset: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(windows.Tumbling(size, offset), aggregates, **options)


class Hopping(Windows):
    """Windows of one size that overlap.

    Args:
        size: seconds.
        every: seconds from the beginning of one window to that of the next.
        aggregates: as of `Tumbling`.
        offset: seconds by which the grid begins later than 1970 UTC.
        options: as of `Tumbling`.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable.
    """

    def __init__(
        self,
        size: float,
        every: float,
        aggregates: Sequence[str] = _USUAL,
        *,
        offset: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(windows.Hopping(size, every, offset), aggregates, **options)


class Sliding(Windows):
    """For each value the window of the time up to it.

    All values of the window are kept, and added up for each one. Where windows are long
    and values many, `Hopping` costs less.

    Args:
        size: seconds.
        aggregates: as of `Tumbling`.
        stamp: the time of the results, `end` by default, which is that of the value.
        options: as of `Tumbling`.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable.
    """

    def __init__(
        self,
        size: float,
        aggregates: Sequence[str] = _USUAL,
        *,
        stamp: str = "end",
        **options: Any,
    ) -> None:
        super().__init__(windows.Sliding(size), aggregates, stamp=stamp, **options)


class Session(Windows):
    """Windows of values that follow each other closely, from the first to the last.

    Args:
        gap: seconds without a value that end a session.
        aggregates: as of `Tumbling`.
        longest: seconds after which a session ends all the same.
        options: as of `Tumbling`.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable.
    """

    def __init__(
        self,
        gap: float,
        aggregates: Sequence[str] = _USUAL,
        *,
        longest: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(windows.Session(gap, longest), aggregates, **options)
