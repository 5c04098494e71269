"""Backfill jobs: what each is to deliver, and what its state means for the ledger.

A job makes holes of what it is to deliver; repair closes them. What it does not do just
now, or never will, is excluded with the reason, so that it is no hole.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from pichannels.coverage.intervals import EMPTY, Interval, IntervalSet
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.repair import LOST_AT_SOURCE
from pichannels.coverage.views import coverage, groups

__all__ = [
    "CANCELLED",
    "NOT_ASKED",
    "PAUSED",
    "Job",
    "JobPriority",
    "JobState",
    "Left",
    "Part",
    "begin",
    "extend",
    "hold",
    "left",
    "parts_of",
    "release",
]

NOT_ASKED: Final = "not asked for"
CANCELLED: Final = "cancelled"
PAUSED: Final = "paused"
_BACKFILL: Final = "backfill"
_FREE: Final = frozenset({NOT_ASKED, CANCELLED})
_AGAIN: Final = _FREE | {LOST_AT_SOURCE}
_AT_ONCE: Final = 2000


class JobState(enum.StrEnum):
    """How a job is; `FAILED` is one of which only tags are left that
    cannot be read; it goes on when they can."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come of it."""
        return self in (JobState.DONE, JobState.CANCELLED)


class JobPriority(enum.StrEnum):
    """What is read first: `HIGH` before all other holes, `LOW` after them."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """Above 0 where it comes before others."""
        return {JobPriority.HIGH: 1, JobPriority.LOW: -1}.get(self, 0)


class Part(msgspec.Struct, frozen=True):
    """Tags of which a job delivers the same.

    Attributes:
        keys: as in the ledger.
        spans: ranges in ticks, in order.
    """

    keys: list[str]
    spans: list[Interval]


class Job(msgspec.Struct, kw_only=True):
    """A range of tags that is delivered on request; times in ticks.

    Attributes:
        number: of its channel's jobs.
        patterns: the tags as they were asked for.
        tags: how many tags it has something to deliver of.
        start, end: the range.
        again: whether what was delivered before is delivered again.
        who, reason: by whom and why.
        created, ended: when; `ended` is None while it is not over.
        state: how it is.
        parts: what it delivers; nothing is left of it when the job is over.
        total: tag-time that was to be delivered when it was created.
        left: tag-time that is still to be delivered.
        values: how many were read.
        unreadable: of how many tags something is left that cannot be read.
        priority: what it goes before or after.
    """

    number: int
    patterns: list[str]
    tags: int
    start: int
    end: int
    again: bool
    who: str
    reason: str
    created: int
    parts: list[Part]
    total: int
    left: int
    state: JobState = JobState.RUNNING
    ended: int | None = None
    values: int = 0
    unreadable: int = 0
    priority: JobPriority = JobPriority.NORMAL

    def over(self, state: JobState, at: int) -> None:
        """Nothing more comes of it."""
        self.state, self.ended, self.parts = state, at, []


class Left(NamedTuple):
    """What is left to deliver: tag-time in ticks, and what of it cannot be read.

    Attributes:
        ticks: all of it.
        unreadable_ticks: of tags that cannot be read now.
        unreadable: how many tags that are.
    """

    ticks: int = 0
    unreadable_ticks: int = 0
    unreadable: int = 0

    def plus(self, other: Left) -> Left:
        """Both together."""
        return Left(*map(sum, zip(self, other, strict=True)))


def parts_of(
    ledger: Ledger, tags: Iterable[int], start: int, end: int, *, again: bool = False
) -> list[Part]:
    """What a job of these tags and this range is to deliver.

    That is what is before the origin, or was not asked for; with `again` also what is
    delivered. Holes are not in it: they are read as it is.
    """
    found: dict[IntervalSet, list[str]] = {}
    for same in groups(ledger, tags):
        spans = _wanted(ledger, same[0], start, end, again)
        if spans:
            keys = found.setdefault(spans, [])
            keys.extend(ledger.tags.keys[tag] for tag in same)
    return [Part(keys, list(spans)) for spans, keys in found.items()]


def _wanted(ledger: Ledger, tag: int, start: int, end: int, again: bool) -> IntervalSet:
    past = ledger.tags.pasts[tag]
    reasons = _AGAIN if again else _FREE
    wanted = _labelled(ledger, tag, reasons).union(
        IntervalSet([(start, min(end, past.origin))])
    )
    claimed = ledger.claimed(tag, is_held=False)
    wanted = wanted.union(claimed) if again else wanted.difference(claimed)
    others = {label.reason for label in past.excluded} - reasons
    return wanted.difference(_labelled(ledger, tag, others)).within(start, end)


def _labelled(ledger: Ledger, tag: int, reasons: Collection[str]) -> IntervalSet:
    labels = ledger.tags.pasts[tag].excluded
    found = [(each.start, each.end) for each in labels if each.reason in reasons]
    return IntervalSet(found) if found else EMPTY


# What a state of a job means for the ledger


def begin(ledger: Ledger, job: Job, now: int) -> None:
    """Make holes of what the job is to deliver."""
    extend(ledger, job, now)
    for part in job.parts:
        tags = _numbers(ledger, part)
        for start, end in part.spans:
            ledger.include(tags, start, end)
            ledger.reopen(tags, start, end, _BACKFILL, now)


def extend(ledger: Ledger, job: Job, now: int) -> None:
    """Cover tags from the start of the job on; what lies between was not asked for."""
    for part in job.parts:
        first, spans = part.spans[0][0], IntervalSet(part.spans)
        for same in groups(ledger, _numbers(ledger, part)):
            origin = ledger.tags.pasts[same[0]].origin
            if first < origin:
                ledger.backfill(same, first, now)
                for start, end in spans.gaps(first, origin):
                    ledger.exclude(same, start, end, NOT_ASKED, now)


def hold(ledger: Ledger, job: Job, reason: str, now: int) -> None:
    """Exclude what is left of the job, so that it is no hole."""
    for part in job.parts:
        for same in groups(ledger, _numbers(ledger, part)):
            for start, end in _missing(ledger, same[0], part.spans, now):
                ledger.exclude(same, start, end, reason, now)


def release(ledger: Ledger, job: Job) -> None:
    """Let what was excluded as paused be holes again."""
    for part in job.parts:
        spans = IntervalSet(part.spans)
        for same in groups(ledger, _numbers(ledger, part)):
            paused = _labelled(ledger, same[0], (PAUSED,))
            for start, end in paused.intersection(spans):
                ledger.include(same, start, end)


def left(ledger: Ledger, job: Job, now: int) -> Iterator[Left]:
    """What is left of the job, for some thousand tags at a time."""
    for part in job.parts:
        tags = _numbers(ledger, part)
        for at in range(0, len(tags), _AT_ONCE):
            yield _left_of(ledger, tags[at : at + _AT_ONCE], part.spans, now)


def _left_of(
    ledger: Ledger, tags: list[int], spans: Sequence[Interval], now: int
) -> Left:
    result = Left()
    for same in groups(ledger, tags):
        ticks = _missing(ledger, same[0], spans, now).total * len(same)
        is_lost = ticks > 0 and not ledger.tags.state(same[0]).is_readable
        result = result.plus(Left(ticks, ticks * is_lost, len(same) * is_lost))
    return result


def _missing(
    ledger: Ledger, tag: int, spans: Sequence[Interval], now: int
) -> IntervalSet:
    """What is neither delivered nor excluded for good."""
    one = coverage(ledger, tag, now, now, is_held=False)
    paused = [each[:2] for each in one.excluded if each.reason == PAUSED]
    waiting = IntervalSet(paused).difference(ledger.claimed(tag))
    holes = IntervalSet([each[:2] for each in one.holes])
    return holes.union(one.in_flight).union(waiting).intersection(IntervalSet(spans))


def _numbers(ledger: Ledger, part: Part) -> list[int]:
    found = map(ledger.tags.get, part.keys)
    return [tag for tag in found if tag is not None]
