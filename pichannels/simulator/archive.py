"""What the archive holds at this instant: the oracle that tests compare with."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from msgspec.structs import replace

from pichannels.simulator.events import Event
from pichannels.simulator.plant import Plant, block_length
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
            for one in self.truth.of(tag.made).between(start, end)
        ]
        if descending:
            added.reverse()
        sources = (added, computed) if descending else (computed, added)
        for entry in heapq.merge(*sources, key=_ticks, reverse=descending):
            event, _, number = entry
            if event.kept or (
                event.ticks == newest.ticks
                and number == newest_number
                and event.value == newest.value
            ):
                yield entry

    def _computed(
        self, tag: Tag, start: int, end: int, now: int, descending: bool
    ) -> Iterator[Entry]:
        """Computed events that have arrived, `kept` set as it is for each."""
        truth = self.truth.of(tag.made)
        birth = self.plant.birth()
        if start <= birth.ticks <= end and not descending:
            yield birth, 0, -1
        for number in self._blocks(tag, start, end, now, descending):
            if truth.outages and _absent(tag, truth, number, now):
                continue
            block = self._arrived(tag, truth, number, now)
            for entry in reversed(list(block)) if descending else block:
                if start <= entry[0].ticks <= end:
                    yield entry
        if start <= birth.ticks <= end and descending:
            yield birth, 0, -1

    def _blocks(
        self, tag: Tag, start: int, end: int, now: int, descending: bool
    ) -> range:
        if not self.plant.is_live(tag):
            return range(0)
        length = block_length(tag)
        # A timestamp is rounded down, perhaps to before its block.
        newest = min(end, now - tag.latency) + tag.template.resolution
        last = newest // length
        first = max(start, self.plant.created) // length
        return range(last, first - 1, -1) if descending else range(first, last + 1)

    def _arrived(
        self, tag: Tag, truth: TagTruth, number: int, now: int
    ) -> Iterator[Entry]:
        before, nth = -1, 0
        for event in self.plant.block(tag, number):
            nth = nth + 1 if event.ticks == before else 0
            before = event.ticks
            if (before, nth) in truth.removed:
                continue
            outage = truth.outage_at(before) if truth.outages else None
            if arrival(tag, event) > now or (outage and outage.arrive > now):
                continue
            late = outage is not None and outage.late and not event.kept
            yield (replace(event, kept=True) if late else event), nth, -1

    def _newest(self, tag: Tag, now: int) -> tuple[Event, int]:
        """The current value, and its number when it was pushed."""
        pushed = self.truth.of(tag.made).last(1 << 62)
        best = self._last_computed(tag, now)
        if pushed is not None and pushed.ticks >= best.ticks:
            return pushed.event, pushed.number
        return best, -1

    def _last_computed(self, tag: Tag, now: int) -> Event:
        if self.truth.of(tag.made).unchanged and not tag.jitter:
            return self._last_measured(tag, now)
        computed = self._computed(tag, self.plant.created, 1 << 62, now, True)
        return next(computed)[0]

    def _last_measured(self, tag: Tag, now: int) -> Event:
        """As the newest computed one, without a look at what is kept."""
        if self.plant.is_live(tag):
            newest = now - tag.latency
            slot = (newest + tag.template.resolution) // tag.period
            for number in range(slot, self.plant.first_slot(tag) - 1, -1):
                events = self.plant.slot(tag, number)
                if events and events[-1].ticks <= newest:
                    return events[-1]
        return self.plant.birth()

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
    first = number * block_length(tag)
    last = first + block_length(tag)
    return any(
        outage.arrive > now
        and outage.start <= first - tag.template.resolution
        and last <= outage.end
        for outage in truth.outages
    )


def _ticks(entry: Entry) -> int:
    return entry[0].ticks


def _at(event: Event, ticks: int) -> Event:
    return Event(ticks, event.value, event.good, event.questionable)


def _between(before: Event, after: Event, ticks: int) -> float:
    share = (ticks - before.ticks) / (after.ticks - before.ticks)
    first, last = float(before.value), float(after.value)  # type: ignore[arg-type]
    return first + (last - first) * share
