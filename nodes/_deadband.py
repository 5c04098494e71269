"""The deadband, and which samples filters may leave out at all."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from nodes._limits import Keys
from nodes._per_tag import Limited, Turn
from pichannels.values import Sample

__all__ = ["LARGEST", "Deadband", "Overrides", "is_plain"]

LARGEST: Final = 1e300
"""Numbers beyond this pass: differences of them may be infinite."""

Overrides = Mapping[str, Mapping[str, Any]]

_BAND: Final = Keys(
    ("deviation", "deadband", "excdev"),
    ("deadbandpercent", "excdevpercent"),
    (),
    ("maxtime", "excmax"),
)


def is_plain(sample: Sample) -> bool:
    """Whether it is a number that may be left out."""
    value = sample.value
    kind = type(value)
    return (
        (kind is float or kind is int)
        and -LARGEST < value < LARGEST
        and sample.good
        and not sample.substituted
        and not sample.annotated
    )


class _Band:
    """What a deadband knows of one tag; `low` above `high` lets nothing fit."""

    __slots__ = (
        "high",
        "is_stale",
        "last",
        "limits",
        "low",
        "newest",
        "start",
        "until",
    )

    def __init__(self) -> None:
        self.low, self.high = inf, -inf
        self.newest = -(2**63)
        self.until = -1
        self.is_stale = True
        self.limits: Any = None
        self.start: Sample | None = None
        self.last: Sample | None = None

    def send(self, sample: Sample) -> None:
        """Go on from a sample that passes."""
        self.start = sample
        self.last = None
        self.newest = sample.ticks
        self._open(sample)

    def renew(self, limits: Any) -> None:
        """Take other limits."""
        self.is_stale = False
        self.limits = limits
        if self.start is not None:
            self._open(self.start)

    def _open(self, sample: Sample) -> None:
        deviation = self.limits.deviation
        self.until = sample.ticks + self.limits.maximum
        if deviation is None:
            self.low, self.high = inf, -inf
        else:
            self.low = sample.value - deviation
            self.high = sample.value + deviation


class Deadband(Limited):
    """Only values that differ by more than a deviation from the last one that passed.

    A reader who holds each value until the next one is never wrong by more than the
    deviation.

    Args:
        deviation: in the units of the tag, or a part of its span such as `"2%"`; in
            facts `deadband`, or else `excdev` or `excdevpercent`.
        max_time: seconds after which a value passes however little it differs; in
            facts `excmax`.
        span: of the tags, for deviations that are a part of it.
        overrides: patterns of tags -> limits, such as
            `{"UNIT1.*": {"deviation": 0.5}}`; the first that matches counts.
        refresh: seconds after which the facts of a tag are looked at again.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    why = "all values within the deadband"

    def __init__(
        self,
        deviation: float | str | None = None,
        *,
        max_time: float | None = None,
        span: float | None = None,
        overrides: Overrides | None = None,
        refresh: float = 60.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        limits = {"deviation": deviation, "maxtime": max_time, "span": span}
        self.limit(_BAND, limits, overrides, refresh)

    def select(
        self, samples: list[Sample], states: dict[Any, _Band], turn: Turn
    ) -> None:
        self.outdate()
        for sample in samples:
            try:
                state = states[sample.tag]
            except KeyError:
                state = states[sample.tag] = _Band()
            value = sample.value
            kind = type(value)
            if (
                (kind is float or kind is int)
                and state.low <= value <= state.high
                and state.newest <= sample.ticks < state.until
                and sample.good
                and not sample.substituted
                and not sample.annotated
            ):
                state.newest = sample.ticks
                state.last = sample
            else:
                self._look_closely(sample, state, turn)

    def _look_closely(self, sample: Sample, state: _Band, turn: Turn) -> None:
        if state.is_stale:
            state.renew(self.limits_of(sample.tag, turn))
            if (
                is_plain(sample)
                and state.low <= sample.value <= state.high
                and state.newest <= sample.ticks < state.until
            ):
                state.newest = sample.ticks
                state.last = sample
                return
        if sample.ticks < state.newest:
            self._pass_late(sample, state, turn)
            return
        turn.out.append(sample)
        if is_plain(sample):
            state.send(sample)
        else:
            state.newest = sample.ticks
            state.low, state.high = inf, -inf
            state.start = state.last = None

    def _pass_late(self, sample: Sample, state: _Band, turn: Turn) -> None:
        # Behind the newest one, so that a reader sees that this one is late.
        if state.last is not None:
            turn.out.append(state.last)
            state.send(state.last)
        turn.out.append(sample)
