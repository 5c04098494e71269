"""Which windows there are. Sizes are seconds here, and ticks of 100 ns inside."""

from __future__ import annotations

from typing import Any

from pichannels.checks import at_least
from pichannels.errors import UsageError
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Hopping", "Session", "Shape", "Sliding", "Tumbling", "ticks_of"]


def ticks_of(key: str, seconds: Any, minimum: float = 1 / TICKS_PER_SECOND) -> int:
    """Seconds as ticks.

    Raises:
        UsageError: no number, or too small.
    """
    at_least(key, seconds, minimum)
    if seconds > 1e10:
        raise UsageError(f"{key} is a number of seconds up to 1e10, not {seconds!r}")
    return int(round(seconds * TICKS_PER_SECOND))


class Hopping:
    """Windows of `size` seconds, one beginning each `every` seconds.

    A window begins at `start` and ends before `end`; the grid begins at 1970 UTC, so
    that 3600 gives hours and 86400 days of UTC. A value is in all windows around it.

    Args:
        size: seconds.
        every: seconds from the beginning of one window to that of the next.
        offset: seconds by which the grid begins later.

    Raises:
        UsageError: a number is not usable, or `every` is above `size`.
    """

    def __init__(self, size: float, every: float, offset: float = 0.0) -> None:
        self.size = ticks_of("size", size)
        self.every = ticks_of("every", every)
        at_least("offset", abs(offset), 0)
        self.offset = round(offset * TICKS_PER_SECOND) % self.every
        if self.every > self.size:
            raise UsageError("windows with gaps: every is above size")


class Tumbling(Hopping):
    """Windows of `size` seconds, one after the other.

    Args:
        size: seconds.
        offset: seconds by which the grid begins later than 1970 UTC.

    Raises:
        UsageError: a number is not usable.
    """

    def __init__(self, size: float, offset: float = 0.0) -> None:
        super().__init__(size, size, offset)


class Sliding:
    """For each value the window of the `size` seconds up to it.

    A window begins behind `start` and ends with `end`, the time of the value.

    Args:
        size: seconds.

    Raises:
        UsageError: the number is not usable.
    """

    def __init__(self, size: float) -> None:
        self.size = ticks_of("size", size)


class Session:
    """Values with less than `gap` seconds from one to the next.

    A window begins with its first value and ends with its last.

    Args:
        gap: seconds without a value that end a session.
        longest: seconds after which a session ends all the same.

    Raises:
        UsageError: a number is not usable.
    """

    def __init__(self, gap: float, longest: float | None = None) -> None:
        self.gap = ticks_of("gap", gap)
        self.longest = None if longest is None else ticks_of("longest", longest)


Shape = Hopping | Sliding | Session
