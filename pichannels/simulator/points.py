"""Routes of data servers and points: who is there, and under which WebID."""

from __future__ import annotations

from itertools import islice
from typing import Any

from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.tags import Tag
from pichannels.simulator.webids import WebIdError, read_web_id
from pichannels.simulator.world import World

__all__ = ["PointRoutes"]


class PointRoutes:
    """`dataservers` and `points`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root = "/piwebapi"
        return [
            web.get(f"{root}/dataservers", self.servers),
            web.get(f"{root}/dataservers/{{webId}}", self.server),
            web.get(f"{root}/dataservers/{{webId}}/points", self.points),
            web.get(f"{root}/points", self.by_path),
            web.get(f"{root}/points/multiple", self.multiple),
            web.get(f"{root}/points/{{webId}}", self.point),
            web.get(f"{root}/points/{{webId}}/attributes", self.attributes),
        ]

    def _server(self, form: str) -> dict[str, Any]:
        world = self.world
        server = world.plant.server
        return render.server_object(server, world.clock.now(), world.url, form)

    async def servers(self, request: web.Request) -> web.Response:
        """All data servers, or the one with this name or path."""
        query = Query(request)
        server = self.world.plant.server
        body = self._server(query.form)
        name, path = query.text("name"), query.text("path")
        if not name and not path:
            return self.world.answer({"Links": {}, "Items": [body]}, query)
        paths = (server.path.upper(), f"\\\\{server.name}".upper())
        if name.upper() != server.name.upper() and path.upper() not in paths:
            raise Refused(404, f"PI Data Archive not found '{name or path}'.")
        return self.world.answer(body, query)

    def _check_server(self, request: web.Request) -> None:
        text = request.match_info["webId"]
        server = self.world.plant.server
        try:
            found = read_web_id(text)
        except WebIdError as exc:
            raise Refused(400, str(exc)) from exc
        if found.marker != "DS" or found.server not in (None, server.id):
            raise Refused(404, f"PI Data Archive not found '{text}'.")

    async def server(self, request: web.Request) -> web.Response:
        """One data server."""
        self._check_server(request)
        query = Query(request)
        return self.world.answer(self._server(query.form), query)

    async def points(self, request: web.Request) -> web.Response:
        """The points of a server by name filter; without links to more of them."""
        self._check_server(request)
        query = Query(request)
        start = query.number("startIndex", 0)
        count = query.count(self.world.max_items)
        found = self.world.plant.search(query.text("nameFilter", "*"))
        chosen = islice(found, start, start + count)
        items = [self._point(tag, query) for tag in chosen]
        return self.world.answer({"Links": {}, "Items": items}, query)

    def _point(self, tag: Tag, query: Query) -> dict[str, Any]:
        return render.point(tag, self.world.url, query.form)

    async def by_path(self, request: web.Request) -> web.Response:
        """The point with this path."""
        query = Query(request)
        tag = self.world.tag_by_path(query.required("path")[-1])
        return self.world.answer(self._point(tag, query), query)

    async def point(self, request: web.Request) -> web.Response:
        """One point."""
        query = Query(request)
        tag = self.world.tag_by_web_id(request.match_info["webId"])
        return self.world.answer(self._point(tag, query), query)

    async def multiple(self, request: web.Request) -> web.Response:
        """Many points by WebID or path; 207 where some of them fail."""
        query = Query(request)
        world = self.world
        return world.multiple(
            query,
            lambda web_id: self._point(world.tag_by_web_id(web_id), query),
            lambda path: self._point(world.tag_by_path(path), query),
        )

    async def attributes(self, request: web.Request) -> web.Response:
        """The point attributes, all or those named."""
        query = Query(request)
        tag = self.world.tag_by_web_id(request.match_info["webId"])
        values = render.point_attributes(tag, self.world.plant.created)
        names = {name.lower() for name in query.all("name")} or set(values)
        base = f"{self.world.url}/points/{tag.web_id}"
        items = [
            {
                "Name": name,
                "Value": value,
                "Links": {"Self": f"{base}/attributes/{name}", "Point": base},
            }
            for name, value in values.items()
            if name in names
        ]
        return self.world.answer({"Links": {}, "Items": items}, query)
