"""What is counted of a step: messages, failures, acknowledgements and times.

Most messages go through a whole chain and are counted once for all of its steps. What
takes more than that is done for those that do not, for acknowledgements, and for the
few messages whose time is taken.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pichannels import clock
from pichannels.errors import Dropped, Rejected, Stopped
from pichannels.windows.sketch import QuantileSketch

__all__ = ["Passes", "Recent", "Tally", "Times"]

_PERIOD: Final = 60.0
_ERROR: Final = 0.05
_LONGEST: Final = 500


class Times(msgspec.Struct, frozen=True):
    """How long something took.

    Attributes:
        count: how often it was measured.
        sum: of all these, seconds.
        last: the newest, seconds; None where nothing was measured, as the others.
        p50, p99: what half, and 99 %, of the last minutes did not exceed, to within a
            twentieth.
    """

    count: int = 0
    sum: float = 0.0
    last: float | None = None
    p50: float | None = None
    p99: float | None = None

    @property
    def mean(self) -> float:
        """Seconds of one; 0 without any."""
        return self.sum / self.count if self.count else 0.0


class Recent:
    """Times, of which the quantiles are those of the last one or two minutes.

    Where nothing new comes, they stay what they were.
    """

    __slots__ = ("_last", "_new", "_old", "_turned", "count", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self._old: QuantileSketch | None = None
        self._new = QuantileSketch(_ERROR)
        self._turned: float | None = None
        self._last: float | None = None

    def note(self, seconds: float, now: float) -> None:
        """One more, at this moment of the monotonic clock."""
        if self._turned is None:
            self._turned = now
        elif now - self._turned >= _PERIOD:
            self._old, self._new = self._new, QuantileSketch(_ERROR)
            self._turned = now
        self._new.add(seconds)
        self._last = seconds
        self.count += 1
        self.sum += seconds

    def times(self) -> Times:
        """What was noted so far."""
        found = self._new
        if self._old is not None:
            found = QuantileSketch(_ERROR)
            found.merge(self._old)
            found.merge(self._new)
        half, nearly = found.quantile(0.5), found.quantile(0.99)
        return Times(self.count, self.sum, self._last, half, nearly)


class Passes:
    """How many messages went through a whole chain."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Tally:
    """What a step has done.

    Most messages go through the whole chain; they are counted once for all of its
    steps, and others where they went.

    Attributes:
        dropped, rejected: messages of which the step made that.
        failed: how often it failed otherwise, also where it is tried again.
        refused: messages that went on, and were not acknowledged in the end.
        retries: how often the step itself has tried again.
        more: messages that it gave beyond one for each that it got.
        in_flight: what it gave away and is not acknowledged yet.
        error, error_ticks: what it failed with last, and when; "" and 0 before.
    """

    __slots__ = (
        "_apart",
        "_passes",
        "acks",
        "dropped",
        "error",
        "error_ticks",
        "failed",
        "in_flight",
        "more",
        "refused",
        "rejected",
        "retries",
        "times",
    )

    def __init__(self) -> None:
        self._apart = 0
        self._passes = Passes()
        self.in_flight = 0
        self._clear()

    def _clear(self) -> None:
        self.dropped = self.rejected = self.failed = self.refused = 0
        self.retries = self.more = self.error_ticks = 0
        self.error = ""
        self.times: Recent | None = None
        self.acks: Recent | None = None

    @property
    def processed(self) -> int:
        """How many messages it has processed."""
        return self._apart + self._passes.count

    @property
    def came(self) -> int:
        """How many messages it got, whatever it made of them."""
        return self.processed + self.dropped + self.rejected + self.failed

    @property
    def left(self) -> int:
        """How many messages it gave."""
        return self.processed + self.more

    @property
    def seconds(self) -> float:
        """About how long it has worked, as those messages took whose time was taken."""
        return self.times.sum / self.times.count * self.came if self.times else 0.0

    def add(self) -> None:
        """Count one that did not go through the whole chain."""
        self._apart += 1

    def join(self, passes: Passes | None = None) -> None:
        """Count the messages of another chain from now on."""
        self._apart = self.processed
        self._passes = passes or Passes()

    def reset(self) -> None:
        """Begin at zero."""
        self._apart = -self._passes.count
        self._clear()

    # What went wrong

    def raised(self, error: BaseException) -> None:
        """A message got no further than this."""
        if isinstance(error, Dropped):
            self.dropped += 1
        elif isinstance(error, Rejected):
            self.rejected += 1
        elif isinstance(error, Exception) and not isinstance(error, Stopped):
            self.failed += 1
            self.note(error)

    def again(self, error: BaseException | None = None) -> None:
        """The step tries again, after this error."""
        self.retries += 1
        if error is not None:
            self.note(error)

    def note(self, error: BaseException) -> None:
        """Keep this as the last error."""
        self.error = (str(error) or type(error).__name__)[:_LONGEST]
        self.error_ticks = clock.now()

    # How long it took

    def took(self, seconds: float, now: float) -> None:
        """A message took so long, at this moment of the monotonic clock."""
        if self.times is None:
            self.times = Recent()
        self.times.note(seconds, now)

    def asked(self) -> float:
        """Something is to be acknowledged; what this gives is for `answered`."""
        self.in_flight += 1
        return clock.monotonic()

    def answered(self, began: float, error: BaseException | None = None) -> None:
        """It is acknowledged, or never will be."""
        self.in_flight -= 1
        if error is not None:
            if not isinstance(error, Stopped):
                self.refused += 1
                self.note(error)
            return
        if self.acks is None:
            self.acks = Recent()
        now = clock.monotonic()
        self.acks.note(now - began, now)
