"""How long stored messages are kept: by age, by size, and by state; pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from pichannels import clock
from pichannels.errors import SettingsError, nearest
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND

__all__ = ["DAY", "Outline", "Retention"]

DAY: Final = 86_400.0
"""Seconds."""

Id = TypeVar("Id", int, str)


class Outline(NamedTuple, Generic[Id]):
    """What decides whether a stored message is kept.

    Attributes:
        ticks: when it was made.
        size: bytes that it takes.
    """

    id: Id
    ticks: int
    state: State
    size: int


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Which settled messages are kept; those that are not settled always are.

    Attributes:
        age: seconds that a message is kept; None for ever.
        size: bytes that the messages of a store may take; beyond it the oldest
            settled ones go. None for any number.
        states: state -> seconds (or None for ever), for states with an age of their
            own: their messages go by it alone, not for the size. By default
            messages in error are kept for 30 days.

    Raises:
        SettingsError: a number is not usable, or there is no such final state.
    """

    age: float | None = 7 * DAY
    size: int | None = 10 * 2**30
    states: Mapping[str, float | None] = msgspec.field(
        default_factory=lambda: {State.ERROR: 30 * DAY}
    )

    def __post_init__(self) -> None:
        final = [str(state) for state in State if state.is_final]
        for name in self.states:
            if name not in final:
                raise SettingsError(
                    f"not a state that messages end in{nearest(name, final)}",
                    key="states",
                    found=name,
                    allowed=", ".join(final),
                )
        numbers = {"age": self.age, "size": self.size, **self.states}
        for key, found in numbers.items():
            is_number = isinstance(found, int | float) and not isinstance(found, bool)
            if found is not None and not (is_number and found >= 0):
                raise SettingsError(
                    "not a usable number", key=key, found=found, allowed="0 or more"
                )

    def age_of(self, state: State) -> float | None:
        """Seconds that messages in this state are kept; None for ever."""
        return self.states[state] if state in self.states else self.age

    def oldest(self, state: State) -> int | None:
        """The instant before which messages in this state go; None for none."""
        age = self.age_of(state)
        return None if age is None else clock.now() - int(age * TICKS_PER_SECOND)

    def expired(self, stored: Iterable[Outline[Id]]) -> list[Id]:
        """Which of all messages of a store go, the oldest first."""
        limits = {state: self.oldest(state) for state in State if state.is_final}
        gone: list[tuple[int, Id]] = []
        yielding: list[tuple[int, Id, int]] = []
        used = 0
        for one in stored:
            limit = limits.get(one.state)
            if limit is not None and one.ticks < limit:
                gone.append((one.ticks, one.id))
                continue
            used += one.size
            if one.state.is_final and one.state not in self.states:
                yielding.append((one.ticks, one.id, one.size))
        if self.size is not None and used > self.size:
            gone += _oldest_of(yielding, used - self.size)
        return [id for _, id in sorted(gone)]


def _oldest_of(found: list[tuple[int, Id, int]], excess: int) -> list[tuple[int, Id]]:
    """The oldest ones that together take at least `excess` bytes."""
    heapq.heapify(found)
    gone = []
    while excess > 0 and found:
        ticks, id, size = heapq.heappop(found)
        gone.append((ticks, id))
        excess -= size
    return gone
