"""Backfill jobs: created, looked at, paused, resumed and cancelled on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pichannels.channels.backfilling import Backfilling
from pichannels.channels.job_reports import (
    JobReport,
    JobWanted,
    job_report,
    kept_jobs,
)
from pichannels.channels.jobs import JobPriority, JobState
from pichannels.control.arguments import ticks_of
from pichannels.errors import NoSuchName, UsageError
from pichannels.journal import Journal
from pichannels.project import Project

__all__ = [
    "BackfillWanted",
    "JobsWanted",
    "change_job",
    "create_job",
    "list_jobs",
    "show_job",
]


class BackfillWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A job that is asked for.

    Attributes:
        channel: full name.
        tags: names, paths or keys; `*` and `?` stand for others.
        start, end: ISO 8601; without an end all up to now.
        again: deliver what counts as delivered once more.
        who, reason: by whom and why; kept with the job.
        priority: what it goes before or after.
    """

    channel: str
    tags: list[str]
    start: str
    end: str | None = None
    again: bool = False
    who: str = ""
    reason: str = ""
    priority: JobPriority = JobPriority.NORMAL


class JobsWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs to tell of.

    Attributes:
        channel: of this one; of all without.
        state: only those in this state.
    """

    channel: str | None = None
    state: JobState | None = None


def create_job(project: Project, wanted: BackfillWanted) -> JobReport:
    """Begin to deliver a range of tags.

    Raises:
        UsageError: no such channel or tags, no time, or nothing is to be delivered.
        JournalError: it cannot be kept.
    """
    return _backfilling(project, wanted.channel).create(
        JobWanted(
            tags=wanted.tags,
            start=ticks_of("start", wanted.start),
            end=None if wanted.end is None else ticks_of("end", wanted.end),
            again=wanted.again,
            who=wanted.who,
            reason=wanted.reason,
            priority=wanted.priority,
        )
    )


async def list_jobs(
    project: Project, journal: Journal, wanted: JobsWanted
) -> list[JobReport]:
    """Jobs, those of each channel together, of an instance that runs or not.

    Raises:
        UsageError: no such channel.
        JournalError: the journal cannot be read.
        CodecError: what was kept is damaged, or of a newer program.
    """
    channels: list[Any] = (
        [project.channel(wanted.channel)] if wanted.channel else project.all_channels()
    )
    found: list[JobReport] = []
    for channel in channels:
        backfilling: Backfilling | None = getattr(channel, "backfilling", None)
        if backfilling is not None and backfilling.is_open:
            found += backfilling.reports()
        elif backfilling is not None:
            kept = await kept_jobs(journal, channel.name)
            found += [job_report(channel.name, job) for job in kept]
    return [one for one in found if wanted.state in (None, one.state)]


async def show_job(project: Project, journal: Journal, id: str) -> JobReport:
    """One job.

    Raises:
        UsageError: there is none.
        JournalError, CodecError: as `list_jobs`.
    """
    channel, _ = _parts(id)
    for one in await list_jobs(project, journal, JobsWanted(channel=channel)):
        if one.id == id:
            return one
    raise NoSuchName(f"there is no job {id!r}; `pichannels backfill list` shows them")


def change_job(
    project: Project, id: str, change: Callable[[Backfilling, int], JobReport]
) -> JobReport:
    """Pause, resume or cancel a job.

    Args:
        change: the method of `Backfilling`.

    Raises:
        UsageError: there is none, its channel does not run, or its state is another.
        JournalError: it cannot be kept.
    """
    channel, number = _parts(id)
    return change(_backfilling(project, channel), number)


def _backfilling(project: Project, name: str) -> Backfilling:
    channel: Any = project.channel(name)
    found: Backfilling | None = getattr(channel, "backfilling", None)
    if found is None:
        raise UsageError(f"channel {name!r} reads nothing from an archive")
    return found


def _parts(id: str) -> tuple[str, int]:
    channel, _, number = id.rpartition("-")
    if not (channel and number.isascii() and number.isdigit()):
        raise NoSuchName(f"{id!r} is no job: a job is a channel, - and a number")
    return channel, int(number)
