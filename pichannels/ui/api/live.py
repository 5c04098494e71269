"""What happens in an instance, as server-sent events and over a websocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pichannels.errors import PichannelsError
from pichannels.ui.api.routing import Ask, Asked, Routes
from pichannels.ui.budget import OverBudget
from pichannels.ui.console import Console
from pichannels.ui.guard import API
from pichannels.ui.links import Link, NoSuchInstance
from pichannels.ui.recent import Numbered
from pichannels.ui.roles import Principal, Role
from pichannels.values import format_ticks

__all__ = ["Feeds", "Happened", "router", "routes"]

_MOST: Final = 64
_PING: Final = 15.0
_LONGEST: Final = 3600.0
_AT_ONCE: Final = 100
"""Events between two looks whether the reader may still read."""

routes = Routes("events", "/instances/{instance}")
router = APIRouter(prefix=API)

Frames = AsyncIterator[bytes]


class EventsWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Where to go on.

    Attributes:
        after: the `id` of the last event that was read; what happened since comes
            first. Browsers say it in the header `Last-Event-ID`.
    """

    after: str | None = None


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        id: what to say to go on behind it.
        event: what, such as `channel.state`.
        instance: where.
        time: when, ISO 8601.
        facts: what is told of it; errors only to those who may see data.
    """

    id: str
    event: str
    instance: str
    time: str
    facts: dict[str, Any]


class Feeds:
    """Counts who follows events, the log or a node; there is room for so many."""

    def __init__(self) -> None:
        self.open = 0

    def check(self, console: Console, who: Principal, instance: str) -> Link:
        """The instance, where one more may follow it; raises as `follow`."""
        who.need(Role.VIEW)
        if self.open >= _MOST:
            raise OverBudget("readers of events", 10)
        return console.links.get(instance)

    def response(self, ask: Asked, instance: str, frames: Frames) -> Response:
        """Server-sent events, counted from now on until nobody reads them."""
        self.check(ask.console, ask.who, instance)
        self.open += 1
        return _Feed(self, frames)

    @contextlib.asynccontextmanager
    async def follow(
        self, console: Console, who: Principal, instance: str, after: str | None = None
    ) -> AsyncIterator[AsyncIterator[Happened | None]]:
        """The events of an instance; None now and then, when none comes.

        Args:
            after: the id of the last one that was read; without it those from now on.

        Raises:
            NotAllowed: the role is not enough.
            NoSuchInstance: there is none.
            OverBudget: too many follow.
        """
        link = self.check(console, who, instance)
        self.open += 1
        try:
            yield _told(console, who, link, after or link.recent.place)
        finally:
            self.open -= 1


class _Feed(StreamingResponse):
    """Server-sent events; also who leaves before the first one is counted once."""

    def __init__(self, feeds: Feeds, frames: Frames) -> None:
        super().__init__(frames, media_type="text/event-stream")
        self._feeds = feeds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feeds.open -= 1


async def _told(
    console: Console, who: Principal, link: Link, place: str
) -> AsyncIterator[Happened | None]:
    end = asyncio.get_running_loop().time() + _LONGEST
    while asyncio.get_running_loop().time() < end and await _is_still(console, who):
        found = link.recent.behind(place)
        for one in found[:_AT_ONCE]:
            place = one.id
            yield _shown(console, who, link, one)
        if not found:
            await link.recent.wait(place, _PING)
            if link.recent.place == place:
                yield None


def _shown(console: Console, who: Principal, link: Link, one: Numbered) -> Happened:
    mask, event = console.data.mask_for(who), one.event
    facts = {k: v for k, v in event.facts.items() if k != "time"}
    if mask is None:
        facts = {k: v for k, v in facts.items() if "error" not in k}
    else:
        facts = mask.applied(facts)
    return Happened(
        id=one.id,
        event=event.name,
        instance=link.name,
        time=str(event.facts.get("time") or format_ticks(event.ticks)),
        facts=facts,
    )


async def _is_still(console: Console, who: Principal) -> bool:
    """Whether the session or the token of who follows has not ended meanwhile."""
    return await console.again(who) == who


@routes.add("GET", "/events", role=Role.VIEW, answer=Happened, query=EventsWanted)
async def follow_events(ask: Ask, instance: str, query: Any) -> Any:
    """What happens from now on, as server-sent events (`text/event-stream`).

    With `after`, or the header `Last-Event-ID`, also what has happened since, as far as
    it is among the last 1,000. A reader that is too slow loses the oldest, and gets
    `events.lost` with their number. Ends after an hour; browsers come again by
    themselves, and go on where they were.
    """
    feeds: Feeds = ask.request.app.state.feeds
    link = feeds.check(ask.console, ask.who, instance)
    after = query.after or ask.request.headers.get("last-event-id")
    events = _told(ask.console, ask.who, link, after or link.recent.place)
    return feeds.response(ask, instance, _frames(events))


async def _frames(events: AsyncIterator[Happened | None]) -> AsyncIterator[bytes]:
    yield b": following\n\n"
    async for one in events:
        if one is None:
            yield b": ping\n\n"
        else:
            data = msgspec.json.encode(one, enc_hook=str)
            head = f"id: {one.id}\nevent: {one.event}\ndata: "
            yield head.encode() + data + b"\n\n"


@router.websocket("/instances/{instance}/socket")
async def follow_socket(socket: WebSocket, instance: str) -> None:
    """The same, each as a message of JSON; `?after=ID` goes on behind an event."""
    app, after = socket.app, socket.query_params.get("after")
    who: Principal = socket.state.who
    async with contextlib.AsyncExitStack() as stack:
        follow = app.state.feeds.follow(app.state.console, who, instance, after)
        # Only who is let in is told why not.
        await socket.accept()
        try:
            events = await stack.enter_async_context(follow)
        except PichannelsError as exc:
            await socket.close(_closing_code(exc), str(exc))
            return
        leaving = asyncio.create_task(_left(socket), name="end of a websocket")
        sending = asyncio.create_task(_send(socket, events), name="websocket of events")
        await asyncio.wait([leaving, sending], return_when=asyncio.FIRST_COMPLETED)
        for task in (leaving, sending):
            task.cancel()
        await asyncio.wait([leaving, sending])


def _closing_code(error: PichannelsError) -> int:
    """As the statuses of other routes; 1013 is "try again later"."""
    if isinstance(error, OverBudget):
        return 1013
    return 4404 if isinstance(error, NoSuchInstance) else 4403


async def _left(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


async def _send(socket: WebSocket, events: AsyncIterator[Happened | None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        async for one in events:
            if one is not None:
                data = msgspec.json.encode(one, enc_hook=str)
                await socket.send_text(data.decode())
        await socket.close()
