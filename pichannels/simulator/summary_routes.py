"""Routes of `summary`: totals, averages, extremes and counts over a range."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import chain
from math import sqrt
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web

from pichannels.simulator import render
from pichannels.simulator.events import Event
from pichannels.simulator.intervals import Interval, steps
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import TimedValue
from pichannels.simulator.simtime import time_text
from pichannels.simulator.sockets import Subject
from pichannels.simulator.stream_reads import StreamReads, breathe, source_of, span_of
from pichannels.simulator.summaries import (
    Calculation,
    EventWeighted,
    Tally,
    TimeWeighted,
    number,
)
from pichannels.simulator.tags import Tag
from pichannels.simulator.trends import interpolated

__all__ = ["SummaryRoutes"]

_KINDS: Final[Sequence[str]] = (
    "Total",
    "Average",
    "Minimum",
    "Maximum",
    "Range",
    "StdDev",
    "PopulationStdDev",
    "Count",
    "PercentGood",
    "TotalWithUOM",
)
_FOR_ALL_TAGS: Final = ("Count", "PercentGood")
_SHORT: Final[Mapping[str, Sequence[str]]] = {
    "All": _KINDS[:-1],
    "AllForNonNumeric": _FOR_ALL_TAGS,
}
_EVENTS: Final = {
    "EventWeighted": None,
    "EventWeightedExcludeMostRecentEvent": (True, False),
    "EventWeightedExcludeEarliestEvent": (False, True),
    "EventWeightedIncludeBothEnds": (True, True),
}
"""Bases by event: whether events at the start and at the end of an interval count."""
_STEPS: Final = {
    "TimeWeighted": None,
    "TimeWeightedContinuous": False,
    "TimeWeightedDiscrete": True,
}
"""Bases by time: whether values hold; None where it is as with the tag."""
_TIMES: Final = ("Auto", "EarliestTime", "MostRecentTime")
_SAMPLES: Final = ("ExpressionRecordedValues", "Interval")
_DAY: Final = 86400.0
_RATE: Final = re.compile(r"(.+)/(s|sec|min|h|hr|d|day)")
_RATE_SECONDS: Final = {
    "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": _DAY, "day": _DAY
}  # fmt: skip
_NO_DATA: Final = {"Errors": ["No good data available for summary calculation."]}

Item: TypeAlias = dict[str, Any]
"""The `Type` and the `Value` of a summary."""


class _Wish(msgspec.Struct, frozen=True):
    """What a request wants to know; times are ticks."""

    bounds: list[int]
    descending: bool
    kinds: list[str]
    basis: str
    time_type: str
    sampling: Interval | None
    zone: tzinfo
    now: int


class SummaryRoutes(StreamReads):
    """`summary` of `streams` and `streamsets`."""

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return self.routes_by("summary", self.summary, self.summaries)

    async def summary(self, request: web.Request) -> web.Response:
        """The summaries of one stream."""
        query, found = Query(request), self.stream(request)
        wish = await self._wish(query)
        items = await self._items(found, wish)
        return self.world.answer({"Links": {}, "Items": items}, query)

    async def summaries(self, request: web.Request) -> web.Response:
        """The summaries of several streams; one that fails says so."""
        query = Query(request)
        found = self.streams(request, query)
        wish = await self._wish(query)
        self.limit(len(found) * len(wish.kinds) * (len(wish.bounds) - 1))
        items = [
            {
                "WebId": one.web_id_as(query.form),
                "Name": one.name,
                "Path": one.path,
                "Items": await self._items_or_failure(one, wish),
                "Links": {"Source": one.link(self.world.url, query.form)},
            }
            for one in found
        ]
        return self.world.answer({"Links": {}, "Items": items}, query)

    async def _wish(self, query: Query) -> _Wish:
        now = self.world.clock.now()
        start, end = await span_of(query, now)
        words = query.words("summaryType", (*_KINDS, *_SHORT))
        asked = {kind for word in words for kind in _SHORT.get(word, (word,))}
        kinds = [kind for kind in _KINDS if kind in asked]
        zone = await query.zone()
        bounds = [start, end]
        if query.text("summaryDuration"):
            bounds = self.all_of(
                steps(start, end, query.interval("summaryDuration", ""), zone)
            )
            bounds += [end] if bounds[-1] != end or len(bounds) == 1 else []
        self.limit(len(kinds) * (len(bounds) - 1))
        by_interval = query.choice("sampleType", _SAMPLES) == "Interval"
        return _Wish(
            sorted(bounds),
            start > end,
            kinds,
            query.choice("calculationBasis", (*_STEPS, *_EVENTS)),
            query.choice("timeType", _TIMES),
            query.interval("sampleInterval", "") if by_interval else None,
            zone,
            now,
        )

    async def _items_or_failure(self, found: Subject, wish: _Wish) -> list[Item]:
        try:
            self.check(found)
            return await self._items(found, wish)
        except Refused as refused:
            failed = render.failed_value(refused.sentences[0])
            return [{"Type": kind, "Value": failed} for kind in wish.kinds]

    async def _items(self, found: Subject, wish: _Wish) -> list[Item]:
        tag = source_of(found)
        if not _is_numeric(tag) and not set(wish.kinds) <= set(_FOR_ALL_TAGS):
            raise Refused(
                409,
                f"'{found.path}' is not numeric: it has Count and PercentGood only.",
            )
        calculation = _calculation(tag, wish)
        count = 0
        async for event in self._events(tag, wish):
            calculation.feed(event)
            count += 1
            await breathe(count)
        tallies = calculation.finish()
        if wish.descending:
            tallies.reverse()
        return [
            {"Type": kind, "Value": _value(kind, tally, found.units, wish)}
            for kind in wish.kinds
            for tally in tallies
        ]

    async def _events(self, tag: Tag, wish: _Wish) -> AsyncIterator[Event]:
        """What the calculation takes: recorded values, or samples of them."""
        start, end = wish.bounds[0], wish.bounds[-1]
        if wish.sampling is not None:
            times = self.all_of(steps(start, end, wish.sampling, wish.zone))
            if wish.basis in _STEPS and times[-1] != end:
                times.append(end)
            async for event in interpolated(self.world, tag, times, wish.now):
                yield event
            return
        for event in self._recorded(tag, start, end, wish):
            yield event

    def _recorded(self, tag: Tag, start: int, end: int, wish: _Wish) -> Iterator[Event]:
        archive, now = self.world.archive, wish.now
        if wish.basis in _EVENTS:
            return archive.events(tag, start, end, now)
        before = archive.before(tag, start, now)
        after = archive.after(tag, end + 1, now)
        return chain(
            [before] if before is not None else [],
            archive.events(tag, start + 1, end, now),
            [after] if after is not None else [],
        )


def _is_numeric(tag: Tag) -> bool:
    return tag.kind in ("float", "int")


def _calculation(tag: Tag, wish: _Wish) -> Calculation:
    value = number if _is_numeric(tag) else _presence
    bounds = wish.bounds
    if wish.basis in _EVENTS:
        # With one interval both ends count, with several the one that comes first.
        several = len(bounds) > 2
        both = (not (several and wish.descending), not several or wish.descending)
        at_start, at_end = _EVENTS[wish.basis] or both
        return EventWeighted(bounds, value, at_start=at_start, at_end=at_end)
    step = _STEPS[wish.basis]
    until = bounds[-1] if tag.future else min(bounds[-1], wish.now)
    return TimeWeighted(
        bounds, value, step=tag.step if step is None else step, until=until
    )


def _presence(event: Event) -> float | None:
    """What stands for a good value that is no number."""
    return 0.0 if event.good else None


def _value(kind: str, tally: Tally, units: str, wish: _Wish) -> TimedValue:
    by_event = wish.basis in _EVENTS
    extreme = {"Minimum": tally.low, "Maximum": tally.high}.get(kind)
    ticks = tally.start
    if wish.time_type == "MostRecentTime":
        ticks = tally.end
    elif wish.time_type == "Auto" and extreme is not None:
        ticks = extreme[1]
    value = extreme[0] if extreme is not None else _number(kind, tally, units, by_event)
    if value is None:
        return TimedValue(time_text(ticks), _NO_DATA, "", good=False)
    return TimedValue(time_text(ticks), value, _units(kind, units, by_event))


def _number(kind: str, tally: Tally, units: str, by_event: bool) -> float | None:
    match kind:
        case "Average":
            return tally.average
        case "Range" if tally.low is not None and tally.high is not None:
            return tally.high[0] - tally.low[0]
        case "StdDev":
            return tally.deviation
        case "PopulationStdDev":
            return None if tally.variance is None else sqrt(tally.variance)
        case "Count":
            return tally.weight
        case "PercentGood":
            return tally.percent_good
        case "Total" | "TotalWithUOM":
            return _total(kind, tally, units, by_event)
    return None


def _total(kind: str, tally: Tally, units: str, by_event: bool) -> float | None:
    """The sum of events, or the integral by day, by the rate's own time with UOM."""
    if by_event:
        return tally.sum
    rate = _RATE.fullmatch(units)
    unit = _RATE_SECONDS[rate[2]] if rate and kind == "TotalWithUOM" else _DAY
    return None if tally.integral is None else tally.integral / unit


def _units(kind: str, units: str, by_event: bool) -> str:
    if kind == "PercentGood":
        return "%"
    if kind == "Count":
        return "" if by_event else "s"
    rate = _RATE.fullmatch(units)
    return rate[1] if rate and kind == "TotalWithUOM" and not by_event else units
