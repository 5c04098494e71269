"""Fewer values, within a bound that holds: deadband, exceptions, swinging door.

All of them work for each tag by itself and look only at good numbers. Anything else
(text, a digital state, a system state, a bad, substituted or annotated value) passes,
and the tag begins anew: its next number passes too. So does a sample that is older
than one before it; it changes nothing that is known of the tag.

Limits are looked for in the `overrides` first, then in the facts that enrich nodes
have put into `meta["tags"]`, then among the options. A tag without a deviation passes
as it is. `docs/filters.md` says which bound each filter keeps, and why.
"""

from __future__ import annotations

from typing import Any, Final

from nodes._deadband import LARGEST, Deadband, Overrides, is_plain
from nodes._holding import HeldState, Holding, HoldingTurn
from nodes._limits import Keys
from nodes._options import at_least
from pichannels.values import Sample

__all__ = ["Deadband", "ExceptionReport", "SwingingDoor"]

_EXCEPTION: Final = Keys(("excdev",), ("excdevpercent",), ("excmin",), ("excmax",))
_DOOR: Final = Keys(
    ("compdev",), ("compdevpercent",), ("compmin",), ("compmax",), "compressing"
)


class ExceptionReport(Holding):
    """PI's exception reporting: values that leave a band, each with the one before.

    A value is an exception when it differs by more than `exc_dev` from the last value
    that was reported, at least `exc_min` after it, or when `exc_max` has passed. Then
    the value before the exception passes too, so that a reader who draws lines sees
    where the change began.

    Args:
        exc_dev: in the units of the tag, or a part of its span such as `"1%"`; in
            facts `excdev` or `excdevpercent`.
        exc_min: seconds after a reported value in which nothing is an exception; in
            facts `excmin`.
        exc_max: seconds after which any value is one; in facts `excmax`.
        span: of the tags, for deviations that are a part of it.
        overrides: patterns of tags -> limits; the first that matches counts.
        refresh: seconds after which the facts of a tag are looked at again.
        max_hold: seconds that a message may stay unsettled because a value of it is
            held back; then the value is saved instead.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    why = "no exception"

    def __init__(
        self,
        exc_dev: float | str | None = None,
        *,
        exc_min: float | None = None,
        exc_max: float | None = None,
        span: float | None = None,
        overrides: Overrides | None = None,
        refresh: float = 60.0,
        max_hold: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("max_hold", max_hold, 0)
        self.max_hold = max_hold
        limits = {"excdev": exc_dev, "excmin": exc_min, "excmax": exc_max, "span": span}
        self.limit(_EXCEPTION, limits, overrides, refresh)

    def select(
        self, samples: list[Sample], states: dict[Any, HeldState], turn: HoldingTurn
    ) -> None:
        self.outdate()
        source = turn.source
        for sample in samples:
            try:
                state = states[sample.tag]
            except KeyError:
                state = self.begin(sample.tag, states)
            value = sample.value
            kind = type(value)
            if (
                (kind is float or kind is int)
                and state.low <= value <= state.high
                and state.after <= sample.ticks < state.until
                and sample.good
                and not sample.substituted
                and not sample.annotated
            ):
                state.after = sample.ticks
                state.held = sample
                if state.source is not source or state.saved_at is not None:
                    self.move(state, source)
            else:
                self._look_closely(sample, state, turn)

    def _look_closely(
        self, sample: Sample, state: HeldState, turn: HoldingTurn
    ) -> None:
        if state.is_stale:
            self._renew(state, sample, turn)
        may_wait = is_plain(sample)
        if may_wait and self._is_unexceptional(state, sample):
            state.after = sample.ticks
            state.held = sample
            if state.source is not turn.source or state.saved_at is not None:
                self.move(state, turn.source)
            return
        is_late = sample.ticks < state.after
        self.send_held(state, turn)
        turn.out.append(sample)
        if is_late:
            return
        state.after = sample.ticks
        if may_wait:
            self._report(state, sample)
        else:
            state.reset()

    def _is_unexceptional(self, state: HeldState, sample: Sample) -> bool:
        start, ticks = state.start, sample.ticks
        if start is None or ticks < state.after or state.limits.deviation is None:
            return False
        if ticks >= start.ticks + state.limits.maximum or state.low > state.high:
            return False
        is_early = ticks < start.ticks + state.limits.minimum
        return is_early or bool(state.low <= sample.value <= state.high)

    def _renew(self, state: HeldState, sample: Sample, turn: HoldingTurn) -> None:
        state.is_stale = False
        state.limits = self.limits_of(sample.tag, turn)
        if state.start is not None and state.low <= state.high:
            self._report(state, state.start)

    def _report(self, state: HeldState, sample: Sample) -> None:
        deviation = state.limits.deviation
        state.start = sample
        state.until = sample.ticks + state.limits.maximum
        if deviation is None:
            state.close()
        else:
            state.low = sample.value - deviation
            state.high = sample.value + deviation

    def send_held(self, state: HeldState, turn: HoldingTurn) -> None:
        held = state.held
        self.let_go(state, turn)
        if held is not None and state.limits is not None:
            self._report(state, held)


class SwingingDoor(Holding):
    """PI's compression: only the values that lines between them need.

    A reader who draws lines between the values that passed is never wrong by more
    than `comp_dev`. The newest value of each tag is held back, because only the next
    one tells whether it is needed. A tag with the fact `step` is not drawn with
    lines: it gets a deadband of `comp_dev`.

    Args:
        comp_dev: in the units of the tag, or a part of its span such as `"2%"`; in
            facts `compdev` or `compdevpercent`.
        comp_min: seconds after a value that passed in which values are left out
            without a look; in facts `compmin`.
        comp_max: seconds after which a value passes although the line is straight;
            in facts `compmax`.
        span: of the tags, for deviations that are a part of it.
        overrides: patterns of tags -> limits; the first that matches counts.
        refresh: seconds after which the facts of a tag are looked at again.
        max_hold: seconds that a message may stay unsettled because a value of it is
            held back; then the value is saved instead.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    why = "all values on the line"

    def __init__(
        self,
        comp_dev: float | str | None = None,
        *,
        comp_min: float | None = None,
        comp_max: float | None = None,
        span: float | None = None,
        overrides: Overrides | None = None,
        refresh: float = 60.0,
        max_hold: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("max_hold", max_hold, 0)
        self.max_hold = max_hold
        limits = {"compdev": comp_dev, "compmin": comp_min, "compmax": comp_max}
        self.limit(_DOOR, {**limits, "span": span}, overrides, refresh)

    def select(
        self, samples: list[Sample], states: dict[Any, HeldState], turn: HoldingTurn
    ) -> None:
        self.outdate()
        for sample in samples:
            try:
                state = states[sample.tag]
            except KeyError:
                state = self.begin(sample.tag, states)
            kind = type(sample.value)
            if (
                not (kind is float or kind is int)
                or not state.after < sample.ticks < state.until
                or not sample.good
                or sample.substituted
                or sample.annotated
                or not self._fits(sample, state, turn)
            ):
                self._look_closely(sample, state, turn)

    def _fits(self, sample: Sample, state: HeldState, turn: HoldingTurn) -> bool:
        """Whether the door stays open; then the sample is the one that is held."""
        start: Any = state.start
        if start is None:
            return False
        elapsed = sample.ticks - start.ticks
        rise = sample.value - start.value
        if not state.low <= rise / elapsed <= state.high:
            return False
        deviation = state.limits.deviation
        low, high = (rise - deviation) / elapsed, (rise + deviation) / elapsed
        if low > state.low:
            state.low = low
        if high < state.high:
            state.high = high
        state.after = sample.ticks
        state.held = sample
        if state.source is not turn.source or state.saved_at is not None:
            self.move(state, turn.source)
        return True

    def _look_closely(
        self, sample: Sample, state: HeldState, turn: HoldingTurn
    ) -> None:
        if state.is_stale:
            self._renew(state, sample, turn)
        newest = state.after if state.held is not None else state.seen
        if not is_plain(sample):
            self._pass(sample, state, turn, newest)
            if sample.ticks >= newest:
                state.reset()
        elif state.limits.is_step or state.limits.deviation is None:
            self._hold_value(sample, state, turn, newest)
        elif sample.ticks <= newest:
            self._pass(sample, state, turn, newest)
        else:
            self._swing(sample, state, turn)

    def _pass(
        self, sample: Sample, state: HeldState, turn: HoldingTurn, newest: int
    ) -> None:
        """Let a sample pass without a look at the line, behind what is held."""
        self.send_held(state, turn)
        turn.out.append(sample)
        if sample.ticks >= newest:
            self._begin_line(state, sample)

    def _swing(self, sample: Sample, state: HeldState, turn: HoldingTurn) -> None:
        """A number, newer than all, that is not known to fit."""
        if self._goes_on(sample, state, turn):
            return
        self.send_held(state, turn)
        if not self._goes_on(sample, state, turn):
            turn.out.append(sample)
            self._begin_line(state, sample)

    def _goes_on(self, sample: Sample, state: HeldState, turn: HoldingTurn) -> bool:
        """Whether the line goes on without letting anything pass."""
        start, ticks = state.start, sample.ticks
        if start is None or state.low > state.high or ticks >= state.until:
            return False
        if ticks < start.ticks + state.limits.minimum:
            state.seen = ticks
            return True
        return self._fits(sample, state, turn)

    def _hold_value(
        self, sample: Sample, state: HeldState, turn: HoldingTurn, newest: int
    ) -> None:
        """A deadband, for tags that are not drawn with lines."""
        start, deviation = state.start, state.limits.deviation
        if start is None or deviation is None or sample.ticks < newest:
            self._pass(sample, state, turn, newest)
            return
        is_early = sample.ticks < start.ticks + state.limits.minimum
        is_near = bool(abs(sample.value - start.value) <= deviation)
        if sample.ticks < state.until and (is_early or is_near):
            state.seen = sample.ticks
        else:
            self._pass(sample, state, turn, newest)

    def _renew(self, state: HeldState, sample: Sample, turn: HoldingTurn) -> None:
        """Take the limits of now; a line that was begun under others ends."""
        before, state.limits = state.limits, self.limits_of(sample.tag, turn)
        state.is_stale = False
        start = state.start
        if start is None:
            return
        if before == state.limits:
            state.until = start.ticks + state.limits.maximum
        elif state.held is not None:
            self.send_held(state, turn)
        else:
            seen = state.seen
            self._begin_line(state, start)
            state.seen = max(seen, start.ticks)

    def _begin_line(self, state: HeldState, sample: Sample) -> None:
        """The next line starts at a sample that passes."""
        limits = state.limits
        state.start = sample
        state.until = sample.ticks + limits.maximum
        state.seen = sample.ticks
        # Whatever comes sooner than the minimum needs a closer look.
        state.after = max(sample.ticks, sample.ticks + limits.minimum - 1)
        if limits.deviation is None or limits.is_step:
            state.close()
        else:
            state.low, state.high = -LARGEST, LARGEST

    def send_held(self, state: HeldState, turn: HoldingTurn) -> None:
        held = state.held
        self.let_go(state, turn)
        if held is not None and state.limits is not None:
            self._begin_line(state, held)
