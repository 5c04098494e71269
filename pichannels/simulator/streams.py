"""Routes of values: `value`, `end` and `recorded` of streams and stream sets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.events import DELETED, Event
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import TimedValue
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = ["StreamRoutes"]

_BOUNDARIES = ("Inside", "Outside", "Interpolated")


class StreamRoutes:
    """`streams` and ad hoc `streamsets`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        one, many = "/piwebapi/streams/{webId}", "/piwebapi/streamsets"
        return [
            web.get(f"{one}/value", self.value),
            web.get(f"{one}/end", self.end),
            web.get(f"{one}/recorded", self.recorded),
            web.get(f"{many}/value", self.values),
            web.get(f"{many}/end", self.ends),
            web.get(f"{many}/recorded", self.recorded_set),
        ]

    def _tag(self, request: web.Request) -> Tag:
        return self.world.tag_by_web_id(request.match_info["webId"])

    def _tags(self, query: Query) -> list[Tag]:
        return [self.world.known_tag(web_id) for web_id in query.required("webId")]

    async def value(self, request: web.Request) -> web.Response:
        """The value at a time, the present by default."""
        query, tag = Query(request), self._tag(request)
        now = self.world.clock.now()
        time = await self._time(query, now)
        return self.world.answer(self._value(tag, time, now, tag.units), query)

    async def end(self, request: web.Request) -> web.Response:
        """The last value, which for a future tag lies ahead."""
        query, tag = Query(request), self._tag(request)
        now = self.world.clock.now()
        return self.world.answer(self._value(tag, None, now, tag.units), query)

    async def values(self, request: web.Request) -> web.Response:
        """The values of a stream set at a time, the present by default."""
        query = Query(request)
        now = self.world.clock.now()
        return await self._value_set(query, await self._time(query, now), now)

    async def ends(self, request: web.Request) -> web.Response:
        """The last values of a stream set."""
        return await self._value_set(Query(request), None, self.world.clock.now())

    async def _time(self, query: Query, now: int) -> int:
        return await query.time("time", "*", now)

    async def _value_set(
        self, query: Query, time: int | None, now: int
    ) -> web.Response:
        items: list[dict[str, Any]] = []
        for number, tag in enumerate(self._tags(query), 1):
            items.append(self._value_item(tag, time, now, query.form))
            await _breathe(number)
        return self.world.answer({"Links": {}, "Items": items}, query)

    def _value_item(
        self, tag: Tag, time: int | None, now: int, form: str
    ) -> dict[str, Any]:
        web_id = tag.web_id_as(form)
        fault = self.world.faults.of_tag(tag.path)
        if fault is not None:
            value = render.failed_value(fault.sentence)
        else:
            value = self._value(tag, time, now, tag.units)
        return {
            "WebId": web_id,
            "Name": tag.name,
            "Path": tag.path,
            "Value": value,
            "Links": {"Source": f"{self.world.url}/points/{web_id}"},
        }

    def _value(self, tag: Tag, time: int | None, now: int, units: str) -> TimedValue:
        archive = self.world.archive
        if time is None or (time >= now and not tag.future):
            return render.timed(archive.snapshot(tag, now), units)
        found = archive.value_at(tag, time, now)
        return render.timed(found or Event(0, DELETED, good=False), units)

    async def recorded(self, request: web.Request) -> web.Response:
        """What the archive holds between two times, at most `maxCount` of it."""
        query, tag = Query(request), self._tag(request)
        span = await self._span(query)
        items = await self._items(tag, span, query)
        body = {"Links": {}, "Items": items, "UnitsAbbreviation": tag.units}
        return self.world.answer(body, query)

    async def recorded_set(self, request: web.Request) -> web.Response:
        """As `recorded` for each of several streams; one that fails says so."""
        query, tags = Query(request), self._tags(Query(request))
        span = await self._span(query)
        streams = [await self._stream(tag, span, query) for tag in tags]
        total = sum(len(one.items) for one in streams)
        if total > self.world.max_items:
            raise Refused(
                400,
                f"The number of values ({total}) is greater than the maximum"
                f" allowed ({self.world.max_items}).",
            )
        return self.world.answer({"Links": {}, "Items": streams}, query)

    async def _stream(
        self, tag: Tag, span: tuple[int, int], query: Query
    ) -> render.Stream:
        fault = self.world.faults.of_tag(tag.path)
        if fault is not None:
            items = [render.failed_value(fault.sentence)]
        else:
            items = await self._items(tag, span, query)
        return render.stream(tag, items, query.form)

    async def _span(self, query: Query) -> tuple[int, int]:
        now = self.world.clock.now()
        start = await query.time("startTime", "*-1d", now)
        end = await query.time("endTime", "*", now)
        if query.text("filterExpression"):
            raise Refused(400, "The filter expression could not be parsed.")
        return start, end

    async def _items(
        self, tag: Tag, span: tuple[int, int], query: Query
    ) -> list[TimedValue]:
        most = query.count(self.world.max_items)
        boundary = query.choice("boundaryType", _BOUNDARIES)
        events = self._recorded(tag, span, boundary, self.world.clock.now())
        items: list[TimedValue] = []
        for event in islice(events, most):
            items.append(render.timed(event, ""))
            await _breathe(len(items))
        return items

    def _recorded(
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


def _within(edges: Sequence[Event | None], inside: Iterator[Event]) -> Iterator[Event]:
    first = [edges[0]] if edges[0] is not None else []
    last = [edges[1]] if edges[1] is not None else []
    return chain(first, inside, last)


async def _breathe(number: int) -> None:
    """Let others run after every few hundred items of a long answer."""
    if number % 512 == 0:
        await asyncio.sleep(0)
