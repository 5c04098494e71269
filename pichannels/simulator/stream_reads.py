"""What all reads of streams share: whose values, over which range, in which shape.

A read is prepared once from the query and then done for each stream: for a single one,
for those that are named, or for the attributes of an element.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler

from pichannels.simulator import render
from pichannels.simulator.asset_search import attributes_of, matching_attributes
from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import TimedValue
from pichannels.simulator.sockets import Subject
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = [
    "Read",
    "ReadOne",
    "StreamReads",
    "breathe",
    "source_of",
    "span_of",
    "unsupported",
]

Read: TypeAlias = Callable[[Subject], Awaitable[list[TimedValue]]]
Prepare: TypeAlias = Callable[[Query], Awaitable[Read]]
"""Makes, from a query, what reads the values of a stream."""
ReadOne: TypeAlias = Callable[[Subject], TimedValue]
PrepareOne: TypeAlias = Callable[[Query], Awaitable[ReadOne]]
"""Makes, from a query, what reads one value of a stream."""


class StreamReads:
    """The routes of one kind of reads, for streams and stream sets."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes_of(self, name: str, prepare: Prepare) -> list[web.RouteDef]:
        """The routes of a read that has many values."""
        one, many = partial(self._many, prepare), partial(self._set, prepare)
        return self.routes_by(name, one, many)

    def routes_of_one(self, name: str, prepare: PrepareOne) -> list[web.RouteDef]:
        """The routes of a read that has one value."""
        one, many = partial(self.one, prepare), partial(self._set_of_ones, prepare)
        return self.routes_by(name, one, many)

    def routes_by(self, name: str, one: Handler, many: Handler) -> list[web.RouteDef]:
        """The routes of a single stream, and of the sets."""
        root = "/piwebapi"
        return [
            web.get(f"{root}/streams/{{webId}}/{name}", one),
            web.get(f"{root}/streamsets/{name}", many),
            web.get(f"{root}/streamsets/{{webId}}/{name}", many),
        ]

    def stream(self, request: web.Request) -> Subject:
        """The stream in the path; refused where a fault says so."""
        return self.world.stream(request.match_info["webId"])

    def streams(self, request: web.Request, query: Query) -> Sequence[Subject]:
        """The streams of a set: those named, or the attributes of an object."""
        world = self.world
        web_id = request.match_info.get("webId")
        if web_id is None:
            return [world.known_stream(one) for one in query.required("webId")]
        if web_id[2:4] == "DP":
            raise unsupported(world.tag_by_web_id(web_id))
        owner = world.asset(web_id, "Em", "Ab")
        assert isinstance(owner, Element | Attribute)
        nested = query.flag("searchFullHierarchy")
        return matching_attributes(attributes_of(owner, query, nested=nested), query)

    async def one(self, prepare: PrepareOne, request: web.Request) -> web.Response:
        """One value of one stream."""
        query, found = Query(request), self.stream(request)
        read = await prepare(query)
        return self.world.answer(read(found), query)

    async def _set_of_ones(
        self, prepare: PrepareOne, request: web.Request
    ) -> web.Response:
        query = Query(request)
        read = await prepare(query)
        items: list[dict[str, Any]] = []
        for number, found in enumerate(self.streams(request, query), 1):
            items.append(self._item(found, read, query.form))
            await breathe(number)
        return self.world.answer({"Links": {}, "Items": items}, query)

    def _item(self, found: Subject, read: ReadOne, form: str) -> dict[str, Any]:
        return {
            "WebId": found.web_id_as(form),
            "Name": found.name,
            "Path": found.path,
            "Value": self._read_one(found, read),
            "Links": {"Source": found.link(self.world.url, form)},
        }

    def _read_one(self, found: Subject, read: ReadOne) -> TimedValue:
        try:
            self.check(found)
            return read(found)
        except Refused as refused:
            return render.failed_value(refused.sentences[0])

    async def _many(self, prepare: Prepare, request: web.Request) -> web.Response:
        query, found = Query(request), self.stream(request)
        read = await prepare(query)
        items = await read(found)
        body = {"Links": {}, "Items": items, "UnitsAbbreviation": found.units}
        return self.world.answer(body, query)

    async def _set(self, prepare: Prepare, request: web.Request) -> web.Response:
        query = Query(request)
        found = self.streams(request, query)
        read = await prepare(query)
        streams = [await self.read_of(one, read, query.form) for one in found]
        self.limit(sum(len(one.items) for one in streams))
        return self.world.answer({"Links": {}, "Items": streams}, query)

    async def read_of(self, found: Subject, read: Read, form: str) -> render.Stream:
        """The stream with its values, or with one that says why there are none."""
        return self.rendered(found, await self._read(found, read), form)

    def rendered(
        self, found: Subject, items: list[TimedValue], form: str
    ) -> render.Stream:
        """The stream with these values."""
        rendered = render.stream(found, items, form)
        if isinstance(found, Attribute):
            rendered.links = {"Source": found.link(self.world.url, form)}
        return rendered

    async def _read(self, found: Subject, read: Read) -> list[TimedValue]:
        try:
            self.check(found)
            return await read(found)
        except Refused as refused:
            return [render.failed_value(refused.sentences[0])]

    def check(self, found: Subject) -> None:
        """Refuse a stream that has a fault."""
        fault = self.world.fault_of(found)
        if fault is not None:
            raise Refused(fault.status, fault.sentence)

    def limit(self, count: int) -> None:
        """Refuse an answer with more values than the server gives."""
        most = self.world.max_items
        if count > most:
            raise Refused(
                400,
                f"The number of values ({count}) is greater than the maximum"
                f" allowed ({most}).",
            )

    def all_of(self, times: Iterator[int]) -> list[int]:
        """All of these instants; refused where they are too many."""
        found = list(islice(times, self.world.max_items + 1))
        self.limit(len(found))
        return found


async def span_of(query: Query, now: int) -> tuple[int, int]:
    """Start and end of a range in ticks, the last day by default."""
    start = await query.time("startTime", "*-1d", now)
    end = await query.time("endTime", "*", now)
    if query.text("filterExpression"):
        raise Refused(400, "The filter expression could not be parsed.")
    return start, end


def source_of(found: Subject) -> Tag:
    """The tag behind a stream; a static attribute has none, and no history."""
    if found.source is None:
        raise unsupported(found)
    return found.source


def unsupported(found: Subject) -> Refused:
    """What answers a read that this object does not have."""
    return Refused(409, f"'{found.path}' does not support this operation.")


async def breathe(number: int, every: int = 512) -> None:
    """Let others run after every few hundred items of a long answer."""
    if number % every == 0:
        await asyncio.sleep(0)
