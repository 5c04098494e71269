"""Puts changed settings into force while the instance runs."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from pichannels.errors import PichannelsError, SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.project import load
from pichannels.reload.code import CodeFiles
from pichannels.reload.definition import ProjectDefinition, define
from pichannels.reload.evaluation import evaluate
from pichannels.reload.host import Host
from pichannels.reload.plan import ReloadReport, compare
from pichannels.reload.revisions import Revisions
from pichannels.reload.swap import Swap

__all__ = ["Reloader"]

logger: Final = logging.getLogger("pichannels.reload")


class Reloader:
    """Compares the settings with what runs, and changes what differs.

    Args:
        host: the engine.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.revisions = Revisions()
        self._code = CodeFiles()
        self._running: ProjectDefinition | None = None
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[ReloadReport]] = set()

    def remember(self) -> None:
        """Take down what runs, before any of it has started; reads files."""
        project = self._host.project
        if self._running is None and project.path is not None:
            self._running = define(project)
            self._code.remember()

    async def open(self, journal: Journal) -> None:
        """Count what has changed since the last run.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._running is not None:
            await self.revisions.open(journal, self._running)

    async def plan(self) -> ReloadReport:
        """What `reload` would change; nothing is changed.

        Raises:
            SettingsError: the settings cannot be used.
            UsageError: the project was not made from a settings file.
        """
        running, path = self._known()
        return await self._compare(running, path)

    async def run(self) -> ReloadReport:
        """Let the settings as they are now take effect, unless they need a restart.

        A child process evaluates them first. Only channels that differ are touched.
        It goes on when who asked for it goes away: half of it would be worse.

        Raises:
            SettingsError: the settings cannot be used; all is as it was.
            UsageError: the project was not made from a settings file, or the
                instance stops meanwhile.
        """
        work = self._start()
        await asyncio.wait([work])
        if work.cancelled():
            raise UsageError("the instance stops; nothing more is reloaded")
        return work.result()

    def request(self) -> None:
        """`run` in the background; the log tells what comes of it."""
        self._start().add_done_callback(_log)

    def _start(self) -> asyncio.Task[ReloadReport]:
        work = asyncio.create_task(self._run(), name="reload")
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        return work

    async def close(self) -> None:
        """End what is under way; channels are left whole, each by itself."""
        tasks = list(self._tasks)
        for work in tasks:
            work.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> ReloadReport:
        async with self._lock:
            self._host.events.fire("instance.reloading")
            try:
                report = await self._reload()
            except SettingsError as exc:
                self._host.events.fire("reload.refused", error=str(exc))
                raise
            except BaseException as exc:
                self._host.events.fire("reload.failed", error=str(exc))
                raise
        self._host.events.fire(
            "instance.reloaded",
            applied=report.applied,
            apply=report.apply,
            channels=[change.name for change in report.channels],
            settings=list(report.settings),
            restart=report.restart,
        )
        return report

    async def _reload(self) -> ReloadReport:
        running, path = self._known()
        report = await self._compare(running, path)
        if report.restart or report.is_empty:
            return report
        project = await asyncio.to_thread(load, path)
        new = await asyncio.to_thread(define, project)
        # What counts is what was evaluated here; a file may change in between.
        report = compare(running, new)
        if report.restart:
            return report
        swap = Swap(self._host, running, new)
        self._running = await swap.apply(project, report)
        report.applied = True
        await self.revisions.note(self._running)
        report.apply = self.revisions.apply
        await asyncio.to_thread(self._code.remember)
        return report

    async def _compare(self, running: ProjectDefinition, path: Path) -> ReloadReport:
        new = await evaluate(path)
        await asyncio.to_thread(self._code.remember)
        changed = await asyncio.to_thread(self._code.changed)
        return compare(running, new, map(str, changed))

    def _known(self) -> tuple[ProjectDefinition, Path]:
        path = self._host.project.path
        if self._running is None or path is None:
            raise UsageError("only a project that was made from a file can be reloaded")
        return self._running, path


def _log(work: asyncio.Task[ReloadReport]) -> None:
    if work.cancelled():
        return
    error = work.exception()
    if error is None:
        for line in work.result().lines():
            logger.info("%s", line)
    elif isinstance(error, PichannelsError):
        logger.error("not reloaded, all runs on as it was: %s", error)
    else:
        logger.error("not reloaded", exc_info=error)
