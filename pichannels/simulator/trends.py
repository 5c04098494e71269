"""Routes of values between events: `interpolated`, `interpolatedattimes`, `plot`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.events import DELETED, Event
from pichannels.simulator.intervals import steps, synchronised
from pichannels.simulator.plotting import Plot
from pichannels.simulator.query import Query
from pichannels.simulator.render import TimedValue
from pichannels.simulator.sockets import Subject
from pichannels.simulator.stream_reads import (
    Read,
    StreamReads,
    breathe,
    source_of,
    span_of,
)
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = ["TrendRoutes", "interpolated"]

_BOUNDARIES = ("Inside", "Outside")


class TrendRoutes(StreamReads):
    """Interpolated and plot values of `streams` and `streamsets`."""

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            *self.routes_of("interpolated", self._interpolated),
            *self.routes_of("interpolatedattimes", self._interpolated_at_times),
            *self.routes_of("plot", self._plot),
        ]

    async def _interpolated(self, query: Query) -> Read:
        """Values at equal distances, in step with `syncTime` where it is given."""
        now = self.world.clock.now()
        start, end = await span_of(query, now)
        every, zone = query.interval("interval", "1h"), await query.zone()
        outside = query.choice("syncTimeBoundaryType", _BOUNDARIES) == "Outside"
        times = steps(start, end, every, zone)
        if query.text("syncTime"):
            sync = await query.time("syncTime", "", now)
            times = synchronised(start, end, every, zone, sync, outside=outside)
        return self._reader(times, now)

    async def _interpolated_at_times(self, query: Query) -> Read:
        """Values at these times."""
        now = self.world.clock.now()
        return self._reader(iter(query.ordered(await query.times("time", now))), now)

    def _reader(self, times: Iterator[int], now: int) -> Read:
        wanted = self.all_of(times)

        async def read(found: Subject) -> list[TimedValue]:
            values = interpolated(self.world, source_of(found), wanted, now)
            return [render.timed(event, "") async for event in values]

        return read

    async def _plot(self, query: Query) -> Read:
        """Few events of each interval, and the values at both ends."""
        now = self.world.clock.now()
        start, end = await span_of(query, now)
        intervals = query.number("intervals", 24, low=1)
        self.limit(intervals)

        async def read(found: Subject) -> list[TimedValue]:
            tag, low, high = source_of(found), min(start, end), max(start, end)
            plot = Plot(low, high, intervals)
            for number, event in enumerate(self._drawn(tag, low, high, now)):
                plot.feed(event)
                await breathe(number)
            items = [render.timed(event, "") for event in plot.chosen()]
            return items if start <= end else items[::-1]

        return read

    def _drawn(self, tag: Tag, start: int, end: int, now: int) -> Iterator[Event]:
        """The events of a range, and values at its ends where there is none."""
        yield from self._at_end(tag, start, now)
        yield from self.world.archive.events(tag, start + 1, end - 1, now)
        if end > start:
            yield from self._at_end(tag, end, now)

    def _at_end(self, tag: Tag, time: int, now: int) -> list[Event]:
        archive = self.world.archive
        events = list(archive.events(tag, time, time, now))
        if events or (time > now and not tag.future):
            return events
        value = archive.value_at(tag, time, now)
        return [] if value is None else [value]


async def interpolated(
    world: World, tag: Tag, times: Sequence[int], now: int
) -> AsyncIterator[Event]:
    """The values at these ticks; a bad `No Data` before the first and after `now`."""
    for number, time in enumerate(times, 1):
        value = None
        if tag.future or time <= now:
            value = world.archive.value_at(tag, time, now)
        yield value or Event(time, DELETED, good=False)
        await breathe(number, 32)
