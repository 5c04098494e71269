"""The simulator: a PI Web API server with a plant behind it."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import web

from pichannels.errors import SettingsError, UsageError
from pichannels.simulator.acceptors import Auth, tokens_of
from pichannels.simulator.admin import AdminRoutes
from pichannels.simulator.asset_routes import AssetRoutes
from pichannels.simulator.assets import Assets
from pichannels.simulator.batch import BatchRoutes
from pichannels.simulator.changelog import ChangeLog
from pichannels.simulator.channel_routes import ChannelRoutes
from pichannels.simulator.controls import Controls
from pichannels.simulator.faults import Faults
from pichannels.simulator.gate import Gate
from pichannels.simulator.guard import Guard, Rules
from pichannels.simulator.making import restructure
from pichannels.simulator.object_writes import ObjectRoutes
from pichannels.simulator.plant import Plant
from pichannels.simulator.points import PointRoutes
from pichannels.simulator.simtime import SimClock
from pichannels.simulator.streams import StreamRoutes
from pichannels.simulator.summary_routes import SummaryRoutes
from pichannels.simulator.system import SystemRoutes
from pichannels.simulator.tokens import TokenRoutes
from pichannels.simulator.trends import TrendRoutes
from pichannels.simulator.truth import Origin, Truth
from pichannels.simulator.update_routes import UpdateRoutes
from pichannels.simulator.world import World
from pichannels.simulator.write_routes import WriteRoutes
from pichannels.simulator.writes import Writer

__all__ = ["Simulator"]

# HTTP.SYS takes 16 KiB for the request line and all headers.
_LONGEST_LINE = 16 * 1024
# And no more than this of a body.
_LARGEST_BODY = 30_000_000


class Simulator(Controls):
    """A PI Web API server, open as long as its `async with` block.

    Args:
        plant: what is measured; a `Plant()` of 1,000 tags by default.
        host, port: where it listens; port 0 takes a free one.
        poll: real seconds between two messages of a channel.
        speed: simulated seconds in a real one.
        start: simulated ticks at which it begins; the present by default.
        state: file that keeps what is changed at run time, and the clock's
            origin, over a restart.
        auth: what is asked for: user and password (Basic), a token (Bearer),
            `Tokens`, `NTLMUsers`, `Kerberos`, or a list of several.
        overflow: waiting events of a channel after which more are lost.
        max_items: the largest `maxCount`.
        rate_limit: requests of one client in a second; 0 for any number.
        url_limit: longest request line in bytes.
        batch_limit: parts of one batch, at most; 0 refuses batches with 403.
        tls: certificate and key with which it serves `https`.
        rules: how it is configured for writes.
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
        batch_limit: int = 1000,
        tls: ssl.SSLContext | None = None,
        rules: Rules | None = None,
    ) -> None:
        if poll < 0.01:
            raise UsageError(f"poll is at least 0.01 s, not {poll}")
        self.plant = plant or Plant()
        self.assets = Assets(self.plant)
        self.host = host
        self.port = port
        self.poll = poll
        self.faults = Faults()
        self.clock = SimClock(speed, start)
        self._speed, self._start = speed, start
        self._log = ChangeLog(state) if state is not None else None
        self._is_restored = False
        self._truth = Truth(self._log.append if self._log else None)
        self._limits = {"overflow": overflow, "max_items": max_items}
        self._auth = auth
        self._rate_limit = rate_limit
        self._url_limit = url_limit
        self._batch_limit = batch_limit
        self._gate: Gate | None = None
        self._tls = tls
        self.rules = rules or Rules()
        # The servers of this plant, this one and its members.
        self._group: list[World] = []
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._world = self._make_world()
        self._admin = AdminRoutes(self)
        self.faults.attach(
            lambda how, code: self._world.hub.drop(how, code),
            self._path_of,
            lambda path: self._world.signups.forget(path),
            lambda: self._gate.withdraw() if self._gate is not None else None,
        )

    def _make_world(self) -> World:
        world = World(
            self.plant,
            self._truth,
            self.clock,
            self.faults,
            self.assets,
            self._group,
            **self._limits,
        )
        others = [one for one in self._group if one.plant is not self.plant]
        self._group[:] = [*others, world]
        return world

    def _path_of(self, name: str) -> str:
        """The path of a tag or attribute that a fault is set for."""
        attribute = self.assets.attribute(name) if "|" in name else None
        return attribute.path if attribute else self.plant.tag(name).path

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
        self._runner = web.AppRunner(
            self._make_app(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            max_line_size=self._url_limit,
            max_field_size=self._url_limit,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._world.url = self.url
        self._tasks = [asyncio.create_task(self._poll(), name="simulator-poll")]
        if self._log is not None:
            saving = asyncio.create_task(self._save(), name="simulator-state")
            self._tasks.append(saving)

    def _make_app(self) -> web.Application:
        gate = Gate(self.faults, self.clock.now, self._auth, self._rate_limit)
        self._gate = gate
        app = web.Application(
            middlewares=[gate.middleware, Guard(self.rules).middleware],
            client_max_size=_LARGEST_BODY,
        )
        app.on_response_prepare.append(gate.stamp)
        for tokens in tokens_of(self._auth):
            app.add_routes(TokenRoutes(tokens).routes())
        world = self._world
        for routes in (
            SystemRoutes(world, self.poll, self._rate_limit, self.rules),
            PointRoutes(world),
            AssetRoutes(world),
            ChannelRoutes(world),
            StreamRoutes(world),
            TrendRoutes(world),
            SummaryRoutes(world),
            ObjectRoutes(world),
            WriteRoutes(world, Writer(world, buffering=self.rules.buffering)),
            UpdateRoutes(world),
            BatchRoutes(world, self._serve, self._batch_limit),
            self._admin,
        ):
            app.add_routes(routes.routes())
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """The answer to a part of a batch."""
        assert self._runner is not None and self._runner.server is not None
        return await self._runner.server.request_handler(request)

    async def _restore(self) -> None:
        """Take up the clock and the changes where the state file left them."""
        if self._log is None or self._is_restored:
            return
        self._is_restored = True
        origin = await asyncio.to_thread(self._log.load, self._truth)
        plant = self.plant
        if origin is None:
            self._log.append(self._origin())
            return
        if (origin.seed, origin.tags, origin.activity) != (
            plant.seed,
            plant.size,
            plant.activity,
        ):
            raise SettingsError(
                "this state is of another plant",
                file=str(self._log.path),
                found=f"seed {origin.seed}, {origin.tags} tags",
            )
        self.clock = SimClock(origin.speed, origin.start, origin.anchor)
        for change in self._truth.structure:
            restructure(plant, self.assets, change)

    def _origin(self) -> Origin:
        clock, plant = self.clock, self.plant
        return Origin(
            plant.seed,
            plant.size,
            plant.activity,
            clock.start,
            clock.anchor,
            clock.speed,
        )

    async def close(self) -> None:
        """Close the channels, stop listening and save the state."""
        await self._admin.close()
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
    def requests(self) -> int:
        """Requests that have come, handshakes among them; a batch is one."""
        return self._gate.requests if self._gate is not None else 0

    @property
    def url(self) -> str:
        """The base URL of the PI Web API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{host}:{self.port}/piwebapi"
