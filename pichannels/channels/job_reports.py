"""Backfill jobs as they are asked for, told of and kept."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.channels.jobs import Job, JobPriority, JobState
from pichannels.errors import CodecError
from pichannels.journal import Journal
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = [
    "JobReport",
    "JobWanted",
    "job_id",
    "job_report",
    "jobs_namespace",
    "kept_jobs",
]


class JobWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is to deliver.

    Attributes:
        tags: names, paths or keys; `*` and `?` stand for others.
        start, end: ticks; without an end all up to now.
        again: deliver what counts as delivered once more.
        who, reason: by whom and why; kept with the job.
        priority: what it goes before or after.
    """

    tags: list[str]
    start: int
    end: int | None = None
    again: bool = False
    who: str = ""
    reason: str = ""
    priority: JobPriority = JobPriority.NORMAL


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """A job at one moment; lengths of time in seconds.

    Attributes:
        id: channel and number.
        channel: full name.
        state: running, paused, done, cancelled or failed.
        tags: as they were asked for.
        tag_count: how many tags it has something to deliver of.
        start, end: the range.
        again, who, reason: as it was asked for.
        created, ended: when.
        total: tag-time to be delivered.
        left: what of it is missing.
        done: the part of it that is delivered, 0 to 1.
        values: how many were read.
        rate: values in a second; None while that is unknown.
        eta: until it is done at the pace of the last minute; None if unknown.
        unreadable: tags with something left that cannot be read.
        priority: what it goes before or after.
    """

    id: str
    channel: str
    state: JobState
    tags: list[str]
    tag_count: int
    start: str
    end: str
    again: bool
    who: str
    reason: str
    created: str
    ended: str | None
    total: float
    left: float
    done: float
    values: int
    rate: float | None
    eta: float | None
    unreadable: int
    priority: JobPriority = JobPriority.NORMAL


async def kept_jobs(journal: Journal, channel: str) -> list[Job]:
    """The jobs of a channel as the journal has them, the oldest first.

    Raises:
        JournalError: the journal cannot be read.
        CodecError: what was kept is damaged, or of a newer program.
    """
    kept: dict[str, Any] = await journal.saved(jobs_namespace(channel))
    try:
        found = [msgspec.msgpack.decode(data, type=Job) for data in kept.values()]
    except (msgspec.DecodeError, TypeError) as exc:
        raise CodecError(f"the jobs of {channel} cannot be read: {exc}") from exc
    return sorted(found, key=lambda job: job.number)


def job_id(channel: str, number: int) -> str:
    """What a job is called outside of its channel."""
    return f"{channel}-{number}"


def job_report(
    channel: str, job: Job, rates: tuple[float, float] | None = None
) -> JobReport:
    """A job in a form to be told.

    Args:
        channel: full name.
        job: which one.
        rates: ticks of tag-time and values in a second, where it runs.
    """
    speed, rate = rates or (0.0, None)
    return JobReport(
        id=job_id(channel, job.number),
        channel=channel,
        state=job.state,
        tags=job.patterns,
        tag_count=job.tags,
        start=format_ticks(job.start),
        end=format_ticks(job.end),
        again=job.again,
        who=job.who,
        reason=job.reason,
        created=format_ticks(job.created),
        ended=None if job.ended is None else format_ticks(job.ended),
        total=job.total / TICKS_PER_SECOND,
        left=job.left / TICKS_PER_SECOND,
        done=1 - job.left / job.total,
        values=job.values,
        rate=rate,
        eta=job.left / speed if speed > 0 else None,
        unreadable=job.unreadable,
        priority=job.priority,
    )


def jobs_namespace(channel: str) -> str:
    """Where the journal keeps the jobs of a channel."""
    return f"jobs:{channel}"
