"""Single nodes of an instance: live taps, and sinks that are paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pichannels.control.reports import SinkState
from pichannels.control.taps import Passed, TapReport, TapWanted
from pichannels.errors import PichannelsError
from pichannels.ui.api.acting import run_action
from pichannels.ui.api.live import Feeds
from pichannels.ui.api.routing import Ask, Asked, Routes
from pichannels.ui.roles import Role

__all__ = ["routes"]

_WAIT: Final = 5.0
_LONGEST: Final = 3600.0

routes = Routes("nodes", "/instances/{instance}")


@routes.add("GET", "/nodes/{name}/events", role=Role.DATA, answer=Passed)
async def follow_node(ask: Ask, instance: str, name: str) -> Any:
    """Messages as they come to a node and leave it, as server-sent events.

    At most ten each second, of a batch the first items, without what is masked; the
    channel is not held up. Ends after an hour.
    """
    feeds: Feeds = ask.request.app.state.feeds
    feeds.check(ask.console, ask.who, instance)
    wanted = TapWanted(node=name)
    first = await ask.console.taps.read(ask.who, instance, wanted)
    return feeds.response(ask, instance, _frames(ask, instance, first))


async def _frames(ask: Asked, instance: str, first: TapReport) -> AsyncIterator[bytes]:
    console, who = ask.console, ask.who
    end = asyncio.get_running_loop().time() + _LONGEST
    after = first.next
    yield b": following\n\n"
    try:
        while asyncio.get_running_loop().time() < end:
            wanted = TapWanted(node=first.node, after=after, wait=_WAIT)
            found = await console.taps.read(who, instance, wanted)
            if await console.again(who) != who:
                return
            for passed in found.passed:
                data = msgspec.json.encode(passed)
                yield b"event: passed\ndata: " + data + b"\n\n"
            if not found.passed:
                yield b": ping\n\n"
            after = found.next
    except PichannelsError as exc:
        # The instance has stopped, or has no such node any more.
        data = msgspec.json.encode({"error": str(exc)})
        yield b"event: ended\ndata: " + data + b"\n\n"


@routes.add("POST", "/sinks/{name}/pause", role=Role.OPERATE, answer=SinkState)
async def pause_sink(ask: Ask, instance: str, name: str) -> Any:
    """Let messages wait for a sink, by its full name, also over restarts.

    The others go on; `pichannels sink pause`.
    """
    return await run_action(ask, instance, "pause-sink", {"sink": name})


@routes.add("POST", "/sinks/{name}/resume", role=Role.OPERATE, answer=SinkState)
async def resume_sink(ask: Ask, instance: str, name: str) -> Any:
    """Give a sink what has waited for it; `pichannels sink resume`."""
    return await run_action(ask, instance, "resume-sink", {"sink": name})
