"""What happens in an instance, as server-sent events and over a websocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from pichannels.events import Event, Follower
from pichannels.ui.api.routing import Ask, Routes
from pichannels.ui.budget import OverBudget
from pichannels.ui.console import Console
from pichannels.ui.guard import API
from pichannels.ui.links import Link
from pichannels.ui.roles import Principal, Role
from pichannels.values import format_ticks

__all__ = ["Feeds", "Happened", "router", "routes"]

_MOST: Final = 64
_PING: Final = 15.0
_LONGEST: Final = 3600.0
_WAITING: Final = 1000

routes = Routes("events", "/instances/{instance}")
router = APIRouter(prefix=API)


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        event: what, such as `channel.state`.
        instance: where.
        time: when, ISO 8601.
        facts: what is told of it; errors only to those who may see data.
    """

    event: str
    instance: str
    time: str
    facts: dict[str, Any]


class Feeds:
    """Counts who follows events; the pages follow them in the same way."""

    def __init__(self) -> None:
        self.open = 0

    def check(self, console: Console, who: Principal, instance: str) -> Link:
        """The instance, where one more may follow it; raises as `follow`."""
        who.need(Role.VIEW)
        if self.open >= _MOST:
            raise OverBudget("readers of events", 10)
        return console.links.get(instance)

    @contextlib.asynccontextmanager
    async def follow(
        self, console: Console, who: Principal, instance: str
    ) -> AsyncIterator[AsyncIterator[Happened | None]]:
        """The events of an instance from now on; None now and then, when none comes.

        Raises:
            NotAllowed: the role is not enough.
            NoSuchInstance: there is none.
            OverBudget: too many follow.
        """
        link = self.check(console, who, instance)
        self.open += 1
        follower = link.events.follow(_WAITING)
        try:
            yield _told(console, who, link, follower)
        finally:
            self.open -= 1
            await follower.aclose()


async def _told(
    console: Console, who: Principal, link: Link, follower: Follower
) -> AsyncIterator[Happened | None]:
    mask = console.data.mask_for(who)
    end = asyncio.get_running_loop().time() + _LONGEST
    waiting: asyncio.Task[Event] = asyncio.create_task(
        _next(follower), name="reader of events"
    )
    try:
        while asyncio.get_running_loop().time() < end:
            done, _ = await asyncio.wait([waiting], timeout=_PING)
            if not await _is_still(console, who):
                return
            if not done:
                yield None
                continue
            event = waiting.result()
            waiting = asyncio.create_task(_next(follower), name="reader of events")
            facts = {k: v for k, v in event.facts.items() if k != "time"}
            if mask is None:
                facts = {k: v for k, v in facts.items() if "error" not in k}
            else:
                facts = mask.applied(facts)
            yield Happened(
                event=event.name,
                instance=link.name,
                time=str(event.facts.get("time") or format_ticks(event.ticks)),
                facts=facts,
            )
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


async def _next(follower: Follower) -> Event:
    return await anext(follower)


async def _is_still(console: Console, who: Principal) -> bool:
    """Whether the session or the token of who follows has not ended meanwhile."""
    return await console.again(who) == who


@routes.add("GET", "/events", role=Role.VIEW, answer=Happened)
async def follow_events(ask: Ask, instance: str) -> Any:
    """What happens from now on, as server-sent events (`text/event-stream`).

    A reader that is too slow loses the oldest, and gets `events.lost` with their
    number. Ends after an hour; browsers come again by themselves.
    """
    feeds: Feeds = ask.request.app.state.feeds
    feeds.check(ask.console, ask.who, instance)
    following = feeds.follow(ask.console, ask.who, instance)
    return StreamingResponse(_frames(following), media_type="text/event-stream")


async def _frames(
    following: AbstractAsyncContextManager[AsyncIterator[Happened | None]],
) -> AsyncIterator[bytes]:
    async with following as events:
        yield b": following\n\n"
        async for one in events:
            if one is None:
                yield b": ping\n\n"
            else:
                data = msgspec.json.encode(one, enc_hook=str)
                yield b"event: " + one.event.encode() + b"\ndata: " + data + b"\n\n"


@router.websocket("/instances/{instance}/socket")
async def follow_socket(socket: WebSocket, instance: str) -> None:
    """The same, each as a message of JSON."""
    app = socket.app
    who: Principal = socket.state.who
    async with contextlib.AsyncExitStack() as stack:
        follow = app.state.feeds.follow(app.state.console, who, instance)
        try:
            events = await stack.enter_async_context(follow)
        except Exception as exc:
            await socket.close(4403, str(exc))
            return
        await socket.accept()
        leaving = asyncio.create_task(_left(socket), name="end of a websocket")
        sending = asyncio.create_task(_send(socket, events), name="websocket of events")
        await asyncio.wait([leaving, sending], return_when=asyncio.FIRST_COMPLETED)
        for task in (leaving, sending):
            task.cancel()
        await asyncio.wait([leaving, sending])


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
