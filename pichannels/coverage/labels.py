"""Why ranges of time are what they are: reasons of holes and of exclusions.

Labels of a tag are a tuple in order and do not overlap. Like sets they do not
change, so that tags can share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from pichannels.coverage.intervals import Interval, IntervalSet

__all__ = ["NEVER", "Label", "Labels", "cleared", "explained", "marked", "ranges"]

NEVER: Final = "never covered"
"""The reason of a hole for which there is no other."""


class Label(NamedTuple):
    """A range of time and what is the matter with it.

    Attributes:
        start, end: ticks; the end is not in it.
        reason: a word or two.
        since: when it was noticed, ticks.
    """

    start: int
    end: int
    reason: str
    since: int


Labels: TypeAlias = tuple[Label, ...]


def marked(labels: Labels, new: Label) -> Labels:
    """The labels with a new one, which counts where it is."""
    if new.start >= new.end:
        return labels
    return tuple(sorted((*cleared(labels, new.start, new.end), new)))


def cleared(labels: Labels, start: int, end: int) -> Labels:
    """The labels without those of a range."""
    if start >= end or not any(x.start < end and start < x.end for x in labels):
        return labels
    left: list[Label] = []
    for label in labels:
        if label.start < min(start, label.end):
            left.append(label._replace(end=min(start, label.end)))
        if max(end, label.start) < label.end:
            left.append(label._replace(start=max(end, label.start)))
    return tuple(left)


def ranges(labels: Labels) -> IntervalSet:
    """All that is labelled."""
    return IntervalSet([(label.start, label.end) for label in labels])


def explained(missing: IntervalSet, labels: Labels, begin: int) -> list[Label]:
    """What is missing, in pieces that have one reason each, in order.

    Args:
        missing: what there are reasons for.
        labels: the reasons.
        begin: since when that without a label is missing.
    """
    return [piece for interval in missing for piece in _split(interval, labels, begin)]


def _split(interval: Interval, labels: Labels, begin: int) -> Iterator[Label]:
    at, end = interval
    for label in labels:
        if label.end <= at or label.start >= end:
            continue
        if at < label.start:
            yield Label(at, label.start, NEVER, begin)
        at = max(at, label.start)
        yield Label(at, min(label.end, end), label.reason, label.since)
        at = min(label.end, end)
    if at < end:
        yield Label(at, end, NEVER, begin)
