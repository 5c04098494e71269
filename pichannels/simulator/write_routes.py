"""Routes that write values: `value` and `recorded` of streams and stream sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.conversion import attribute_value
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.sockets import Subject
from pichannels.simulator.truth import Described
from pichannels.simulator.world import World, json_answer
from pichannels.simulator.writes import Manner, Writer, fields_of

__all__ = ["WriteRoutes", "body_of"]

_INVALID: Final = "The specified WebId is invalid."
_Result = dict[str, Any]


class WriteRoutes:
    """What is posted to `streams` and `streamsets`, and values of attributes."""

    def __init__(self, world: World, writer: Writer) -> None:
        self.world = world
        self.writer = writer

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        post, root = web.post, "/piwebapi"
        one, many = f"{root}/streams/{{webId}}", f"{root}/streamsets"
        return [
            post(f"{one}/value", self.value),
            post(f"{one}/recorded", self.recorded),
            post(f"{many}/value", self.values),
            post(f"{many}/recorded", self.recorded_set),
            post(f"{many}/{{webId}}/value", self.values),
            post(f"{many}/{{webId}}/recorded", self.recorded_set),
            web.put(f"{root}/attributes/{{webId}}/value", self.configure),
        ]

    async def value(self, request: web.Request) -> web.Response:
        """One value of one stream."""
        manner = self.writer.manner(Query(request))
        subject = self.world.stream(request.match_info["webId"])
        self.writer.write(subject, await body_of(request), manner)
        where = f"{self.world.url}/streams/{subject.web_id_as('Full')}/value"
        return web.Response(status=manner.status, headers={"Location": where})

    async def recorded(self, request: web.Request) -> web.Response:
        """Values of one stream, each with a status of its own."""
        manner = self.writer.manner(Query(request))
        subject = self.world.stream(request.match_info["webId"])
        items = _list(await body_of(request))
        results = await self._written(subject, items, manner)
        return _answer(results, results, manner)

    async def values(self, request: web.Request) -> web.Response:
        """One value of each of several streams."""
        manner = self.writer.manner(Query(request))
        find = self._finder(request)
        results: list[_Result] = []
        for item in _list(await body_of(request)):
            fields = fields_of(item)
            found = _found(find, fields.get("webid"))
            value = [fields.get("value")]
            results += await self._written(found, value, manner)
        return _answer(results, results, manner)

    async def recorded_set(self, request: web.Request) -> web.Response:
        """Values of each of several streams."""
        manner = self.writer.manner(Query(request))
        find = self._finder(request)
        streams: list[_Result] = []
        for item in _list(await body_of(request)):
            fields = fields_of(item)
            found = _found(find, fields.get("webid"))
            values = _list(fields.get("items"))
            streams.append({"Items": await self._written(found, values, manner)})
        each = [one for stream in streams for one in stream["Items"]]
        return _answer(streams, each, manner)

    async def configure(self, request: web.Request) -> web.Response:
        """The value of an attribute without data reference."""
        world = self.world
        attribute = world.attribute(request.match_info["webId"])
        if attribute.source is not None:
            raise Refused(
                409, f"'{attribute.path}' has a data reference; write to its stream."
            )
        fields = fields_of(await body_of(request))
        now = world.clock.now()
        value = attribute_value(attribute, fields.get("value"), now)
        world.restructure(Described(attribute.path, {"value": value}))
        return web.Response(status=204)

    def _finder(self, request: web.Request) -> Callable[[str], Subject]:
        """What finds streams by WebID: any, or only those of an object."""
        web_id = request.match_info.get("webId")
        if web_id is None:
            return self.world.known_stream
        owner = self.world.asset(web_id, "Em", "Ab")

        def find(web_id: str) -> Subject:
            found = self.world.known_stream(web_id)
            if not isinstance(found, Attribute) or not _is_below(found, owner):
                raise Refused(400, _INVALID)
            return found

        return find

    async def _written(
        self, found: Subject | Refused, values: list[Any], manner: Manner
    ) -> list[_Result]:
        """Write values of one stream; the status of each."""
        results: list[_Result] = []
        for number, value in enumerate(values, 1):
            try:
                if isinstance(found, Refused):
                    raise found
                self.writer.write(found, value, manner)
                results.append(_result(manner.status, manner.message))
            except Refused as refused:
                message = " ".join(refused.sentences)
                results.append(_result(refused.status, message))
            if number % 256 == 0:
                await asyncio.sleep(0)
        return results


async def body_of(request: web.Request) -> Any:
    """The JSON document of a request.

    Raises:
        Refused: 400, there is none.
    """
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Refused(400, f"The request body is not valid: {exc}") from exc


def _list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise Refused(400, "The request body must be a list.")
    return body


def _found(find: Callable[[str], Subject], web_id: Any) -> Subject | Refused:
    try:
        return find(str(web_id or ""))
    except Refused as refused:
        return Refused(400, _INVALID) if refused.status == 400 else refused


def _result(status: int, message: str) -> _Result:
    return {"Substatus": status, "Message": message}


def _answer(items: list[_Result], each: list[_Result], manner: Manner) -> web.Response:
    """Nothing to say where all values are taken, and otherwise something of each."""
    if all(one["Substatus"] == manner.status for one in each):
        return web.Response(status=manner.status)
    return json_answer({"Items": items}, 207)


def _is_below(found: Attribute, owner: Element | Attribute | None) -> bool:
    """Whether an attribute is of an object, at any depth."""
    if isinstance(owner, Attribute):
        above: Attribute | None = found
        while above is not None and above is not owner:
            above = above.parent
        return above is not None
    element: Element | None = found.element
    while element is not None and element is not owner:
        element = element.parent
    return element is not None
