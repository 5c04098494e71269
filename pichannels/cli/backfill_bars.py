"""How far backfill jobs are: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pichannels.channels.jobs import JobState
from pichannels.cli.common import ask_instance
from pichannels.cli.output import duration, say
from pichannels.control.client import ControlClient

__all__ = ["follow"]

_LOOK: Final = 0.5
_STEP: Final = 10
"""Percent between two lines."""

_Show = Callable[[list[dict[str, Any]]], None]


def follow(ids: Sequence[str], *, is_quiet: bool = False) -> list[dict[str, Any]]:
    """Show how far jobs are until none runs: what they are then.

    Args:
        ids: of the jobs.
        is_quiet: only wait.

    Raises:
        NoInstance, NotConnected: the instance has stopped.
        CommandFailed: one of the jobs is not there.
    """

    async def online(client: ControlClient) -> list[dict[str, Any]]:
        with _shown(is_quiet) as show:
            while True:
                found = [await client.command("backfill-show", id=id) for id in ids]
                show(found)
                if not any(job["state"] == JobState.RUNNING for job in found):
                    return found
                await asyncio.sleep(_LOOK)

    return ask_instance(online)


@contextmanager
def _shown(is_quiet: bool) -> Iterator[_Show]:
    if is_quiet:
        yield lambda found: None
    elif sys.stdout.isatty():
        with _bars() as progress:
            yield _Bars(progress).show
    else:
        yield _Lines().show


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
    )


class _Bars:
    """A bar for each job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, Any] = {}

    def show(self, found: list[dict[str, Any]]) -> None:
        for job in found:
            bar = self._bars.get(job["id"])
            if bar is None:
                bar = self._progress.add_task(job["id"], total=1.0, pace="")
                self._bars[job["id"]] = bar
            self._progress.update(bar, completed=job["done"], pace=_pace(job))


class _Lines:
    """A line for each job now and then."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, int]] = {}

    def show(self, found: list[dict[str, Any]]) -> None:
        for job in found:
            percent = int(job["done"] * 100)
            told = (job["state"], percent // _STEP)
            if self._told.get(job["id"]) != told:
                self._told[job["id"]] = told
                say(f"{job['id']}  {percent} %  {_pace(job)}")


def _pace(job: dict[str, Any]) -> str:
    """State, values, and how long it takes still."""
    parts = [job["state"], f"{job['values']:,} values"]
    if job["state"] == JobState.RUNNING and job["eta"] is not None:
        parts += [f"{job['rate']:,.0f}/s", f"ready in {duration(job['eta'])}"]
    return "  ".join(parts)
