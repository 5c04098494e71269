"""Routes of values: `value`, `end` and `recorded` of streams and stream sets.

A stream is a point or an attribute; a stream set is ad hoc, or the attributes of an
element.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.asset_search import attributes_of, matching_attributes
from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.events import DELETED, Event
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import TimedValue
from pichannels.simulator.sockets import Subject
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = ["StreamRoutes"]

_BOUNDARIES = ("Inside", "Outside", "Interpolated")


class StreamRoutes:
    """`streams` and `streamsets`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root = "/piwebapi"
        one, many, children = (
            f"{root}/streams/{{webId}}",
            f"{root}/streamsets",
            f"{root}/streamsets/{{webId}}",
        )
        return [
            web.get(f"{root}/attributes/{{webId}}/value", self.value),
            web.get(f"{children}/value", self.values),
            web.get(f"{children}/end", self.ends),
            web.get(f"{children}/recorded", self.recorded_set),
            web.get(f"{one}/value", self.value),
            web.get(f"{one}/end", self.end),
            web.get(f"{one}/recorded", self.recorded),
            web.get(f"{many}/value", self.values),
            web.get(f"{many}/end", self.ends),
            web.get(f"{many}/recorded", self.recorded_set),
        ]

    def _stream(self, request: web.Request) -> Subject:
        return self.world.stream(request.match_info["webId"])

    def _streams(self, request: web.Request, query: Query) -> Sequence[Subject]:
        """The streams of a set: those named, or the attributes of an object."""
        world = self.world
        web_id = request.match_info.get("webId")
        if web_id is None:
            return [world.known_stream(one) for one in query.required("webId")]
        if web_id[2:4] == "DP":
            path = world.tag_by_web_id(web_id).path
            raise Refused(409, f"'{path}' does not support this operation.")
        owner = world.asset(web_id, "Em", "Ab")
        assert isinstance(owner, Element | Attribute)
        nested = query.flag("searchFullHierarchy")
        return matching_attributes(attributes_of(owner, query, nested=nested), query)

    async def value(self, request: web.Request) -> web.Response:
        """The value at a time, the present by default."""
        query, found = Query(request), self._stream(request)
        now = self.world.clock.now()
        time = await self._time(query, now)
        return self.world.answer(self._value(found, time, now), query)

    async def end(self, request: web.Request) -> web.Response:
        """The last value, which for a future tag lies ahead."""
        query, found = Query(request), self._stream(request)
        now = self.world.clock.now()
        return self.world.answer(self._value(found, None, now), query)

    async def values(self, request: web.Request) -> web.Response:
        """The values of a stream set at a time, the present by default."""
        now = self.world.clock.now()
        time = await self._time(Query(request), now)
        return await self._value_set(request, time, now)

    async def ends(self, request: web.Request) -> web.Response:
        """The last values of a stream set."""
        return await self._value_set(request, None, self.world.clock.now())

    async def _time(self, query: Query, now: int) -> int:
        return await query.time("time", "*", now)

    async def _value_set(
        self, request: web.Request, time: int | None, now: int
    ) -> web.Response:
        query = Query(request)
        items: list[dict[str, Any]] = []
        for number, found in enumerate(self._streams(request, query), 1):
            items.append(self._value_item(found, time, now, query.form))
            await _breathe(number)
        return self.world.answer({"Links": {}, "Items": items}, query)

    def _value_item(
        self, found: Subject, time: int | None, now: int, form: str
    ) -> dict[str, Any]:
        fault = self.world.fault_of(found)
        if fault is not None:
            value = render.failed_value(fault.sentence)
        else:
            value = self._value(found, time, now)
        return {
            "WebId": found.web_id_as(form),
            "Name": found.name,
            "Path": found.path,
            "Value": value,
            "Links": {"Source": found.link(self.world.url, form)},
        }

    def _value(self, found: Subject, time: int | None, now: int) -> TimedValue:
        archive, tag = self.world.archive, found.source
        if tag is None:
            assert isinstance(found, Attribute)
            return render.constant(found.value, found.units)
        if time is None or (time >= now and not tag.future):
            return render.timed(archive.snapshot(tag, now), found.units)
        event = archive.value_at(tag, time, now)
        return render.timed(event or Event(0, DELETED, good=False), found.units)

    async def recorded(self, request: web.Request) -> web.Response:
        """What the archive holds between two times, at most `maxCount` of it."""
        query, found = Query(request), self._stream(request)
        span = await self._span(query)
        items = await self._items(found, span, query)
        body = {"Links": {}, "Items": items, "UnitsAbbreviation": found.units}
        return self.world.answer(body, query)

    async def recorded_set(self, request: web.Request) -> web.Response:
        """As `recorded` for each of several streams; one that fails says so."""
        query = Query(request)
        found = self._streams(request, query)
        span = await self._span(query)
        streams = [await self._recorded_of(one, span, query) for one in found]
        total = sum(len(one.items) for one in streams)
        if total > self.world.max_items:
            raise Refused(
                400,
                f"The number of values ({total}) is greater than the maximum"
                f" allowed ({self.world.max_items}).",
            )
        return self.world.answer({"Links": {}, "Items": streams}, query)

    async def _recorded_of(
        self, found: Subject, span: tuple[int, int], query: Query
    ) -> render.Stream:
        fault = self.world.fault_of(found)
        if fault is not None:
            items = [render.failed_value(fault.sentence)]
        else:
            items = await self._items(found, span, query)
        rendered = render.stream(found, items, query.form)
        if isinstance(found, Attribute):
            rendered.links = {"Source": found.link(self.world.url, query.form)}
        return rendered

    async def _span(self, query: Query) -> tuple[int, int]:
        now = self.world.clock.now()
        start = await query.time("startTime", "*-1d", now)
        end = await query.time("endTime", "*", now)
        if query.text("filterExpression"):
            raise Refused(400, "The filter expression could not be parsed.")
        return start, end

    async def _items(
        self, found: Subject, span: tuple[int, int], query: Query
    ) -> list[TimedValue]:
        most = query.count(self.world.max_items)
        tag = found.source
        if tag is None:
            return []
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
