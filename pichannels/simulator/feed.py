"""The snapshot feed: every event that comes for the tags that are listened to.

A heap holds, for each tag, the next slot to be looked at and the events that are
known but have not come (late, or held back by an outage). A poll takes what has
come by now, so its cost follows the number of events and not of tags.
"""

from __future__ import annotations

import heapq
from itertools import count

from pichannels.simulator.events import Event
from pichannels.simulator.plant import Plant
from pichannels.simulator.signals import arrival, earliest_arrival
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import Truth

__all__ = ["Feed"]

_Item = tuple[int, int, Tag, int, int, Event | None]
"""Arrival, a number that breaks ties, tag, its listening, slot, event if known."""


class Feed:
    """What comes for the listened tags, poll by poll."""

    def __init__(self, plant: Plant, truth: Truth) -> None:
        self._plant = plant
        self._truth = truth
        self._heap: list[_Item] = []
        self._since: dict[int, int] = {}
        self._extra: list[tuple[int, Tag, Event]] = []
        self._order = count()
        self._generation: dict[int, int] = {}

    def __contains__(self, tag: Tag) -> bool:
        return tag.index in self._since

    def listen(self, tag: Tag, now: int) -> None:
        """Feed what comes for the tag after `now`."""
        if tag in self:
            return
        self._since[tag.index] = now
        self._generation[tag.index] = next(self._order)
        if not self._plant.is_live(tag):
            return
        held = [o.start for o in self._truth.of(tag.made).outages if o.arrive > now]
        oldest = min(now - tag.latency - tag.jitter, *held, now)
        slot = max(oldest // tag.period - 1, self._plant.first_slot(tag))
        self._schedule(tag, slot)

    def forget(self, tag: Tag) -> None:
        """Feed the tag no longer."""
        self._since.pop(tag.index, None)
        self._generation.pop(tag.index, None)

    def inject(self, tag: Tag, event: Event, now: int) -> None:
        """Feed this event with the next poll, if the tag is listened to."""
        if tag in self:
            self._extra.append((now, tag, event))

    def collect(self, now: int) -> list[tuple[Tag, Event]]:
        """What has come by `now` since the last time, in order of arrival."""
        come, self._extra = self._extra, []
        heap = self._heap
        while heap and heap[0][0] <= now:
            self._take(heapq.heappop(heap), now, come)
        come.sort(key=_arrival)
        return [(tag, event) for _, tag, event in come]

    def _schedule(self, tag: Tag, slot: int) -> None:
        self._push(earliest_arrival(tag, slot), tag, slot, None)

    def _push(self, at: int, tag: Tag, slot: int, event: Event | None) -> None:
        listening = self._generation[tag.index]
        item = (at, next(self._order), tag, listening, slot, event)
        heapq.heappush(self._heap, item)

    def _take(self, item: _Item, now: int, come: list[tuple[int, Tag, Event]]) -> None:
        _, _, tag, listening, slot, event = item
        if self._generation.get(tag.index) != listening:
            return
        if event is not None:
            self._arrive(tag, slot, event, now, come)
            return
        for measured in self._plant.slot(tag, slot):
            self._arrive(tag, slot, measured, now, come)
        self._schedule(tag, slot + 1)

    def _arrive(
        self,
        tag: Tag,
        slot: int,
        event: Event,
        now: int,
        come: list[tuple[int, Tag, Event]],
    ) -> None:
        """Feed the event if it has come, and keep it otherwise."""
        at = arrival(tag, event)
        outages = self._truth.of(tag.made).outages
        for outage in outages:
            if outage.holds(event.ticks):
                at = max(at, outage.arrive)
        if at > now:
            self._push(at, tag, slot, event)
        elif at > self._since[tag.index]:
            come.append((at, tag, event))


def _arrival(come: tuple[int, Tag, Event]) -> int:
    return come[0]
