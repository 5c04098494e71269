"""Routes of channels: the websocket handshakes."""

from __future__ import annotations

from aiohttp import web

from pichannels.simulator.query import Query, Refused
from pichannels.simulator.sockets import Channel
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = ["ChannelRoutes"]

_CLOSE_TIMEOUT = 1.0


class ChannelRoutes:
    """`streams/{webId}/channel` and ad hoc `streamsets/channel`."""

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
        tag = self.world.tag_by_web_id(request.match_info["webId"])
        return await self._open(request, Query(request), [tag])

    async def many(self, request: web.Request) -> web.StreamResponse:
        """A channel of any streams; those that the server refuses are silent."""
        query = Query(request)
        tags = [self.world.known_tag(one) for one in query.required("webId")]
        return await self._open(request, query, list(dict.fromkeys(tags)))

    async def children(self, request: web.Request) -> web.StreamResponse:
        """A channel of the attributes of an object, which a point has none of."""
        tag = self.world.tag_by_web_id(request.match_info["webId"])
        raise Refused(409, f"'{tag.path}' does not support this operation.")

    async def _open(
        self, request: web.Request, query: Query, tags: list[Tag]
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, timeout=_CLOSE_TIMEOUT)
        if not socket.can_prepare(request):
            raise Refused(400, "The protocol of the request is not supported.")
        channel = Channel(
            str(request.url.with_scheme("ws")),
            tags,
            form=query.form,
            heartbeat=query.number("heartbeatRate", 0, low=-(1 << 31)),
            overflow=self.world.overflow,
            faults=self.world.faults,
            now=self.world.clock.now,
        )
        initial = query.flag("includeInitialValues")
        await socket.prepare(request)
        await self.world.hub.serve(channel, request, socket, initial=initial)
        return socket
