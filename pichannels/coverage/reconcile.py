"""Whether what was delivered in a range is what the archive holds of it.

The stream of PI has more than the archive, which leaves out what compression removes.
So what counts is that all that was archived was delivered; more is no fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Comparison", "Fact", "Reconciled", "Verdict", "compare", "hour_of", "hours"]

_HOUR = 36_000_000_000

Fact: TypeAlias = tuple[int, int, int]
"""Time in ticks, fingerprint of the value, and status of one event."""

Verdict: TypeAlias = Literal["equal", "more", "missing"]


class Comparison(msgspec.Struct, frozen=True):
    """What differs, each in order of time.

    Attributes:
        missing: archived, and not delivered with this value and status.
        extra: delivered, and not archived: compressed, edited or deleted since.
    """

    missing: tuple[Fact, ...] = ()
    extra: tuple[Fact, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """`missing` makes the range a hole; the others do not."""
        if self.missing:
            return "missing"
        return "more" if self.extra else "equal"


class Reconciled(msgspec.Struct, kw_only=True):
    """What all comparisons since the start have found, in hours of tags.

    Attributes:
        runs, failures: comparisons that came to their end, and that did not.
        compared: hours that could be compared.
        missing: hours that have become holes.
        missing_events: how many events that is.
        not_comparable: hours of which nothing can be said.
    """

    runs: int = 0
    failures: int = 0
    compared: int = 0
    missing: int = 0
    missing_events: int = 0
    not_comparable: int = 0


def compare(archived: Iterable[Fact], delivered: Iterable[Fact]) -> Comparison:
    """Compare events of one tag and range; identical ones count as often as they are.

    Args:
        archived: what the archive holds now.
        delivered: what was settled, in any lane. Events that come again may be in it
            more often than they are archived.
    """
    there, here = Counter(archived), Counter(delivered)
    return Comparison(
        tuple(sorted((there - here).elements())),
        tuple(sorted((here - there).elements())),
    )


def hour_of(ticks: int) -> int:
    """When the hour (UTC) of a time begins, ticks."""
    return ticks - ticks % _HOUR


def hours(start: int, end: int) -> list[tuple[int, int]]:
    """The whole hours (UTC) in a range, each with start and end in ticks."""
    first, last = -(-start // _HOUR), end // _HOUR
    return [(n * _HOUR, (n + 1) * _HOUR) for n in range(first, last)]
