"""Routes of channels: the websocket handshakes."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from pichannels.simulator.asset_search import attributes_of, matching_attributes
from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.sockets import Channel, Subject
from pichannels.simulator.world import World

__all__ = ["ChannelRoutes"]

_CLOSE_TIMEOUT = 1.0


class ChannelRoutes:
    """`streams/{webId}/channel` and `streamsets/channel`, ad hoc and of elements."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root = "/piwebapi"
        return [
            web.get(f"{root}/streams/{{webId}}/channel", self.one),
            web.get(f"{root}/streamsets/channel", self.many),
            web.get(f"{root}/streamsets/{{webId}}/channel", self.children),
        ]

    async def one(self, request: web.Request) -> web.StreamResponse:
        """A channel of one stream."""
        subject = self.world.stream(request.match_info["webId"])
        return await self._open(request, Query(request), [subject])

    async def many(self, request: web.Request) -> web.StreamResponse:
        """A channel of any streams; those that the server refuses are silent."""
        query = Query(request)
        found = [self.world.known_stream(one) for one in query.required("webId")]
        return await self._open(request, query, list(dict.fromkeys(found)))

    async def children(self, request: web.Request) -> web.StreamResponse:
        """A channel of the attributes of an element; a point has none."""
        query, web_id = Query(request), request.match_info["webId"]
        if web_id[2:4] == "DP":
            tag = self.world.tag_by_web_id(web_id)
            raise Refused(409, f"'{tag.path}' does not support this operation.")
        owner = self.world.asset(web_id, "Em", "Ab")
        assert isinstance(owner, Element | Attribute)
        nested = query.flag("searchFullHierarchy")
        found = matching_attributes(attributes_of(owner, query, nested=nested), query)
        live = [one for one in found if one.source is not None]
        return await self._open(request, query, live)

    async def _open(
        self, request: web.Request, query: Query, streams: Sequence[Subject]
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, timeout=_CLOSE_TIMEOUT)
        if not socket.can_prepare(request):
            raise Refused(400, "The protocol of the request is not supported.")
        channel = Channel(
            str(request.url.with_scheme("ws")),
            streams,
            form=query.form,
            base=self.world.url,
            heartbeat=query.number("heartbeatRate", 0, low=-(1 << 31)),
            overflow=self.world.overflow,
            faults=self.world.faults,
            now=self.world.clock.now,
        )
        initial = query.flag("includeInitialValues")
        await socket.prepare(request)
        await self.world.hub.serve(channel, request, socket, initial=initial)
        return socket
