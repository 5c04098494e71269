"""Tags that are too quiet: what to expect of each, and what an end-value probe tells.

How long a tag is usually quiet is given, follows from its attributes, or is learned
from what comes. A tag that is quiet for longer is looked at: the time of its newest
value in PI tells whether the source is quiet, or we do not hear it.
"""

from __future__ import annotations

import enum
import math
from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from pichannels.errors import UsageError
from pichannels.values import NO_DATA, TICKS_PER_SECOND

__all__ = ["Expectations", "Patience", "Verdict", "expected_interval"]

_UNKNOWN: Final = -1
_ENOUGH: Final = 8
_FIRST_STEP: Final = 0.5
_LAST_STEP: Final = 0.02


class Verdict(enum.StrEnum):
    """What a probe says of a tag."""

    QUIET = "quiet"
    """PI has nothing newer than we have."""
    BLIND = "blind"
    """PI has newer values, which should have come to us."""
    STALE = "stale"
    """The source is quiet for much longer than is usual for it."""
    FLAT = "flat"
    """Values keep coming, and are the same for a long time."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """When a tag is too quiet; times in seconds.

    Attributes:
        quantile: the part of a tag's intervals that are no longer than expected.
        factor: after how many expected intervals of silence a tag is probed.
        shortest: of expected intervals, whatever was learned.
        longest: what is expected of a tag of which nothing is known.
        grace: how long a value in PI may take to come to us.
        stale: after how many expected intervals a source is stale.
        flat: how long a value may stay the same; 0 for ever.
    """

    quantile: float = 0.95
    factor: float = 3.0
    shortest: float = 10.0
    longest: float = 3600.0
    grace: float = 30.0
    stale: float = 10.0
    flat: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise UsageError(f"quantile lies between 0 and 1, not {self.quantile!r}")


def expected_interval(
    scan: float | None, excmax: float | None, excdev: float | None
) -> float | None:
    """Seconds that a point is quiet at most while its interface works.

    Args:
        scan: whether its interface collects the point; 0 if not.
        excmax: the point's longest time without an exception report, seconds; 0 where
            there is no exception reporting.
        excdev: how far a value has to move to be reported; negative where there is no
            exception reporting.

    Returns:
        Infinity where silence is expected; None where nothing follows from it.
    """
    if scan == 0:
        return math.inf
    if not excmax or excmax <= 0 or (excdev is not None and excdev < 0):
        return None
    return excmax


class Expectations:
    """What is expected of the tags of a channel, 42 bytes a tag.

    Tags are numbers from 0 on, as in the ledger. Times are the server's, in ticks,
    durations seconds.

    Args:
        patience: when a tag is too quiet.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._newest: array[int] = array("q")
        self._heard: array[int] = array("q")
        self._given: array[float] = array("f")
        self._learned: array[float] = array("f")
        self._count: array[int] = array("H")
        self._value: array[int] = array("q")
        self._since: array[int] = array("q")
        self._least = self.patience.shortest
        self._awaited: dict[int, int] = {}
        """The times of values that PI had lately, and that may still come."""

    def __len__(self) -> int:
        return len(self._newest)

    def grow(self, count: int, now: int) -> None:
        """There are so many tags; of new ones something is expected from now on."""
        more = range(len(self), count)
        for times, first in (
            (self._newest, NO_DATA),
            (self._heard, now),
            (self._value, _UNKNOWN),
            (self._since, now),
        ):
            times.extend(first for _ in more)
        for numbers in (self._given, self._learned):
            numbers.extend(0.0 for _ in more)
        self._count.extend(0 for _ in more)

    def give(self, tag: int, seconds: float | None) -> None:
        """Expect a value this often; None to learn it.

        From infinity on silence is expected, until it is learned that values come.
        """
        self._given[tag] = max(seconds or 0.0, 0.0)
        if seconds and seconds > 0:
            self._least = min(self._least, seconds)

    def interval(self, tag: int) -> float:
        """Seconds for which the tag is expected to be quiet at most."""
        patience, given = self.patience, self._given[tag]
        is_learned = self._count[tag] >= _ENOUGH
        if given > 0 and not (is_learned and math.isinf(given)):
            return given
        if not is_learned:
            return patience.longest
        return max(patience.shortest, math.exp(self._learned[tag]))

    def _bearable(self, tag: int) -> float:
        """Ticks of silence after which the tag is looked at, also an idle one."""
        interval = self.interval(tag)
        seconds = self.patience.longest if math.isinf(interval) else interval
        return self.patience.factor * seconds * TICKS_PER_SECOND

    def is_known(self, tag: int) -> bool:
        """Whether the interval of the tag was given, or has been learned."""
        return self._given[tag] > 0 or self._count[tag] >= _ENOUGH

    def newest(self, tag: int) -> int:
        """The time of the newest value that came to us; `NO_DATA` for none."""
        return self._newest[tag]

    def same_since(self, tag: int) -> int:
        """Since when probes have found the same value."""
        return self._since[tag]

    def varied(self, tag: int, at: int) -> None:
        """Between probes that found the same value, until `at`, there were others."""
        self._since[tag] = at

    def put_off(self, tag: int, at: int) -> None:
        """A probe told nothing; the tag is not overdue for a while."""
        self._heard[tag] = at

    # What comes

    def arrived(self, tag: int, first: int, last: int, count: int, at: int) -> None:
        """Values of a tag have come.

        Args:
            tag: its number.
            first, last: the times of the earliest and the latest of them.
            count: how many.
            at: when they came.
        """
        newest = self._newest[tag]
        self._heard[tag] = at
        if last <= newest:
            return
        self._newest[tag] = last
        if newest == NO_DATA:
            newest, count = first, count - 1
        if count > 0:
            self._learn(tag, (last - max(newest, 0)) / count / TICKS_PER_SECOND)

    def _learn(self, tag: int, seconds: float) -> None:
        """Move the estimate of the quantile a little towards where it lies.

        It is that of the logarithm, so that steps are parts of the interval; they get
        smaller with experience.
        """
        value = math.log(max(seconds, 1e-3))
        known = self._count[tag]
        if known == 0:
            self._learned[tag] = value
        else:
            step = max(_FIRST_STEP / known**0.5, _LAST_STEP)
            is_above = value > self._learned[tag]
            part = self.patience.quantile - (not is_above)
            # A much longer interval counts no more than one that is a little longer.
            self._learned[tag] += step * part * 2
        self._count[tag] = min(known + 1, 0xFFFF)

    # Who is too quiet

    def overdue(
        self, now: int, start: int = 0, stop: int | None = None
    ) -> Iterator[int]:
        """The tags from which nothing was heard for too long.

        Args:
            now: the server's time.
            start, stop: the range of numbers that is looked at; all by default.
        """
        factor = self.patience.factor * TICKS_PER_SECOND
        # Most were heard lately; what is expected of them need not be worked out.
        before = now - factor * self._least
        for tag, heard in enumerate(self._heard[start:stop], start):
            if heard < before and now - heard > self._bearable(tag):
                yield tag

    def is_overdue(self, tag: int, now: int) -> bool:
        """Whether nothing was heard from the tag for too long."""
        return now - self._heard[tag] > self._bearable(tag)

    def due(self, tag: int, newest: int, at: int) -> int:
        """The time of a value that PI has and that should have come by now.

        Of a tag of which values are always new that is one of an earlier probe.

        Args:
            tag: its number.
            newest: the time of its end value.
            at: when it was asked for.

        Returns:
            `NO_DATA` where nothing is due.
        """
        until = at - int(self.patience.grace * TICKS_PER_SECOND)
        if newest <= until:
            return newest
        awaited = self._awaited.get(tag, NO_DATA)
        return awaited if awaited <= until else NO_DATA

    def probed(
        self, tag: int, newest: int, value: int, at: int, listening: int | None
    ) -> Verdict:
        """What the end value of a tag says.

        It is not overdue for a while then, unless something is still to come.

        Args:
            tag: its number.
            newest: the time of its end value; `NO_DATA` where there is none.
            value: a fingerprint of the end value, not negative.
            at: when it was asked for.
            listening: since when a PI channel gives the tag; None if none does that
                should have given what is `due`.
        """
        patience = self.patience
        if self._value[tag] != value:
            self._value[tag], self._since[tag] = value, at
        due, known = self.due(tag, newest, at), self._newest[tag]
        if listening is not None and listening <= due and known < due:
            self._heard[tag] = at
            self._awaited.pop(tag, None)
            return Verdict.BLIND
        if listening is None or newest <= max(due, known):
            self._awaited.pop(tag, None)
            self._heard[tag] = at
        elif self._awaited.get(tag, NO_DATA) <= max(due, known):
            # It may be on its way; the tag is looked at again soon.
            self._awaited[tag] = newest
        if newest == NO_DATA:
            return Verdict.QUIET
        silent = (at - newest) / TICKS_PER_SECOND
        if silent > patience.stale * self.interval(tag):
            return Verdict.STALE
        same = (min(at, newest) - self._since[tag]) / TICKS_PER_SECOND
        return Verdict.FLAT if 0 < patience.flat < same else Verdict.QUIET
