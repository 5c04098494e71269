"""The backfill jobs of a channel at work: created, paused, followed to their end.

Jobs are kept in the journal, in one commit with what they change of the ledger, so
that a restart goes on with them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from pichannels import clock
from pichannels.channels import jobs
from pichannels.channels.covering import Covering
from pichannels.channels.job_reports import (
    JobReport,
    JobWanted,
    job_id,
    job_report,
    jobs_namespace,
    kept_jobs,
)
from pichannels.channels.jobs import Job, JobPriority, JobState, Left
from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.repair import Ranked, Read
from pichannels.errors import CodecError, JournalError, UsageError
from pichannels.journal import Journal
from pichannels.patterns import matching
from pichannels.values import format_ticks

__all__ = ["Backfilling"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_LOOK: Final = 0.5
"""Seconds between two looks at how far jobs are, at least."""
_PATIENCE: Final = 20
"""As many times as a look takes is waited before the next."""
_KEEP: Final = 5.0
"""Seconds between two commits of how far jobs are."""
_WINDOW: Final = 60.0
"""Seconds over which speed is measured."""
_STEPS: Final = 10
"""How often it is told how far a job is."""
_FOLLOWED: Final = (JobState.RUNNING, JobState.FAILED)
_OVER: Final = 100
"""Jobs that are over and still kept."""


class _Pace:
    """How fast a job is."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()
        self._steps: int | None = None

    def note(self, job: Job) -> bool:
        """Note how far it is; whether it is a tenth further, and not at its end."""
        now = clock.monotonic()
        self._seen.append((now, job.left, job.values))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        steps = (job.total - job.left) * _STEPS // job.total
        before, self._steps = self._steps, steps
        return before is not None and before < steps < _STEPS

    def rates(self) -> tuple[float, float] | None:
        """Ticks of tag-time and values in a second."""
        if len(self._seen) < 2:
            return None
        (start, before, old), (end, after, new) = self._seen[0], self._seen[-1]
        if end <= start:
            return None
        return (before - after) / (end - start), (new - old) / (end - start)


class Backfilling:
    """Keeps the jobs of one channel.

    Args:
        covering: the channel's ledger at work.
    """

    def __init__(self, covering: Covering) -> None:
        self._covering = covering
        self._journal: Journal | None = None
        self._jobs: dict[int, Job] = {}
        self._tags: dict[int, list[tuple[frozenset[int], IntervalSet]]] = {}
        self._paces: dict[int, _Pace] = {}
        self._task: asyncio.Task[None] | None = None
        self._next_keep = 0.0

    @property
    def is_open(self) -> bool:
        """Whether jobs can be created and changed."""
        return self._task is not None

    async def open(self, journal: Journal) -> None:
        """Take up the jobs that the last run has left; the ledger is open.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._task is not None:
            return
        try:
            found = await kept_jobs(journal, self._covering.channel)
        except CodecError as exc:
            # They stay as they are: a program that understands them may come.
            logger.error("%s; no jobs run", exc)
            return
        self._journal = journal
        self._jobs = {job.number: job for job in found}
        ledger, now = self._covering.ledger, self._covering.server.now()
        for job in found:
            # A ledger that began anew knows nothing of it.
            jobs.extend(ledger, job, now)
            if job.state is JobState.PAUSED:
                jobs.hold(ledger, job, jobs.PAUSED, now)
            self._index(job)
        self._rank()
        name = f"{self._covering.channel}: backfill jobs"
        self._task = asyncio.create_task(self._follow(), name=name)

    async def close(self) -> None:
        """Follow the jobs no longer; the next run goes on with them."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        try:
            for job in self._jobs.values():
                if not job.state.is_over:
                    self._keep(job)
        except JournalError as exc:
            logger.error("%s: jobs are not kept: %s", self._covering.channel, exc)
        self._journal = None

    # On request

    def create(self, wanted: JobWanted) -> JobReport:
        """Begin to deliver a range of tags.

        Raises:
            UsageError: no such tags, no time, or nothing is to be delivered.
            JournalError: it cannot be kept.
        """
        self._check_open()
        covering, now = self._covering, self._covering.server.now()
        latest = now - covering.ledger.margins.settle
        end = latest if wanted.end is None else min(wanted.end, latest)
        if wanted.start >= end:
            raise UsageError(
                f"start {format_ticks(wanted.start)} is not before {format_ticks(end)}"
            )
        tags = self._chosen(wanted.tags)
        parts = jobs.parts_of(
            covering.ledger, tags, wanted.start, end, again=wanted.again
        )
        if not parts:
            raise UsageError(
                "all of that is delivered, excluded, or to be delivered as it is;"
                " ask with --again to deliver it once more"
            )
        job = self._made(wanted, parts, end, now)
        self._jobs[job.number] = job
        jobs.begin(covering.ledger, job, now)
        self._changed(job, "created")
        return self.report(job.number)

    def _chosen(self, patterns: Sequence[str]) -> list[int]:
        if not patterns:
            raise UsageError("a job needs tags")
        fits = matching(patterns)
        ledger, streams = self._covering.ledger, self._covering.streams
        found = [
            tag
            for tag, stream in streams.items()
            if fits(stream.name) or fits(stream.path) or fits(ledger.tags.keys[tag])
        ]
        if not found:
            raise UsageError(f"no tag fits {', '.join(map(repr, patterns))}")
        readable = [tag for tag in found if ledger.tags.state(tag).is_readable]
        if not readable:
            raise UsageError("none of these tags can be read")
        return readable

    def _made(
        self, wanted: JobWanted, parts: list[jobs.Part], end: int, now: int
    ) -> Job:
        total = sum(len(part.keys) * IntervalSet(part.spans).total for part in parts)
        return Job(
            number=max(self._jobs, default=0) + 1,
            patterns=list(wanted.tags),
            tags=sum(len(part.keys) for part in parts),
            start=wanted.start,
            end=end,
            again=wanted.again,
            who=wanted.who,
            reason=wanted.reason,
            priority=wanted.priority,
            created=now,
            parts=parts,
            total=total,
            left=total,
        )

    def pause(self, number: int) -> JobReport:
        """Read no more of a job until it is resumed; what is read already goes on.

        Raises:
            UsageError: no such job, or it does not run.
            JournalError: it cannot be kept.
        """
        job = self._in_state(number, JobState.RUNNING)
        now = self._covering.server.now()
        jobs.hold(self._covering.ledger, job, jobs.PAUSED, now)
        job.state = JobState.PAUSED
        self._changed(job, "paused")
        return self.report(number)

    def resume(self, number: int) -> JobReport:
        """Go on with a job that is paused.

        Raises:
            UsageError: no such job, or it is not paused.
            JournalError: it cannot be kept.
        """
        job = self._in_state(number, JobState.PAUSED)
        jobs.release(self._covering.ledger, job)
        job.state = JobState.RUNNING
        self._changed(job, "resumed")
        return self.report(number)

    def prioritise(self, number: int, priority: JobPriority) -> JobReport:
        """Read a job before or after others; reads under way go on to their end.

        Raises:
            UsageError: no such job, or it is over.
            JournalError: it cannot be kept.
        """
        job = self._in_state(number, JobState.RUNNING, JobState.PAUSED, JobState.FAILED)
        job.priority = priority
        self._changed(job, "prioritised")
        return self.report(number)

    def cancel(self, number: int) -> JobReport:
        """Give a job up: what is left of it is excluded.

        Raises:
            UsageError: no such job, or it is over.
            JournalError: it cannot be kept.
        """
        job = self._in_state(number, JobState.RUNNING, JobState.PAUSED, JobState.FAILED)
        now = self._covering.server.now()
        self._measure_at_once(job, now)
        jobs.release(self._covering.ledger, job)
        jobs.hold(self._covering.ledger, job, jobs.CANCELLED, now)
        job.over(JobState.CANCELLED, now)
        self._changed(job, "cancelled")
        return self.report(number)

    def report(self, number: int) -> JobReport:
        """A job at this moment.

        Raises:
            UsageError: there is none of this number.
        """
        pace = self._paces.get(number)
        rates = pace.rates() if pace is not None else None
        return job_report(self._covering.channel, self._job(number), rates)

    def reports(self) -> list[JobReport]:
        """All jobs, the oldest first."""
        return [self.report(number) for number in sorted(self._jobs)]

    def _job(self, number: int) -> Job:
        job = self._jobs.get(number)
        if job is None:
            raise UsageError(f"{self._covering.channel!r} has no job {number}")
        return job

    def _in_state(self, number: int, *states: JobState) -> Job:
        self._check_open()
        job = self._job(number)
        if job.state not in states:
            name = f"{self._covering.channel}-{number}"
            raise UsageError(f"job {name} is {job.state.value}")
        return job

    def _check_open(self) -> None:
        if not self.is_open:
            raise UsageError(f"{self._covering.channel!r} does not receive just now")

    # What repair does

    def lane_of(self, read: Read) -> str:
        """The lane of what a read gives."""
        return "repair" if self._of(read) is None else "backfill"

    def took(self, read: Read, count: int) -> None:
        """So many values of a read were accepted."""
        job = self._of(read)
        if job is not None:
            job.values += count

    def _of(self, read: Read) -> Job | None:
        for number, parts in self._tags.items():
            for tags, spans in parts:
                if spans.contains(read.start) and not tags.isdisjoint(read.tags):
                    return self._jobs[number]
        return None

    def _index(self, job: Job) -> None:
        self._tags.pop(job.number, None)
        self._paces.pop(job.number, None)
        if job.state not in _FOLLOWED:
            return
        self._paces[job.number] = _Pace()
        number_of = self._covering.ledger.tags.get
        self._tags[job.number] = [
            (
                frozenset(
                    tag for key in part.keys if (tag := number_of(key)) is not None
                ),
                IntervalSet(part.spans),
            )
            for part in job.parts
        ]

    def _rank(self) -> None:
        """Tell what is read before or after all else; holes are looked for anew."""
        self._covering.planner.rank(
            Ranked(self._jobs[number].priority.rank, tags, spans)
            for number, parts in self._tags.items()
            if self._jobs[number].priority is not JobPriority.NORMAL
            for tags, spans in parts
        )

    # How far they are

    async def _follow(self) -> None:
        while True:
            start = clock.monotonic()
            try:
                for number in list(self._paces):
                    await self._measure(self._jobs[number])
            except JournalError as exc:
                logger.error("%s: jobs are not kept: %s", self._covering.channel, exc)
            took = clock.monotonic() - start
            await asyncio.sleep(max(_LOOK, took * _PATIENCE))

    async def _measure(self, job: Job) -> None:
        """Look how far a job is, and whether it is over."""
        covering, found = self._covering, Left()
        for some in jobs.left(covering.ledger, job, covering.server.now()):
            found = found.plus(some)
            await asyncio.sleep(0)
        if job.state not in _FOLLOWED:
            return
        self._note(job, found)
        if not found.ticks:
            job.over(JobState.DONE, covering.server.now())
            self._changed(job, "done")
            return
        is_stuck = found.ticks == found.unreadable_ticks
        state = JobState.FAILED if is_stuck else JobState.RUNNING
        if state is not job.state:
            job.state = state
            self._changed(job, "failed" if is_stuck else "resumed")
        elif clock.monotonic() >= self._next_keep:
            self._next_keep = clock.monotonic() + _KEEP
            self._keep(job)

    def _measure_at_once(self, job: Job, now: int) -> None:
        found = Left()
        for some in jobs.left(self._covering.ledger, job, now):
            found = found.plus(some)
        self._note(job, found)

    def _note(self, job: Job, found: Left) -> None:
        job.left, job.unreadable = min(found.ticks, job.total), found.unreadable
        pace = self._paces.get(job.number)
        if pace is not None and pace.note(job):
            self._tell(job, "progress")

    def _tell(self, job: Job, what: str) -> None:
        self._covering.fire(
            f"backfill.{what}",
            job=job_id(self._covering.channel, job.number),
            state=job.state.value,
            done=1 - job.left / job.total,
            values=job.values,
            unreadable=job.unreadable,
        )

    def _changed(self, job: Job, what: str) -> None:
        """Keep a job and what it has changed of the ledger, in one commit."""
        channel, state = self._covering.channel, job.state.value
        logger.info("%s: backfill job %d: %s", channel, job.number, state)
        self._tell(job, what)
        self._index(job)
        self._rank()
        self._keep(job)
        self._covering.save()
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        over = [number for number, one in self._jobs.items() if one.state.is_over]
        for number in sorted(over)[:-_OVER]:
            del self._jobs[number]
            if self._journal is not None:
                namespace = jobs_namespace(self._covering.channel)
                self._journal.forget(namespace, str(number))

    def _keep(self, job: Job) -> None:
        if self._journal is not None:
            namespace = jobs_namespace(self._covering.channel)
            self._journal.save(namespace, str(job.number), msgspec.msgpack.encode(job))
