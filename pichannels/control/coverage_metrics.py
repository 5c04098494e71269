"""The numbers of the coverage ledgers, as `docs/metrics.md` explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from pichannels.channels.jobs import JobState
from pichannels.control.coverage_reports import ChannelCoverage, ReasonReport
from pichannels.coverage.expected import Verdict
from pichannels.coverage.tags import TagState
from pichannels.metrics import Family, Point

__all__ = ["coverage_families"]


class _Number(NamedTuple):
    """One number of a channel."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: Callable[[ChannelCoverage], float]


_NUMBERS: Final = (
    _Number(
        "tags_with_holes",
        "gauge",
        "Tags that have holes.",
        lambda each: each.tags_with_holes,
    ),
    _Number(
        "longest_hole_seconds",
        "gauge",
        "The longest hole of a tag.",
        lambda each: each.longest_hole,
    ),
    _Number(
        "oldest_hole_seconds",
        "gauge",
        "How long ago the first hole was noticed that is still there.",
        lambda each: each.oldest_hole,
    ),
    _Number(
        "in_flight",
        "gauge",
        "Messages of PI channels that are not settled.",
        lambda each: each.messages,
    ),
    _Number(
        "reads",
        "gauge",
        "Reads of the archive that are under way or not settled.",
        lambda each: each.reads,
    ),
    _Number(
        "repaired_samples_total",
        "counter",
        "Samples read from the archive and accepted.",
        lambda each: each.repaired,
    ),
    _Number(
        "failed_reads_total",
        "counter",
        "Reads of the archive that failed.",
        lambda each: each.failed_reads,
    ),
    _Number(
        "backfill_left_seconds",
        "gauge",
        "What is left of backfill jobs that are not over, in tag-time.",
        lambda each: each.job_seconds,
    ),
    _Number(
        "backfill_values",
        "gauge",
        "Values that backfill jobs have read, of those that are still kept.",
        lambda each: each.job_values,
    ),
)
_HOUR: Final = 3600
_RECONCILED: Final = (
    (
        "reconciles_total",
        "Comparisons with the archive that came to their end.",
        "runs",
        1,
    ),
    ("failed_reconciles_total", "Comparisons that failed.", "failures", 1),
    (
        "reconciled_seconds_total",
        "How long what was compared is, summed over all tags.",
        "compared",
        _HOUR,
    ),
    (
        "missing_seconds_total",
        "How long those hours of it are that became holes.",
        "missing",
        _HOUR,
    ),
    ("missing_events_total", "Events that were missing in them.", "missing_events", 1),
)


def coverage_families(channels: Sequence[ChannelCoverage]) -> list[Family]:
    """The metrics of these channels."""
    return [
        _tags(channels),
        _marks(channels),
        _by_reason(
            "hole_seconds",
            "How long holes are, summed over all tags.",
            [(each.channel, each.holes) for each in channels],
        ),
        _by_reason(
            "excluded_seconds",
            "How long what is excluded is, summed over all tags.",
            [(each.channel, each.excluded) for each in channels],
        ),
        *(_family(number, channels) for number in _NUMBERS),
        _jobs(channels),
        *(_reconciled(*each, channels) for each in _RECONCILED),
    ]


def _tags(channels: Sequence[ChannelCoverage]) -> Family:
    points = [
        Point(each.states.get(state, 0), {"channel": each.channel, "state": state})
        for each in channels
        for state in TagState
    ]
    help = "Tags, by what can be expected of them."
    return Family("coverage_tags", "gauge", help, points)


def _marks(channels: Sequence[ChannelCoverage]) -> Family:
    points = [
        Point(each.marks.get(mark, 0), {"channel": each.channel, "mark": mark})
        for each in channels
        if each.is_running
        for mark in Verdict
    ]
    help = "Tags, by what is to be told of them."
    return Family("coverage_marks", "gauge", help, points)


def _jobs(channels: Sequence[ChannelCoverage]) -> Family:
    points = [
        Point(each.jobs.get(state, 0), {"channel": each.channel, "state": state})
        for each in channels
        if each.is_running
        for state in JobState
    ]
    return Family("coverage_backfill_jobs", "gauge", "Backfill jobs by state.", points)


def _reconciled(
    name: str, help: str, field: str, unit: int, channels: Sequence[ChannelCoverage]
) -> Family:
    points = [
        Point(getattr(each.reconciled, field) * unit, {"channel": each.channel})
        for each in channels
        if each.reconciled is not None
    ]
    return Family(f"coverage_{name}", "counter", help, points)


def _by_reason(
    name: str, help: str, found: Iterable[tuple[str, Sequence[ReasonReport]]]
) -> Family:
    points = [
        Point(one.seconds, {"channel": channel, "reason": one.reason})
        for channel, reasons in found
        for one in reasons
    ]
    return Family(f"coverage_{name}", "gauge", help, points)


def _family(number: _Number, channels: Sequence[ChannelCoverage]) -> Family:
    points = [Point(number.value(x), {"channel": x.channel}) for x in channels]
    return Family(f"coverage_{number.name}", number.kind, number.help, points)
