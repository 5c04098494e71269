"""Changes made at run time: what the plant's own history does not hold.

Pushed events, edits, deletions and outages of the source, each tag's own. With
a `ChangeLog` they survive a restart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pichannels.simulator.events import Event

__all__ = [
    "Added",
    "Change",
    "Described",
    "Gone",
    "Made",
    "Origin",
    "Outage",
    "Put",
    "Removed",
    "Structural",
    "TagTruth",
    "Truth",
]


class Origin(msgspec.Struct, frozen=True, tag="origin"):
    """What the simulator of this log was started with; times are ticks."""

    seed: int
    tags: int
    activity: float
    start: int
    anchor: int
    speed: float


class Put(msgspec.Struct, frozen=True, tag="put"):
    """An event was added to a tag; `number` tells it from others."""

    tag: str
    number: int
    event: Event


class Removed(msgspec.Struct, frozen=True, tag="removed"):
    """An event is gone: a pushed one by number, a computed one by place.

    `nth` counts the computed events with the same timestamp from 0.
    """

    tag: str
    ticks: int
    nth: int = 0
    number: int = -1


class Outage(msgspec.Struct, frozen=True, tag="outage"):
    """Nothing measured in `[start, end)` reaches the server before `arrive`."""

    tag: str
    start: int
    end: int
    arrive: int

    @property
    def late(self) -> bool:
        """Whether newer events come first, so that these bypass compression."""
        return self.arrive > self.end

    def holds(self, ticks: int) -> bool:
        """Whether an event with this timestamp is held back."""
        return self.start <= ticks < self.end


class Described(msgspec.Struct, frozen=True, tag="described"):
    """The metadata of a point, an element or an attribute were changed.

    `subject` is the path that it had then; `facts` what it has since.
    """

    subject: str
    facts: dict[str, Any]


class Made(msgspec.Struct, frozen=True, tag="made"):
    """A point, an element or an attribute was made.

    `owner` is the path of the AF object above it, `id` its GUID; points and elements
    at the top of the database have no owner.
    """

    kind: Literal["point", "element", "attribute"]
    facts: dict[str, Any]
    owner: str = ""
    id: str = ""


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """A point, an element or an attribute was deleted; its path at that time."""

    subject: str


Structural: TypeAlias = Described | Made | Gone
"""Changes of points and AF objects rather than of values."""
Change = Origin | Put | Removed | Outage | Structural


class Added(msgspec.Struct, frozen=True, order=True):
    """A pushed event in the list of its tag."""

    ticks: int
    number: int
    event: Event = msgspec.field(default_factory=lambda: Event(0, None))


class TagTruth:
    """The changes of one tag."""

    def __init__(self) -> None:
        self.added: list[Added] = []
        self.removed: set[tuple[int, int]] = set()
        self.outages: list[Outage] = []

    @property
    def unchanged(self) -> bool:
        """Whether the computed history of the tag is as it was."""
        return not self.removed and not self.outages

    def between(self, start: int, end: int) -> list[Added]:
        """Pushed events with timestamps in `[start, end]`, in order."""
        low = bisect_left(self.added, start, key=_ticks)
        return self.added[low : bisect_right(self.added, end, key=_ticks)]

    def last(self, end: int) -> Added | None:
        """The newest pushed event not after `end`."""
        at = bisect_right(self.added, end, key=_ticks)
        return self.added[at - 1] if at else None

    def outage_at(self, ticks: int) -> Outage | None:
        """The outage that holds back an event with this timestamp longest."""
        held = (outage for outage in self.outages if outage.holds(ticks))
        return max(held, key=lambda outage: outage.arrive, default=None)


def _ticks(added: Added) -> int:
    return added.ticks


_UNCHANGED: Final = TagTruth()


class Truth:
    """The changes of all tags; each one is told to `on_change`."""

    def __init__(self, on_change: Callable[[Change], None] | None = None) -> None:
        self._tags: dict[str, TagTruth] = {}
        self.structure: list[Structural] = []
        self._number = 0
        self._tell = on_change

    def of(self, tag: str) -> TagTruth:
        """The changes of this tag; not to be changed by the caller."""
        return self._tags.get(tag, _UNCHANGED)

    def changed(self) -> Iterator[str]:
        """The names of the tags that have changes."""
        return iter(self._tags)

    def put(self, tag: str, event: Event) -> None:
        """Add an event to a tag."""
        self._number += 1
        self._do(Put(tag, self._number, event))

    def remove(self, tag: str, ticks: int, nth: int = 0, number: int = -1) -> None:
        """Take away an event: the pushed `number`, or a computed one."""
        self._do(Removed(tag, ticks, nth, number))

    def outage(self, tag: str, start: int, end: int, arrive: int) -> Outage:
        """Hold back what the tag measures in `[start, end)` until `arrive`."""
        outage = Outage(tag, start, end, arrive)
        self._do(outage)
        return outage

    def note(self, change: Structural) -> None:
        """Note that points or AF objects were changed, made or deleted."""
        self._do(change)

    def _do(self, change: Change) -> None:
        self.apply(change)
        if self._tell is not None:
            self._tell(change)

    def apply(self, change: Change) -> None:
        """Do a change of before again, without telling it."""
        if isinstance(change, Origin):
            return
        if isinstance(change, Described | Made | Gone):
            self.structure.append(change)
            return
        truth = self._tags.setdefault(change.tag, TagTruth())
        if isinstance(change, Put):
            self._number = max(self._number, change.number)
            insort(truth.added, Added(change.event.ticks, change.number, change.event))
        elif isinstance(change, Outage):
            truth.outages.append(change)
        elif change.number < 0:
            truth.removed.add((change.ticks, change.nth))
        else:
            _discard(truth.added, change)


def _discard(added: list[Added], change: Removed) -> None:
    at = bisect_left(added, (change.ticks, change.number), key=_place)
    if at < len(added) and _place(added[at]) == (change.ticks, change.number):
        del added[at]


def _place(added: Added) -> tuple[int, int]:
    return added.ticks, added.number
