"""Routes of what the archive holds: `value`, `end`, `recorded`, `joined` and so on.

A stream is a point or an attribute; a stream set is ad hoc, or the attributes of an
element.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.assets import Attribute
from pichannels.simulator.events import DELETED, Event
from pichannels.simulator.query import Query
from pichannels.simulator.render import TimedValue
from pichannels.simulator.sockets import Subject
from pichannels.simulator.stream_reads import (
    Read,
    ReadOne,
    StreamReads,
    breathe,
    source_of,
    span_of,
)
from pichannels.simulator.tags import Tag
from pichannels.simulator.trends import interpolated

__all__ = ["StreamRoutes"]

_BOUNDARIES = ("Inside", "Outside", "Interpolated")
_RETRIEVALS = ("Auto", "AtOrBefore", "Before", "AtOrAfter", "After", "Exact")


class StreamRoutes(StreamReads):
    """Values and recorded values of `streams` and `streamsets`."""

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        value = partial(self.one, self._value)
        return [
            web.get("/piwebapi/attributes/{webId}/value", value),
            *self.routes_of_one("value", self._value),
            *self.routes_of_one("end", self._end),
            *self.routes_of("recorded", self._recorded),
            web.get("/piwebapi/streamsets/joined", self.joined),
            *self.routes_of_one("recordedattime", self._recorded_at_time),
            *self.routes_of("recordedattimes", self._recorded_at_times),
        ]

    async def _value(self, query: Query) -> ReadOne:
        """The value at a time, the present by default."""
        now = self.world.clock.now()
        time = await query.time("time", "*", now)
        return lambda found: self._value_of(found, time, now)

    async def _end(self, query: Query) -> ReadOne:
        """The last value, which for a future tag lies ahead."""
        now = self.world.clock.now()
        return lambda found: self._value_of(found, None, now)

    def _value_of(self, found: Subject, time: int | None, now: int) -> TimedValue:
        archive, tag = self.world.archive, found.source
        if tag is None:
            assert isinstance(found, Attribute)
            return render.constant(found.value, found.units)
        if time is None or (time >= now and not tag.future):
            return render.timed(archive.snapshot(tag, now), found.units)
        event = archive.value_at(tag, time, now)
        return render.timed(event or Event(0, DELETED, good=False), found.units)

    async def _recorded(self, query: Query) -> Read:
        """What the archive holds between two times, at most `maxCount` of it."""
        events = await self._events_by(query)

        async def read(found: Subject) -> list[TimedValue]:
            if found.source is None:
                return []
            return [render.timed(event, "") async for event in events(found.source)]

        return read

    async def _events_by(self, query: Query) -> Callable[[Tag], AsyncIterator[Event]]:
        now = self.world.clock.now()
        span = await span_of(query, now)
        most = query.count(self.world.max_items)
        boundary = query.choice("boundaryType", _BOUNDARIES)

        async def events(tag: Tag) -> AsyncIterator[Event]:
            found = islice(self._events(tag, span, boundary, now), most)
            for number, event in enumerate(found, 1):
                yield event
                await breathe(number)

        return events

    async def joined(self, request: web.Request) -> web.Response:
        """What is recorded of one stream, and what others were at the same times."""
        query = Query(request)
        base = self.world.stream(query.required("baseWebId")[-1])
        others = [
            self.world.known_stream(one) for one in query.required("subordinateWebId")
        ]
        events = await self._events_by(query)
        found = [event async for event in events(source_of(base))]
        self.limit(len(found) * (1 + len(others)))
        times = [event.ticks for event in found]
        now = self.world.clock.now()

        async def read(one: Subject) -> list[TimedValue]:
            values = interpolated(self.world, source_of(one), times, now)
            return [render.timed(event, "") async for event in values]

        items = [render.timed(event, "") for event in found]
        streams = [self.rendered(base, items, query.form)]
        streams += [await self.read_of(one, read, query.form) for one in others]
        return self.world.answer({"Links": {}, "Items": streams}, query)

    def _events(
        self, tag: Tag, span: tuple[int, int], boundary: str, now: int
    ) -> Iterator[Event]:
        start, end = span
        inside = self.world.archive.events(
            tag, min(span), max(span), now, descending=start > end
        )
        if boundary == "Inside":
            return inside
        at = self._outside if boundary == "Outside" else self._interpolated
        return _within(at(tag, span, now), inside)

    def _outside(
        self, tag: Tag, span: tuple[int, int], now: int
    ) -> tuple[Event | None, Event | None]:
        """The events next to the range, in the order of the request."""
        archive = self.world.archive
        before = archive.before(tag, min(span) - 1, now)
        after = archive.after(tag, max(span) + 1, now)
        return (after, before) if span[0] > span[1] else (before, after)

    def _interpolated(
        self, tag: Tag, span: tuple[int, int], now: int
    ) -> tuple[Event | None, Event | None]:
        """The values at both ends, but where an event is there already."""
        found: list[Event | None] = []
        for ticks in span:
            exact = next(self.world.archive.events(tag, ticks, ticks, now), None)
            value = self.world.archive.value_at(tag, ticks, now)
            found.append(None if exact is not None else value)
        return found[0], found[1]

    async def _recorded_at_time(self, query: Query) -> ReadOne:
        """The event at a time, or the one before or after it."""
        now = self.world.clock.now()
        time = (await query.times("time", now))[-1]
        find = self._finder(query, now)
        return lambda found: render.timed(find(source_of(found), time), found.units)

    async def _recorded_at_times(self, query: Query) -> Read:
        """As `recordedattime` for each of several times."""
        now = self.world.clock.now()
        times = query.ordered(await query.times("time", now))
        self.limit(len(times))
        find = self._finder(query, now)

        async def read(found: Subject) -> list[TimedValue]:
            tag, items = source_of(found), []
            for time in times:
                items.append(render.timed(find(tag, time), ""))
                await breathe(len(items), 32)
            return items

        return read

    def _finder(self, query: Query, now: int) -> Callable[[Tag, int], Event]:
        mode = query.choice("retrievalMode", _RETRIEVALS)
        return lambda tag, time: self._retrieved(tag, time, mode, now)

    def _retrieved(self, tag: Tag, time: int, mode: str, now: int) -> Event:
        """The event that a retrieval mode means; a bad `No Data` without one.

        `Auto` is the one at or before the time, and before all of them the first.
        """
        archive = self.world.archive
        found: Event | None = None
        if mode in ("Auto", "AtOrBefore", "Exact"):
            found = archive.before(tag, time, now)
        elif mode == "Before":
            found = archive.before(tag, time - 1, now)
        if mode == "AtOrAfter" or (mode == "Auto" and found is None):
            found = archive.after(tag, time, now)
        elif mode == "After":
            found = archive.after(tag, time + 1, now)
        if found is None or (mode == "Exact" and found.ticks != time):
            return Event(time, DELETED, good=False)
        return found


def _within(edges: Sequence[Event | None], inside: Iterator[Event]) -> Iterator[Event]:
    first = [edges[0]] if edges[0] is not None else []
    last = [edges[1]] if edges[1] is not None else []
    return chain(first, inside, last)
