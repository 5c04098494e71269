"""The engine: runs a project's channels, from the start to the last message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.channels.measuring import measure
from pichannels.commanding import Commanding
from pichannels.config import SimulatorConfig
from pichannels.control.server import ControlServer
from pichannels.control.signals import stop_signals
from pichannels.control.taps import Taps
from pichannels.embedded import make_simulator
from pichannels.errors import JournalError, PichannelsError, UsageError
from pichannels.events import EventBus
from pichannels.heartbeat import Heartbeat
from pichannels.instance_parts import (
    is_first,
    make_journal,
    open_tracing,
    opened_stores,
    place_of,
    tune_collector,
)
from pichannels.lease import Lease
from pichannels.loglines import LogRing
from pichannels.logs import ContextFilter
from pichannels.persistence import Persistence
from pichannels.piwebasync.limiting import Limiters
from pichannels.project import Project
from pichannels.reload import ReloadReport
from pichannels.reload.reloader import Reloader
from pichannels.reporting import State
from pichannels.simulator import Simulator
from pichannels.tracing import Tracer

__all__ = [
    "Engine",
    "StartError",
    "make_journal",
    "make_simulator",
    "opened_stores",
    "tune_collector",
]

logger: Final = logging.getLogger("pichannels.engine")

_TELL_EVERY: Final = 5.0
_LAST_WRITE: Final = 1.0
_MEASURE_EVERY: Final = 0.1
"""Seconds: at each node the time of so many messages is taken, and no more."""


class StartError(PichannelsError):
    """A part of the instance did not start, so none of it runs."""

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason
        super().__init__(f"{part} did not start: {reason}")


class Engine(Commanding):
    """One running instance of a project.

    Use it as an async context manager, or call `start` and `stop`.

    Args:
        project: what runs.
        data_dir: where the journal is, instead of where the settings say.
        control: whether there is a control server; None leaves it to the settings.
        simulator: whether the embedded simulator runs; None as above.
        sources: False runs the chains without their sources, and takes no lease:
            messages come only from the code that has the engine, and from the journal.
        wait: stand by while another instance runs on the same data or has the
            lease, instead of refusing to start.
    """

    def __init__(
        self,
        project: Project,
        *,
        data_dir: Path | None = None,
        control: bool | None = None,
        simulator: bool | None = None,
        sources: bool = True,
        wait: bool = False,
    ) -> None:
        config = project.config
        self.project = project
        self.data_dir = data_dir or project.data_dir
        self.events = EventBus()
        limits = config.pi_limits
        self.limiters = Limiters(limits.limits(), limits.special)
        self.journal = make_journal(self.data_dir, config.journal, wait=wait)
        self.tracer: Tracer | None = None
        self.log = LogRing()
        self.log.addFilter(ContextFilter())
        self.taps = Taps(project)
        self._heartbeat = Heartbeat()
        self._measuring = Heartbeat(self._measure, _MEASURE_EVERY)
        self.lease: Lease | None = None
        if config.lease is not None and sources:
            self.lease = Lease(config.lease, project.name, wait, self._lose_lease)
        self.simulator: Simulator | None = None
        self._wants_control = config.control.enabled if control is None else control
        self._wants_simulator = simulator is not False
        self._has_sources = sources
        self._control = ControlServer(self, config.control, self.data_dir)
        self._state: State = "stopped"
        self._started = clock.now()
        self._since = clock.monotonic()
        self._parts = contextlib.AsyncExitStack()
        # Where nodes save data; a reload leaves it as it is.
        self._persistence: Persistence | None = None
        self._reloader = Reloader(self)
        self._stop_wanted = asyncio.Event()
        self._abort_wanted = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    # Start and stop

    async def start(self) -> None:
        """Open the journal, then start all parts in order: the channels last.

        Raises:
            JournalLocked: another instance runs on the same data (unless `wait`).
            JournalError: the journal cannot be opened.
            LeaseHeld: an instance on another host has the lease (unless `wait`).
            StartError: a part did not start; what had started is stopped again.
            UsageError: it runs already.
        """
        if self._state != "stopped":
            raise UsageError(f"the engine is {self._state}")
        self._state = "starting"
        self._started, self._since = clock.now(), clock.monotonic()
        try:
            await self._start_parts()
        except BaseException:
            await self._parts.aclose()
            self._state = "stopped"
            raise
        self._state = "running"
        self.events.fire("instance.started", project=self.project.name)

    async def _start_parts(self) -> None:
        self._parts.callback(self.log.detach)
        self.log.attach()
        self.log.channels.update(each.name for each in self.project.all_channels())
        if self.project.path is not None:
            await asyncio.to_thread(self._reloader.remember)
        self._parts.push_async_callback(self.taps.close)
        for beating in (self._heartbeat, self._measuring):
            self._parts.push_async_callback(beating.stop)
            beating.start()
        if self.project.config.tracing is not None:
            self.tracer = await open_tracing(self.project)
            self._parts.push_async_callback(self.tracer.close)
        await self.journal.open()
        self._parts.push_async_callback(self.journal.close)
        await self._reloader.open(self.journal)
        if self.project.persistence is not None:
            await self._start_persistence(self.project.persistence)
        if self.lease is not None:
            self._parts.push_async_callback(self.lease.close)
            await self.lease.take(self.journal)
        if self._wants_control:
            self._parts.push_async_callback(self._control.close)
            await self._start_control()
        if self._wants_simulator and self.project.config.simulator:
            await self._start_simulator(self.project.config.simulator)
        # Those that run then; a reload may have changed them.
        self._parts.push_async_callback(self._drain)
        for channel in self.project.channels:
            self.attach(channel)
            await self.start_one(channel)

    async def _start_persistence(self, persistence: Persistence) -> None:
        try:
            await persistence.start()
        except PichannelsError as exc:
            raise StartError("what keeps saved data", str(exc)) from exc
        self._persistence = persistence
        self._parts.push_async_callback(persistence.stop)

    def attach(self, channel: BaseChannel) -> None:
        """Let a channel join the instance, before its start."""
        channel.attach(
            journal=self.journal,
            events=self.events,
            persistence=self._persistence,
            limiters=self.limiters,
            tracer=self.tracer,
        )
        if not self._has_sources:
            channel.has_source_enabled = False
        self.log.channels.add(channel.name)

    def _measure(self) -> None:
        for channel in self.project.all_channels():
            for chain in channel.chains():
                measure(chain)

    async def _start_control(self) -> None:
        config = self.project.config.control
        try:
            await self._control.open(os.getpid())
        except OSError as exc:
            raise StartError("the control server", place_of(config, exc)) from exc

    async def _start_simulator(self, config: SimulatorConfig) -> None:
        # What is edited and deleted there belongs to one plant and its clock.
        kept = f"simulator-{config.seed}-{config.tags}-{config.speed:g}.jsonl"
        simulator = make_simulator(config, self.data_dir / kept)
        self._parts.push_async_callback(simulator.close)
        try:
            await simulator.open()
        except OSError as exc:
            raise StartError("the simulator", place_of(config, exc)) from exc
        self.simulator = simulator

    async def start_one(self, channel: BaseChannel) -> None:
        """Start a channel.

        Raises:
            StartError: it did not start.
            JournalError: the journal does not work.
        """
        try:
            await channel.start()
        except JournalError:
            raise
        except Exception as exc:
            reason = str(exc) or type(exc).__name__
            raise StartError(f"channel {channel.name!r}", reason) from exc

    async def stop(self) -> None:
        """Stop in reverse order; messages in flight are finished first.

        All channels together have the `DRAIN_TIMEOUT` of the settings. What is not
        settled then is in the journal, and runs again at the next start.
        """
        if self._state == "stopped":
            return
        self._state = "draining"
        self.events.fire("instance.stopping", project=self.project.name)
        telling = asyncio.create_task(self._tell_progress(), name="drain progress")
        try:
            await self._reloader.close()
            await self._drain()
            await self._parts.aclose()
        finally:
            telling.cancel()
            self._state = "stopped"

    async def _drain(self) -> None:
        # In reverse order, so that a channel which gives to an earlier one can.
        end = clock.monotonic() + self.project.config.drain_timeout
        for channel in reversed(self.project.channels):
            own = channel.drain_timeout
            channel.drain_timeout = min(own, max(end - clock.monotonic(), 0.0))
            try:
                await channel.stop()
            except Exception:
                logger.exception("channel %s did not stop cleanly", channel.name)
            finally:
                channel.drain_timeout = own

    async def _tell_progress(self) -> None:
        while True:
            for line in self.in_flight():
                logger.info("draining: %s", line)
            await asyncio.sleep(_TELL_EVERY)

    def request_stop(self, *, now: bool = False) -> None:
        """Let `run_until_stopped` drain and return, or return without draining."""
        self._stop_wanted.set()
        if now:
            self._abort_wanted.set()

    async def _lose_lease(self, left: float) -> None:
        """Drain in what time is left, and then stop at once."""
        self.events.fire("lease.lost", left=left)
        self.request_stop(now=left <= _LAST_WRITE)
        await asyncio.sleep(max(left - _LAST_WRITE, 0.0))
        self.request_stop(now=True)
        # Where nothing waits for these requests, intake ends all the same.
        await asyncio.gather(*(channel.abort() for channel in self.project.channels))

    def request_reload(self) -> None:
        """Reload as soon as possible; the log tells what has changed."""
        if self._state == "running":
            self._reloader.request()
        else:
            logger.warning("not reloaded: the instance is %s", self._state)

    async def run_until_stopped(self) -> bool:
        """Run until SIGTERM, Ctrl-C or `request_stop`; starts and stops the rest.

        SIGHUP reloads the settings, where the system has it.

        A second signal stops at once, without draining: nothing accepted is lost, it
        is in the journal. The process is then meant to end; parts still run.

        Returns:
            Whether it could drain.

        Raises:
            PichannelsError: a part cannot start; as `start` says.
        """
        with stop_signals(
            self.request_stop,
            lambda: self.request_stop(now=True),
            self.request_reload,
        ):
            starting = asyncio.create_task(self.start(), name="start")
            if not await is_first(starting, self._stop_wanted):
                starting.cancel()
                return await self._ends(starting)
            await starting
            tune_collector()
            await self._stop_wanted.wait()
            return await self._ends(asyncio.create_task(self.stop(), name="stop"))

    async def _ends(self, task: asyncio.Task[None]) -> bool:
        """Whether the task may end; otherwise it is cut off."""
        if await is_first(task, self._abort_wanted):
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return True
        aborting = [
            asyncio.create_task(channel.abort(), name=f"{channel.name}: abort")
            for channel in self.project.channels
        ]
        await asyncio.wait([task, *aborting], timeout=_LAST_WRITE)
        task.cancel()
        await self._abandon()
        return False

    async def _abandon(self) -> None:
        """Keep what is settled already; the rest runs again at the next start."""
        for line in self.in_flight():
            logger.warning("stopped at once: %s; it runs again at the next start", line)
        with contextlib.suppress(TimeoutError, JournalError):
            async with asyncio.timeout(_LAST_WRITE):
                await self._control.close()
                await self.journal.flush()

    async def reload(self, *, dry_run: bool = False) -> ReloadReport:
        """Let changed settings take effect; see `docs/reload.md`.

        Args:
            dry_run: only tell what would change.

        Raises:
            SettingsError: the settings cannot be used; all runs on as it was.
            UsageError: the project has no settings file, or the instance stops.
        """
        if self._state != "running":
            raise UsageError(f"the instance is {self._state}")
        if dry_run:
            return await self._reloader.plan()
        return await self._reloader.run()
