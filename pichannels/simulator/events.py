"""What a simulated tag records: events, digital states and system states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = [
    "CREATED",
    "DELETED",
    "SYSTEM_STATES",
    "DigitalSet",
    "Event",
    "State",
    "Value",
]


class State(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A digital state as PI Web API writes it: name, number, system or not."""

    name: str
    value: int
    is_system: bool = False


class DigitalSet(msgspec.Struct, frozen=True):
    """A named set of digital states; the number of a state is its position."""

    name: str
    states: tuple[State, ...]

    @classmethod
    def of(cls, name: str, *names: str) -> DigitalSet:
        """A set whose states have these names, numbered from 0."""
        return cls(name, tuple(State(text, i) for i, text in enumerate(names)))

    def state(self, name: str) -> State | None:
        """The state with this name in any case, or None."""
        wanted = name.upper()
        return next((s for s in self.states if s.name.upper() == wanted), None)


Value = float | int | str | State | None
"""What an event can hold. A timestamp is its ISO text."""


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event of a tag; `ticks` are 100 ns since 1970 UTC."""

    ticks: int
    value: Value
    good: bool = True
    questionable: bool = False
    substituted: bool = False
    annotated: bool = False
    kept: bool = True
    """Whether the archive keeps it; compression leaves out the others."""
    error: str = ""
    """The server's sentence when it could not read this value."""


SYSTEM_STATES: Final[Mapping[str, State]] = MappingProxyType(
    {
        name: State(name, code, is_system=True)
        for name, code in {
            "Over Range": 242,
            "Under Range": 243,
            "I/O Timeout": 246,
            "No Data": 248,
            "Calc Failed": 249,
            "Pt Created": 253,
            "Shutdown": 254,
            "Bad Input": 255,
        }.items()
    }
)
"""The system states that occur here, by name."""

CREATED: Final = SYSTEM_STATES["Pt Created"]
"""What a tag holds before its first value."""
DELETED: Final = SYSTEM_STATES["No Data"]
"""What a channel carries in place of a deleted event."""
