"""Which windows, what is told of them, and what becomes of late values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pichannels.errors import UsageError, nearest
from pichannels.windows.aggregates import Aggregates
from pichannels.windows.fixed import FixedState
from pichannels.windows.keyed import KeyState, Ordered, Rules
from pichannels.windows.moving import SessionState, SlidingState
from pichannels.windows.revising import RevisingState
from pichannels.windows.shapes import Hopping, Session, Shape, Sliding, ticks_of
from pichannels.windows.sketch import DEFAULT_ERROR
from pichannels.windows.weighing import WeighedState

__all__ = ["LATE", "Windowing"]

LATE: Final = ("drop", "side", "update")
"""What can become of late values."""


class Windowing:
    """Makes the windows of each key.

    Args:
        shape: which windows.
        aggregates: names of what is told of each, see `AGGREGATES`.
        lateness: seconds that a value may come behind the newest one of its key, as
            windows are closed that much later.
        late: what becomes of values that come even later: `drop`, `side` (they are
            given out as they came), `update` (a window that was told is told again).
        keep: seconds for which windows can be told again; later values are dropped.
        step: for time-weighted aggregates, whether a value holds until the next one.
        error: the relative error of percentiles.

    Raises:
        UsageError: an option is not usable, or not with this shape.
    """

    def __init__(
        self,
        shape: Shape,
        aggregates: Iterable[str],
        *,
        lateness: float = 0.0,
        late: str = "drop",
        keep: float | None = None,
        step: bool = False,
        error: float = DEFAULT_ERROR,
    ) -> None:
        self.shape = shape
        self.aggregates = Aggregates(aggregates, error)
        if late not in LATE:
            hint = nearest(str(late), LATE)
            raise UsageError(f"late is one of {', '.join(LATE)}, not {late!r}{hint}")
        self.late = late
        if late == "update" and keep is None:
            raise UsageError("late='update' takes keep, seconds")
        if late != "update" and keep is not None:
            raise UsageError("keep goes with late='update'")
        self._rules = Rules(
            self.aggregates,
            ticks_of("lateness", lateness, 0),
            0 if keep is None else ticks_of("keep", keep),
            step,
        )

    def state(self) -> KeyState:
        """The windows of a new key."""
        if self._is_plain:
            assert isinstance(self.shape, Hopping)
            return FixedState(self._rules, self.shape)
        if self.late == "update":
            return RevisingState(self._rules, self._ordered)
        return self._ordered(self._rules)

    @property
    def _is_plain(self) -> bool:
        """Whether the order of the values does not matter."""
        return isinstance(self.shape, Hopping) and not self.aggregates.is_weighed

    def _ordered(self, rules: Rules) -> Ordered:
        shape = self.shape
        if isinstance(shape, Sliding):
            return SlidingState(rules, shape)
        if isinstance(shape, Session):
            return SessionState(rules, shape)
        return WeighedState(rules, shape)

    @property
    def form(self) -> list[Any]:
        """Plain data that differs where a saved state cannot be gone on with."""
        facts = [value for _, value in sorted(vars(self.shape).items())]
        state = self.state()
        kinds = [type(state).__name__]
        if isinstance(state, RevisingState):
            kinds.append(type(self._ordered(self._rules)).__name__)
        return [*kinds, *facts, *self.aggregates.needs]
