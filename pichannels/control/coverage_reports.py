"""What is told of the coverage ledgers, as plain values."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pichannels.coverage.expected import Verdict
from pichannels.coverage.reconcile import Reconciled
from pichannels.coverage.tags import TagState

__all__ = [
    "ChannelCoverage",
    "CoverageReport",
    "CoverageWanted",
    "Piece",
    "ReasonReport",
    "Span",
    "TagCoverage",
]

_MOST_TAGS: Final = 1000


class CoverageWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is asked of the ledgers.

    Attributes:
        channel: of this one; of all channels when empty.
        tags: only tags whose name, path or key is one of these, with `*` and `?`.
        state: only tags in this state.
        mark: only tags with this mark.
        holes: tell only of tags that have holes.
        start, end: look only at this range (ISO 8601); without it from the origin
            of each tag to now.
        skip, count: of the tags, those with the longest holes first, leave out so
            many and tell at most so many. With 0 only channels are told of.
    """

    channel: str | None = None
    tags: list[str] = []
    state: TagState | None = None
    mark: Verdict | None = None
    holes: bool = False
    start: str | None = None
    end: str | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=0, le=_MOST_TAGS)] = 0


class ReasonReport(msgspec.Struct, frozen=True, kw_only=True):
    """Holes, or exclusions, that have one reason.

    Attributes:
        reason: a word or two.
        tags: how many have any.
        seconds: how long they are together.
        since: when the oldest was noticed, ISO 8601.
        age: how many seconds ago that was.
    """

    reason: str
    tags: int
    seconds: float
    since: str
    age: float


class ChannelCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a channel together; times in seconds, summed over the tags.

    Attributes:
        channel: its full name.
        at: up to when, by the server's time, ISO 8601.
        is_running: False where this is what the last run has left.
        tags: how many.
        states: how many of them are in each state.
        marks: how many have a mark, by mark; of a channel that runs.
        delivered, in_flight: how long.
        tags_with_holes: how many have any.
        hole_seconds: how long all holes are together.
        longest_hole: of one tag.
        oldest_hole: how long ago the first hole was noticed that is still there.
        holes, excluded: by reason, the longest first.
        messages: how many are in flight.
        reads: of the archive, under way or not settled.
        waiting: tags that wait after a read has failed.
        repaired: samples read from the archive, since the start.
        failed_reads: how many, since the start.
        not_found: tags that the server does not have, which no ledger is kept of.
        jobs: backfill jobs by state; of a channel that runs.
        job_seconds: what is left of those that are not over, in tag-time.
        job_values: values that jobs have read.
        reconciled: what comparing with the archive has found since the start.
        worked_out: for how many different tags this was worked out.
    """

    channel: str
    at: str
    is_running: bool
    tags: int
    states: dict[TagState, int]
    marks: dict[Verdict, int]
    delivered: float
    in_flight: float
    tags_with_holes: int
    hole_seconds: float
    longest_hole: float
    oldest_hole: float
    holes: list[ReasonReport]
    excluded: list[ReasonReport]
    messages: int
    reads: int
    waiting: int
    repaired: int
    failed_reads: int
    not_found: int
    jobs: dict[str, int]
    job_seconds: float
    job_values: int
    reconciled: Reconciled | None
    worked_out: int


class Span(msgspec.Struct, frozen=True):
    """A range of time; ISO 8601, the end is not in it.

    Attributes:
        start, end: ISO 8601; the end is not in it.
    """

    start: str
    end: str


class Piece(Span, frozen=True):
    """A range of time with a reason, and since when that is known.

    Attributes:
        reason: why it is as it is.
        since: when that was noticed, ISO 8601.
    """

    reason: str
    since: str


class TagCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each instant of a tag.

    Attributes:
        channel: the full name of its channel.
        tag, path, key: its name, its path and what the ledger calls it.
        state: what can be expected of it.
        mark: what is to be told of it while it runs: `quiet` (its source is),
            `stale`, `flat` or `blind` (we do not hear it).
        mark_since: the time of the last value before that, ISO 8601; of a flat one
            since when it is the same.
        start, end: from when to when this tells of it, ISO 8601.
        delivered_seconds, in_flight_seconds, hole_seconds, excluded_seconds: how
            long.
        oldest_hole: how many seconds ago the first of its holes was noticed.
        delivered, in_flight, holes, excluded: the ranges, in order.
    """

    channel: str
    tag: str
    path: str
    key: str
    state: TagState
    mark: Verdict | None
    mark_since: str | None
    start: str
    end: str
    delivered_seconds: float
    in_flight_seconds: float
    hole_seconds: float
    excluded_seconds: float
    oldest_hole: float
    delivered: list[Span]
    in_flight: list[Span]
    holes: list[Piece]
    excluded: list[Piece]


class CoverageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledgers say.

    Attributes:
        channels: those that have a ledger.
        matching: how many tags fit.
        tags: a page of them; shorter than asked for where they have very many ranges.
    """

    channels: list[ChannelCoverage]
    matching: int = 0
    tags: list[TagCoverage] = []
