"""The lines of the log of an instance: a page of them, or as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pichannels.loglines import LogLine, LogPage, LogWanted
from pichannels.ui.api.live import Feeds
from pichannels.ui.api.routing import Ask, Asked, Routes
from pichannels.ui.log_lines import LogFollowing
from pichannels.ui.roles import Role

__all__ = ["routes"]

_PING: Final = 15.0
_LONGEST: Final = 3600.0

routes = Routes("log", "/instances/{instance}/log")


@routes.add("GET", "", role=Role.DATA, answer=LogPage, query=LogWanted)
async def list_log(ask: Ask, instance: str, query: Any) -> Any:
    """The last lines of the log that fit, the oldest first.

    An instance keeps its last 2,000 lines, of the levels that `LOGGING` lets through.
    Lines may quote payloads: what is masked is hidden in them, too.
    """
    return await ask.console.log.read(ask.who, instance, query)


@routes.add("GET", "/events", role=Role.DATA, answer=LogLine, query=LogWanted)
async def follow_log(ask: Ask, instance: str, query: Any) -> Any:
    """The lines that fit, from now on, as server-sent events (`text/event-stream`).

    Begins with those that are kept and come `after` a number, where one is given;
    browsers say it in the header `Last-Event-ID`. Ends after an hour; browsers come
    again by themselves, and go on where they were.
    """
    feeds: Feeds = ask.request.app.state.feeds
    feeds.check(ask.console, ask.who, instance)
    last = ask.request.headers.get("last-event-id", "")
    if not query.after and last.isascii() and last.isdecimal() and len(last) < 19:
        query = msgspec.structs.replace(query, after=int(last))
    following = ask.console.log.following(ask.who, instance)
    if not query.after:
        one = await ask.console.log.read(ask.who, instance, LogWanted(count=1))
        query = msgspec.structs.replace(query, after=one.last)
    return feeds.response(ask, instance, _frames(ask, following, query))


async def _frames(
    ask: Asked, following: LogFollowing, wanted: LogWanted
) -> AsyncIterator[bytes]:
    news = asyncio.Event()
    forget = following.subscribe(news.set)
    loop, who, console = asyncio.get_running_loop(), ask.who, ask.console
    end = loop.time() + _LONGEST
    after = wanted.after
    try:
        # Within, as whoever asked may be gone by now.
        yield b": following\n\n"
        while loop.time() < end and await console.again(who) == who:
            told = False
            if following.lines and following.lines[-1].number < after:
                after = 0  # It was started again.
            asked = msgspec.structs.replace(wanted, after=after)
            for line in console.log.seen(who, list(following.lines), asked):
                data = msgspec.json.encode(line)
                yield b"event: line\nid: %d\ndata: %b\n\n" % (line.number, data)
                told = True
            after = max(after, _last(following))
            if not told and not news.is_set():
                yield b": ping\n\n"
            await _waited(news)
    finally:
        forget()


def _last(following: LogFollowing) -> int:
    return following.lines[-1].number if following.lines else 0


async def _waited(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_PING):
            await news.wait()
    except TimeoutError:
        return
    news.clear()
