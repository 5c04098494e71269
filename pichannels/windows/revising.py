"""Windows whose values have to come in order, told again when a late one comes.

The values of the last `keep` seconds are kept. When one of them comes late, all that
follows the older ones is computed anew, as if it had come in time; the windows that are
not as they were told are told again. So what is told last of a window rests on its
values alone, and not on when they came.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable
from math import isclose
from typing import Any

from pichannels.windows.bucket import packed, unpacked
from pichannels.windows.keyed import (
    BEFORE,
    KeyState,
    Ordered,
    Result,
    Rules,
    at,
    event_of,
    events_of,
    packed_events,
)

__all__ = ["RevisingState"]


class RevisingState(KeyState):
    """Windows of any ordered kind, with what is needed to tell them again.

    A window that is no more (a late value has joined two sessions, or has ended the
    good time) is told again as an empty one.

    Args:
        rules: with `keep`.
        make: makes the windows for some rules.
    """

    __slots__ = ("_base", "_forced", "_inner", "_is_dirty", "_log", "_make", "_told")

    def __init__(self, rules: Rules, make: Callable[[Rules], Ordered]) -> None:
        self._make = make
        self._inner = make(rules)
        # What the values have come to that are older than `keep`.
        self._base = make(rules._replace(lateness=0))
        # Those that are not, in order, and what was told of windows that may change.
        self._log: list[Any] = []
        self._told: dict[int, Result] = {}
        # Up to when time was told to have passed.
        self._forced = BEFORE
        self._is_dirty = False
        super().__init__(rules)

    @property
    def mark(self) -> int:
        """The watermark, ticks."""
        return self._inner.mark

    @mark.setter
    def mark(self, mark: int) -> None:
        self._inner.mark = mark

    @property
    def step(self) -> bool:
        """Whether values hold until the next one."""
        return self._inner.step

    @step.setter
    def step(self, step: bool) -> None:
        self._inner.step = self._base.step = step

    @property
    def is_open(self) -> bool:
        return self._inner.is_open

    def add(self, ticks: int, value: Any, good: bool, out: list[Result]) -> bool:
        found: list[Result] = []
        is_guess = self._inner.has_guessed
        if self._inner.add(ticks, value, good, found):
            # Of a line that was not known when time had closed its windows.
            self._is_dirty = self._is_dirty or is_guess
        elif ticks + self._rules.keep <= self._inner.mark:
            return False
        else:
            self._is_dirty = True
        if not self._is_dirty:
            self._give_all(found, out)
        insort(self._log, event_of(ticks, value, good), key=at)
        return True

    def revise(self, out: list[Result]) -> None:
        if self._is_dirty:
            self._is_dirty = False
            self._compute(out)
        self._let_go()

    def _compute(self, out: list[Result]) -> None:
        """Compute all anew from the values, and tell what has changed."""
        state = self._make(self._rules)
        state.load(self._base.dump())
        results: list[Result] = []
        state.take_all(
            self._log, self._forced, self._inner.mark, len(self._told), results
        )
        self._inner = state
        last = {result.start: result for result in results}
        for start, told in self._told.items():
            if start not in last and not state.has_open(start):
                empty = self._rules.aggregates.bucket(start, told.end)
                values = self._rules.aggregates.values(empty)
                last[start] = Result(start, told.end, values)
        self._give_all([last[start] for start in sorted(last)], out)

    def _give_all(self, results: list[Result], out: list[Result]) -> None:
        """Tell results that are not as they were told before."""
        for result in results:
            told = self._told.get(result.start)
            if told is None:
                given = result
            elif _are_same(told, result):
                continue
            else:
                given = result._replace(revision=told.revision + 1)
            self._told[result.start] = given
            out.append(given)

    def _let_go(self) -> None:
        """Add up what is older than `keep`, when it is some part of what is kept."""
        log, base = self._log, self._base
        count = bisect_right(log, self._inner.mark - self._rules.keep, key=at)
        if count <= len(log) // 8:
            return
        closed: list[Result] = []
        for ticks, value, good, _ in log[:count]:
            base.add(ticks, value, good, closed)
        del log[:count]
        self._told = {
            start: told
            for start, told in self._told.items()
            if told.end > base.mark or base.has_open(start)
        }

    def advance(self, mark: int, out: list[Result]) -> None:
        self.revise(out)
        if mark > self._inner.mark:
            found: list[Result] = []
            self._inner.advance(mark, found)
            self._forced = mark
            self._give_all(found, out)

    def finish(self, out: list[Result]) -> None:
        self.revise(out)
        found: list[Result] = []
        self._inner.finish(found)
        self._give_all(found, out)

    def dump(self) -> list[Any]:
        told = [
            [start, end, [packed(value) for value in values.values()], revision]
            for start, end, values, revision in self._told.values()
        ]
        return [
            *super().dump(),
            self._base.dump(),
            self._inner.dump(),
            packed_events(self._log),
            told,
            self._forced,
            self._is_dirty,
        ]

    def load(self, data: list[Any]) -> list[Any]:
        base, inner, log, told, self._forced, self._is_dirty, *rest = super().load(data)
        self._base.load(base)
        self._inner.load(inner)
        self._log = events_of(log)
        names = self._rules.aggregates.names
        self._told = {}
        for start, end, values, revision in told:
            # Aggregates may have been added since.
            named = dict(zip(names, map(unpacked, values), strict=False))
            self._told[start] = Result(start, end, named, revision)
        return rest


def _are_same(told: Result, result: Result) -> bool:
    if told.end != result.end or told.values.keys() != result.values.keys():
        return False
    return all(
        _is_same(value, result.values[name]) for name, value in told.values.items()
    )


def _is_same(one: Any, other: Any) -> bool:
    """Whether these are one value, which may have been computed in another way."""
    if type(one) is float and type(other) is float:
        return isclose(one, other, rel_tol=1e-12) or (one != one and other != other)
    return type(one) is type(other) and bool(one == other)
