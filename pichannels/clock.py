"""The only source of time; tests replace it with `clock.use`.

Wall-clock instants are int64 ticks of 100 ns since 1970 UTC, the resolution of
PI itself. Durations are float seconds of the monotonic clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

__all__ = ["Clock", "SystemClock", "monotonic", "now", "use"]


class Clock(Protocol):
    """What a replacement has to offer."""

    def now(self) -> int:
        """Ticks of 100 ns since 1970 UTC."""

    def monotonic(self) -> float:
        """Seconds from an unknown start, never going back."""


# The other one moves in steps of 16 ms on Windows, before Python 3.13.
_monotonic: Final = time.perf_counter if sys.platform == "win32" else time.monotonic


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        return time.time_ns() // 100

    def monotonic(self) -> float:
        return _monotonic()


_clock: Clock = SystemClock()


def now() -> int:
    """The present as ticks of 100 ns since 1970 UTC."""
    return _clock.now()


def monotonic() -> float:
    """Seconds of a clock that never goes back; for durations."""
    return _clock.monotonic()


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Take the time from `clock` inside the block (for tests)."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
