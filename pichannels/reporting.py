"""What an instance tells of itself: its status, and its numbers."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal, TypeAlias

from pichannels import __version__, clock
from pichannels.channels import BaseChannel
from pichannels.control.families import metrics
from pichannels.control.figures import Shares
from pichannels.control.reports import (
    ChannelReport,
    StatusReport,
    channel_report,
    server_reports,
    sink_reports,
)
from pichannels.control.server import ControlServer
from pichannels.errors import JournalError
from pichannels.heartbeat import Heartbeat
from pichannels.journal import Journal, JournalStatistics
from pichannels.lease import Lease
from pichannels.metrics import Family
from pichannels.piwebasync.limiting import Limiters
from pichannels.project import Project
from pichannels.reload.reloader import Reloader
from pichannels.simulator import Simulator
from pichannels.values import format_ticks

__all__ = ["Reporting", "State"]

State: TypeAlias = Literal["stopped", "starting", "running", "draining"]


class Reporting:
    """The part of the engine that reads and changes nothing."""

    project: Project
    data_dir: Path
    journal: Journal
    limiters: Limiters
    lease: Lease | None
    simulator: Simulator | None
    _control: ControlServer
    _heartbeat: Heartbeat
    _reloader: Reloader
    _state: State
    _started: int
    _since: float

    def in_flight(self) -> list[str]:
        """What is unsettled in each channel, in words; nothing when all is done."""
        return [
            f"{channel.name}: {moving} in flight, {waiting} in the journal"
            for channel in self.project.all_channels()
            if (moving := channel.in_memory) | (waiting := self._unsettled(channel))
        ]

    @property
    def control_url(self) -> str | None:
        """Where the control server listens, or None."""
        return self._control.url

    @property
    def remote_url(self) -> str | None:
        """Where what is published has a listener of its own, or None."""
        return self._control.remote_url

    def status(self) -> StatusReport:
        """What the instance does at this moment."""
        project = self.project
        running = not any(
            channel.is_stopped() or channel.is_store_waiting
            for channel in project.channels
        )
        shares = Shares()
        return StatusReport(
            project=project.name,
            settings=str(project.path) if project.path else None,
            version=__version__,
            pid=os.getpid(),
            state=self._state,
            is_ready=self._state == "running" and running,
            started=format_ticks(self._started),
            uptime=clock.monotonic() - self._since,
            data_dir=str(self.data_dir),
            control=self.control_url,
            simulator=self.simulator.url if self.simulator else None,
            channels=[self._report(c, shares) for c in project.all_channels()],
            sinks=sink_reports(project.channels),
            pi_servers=server_reports(self.limiters.statistics()),
            journal=self._journal_statistics(),
            lease=self.lease.report() if self.lease else None,
            loop_lag=self._heartbeat.lag.spread(),
            revisions=self._reloader.revisions.of_channels(),
            apply=self._reloader.revisions.apply,
        )

    async def whole_status(self) -> StatusReport:
        """The status, with what the coverage ledgers say."""
        return await self._control.told()

    def _report(
        self, channel: BaseChannel, shares: Shares | None = None
    ) -> ChannelReport:
        return channel_report(channel, self._unsettled(channel), shares)

    def _unsettled(self, channel: BaseChannel) -> int:
        with contextlib.suppress(JournalError):
            return self.journal.count_unsettled(channel.name)
        return 0

    def _journal_statistics(self) -> JournalStatistics | None:
        with contextlib.suppress(JournalError):
            return self.journal.statistics()
        return None

    def metrics(self) -> list[Family]:
        """The numbers of `status`, named as `docs/metrics.md` explains."""
        return metrics(self.status())
