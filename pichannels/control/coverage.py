"""What the coverage ledgers say: of each channel, and of tags that are asked for.

Tags that are the same are worked out together, part after part, so that neither many
tags nor a large report hold up the channels.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from math import inf
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.control.arguments import ticks_of
from pichannels.control.coverage_reports import (
    ChannelCoverage,
    CoverageReport,
    CoverageWanted,
    Piece,
    ReasonReport,
    Span,
    TagCoverage,
)
from pichannels.control.ledgers import View, ledgers, running_ledgers
from pichannels.coverage.intervals import Interval
from pichannels.coverage.labels import Label, Labels, ranges
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import Coverage, Reason, coverage, groups, held_back
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.patterns import matching
from pichannels.project import Project
from pichannels.values import (
    NO_DATA,
    OPEN_END,
    TICKS_PER_SECOND,
    format_ticks,
)

__all__ = [
    "CoverageSummaries",
    "coverage_report",
    "report_of",
]

_PART: Final = 2000
_SMALL_PART: Final = 200
_ALIKE: Final = 10
"""Where fewer tags than that are the same, on average, the next part is small."""
_PAUSE: Final = 0.5
"""Seconds for which summaries are good, at least."""
_PATIENCE: Final = 20
"""As many times as it took to work them out they are good."""
_RANGES: Final = 20_000
"""Ranges in one report; the tag that goes beyond is the last."""


class _Window(NamedTuple):
    """What is looked at, ticks."""

    start: int = 0
    end: int | None = None


class _Group(NamedTuple):
    """Tags that have the same holes; those with the longest sort first."""

    missing: int
    """How many ticks, negative."""
    since: int
    place: int
    tags: list[int]


async def coverage_report(
    project: Project, journal: Journal, wanted: CoverageWanted
) -> CoverageReport:
    """What the ledgers of a project say, of an instance that runs or not.

    Raises:
        UsageError: no such channel, or a time is none.
        JournalError: the journal cannot be read.
        CodecError: what was saved of a ledger is damaged, or of a newer program.
    """
    channels = (
        [project.channel(wanted.channel)] if wanted.channel else project.all_channels()
    )
    named = bool(wanted.count or wanted.tags)
    return await report_of(await ledgers(channels, journal, named=named), wanted)


class CoverageSummaries:
    """The channels that keep a ledger just now, worked out anew now and then.

    That takes a small part of the time only, however many tags there are. Times that
    single tags are held back count as delivered.
    """

    def __init__(self) -> None:
        self._found: list[ChannelCoverage] = []
        self._good_until = -inf
        self._working = asyncio.Lock()

    async def of(self, channels: Iterable[BaseChannel]) -> list[ChannelCoverage]:
        """What was found last, or, where that is too old, what there is now."""
        async with self._working:
            start = clock.monotonic()
            if start >= self._good_until:
                self._found = [await _summary(v) for v in running_ledgers(channels)]
                end = clock.monotonic()
                self._good_until = end + max(_PAUSE, (end - start) * _PATIENCE)
        return self._found


async def _summary(view: View) -> ChannelCoverage:
    tally = _Tally(view)
    async for one, tags in _worked_out(view, lambda tag: True, _Window()):
        tally.add(one, len(tags))
    return tally.report()


async def report_of(views: Sequence[View], wanted: CoverageWanted) -> CoverageReport:
    """What these ledgers say.

    Raises:
        UsageError: a time is none.
    """
    window = _window(wanted)
    found: list[_Group] = []
    channels = []
    for place, view in enumerate(views):
        tally, wants = _Tally(view), _wants(view, wanted)
        async for one, tags in _worked_out(view, wants, window):
            tally.add(one, len(tags))
            if wanted.count and (one.holes or not wanted.holes):
                found.append(_group(one, place, tags))
        await _count_held(view, wants, window, tally)
        channels.append(tally.report())
    found.sort()
    page = await _page(views, found, wanted, window)
    matching = sum(len(group.tags) for group in found)
    return CoverageReport(channels=channels, matching=matching, tags=page)


def _window(wanted: CoverageWanted) -> _Window:
    start = None if wanted.start is None else ticks_of("start", wanted.start)
    end = None if wanted.end is None else ticks_of("end", wanted.end)
    if start is not None and end is not None and start >= end:
        raise UsageError(f"start {wanted.start} is not before end {wanted.end}")
    return _Window(start or 0, end)


def _wants(view: View, wanted: CoverageWanted) -> Callable[[int], bool]:
    """Whether a tag is asked for."""
    state = view.ledger.tags.state
    fits = matching(wanted.tags) if wanted.tags else None
    marked = set()
    if wanted.mark is not None:
        marked = {n for n, mark in view.marks().items() if mark.verdict is wanted.mark}

    def wants(tag: int) -> bool:
        if wanted.state is not None and state(tag) != wanted.state:
            return False
        if wanted.mark is not None and tag not in marked:
            return False
        return fits is None or any(
            map(fits, (view.name(tag), view.path(tag), view.ledger.tags.keys[tag]))
        )

    return wants


# Working it out


async def _worked_out(
    view: View, wants: Callable[[int], bool], window: _Window
) -> AsyncIterator[tuple[Coverage, list[int]]]:
    """What became of tags, those together that have the same holes.

    What is held back of a tag by itself is not looked at.
    """
    tags, at, size = len(view.ledger.tags), 0, _PART
    while at < tags:
        part = range(at, min(at + size, tags))
        at = part.stop
        # Nothing may happen to a ledger between finding tags that are the same and
        # working one of them out.
        found = [
            (_looked_at(view, same[0], window, is_held=False), same)
            for same in groups(view.ledger, filter(wants, part))
        ]
        size = _SMALL_PART if len(found) * _ALIKE > len(part) else _PART
        for each in found:
            yield each
        await asyncio.sleep(0)


def _looked_at(
    view: View, tag: int, window: _Window, *, is_held: bool = True
) -> Coverage:
    """What became of a tag in the window, and up to now."""
    end = _end(view, tag, window)
    one = coverage(view.ledger, tag, view.now, end, is_held=is_held)
    start = window.start
    return Coverage(
        one.state,
        one.delivered.within(start, end) if start else one.delivered,
        one.in_flight.within(start, end) if start else one.in_flight,
        tuple(_from(one.excluded, start)),
        tuple(_from(one.holes, start)),
    )


def _end(view: View, tag: int, window: _Window) -> int:
    """Up to when a tag is looked at."""
    if window.end is None:
        return view.now
    is_future = view.ledger.tags.is_future(tag)
    return window.end if is_future else min(window.end, view.now)


def _from(labels: Labels, start: int) -> Iterator[Label]:
    """The labels from a time on; nothing was noticed before it began."""
    return (
        Label(max(x.start, start), x.end, x.reason, max(x.since, x.start))
        for x in labels
        if x.end > start
    )


async def _count_held(
    view: View, wants: Callable[[int], bool], window: _Window, tally: _Tally
) -> None:
    """Take off what is not delivered, as messages of single tags are in flight."""
    held = iter([tag for tag in view.ledger.flight.tags if wants(tag)])
    while part := list(islice(held, _SMALL_PART)):
        for tag in part:
            end = _end(view, tag, window)
            tally.hold(held_back(view.ledger, tag, window.start, end))
        await asyncio.sleep(0)


class _Tally:
    """Adds up what became of the tags of a channel."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tags = self._worked_out = self._with_holes = 0
        self._states: dict[TagState, int] = {}
        self._delivered = self._in_flight = self._longest = 0
        self._holes: dict[str, Reason] = {}
        self._excluded: dict[str, Reason] = {}

    def add(self, one: Coverage, count: int) -> None:
        """So many tags are like this."""
        self._tags += count
        self._worked_out += 1
        self._states[one.state] = self._states.get(one.state, 0) + count
        self._delivered += one.delivered.total * count
        self._in_flight += one.in_flight.total * count
        if one.holes:
            self._with_holes += count
            longest = max(end - start for start, end in ranges(one.holes))
            self._longest = max(self._longest, longest)
        _sort(self._holes, one.holes, count)
        _sort(self._excluded, one.excluded, count)

    def hold(self, ticks: int) -> None:
        """So much of what was added as delivered is in flight."""
        self._delivered -= ticks
        self._in_flight += ticks

    def report(self) -> ChannelCoverage:
        """All of it."""
        view, holes = self._view, self._holes.values()
        oldest = min((one.since for one in holes), default=view.now)
        return ChannelCoverage(
            channel=view.channel,
            at=format_ticks(view.now),
            is_running=view.is_running,
            tags=self._tags,
            states=self._states,
            marks=Counter(mark.verdict for mark in view.marks().values()),
            delivered=_seconds(self._delivered),
            in_flight=_seconds(self._in_flight),
            tags_with_holes=self._with_holes,
            hole_seconds=_seconds(sum(one.ticks for one in holes)),
            longest_hole=_seconds(self._longest),
            oldest_hole=_seconds(max(view.now - oldest, 0)),
            holes=_reasons(self._holes, view.now),
            excluded=_reasons(self._excluded, view.now),
            messages=len(view.ledger.flight.messages),
            reads=view.reads,
            waiting=view.waiting,
            repaired=view.repaired,
            failed_reads=view.failed_reads,
            not_found=view.not_found,
            jobs=Counter(job.state.value for job in view.jobs),
            job_seconds=sum(job.left for job in view.jobs if not job.state.is_over),
            job_values=sum(job.values for job in view.jobs),
            reconciled=copy(view.reconciled),
            worked_out=self._worked_out,
        )


def _sort(into: dict[str, Reason], labels: Labels, count: int) -> None:
    for reason in {label.reason for label in labels}:
        same = [label for label in labels if label.reason == reason]
        into.setdefault(reason, Reason()).add(same, count)


def _reasons(found: dict[str, Reason], now: int) -> list[ReasonReport]:
    longest_first = sorted(found.items(), key=lambda item: -item[1].ticks)
    return [
        ReasonReport(
            reason=reason,
            tags=one.tags,
            seconds=_seconds(one.ticks),
            since=format_ticks(one.since),
            age=_seconds(max(now - one.since, 0)),
        )
        for reason, one in longest_first
    ]


# Tags


def _group(one: Coverage, place: int, tags: list[int]) -> _Group:
    since = _since(one.holes, OPEN_END)
    return _Group(-_ticks_of(one.holes), since, place, tags)


async def _page(
    views: Sequence[View],
    found: Sequence[_Group],
    wanted: CoverageWanted,
    window: _Window,
) -> list[TagCoverage]:
    every = ((views[group.place], tag) for group in found for tag in group.tags)
    page: list[TagCoverage] = []
    told = 0
    for view, tag in islice(every, wanted.skip, wanted.skip + wanted.count):
        one = _tag_report(view, tag, window)
        page.append(one)
        now = sum(
            len(x) for x in (one.delivered, one.in_flight, one.holes, one.excluded)
        )
        if told // _SMALL_PART != (told + now) // _SMALL_PART:
            await asyncio.sleep(0)
        told += now
        if told > _RANGES:
            break
    return page


def _ranges_of(one: TagCoverage) -> int:
    times = len(one.delivered) + len(one.in_flight)
    return times + len(one.holes) + len(one.excluded)


def _tag_report(view: View, tag: int, window: _Window) -> TagCoverage:
    one = _looked_at(view, tag, window)
    mark = view.mark(tag)
    spans = [*one.delivered, *one.in_flight, *(x[:2] for x in one.holes + one.excluded)]
    start = min((span[0] for span in spans), default=view.now)
    end = max((span[1] for span in spans), default=view.now)
    return TagCoverage(
        channel=view.channel,
        tag=view.name(tag),
        path=view.path(tag),
        key=view.ledger.tags.keys[tag],
        state=one.state,
        mark=mark.verdict if mark else None,
        mark_since=_time(mark.since) if mark else None,
        start=format_ticks(start),
        end=format_ticks(end),
        delivered_seconds=_seconds(one.delivered.total),
        in_flight_seconds=_seconds(one.in_flight.total),
        hole_seconds=_seconds(_ticks_of(one.holes)),
        excluded_seconds=_seconds(_ticks_of(one.excluded)),
        oldest_hole=_seconds(max(view.now - _since(one.holes, view.now), 0)),
        delivered=_spans(one.delivered),
        in_flight=_spans(one.in_flight),
        holes=_pieces(one.holes),
        excluded=_pieces(one.excluded),
    )


def _time(ticks: int) -> str | None:
    return None if ticks == NO_DATA else format_ticks(ticks)


def _spans(intervals: Iterable[Interval]) -> list[Span]:
    return [Span(format_ticks(start), format_ticks(end)) for start, end in intervals]


def _pieces(labels: Labels) -> list[Piece]:
    return [
        Piece(
            format_ticks(x.start), format_ticks(x.end), x.reason, format_ticks(x.since)
        )
        for x in labels
    ]


def _since(labels: Labels, default: int) -> int:
    return min((label.since for label in labels), default=default)


def _ticks_of(labels: Labels) -> int:
    return sum(label.end - label.start for label in labels)


def _seconds(ticks: int) -> float:
    return round(ticks / TICKS_PER_SECOND, 3)
