"""What the archive holds at this instant: the oracle that tests compare with."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby

from pichannels.simulator.events import Event
from pichannels.simulator.plant import BLOCK, Plant
from pichannels.simulator.signals import arrival
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import TagTruth, Truth

__all__ = ["Archive", "Entry"]

Entry = tuple[Event, int, int]
"""An event with its `nth` among computed ones of its timestamp, and its number
when it was pushed (-1 otherwise)."""


class Archive:
    """The plant's computed history with the changes of the truth laid over it.

    `now` of every method is the simulated present in ticks: what has not arrived
    by then is not there.
    """

    def __init__(self, plant: Plant, truth: Truth) -> None:
        self.plant = plant
        self.truth = truth

    def events(
        self, tag: Tag, start: int, end: int, now: int, *, descending: bool = False
    ) -> Iterator[Event]:
        """What the archive holds in `[start, end]`, in order of time.

        The newest event is there even when compression will drop it, as long as
        no newer one has come.
        """
        entries = self.entries(tag, start, end, now, descending=descending)
        return (event for event, _, _ in entries)

    def entries(
        self, tag: Tag, start: int, end: int, now: int, *, descending: bool = False
    ) -> Iterator[Entry]:
        """As `events`, with what identifies each of them."""
        newest, newest_number = self._newest(tag, now)
        computed = self._computed(tag, start, end, now, descending)
        added: list[Entry] = [
            (one.event, 0, one.number)
            for one in self.truth.of(tag.name).between(start, end)
        ]
        if descending:
            added.reverse()
        sources = (added, computed) if descending else (computed, added)
        for entry in heapq.merge(*sources, key=_ticks, reverse=descending):
            event, _, number = entry
            if event.kept or (number == newest_number and event == newest):
                yield entry

    def _computed(
        self, tag: Tag, start: int, end: int, now: int, descending: bool
    ) -> Iterator[Entry]:
        """Computed events that have arrived, `kept` set as it is for each."""
        truth = self.truth.of(tag.name)
        birth = self.plant.birth()
        if start <= birth.ticks <= end and not descending:
            yield birth, 0, -1
        for number in self._blocks(tag, start, end, now, descending):
            if truth.outages and _absent(tag, truth, number, now):
                continue
            block = list(self._arrived(tag, truth, number, now))
            for entry in reversed(block) if descending else block:
                if start <= entry[0].ticks <= end:
                    yield entry
        if start <= birth.ticks <= end and descending:
            yield birth, 0, -1

    def _blocks(
        self, tag: Tag, start: int, end: int, now: int, descending: bool
    ) -> range:
        length = BLOCK * tag.period
        last = min(end, now - tag.latency) // length + 1
        first = max(start, self.plant.created) // length
        if not self.plant.active:
            return range(0)
        return range(last, first - 1, -1) if descending else range(first, last + 1)

    def _arrived(
        self, tag: Tag, truth: TagTruth, number: int, now: int
    ) -> Iterator[Entry]:
        block = self.plant.block(tag, number)
        for ticks, same in groupby(block, key=lambda pair: pair[0].ticks):
            for nth, (event, kept) in enumerate(same):
                if (ticks, nth) in truth.removed:
                    continue
                outage = truth.outage_at(ticks) if truth.outages else None
                comes = arrival(tag, event)
                if outage is not None:
                    comes, kept = max(comes, outage.arrive), kept or outage.late
                if comes <= now:
                    yield (event if kept else _dropped(event)), nth, -1

    def _newest(self, tag: Tag, now: int) -> tuple[Event, int]:
        """The current value, and its number when it was pushed."""
        truth = self.truth.of(tag.name)
        pushed = truth.last(1 << 62)
        best = (self.plant.birth(), -1)
        for entry in self._computed(tag, self.plant.created, 1 << 62, now, True):
            best = (entry[0], entry[2])
            break
        if pushed is not None and pushed.ticks >= best[0].ticks:
            return pushed.event, pushed.number
        return best

    def snapshot(self, tag: Tag, now: int) -> Event:
        """The current value of the tag: the newest of all that have come."""
        return self._newest(tag, now)[0]

    def before(self, tag: Tag, ticks: int, now: int) -> Event | None:
        """The newest archived event not after `ticks`."""
        found = self.events(tag, self.plant.created, ticks, now, descending=True)
        return next(found, None)

    def after(self, tag: Tag, ticks: int, now: int) -> Event | None:
        """The oldest archived event not before `ticks`."""
        return next(self.events(tag, ticks, 1 << 62, now), None)

    def value_at(self, tag: Tag, ticks: int, now: int) -> Event | None:
        """The value at an instant: interpolated, or held for step tags.

        None before the tag was made.
        """
        before = self.before(tag, ticks, now)
        if before is None or before.ticks == ticks or tag.step or not before.good:
            return before if before is None else _at(before, ticks)
        after = self.after(tag, ticks, now)
        if after is None or not after.good:
            return _at(before, ticks)
        return Event(ticks, _between(before, after, ticks))


def _absent(tag: Tag, truth: TagTruth, number: int, now: int) -> bool:
    """Whether an outage holds back the whole block."""
    first = number * BLOCK * tag.period
    last = first + BLOCK * tag.period
    return any(
        outage.arrive > now
        and outage.start <= first - tag.template.resolution
        and last <= outage.end
        for outage in truth.outages
    )


def _ticks(entry: Entry) -> int:
    return entry[0].ticks


def _dropped(event: Event) -> Event:
    return Event(
        event.ticks,
        event.value,
        event.good,
        event.questionable,
        event.substituted,
        event.annotated,
        kept=False,
    )


def _at(event: Event, ticks: int) -> Event:
    return Event(ticks, event.value, event.good, event.questionable)


def _between(before: Event, after: Event, ticks: int) -> float:
    share = (ticks - before.ticks) / (after.ticks - before.ticks)
    first, last = float(before.value), float(after.value)  # type: ignore[arg-type]
    return first + (last - first) * share
