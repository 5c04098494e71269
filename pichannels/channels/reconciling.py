"""Compares what the archive holds of whole hours with what was delivered of them.

What was delivered is known as long as the journal keeps the messages, which it does for
channels whose store shares it. An hour of a tag
of which an archived event is missing becomes a hole, which repair closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.channels.covering import Covering
from pichannels.channels.kept import Facts, Hour, fact_of, kept_facts, kept_since
from pichannels.channels.tags import Stream
from pichannels.coverage.reconcile import Comparison, Reconciled, compare, hours
from pichannels.coverage.views import coverage
from pichannels.errors import PichannelsError, UsageError
from pichannels.journal import Journal
from pichannels.patterns import matching
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.server import PIServer
from pichannels.values import OPEN_END, format_ticks

__all__ = ["Difference", "ReconcileReport", "Reconciling"]

_TAGS: Final = 50
"""Tags whose archive is read together."""
_GROUP: Final = 1000
"""Tags that are looked for together in the journal, at most."""
_EVENTS: Final = 100_000
"""Events of the archive that are looked for together, roughly at most."""
_TOLD: Final = 100
"""Differences in one report, at most."""
_REASON: Final = "reconcile"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An hour of a tag that is not the same.

    Attributes:
        tag: its name.
        start: of the hour.
        missing: events of the archive that were not delivered; the hour is a hole now.
        extra: events that were delivered and are not in the archive: left out by its
            compression, changed or deleted since.
    """

    tag: str
    start: str
    missing: int
    extra: int


class ReconcileReport(msgspec.Struct, kw_only=True):
    """What comparing has found, in hours of tags.

    Attributes:
        equal: hours in which all is the same.
        missing: hours that have become holes.
        extra: hours of which more was delivered than the archive holds.
        not_comparable: hours, by why nothing can be said of them.
        missing_events, extra_events: how many events that is.
        differences: the first of them.
    """

    equal: int = 0
    missing: int = 0
    extra: int = 0
    missing_events: int = 0
    extra_events: int = 0
    not_comparable: dict[str, int] = msgspec.field(default_factory=dict)
    differences: list[Difference] = msgspec.field(default_factory=list)

    @property
    def compared(self) -> int:
        """Hours that could be compared."""
        return self.equal + self.missing + self.extra

    @property
    def skipped(self) -> int:
        """Hours of which nothing can be said."""
        return sum(self.not_comparable.values())

    def skip(self, why: str, count: int = 1) -> None:
        """So many hours of tags cannot be compared."""
        if count:
            self.not_comparable[why] = self.not_comparable.get(why, 0) + count

    def add(self, tag: str, start: int, found: Comparison) -> None:
        """An hour was compared."""
        self.equal += found.verdict == "equal"
        self.missing += found.verdict == "missing"
        self.extra += found.verdict == "more"
        self.missing_events += len(found.missing)
        self.extra_events += len(found.extra)
        if found.verdict != "equal" and len(self.differences) < _TOLD:
            self.differences.append(
                Difference(
                    tag=tag,
                    start=format_ticks(start),
                    missing=len(found.missing),
                    extra=len(found.extra),
                )
            )


class _Source(NamedTuple):
    """Where is what is compared."""

    journal: Journal
    server: PIServer
    limiter: Limiter


class _Asked(NamedTuple):
    """What is asked while hours are compared, and since when messages are kept."""

    journal: Journal
    server: PIServer
    client: HTTPClient
    since: int | None


class Reconciling:
    """Compares hours of one channel, one run after the other.

    Args:
        covering: the channel's ledger at work.
    """

    def __init__(self, covering: Covering) -> None:
        self._covering = covering
        self._source: _Source | None = None
        self._working = asyncio.Lock()
        self.totals = Reconciled()

    def start(self, journal: Journal, server: PIServer, limiter: Limiter) -> None:
        """From now on there is a server to ask."""
        self._source = _Source(journal, server, limiter)

    def stop(self) -> None:
        """There is none any more."""
        self._source = None

    @property
    def origin(self) -> int:
        """From when on any tag is to be covered, ticks; `OPEN_END` without tags."""
        return min(map(self._start, self._covering.streams), default=OPEN_END)

    async def run(
        self, patterns: Sequence[str], start: int, end: int
    ) -> ReconcileReport:
        """Compare the whole hours of a range, one after the other.

        Args:
            patterns: names, paths or keys of tags; `*` and `?` stand for others.
            start, end: ticks.

        Raises:
            UsageError: the channel does not receive, or has no such tags; or its server
                has several members, whose messages name tags differently.
            PIWebAsyncException, DecodeError, NotConnected: the archive does not answer.
            JournalError: the journal cannot be read.
        """
        tags, report = self._chosen(patterns), ReconcileReport()
        async with self._asking(report) as asked:
            for hour in hours(start, end):
                await self._hour(asked, tags, hour, report, is_thorough=True)
        return report

    async def run_in_turn(
        self, start: int, end: int, done: Callable[[int], None]
    ) -> ReconcileReport:
        """Compare the whole hours of a range, of all tags, and leave room for others.

        It rests as long as it works, and does not look for what was delivered and is
        not archived.

        Args:
            start, end: ticks.
            done: called with the end of each hour that was compared.

        Raises:
            UsageError: the channel does not receive, or its server has several members.
            PIWebAsyncException, DecodeError, NotConnected: the archive does not answer.
            JournalError: the journal cannot be read.
        """
        report = ReconcileReport()
        async with self._asking(report) as asked:
            for hour in hours(start, end):
                tags = [t for t in self._covering.streams if self._start(t) < hour[1]]
                await self._hour(asked, tags, hour, report, is_thorough=False)
                done(hour[1])
        return report

    @asynccontextmanager
    async def _asking(self, report: ReconcileReport) -> AsyncIterator[_Asked]:
        source = self._source
        if source is None:
            raise UsageError(f"{self._covering.channel!r} does not receive just now")
        if source.server.others:
            raise UsageError("a server of several members cannot be compared")
        async with (
            self._working,
            source.server.client(source.limiter, "history") as client,
        ):
            since = await kept_since(source.journal, self._covering.channel)
            with self._told(report):
                yield _Asked(source.journal, source.server, client, since)

    @contextmanager
    def _told(self, report: ReconcileReport) -> Iterator[None]:
        """Tell of a comparison, and count what it has found, also where it fails."""
        fire, totals = self._covering.fire, self.totals
        try:
            yield
        except PichannelsError as exc:
            totals.failures += 1
            fire("coverage.not_reconciled", error=str(exc))
            raise
        finally:
            totals.compared += report.compared
            totals.missing += report.missing
            totals.missing_events += report.missing_events
            totals.not_comparable += report.skipped
        totals.runs += 1
        fire(
            "coverage.reconciled",
            compared=report.compared,
            missing=report.missing,
            missing_events=report.missing_events,
            not_comparable=report.skipped,
        )

    def _chosen(self, patterns: Sequence[str]) -> list[int]:
        fits, keys = matching(patterns), self._covering.ledger.tags.keys
        found = [
            tag
            for tag, stream in self._covering.streams.items()
            if fits(stream.name) or fits(stream.path) or fits(keys[tag])
        ]
        if not found:
            raise UsageError(f"no tag fits {', '.join(map(repr, patterns))}")
        return found

    def _comparable(
        self, tags: Sequence[int], hour: tuple[int, int], report: ReconcileReport
    ) -> dict[str, int]:
        """The tags, by WebID, of which the hour is delivered, from their origin on."""
        ledger, now = self._covering.ledger, self._covering.server.now()
        found: dict[str, int] = {}
        for tag in tags:
            stream = self._covering.streams.get(tag)
            if stream is None or ledger.tags.is_future(tag):
                report.skip("the tag is not there, or of the future")
            elif self._start(tag) >= hour[1]:
                report.skip("it is before the tag began to be covered")
            elif coverage(ledger, tag, now, now).delivered.covers(
                max(hour[0], self._start(tag)), hour[1]
            ):
                found[stream.web_id] = tag
            else:
                report.skip("not all of it is delivered")
        return found

    async def _hour(
        self,
        asked: _Asked,
        tags: Sequence[int],
        hour: Hour,
        report: ReconcileReport,
        *,
        is_thorough: bool,
    ) -> None:
        """Compare an hour of tags, so many at a time that memory holds them."""
        if asked.since is None or asked.since > hour[0]:
            report.skip("messages of that time are not kept", len(tags))
            return
        group: dict[str, int] = {}
        archived: Facts = {}
        began = clock.monotonic()
        for at in range(0, len(tags), _TAGS):
            some = self._comparable(tags[at : at + _TAGS], hour, report)
            if some:
                # What arrives meanwhile in the archive is asked for first, so that it
                # is not missing among what was delivered only because it was looked
                # for too soon.
                facts, failed = await _archived(asked, list(some), hour)
                report.skip("the archive refuses it", len(failed))
                archived |= facts
                group |= {key: tag for key, tag in some.items() if key not in failed}
            is_last = at + _TAGS >= len(tags)
            count = sum(map(len, archived.values()))
            if is_thorough or is_last or len(group) >= _GROUP or count >= _EVENTS:
                await self._judge(asked, group, archived, hour, report, is_thorough)
                group, archived = {}, {}
            if not is_thorough:
                await asyncio.sleep(clock.monotonic() - began)
                began = clock.monotonic()

    async def _judge(
        self,
        asked: _Asked,
        tags: Mapping[str, int],
        archived: Facts,
        hour: Hour,
        report: ReconcileReport,
        is_thorough: bool,
    ) -> None:
        """Make holes of what is archived and was not delivered."""
        if not tags:
            return
        wanted = None if is_thorough else archived
        delivered = await kept_facts(
            asked.journal, self._covering.channel, tags, hour, wanted
        )
        for web_id, tag in tags.items():
            start = self._start(tag)
            found = compare(
                (fact for fact in archived.get(web_id, ()) if fact[0] >= start),
                (fact for fact in delivered[web_id] if fact[0] >= start),
            )
            report.add(self._name(tag), hour[0], found)
            if found.missing:
                self._reopen(tag, (max(hour[0], start), hour[1]))
            await asyncio.sleep(0)

    def _start(self, tag: int) -> int:
        """From when on the tag is to be covered; nothing before it is compared."""
        return self._covering.ledger.tags.pasts[tag].origin

    def _name(self, tag: int) -> str:
        stream: Stream | None = self._covering.streams.get(tag)
        return self._covering.ledger.tags.keys[tag] if stream is None else stream.name

    def _reopen(self, tag: int, hour: tuple[int, int]) -> None:
        covering = self._covering
        covering.ledger.reopen([tag], *hour, _REASON, covering.server.now())
        covering.planner.look_again()


async def _archived(
    asked: _Asked, web_ids: list[str], hour: Hour
) -> tuple[Facts, set[str]]:
    """What the archive holds of tags in an hour, and those that it refuses."""
    found: Facts = {}
    reading = recorded(
        asked.client,
        asked.server.controller(),
        web_ids,
        hour[0],
        hour[1] - 1,
        priority="history",
    )
    async with aclosing(reading.pages()) as pages:
        async for page in pages:
            for sample in page:
                found.setdefault(sample.tag.web_id, []).append(fact_of(sample))
    # Of identical events one is as good as all.
    return {key: list(set(facts)) for key, facts in found.items()}, {*reading.failures}
