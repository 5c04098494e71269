"""The simulator: a PI Web API server with a plant behind it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from pichannels.errors import SettingsError, UsageError
from pichannels.simulator.changelog import ChangeLog
from pichannels.simulator.channel_routes import ChannelRoutes
from pichannels.simulator.events import Event
from pichannels.simulator.faults import Faults
from pichannels.simulator.gate import Auth, Gate
from pichannels.simulator.plant import Plant
from pichannels.simulator.points import PointRoutes
from pichannels.simulator.simtime import SECOND, SimClock
from pichannels.simulator.sockets import Channel
from pichannels.simulator.streams import StreamRoutes
from pichannels.simulator.system import SystemRoutes
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import Origin, Truth
from pichannels.simulator.world import World

__all__ = ["Simulator"]

# HTTP.SYS takes 16 KiB for the request line and all headers.
_LONGEST_LINE = 16 * 1024


class Simulator:
    """A PI Web API server, open as long as its `async with` block.

    Args:
        plant: what is measured; a `Plant()` of 1,000 tags by default.
        host, port: where it listens; port 0 takes a free one.
        poll: real seconds between two messages of a channel.
        speed: simulated seconds in a real one.
        start: simulated ticks at which it begins; the present by default.
        state: file that keeps what is changed at run time, and the clock's
            origin, over a restart.
        auth: user and password (Basic) or a token (Bearer) that are asked for.
        overflow: waiting events of a channel after which more are lost.
        max_items: the largest `maxCount`.
        rate_limit: requests of one client in a second; 0 for any number.
        url_limit: longest request line in bytes.
    """

    def __init__(
        self,
        plant: Plant | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        poll: float = 1.0,
        speed: float = 1.0,
        start: int | None = None,
        state: str | os.PathLike[str] | None = None,
        auth: Auth = None,
        overflow: int = 50_000,
        max_items: int = 150_000,
        rate_limit: int = 1000,
        url_limit: int = _LONGEST_LINE,
    ) -> None:
        if poll < 0.01:
            raise UsageError(f"poll is at least 0.01 s, not {poll}")
        self.plant = plant or Plant()
        self.host = host
        self.port = port
        self.poll = poll
        self.faults = Faults()
        self.clock = SimClock(speed, start)
        self._speed, self._start = speed, start
        self._log = ChangeLog(state) if state is not None else None
        self._truth = Truth(self._log.append if self._log else None)
        self._limits = {"overflow": overflow, "max_items": max_items}
        self._auth = auth
        self._rate_limit = rate_limit
        self._url_limit = url_limit
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._world = self._make_world()

    def _make_world(self) -> World:
        return World(self.plant, self._truth, self.clock, self.faults, **self._limits)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Read the state, listen, and begin to poll.

        Raises:
            OSError: the port is taken.
            SettingsError: the state is of another plant, or no state at all.
        """
        await self._restore()
        self._world = self._make_world()
        self.faults.attach(self._world.hub.drop, lambda name: self.plant.tag(name).path)
        self._runner = web.AppRunner(
            self._make_app(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            max_line_size=self._url_limit,
            max_field_size=self._url_limit,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._world.url = self.url
        self._tasks = [asyncio.create_task(self._poll(), name="simulator-poll")]
        if self._log is not None:
            saving = asyncio.create_task(self._save(), name="simulator-state")
            self._tasks.append(saving)

    def _make_app(self) -> web.Application:
        gate = Gate(self.faults, self.clock.now, self._auth, self._rate_limit)
        app = web.Application(middlewares=[gate.middleware])
        app.on_response_prepare.append(gate.stamp)
        world = self._world
        for routes in (
            SystemRoutes(world, self.poll, self._rate_limit),
            PointRoutes(world),
            ChannelRoutes(world),
            StreamRoutes(world),
        ):
            app.add_routes(routes.routes())
        return app

    async def _restore(self) -> None:
        """Take up the clock and the changes where the state file left them."""
        if self._log is None:
            return
        origin = await asyncio.to_thread(self._log.load, self._truth)
        plant = self.plant
        if origin is None:
            self._log.append(self._origin())
            return
        if (origin.seed, origin.tags, origin.activity) != (
            plant.seed,
            len(plant.tags),
            plant.activity,
        ):
            raise SettingsError(
                "this state is of another plant",
                file=str(self._log.path),
                found=f"seed {origin.seed}, {origin.tags} tags",
            )
        self.clock = SimClock(origin.speed, origin.start, origin.anchor)

    def _origin(self) -> Origin:
        clock, plant = self.clock, self.plant
        return Origin(
            plant.seed,
            len(plant.tags),
            plant.activity,
            clock.start,
            clock.anchor,
            clock.speed,
        )

    async def close(self) -> None:
        """Close the channels, stop listening and save the state."""
        await self._world.hub.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.save()

    async def save(self) -> None:
        """Write what was changed to the state file, if there is one."""
        if self._log is not None:
            await asyncio.to_thread(self._log.flush)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self.poll
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            due = max(due + self.poll, loop.time())
            self.tick()

    async def _save(self) -> None:
        while True:
            await self.save()
            await asyncio.sleep(0.2)

    @property
    def url(self) -> str:
        """The base URL of the PI Web API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/piwebapi"

    @property
    def tags(self) -> Sequence[Tag]:
        """The tags of the plant."""
        return self.plant.tags

    @property
    def channels(self) -> list[Channel]:
        """The PI channels that are open now."""
        return list(self._world.hub.channels)

    async def connected(self, n: int = 1) -> None:
        """Wait until at least `n` PI channels are open."""
        await self._world.hub.wait_for(n)

    async def disconnected(self) -> None:
        """Wait until no PI channel is open."""
        await self._world.hub.wait_for(0, exact=True)

    def tick(self) -> None:
        """Poll now, without waiting for the next one."""
        self._world.hub.tick(self.clock.now())

    def push(
        self,
        tag: str,
        value: Any,
        ticks: int | None = None,
        *,
        good: bool | None = None,
        questionable: bool = False,
        substituted: bool = False,
        annotated: bool = False,
        kept: bool = True,
        error: str = "",
    ) -> Event:
        """Have an event arrive now; it goes out with the next poll.

        Names of digital and system states stand for the states. `ticks` is the
        event's timestamp, the present by default. With `kept=False` compression
        leaves it out of the archive once a newer event has come. An `error` is
        sent in place of a value and never archived.
        """
        found = self.plant.tag(tag)
        held, usable = self._world.value_of(found, value)
        event = Event(
            self._world.next_ticks() if ticks is None else ticks,
            held,
            usable if good is None else good,
            questionable,
            substituted,
            annotated,
            kept,
            error,
        )
        self._world.push(found, event)
        return event

    def edit(self, tag: str, ticks: int, value: Any) -> Event:
        """Change the archived event at `ticks`, or put one there."""
        found = self.plant.tag(tag)
        held, good = self._world.value_of(found, value)
        return self._world.edit(found, ticks, held, good=good)

    def delete(self, tag: str, start: int, end: int | None = None) -> int:
        """Delete the archived events from `start` to `end` ticks; how many."""
        last = start if end is None else end
        return self._world.delete(self.plant.tag(tag), start, last)

    def outage(
        self,
        tags: str | Sequence[str],
        duration: float,
        *,
        delay: float = 0.0,
        state: str | None = None,
    ) -> None:
        """Cut the source of tags off for `duration` simulated seconds from now.

        What it measures meanwhile arrives all at once when it is back, or
        `delay` seconds later: then newer events come first, and the late ones
        bypass compression. With `state` (`"I/O Timeout"`) each tag gets that
        system state at the beginning. One name may be a filter with `*`.
        """
        names = [tags] if isinstance(tags, str) else tags
        chosen = [found for name in names for found in self._match(name)]
        start = self.clock.now()
        end = start + round(duration * SECOND)
        self._world.outage(chosen, start, end, end + round(delay * SECOND))
        if state is not None:
            for tag in chosen:
                self.push(tag.name, state, start)

    def _match(self, name: str) -> list[Tag]:
        if "*" in name or "?" in name:
            return list(self.plant.search(name))
        return [self.plant.tag(name)]

    def send(self, raw: str | bytes) -> None:
        """Send a text message on every open channel as it is."""
        self._world.hub.send(raw.encode() if isinstance(raw, str) else raw)

    def truth(self, tag: str | Tag, start: int, end: int) -> list[Event]:
        """What the archive holds now of `[start, end]` ticks: the oracle."""
        found = tag if isinstance(tag, Tag) else self.plant.tag(tag)
        now = self.clock.now()
        return list(self._world.archive.events(found, start, end, now))
