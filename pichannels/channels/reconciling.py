"""Compares what the archive holds of whole hours with what was delivered of them.

What was delivered is known as long as the journal keeps the messages, which it does for
channels whose store shares it. An hour of a tag
of which an archived event is missing becomes a hole, which repair closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec

from pichannels.channels.covering import Covering
from pichannels.channels.jobs import matching
from pichannels.channels.tags import Stream
from pichannels.coverage.reconcile import Comparison, Fact, compare, hours
from pichannels.coverage.views import coverage
from pichannels.errors import CodecError, DecodeError, UsageError
from pichannels.journal import Journal, Record
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    parse_array,
    parse_channel,
    to_samples,
)
from pichannels.piwebasync.server import PIServer
from pichannels.states import State
from pichannels.values import Sample, datetime_from_ticks, format_ticks

__all__ = ["Difference", "ReconcileReport", "Reconciling"]

_TAGS: Final = 50
"""Tags that are compared together."""
_PAGE: Final = 200
_TOLD: Final = 100
"""Differences in one report, at most."""
_HOUR: Final = 36_000_000_000
_REASON: Final = "reconcile"

_Facts = dict[str, list[Fact]]


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


class Reconciling:
    """Compares hours of one channel, on request.

    Args:
        covering: the channel's ledger at work.
    """

    def __init__(self, covering: Covering) -> None:
        self._covering = covering
        self._source: _Source | None = None
        self._working = asyncio.Lock()

    def start(self, journal: Journal, server: PIServer, limiter: Limiter) -> None:
        """From now on there is a server to ask."""
        self._source = _Source(journal, server, limiter)

    def stop(self) -> None:
        """There is none any more."""
        self._source = None

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
        source = self._source
        if source is None:
            raise UsageError(f"{self._covering.channel!r} does not receive just now")
        if source.server.others:
            raise UsageError("a server of several members cannot be compared")
        tags, report = self._chosen(patterns), ReconcileReport()
        async with (
            self._working,
            source.server.client(source.limiter, "history") as client,
        ):
            since = await self._kept_since(source.journal)
            for hour in hours(start, end):
                if since is None or since > hour[0]:
                    report.skip("messages of that time are not kept", len(tags))
                    continue
                for at in range(0, len(tags), _TAGS):
                    some = self._comparable(tags[at : at + _TAGS], hour, report)
                    await self._compare(source, client, some, hour, report)
        return report

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

    async def _kept_since(self, journal: Journal) -> int | None:
        """From when on all messages are kept; they are deleted the oldest first."""
        first = await journal.get(self._covering.channel, 1)
        if first is not None and first.state is State.PROCESSED:
            return 0
        found = await journal.search(
            self._covering.channel, count=1, state=State.PROCESSED
        )
        return found[0].ticks if found else None

    def _comparable(
        self, tags: Sequence[int], hour: tuple[int, int], report: ReconcileReport
    ) -> dict[str, int]:
        """The tags, by WebID, of which the hour is delivered."""
        ledger, now = self._covering.ledger, self._covering.server.now()
        found: dict[str, int] = {}
        for tag in tags:
            stream = self._covering.streams.get(tag)
            if stream is None or ledger.tags.is_future(tag):
                report.skip("the tag is not there, or of the future")
            elif coverage(ledger, tag, now, now).delivered.covers(*hour):
                found[stream.web_id] = tag
            else:
                report.skip("not all of it is delivered")
        return found

    async def _compare(
        self,
        source: _Source,
        client: HTTPClient,
        tags: Mapping[str, int],
        hour: tuple[int, int],
        report: ReconcileReport,
    ) -> None:
        if not tags:
            return
        # What arrives meanwhile in the archive is asked for first, so that it is not
        # missing among what was delivered only because it was looked for too soon.
        archived, failed = await _archived(client, source.server, list(tags), hour)
        delivered = await self._delivered(source.journal, tags, hour)
        report.skip("the archive refuses it", len(failed))
        for web_id, tag in tags.items():
            if web_id in failed:
                continue
            found = compare(archived.get(web_id, ()), delivered.get(web_id, ()))
            report.add(self._name(tag), hour[0], found)
            if found.missing:
                self._reopen(tag, hour)
            await asyncio.sleep(0)

    def _name(self, tag: int) -> str:
        stream: Stream | None = self._covering.streams.get(tag)
        return self._covering.ledger.tags.keys[tag] if stream is None else stream.name

    def _reopen(self, tag: int, hour: tuple[int, int]) -> None:
        covering = self._covering
        covering.ledger.reopen([tag], *hour, _REASON, covering.server.now())
        covering.planner.look_again()

    async def _delivered(
        self, journal: Journal, tags: Collection[str], hour: tuple[int, int]
    ) -> _Facts:
        """What the messages that are kept have of tags in an hour, each event once."""
        seen: set[int] = set()
        found: dict[str, set[Fact]] = {}
        since = datetime_from_ticks(hour[0] - _HOUR)
        for web_id in tags:
            after = None
            while page := await journal.search(
                self._covering.channel,
                tag=web_id,
                count=_PAGE,
                start_dt=since,
                after=after,
            ):
                after = page[-1].position
                new = [one for one in page if one.seq not in seen]
                seen.update(one.seq for one in new)
                for key, fact in await asyncio.to_thread(_facts, new, tags, hour):
                    found.setdefault(key, set()).add(fact)
        return {web_id: list(facts) for web_id, facts in found.items()}


async def _archived(
    client: HTTPClient,
    server: PIServer,
    web_ids: list[str],
    hour: tuple[int, int],
) -> tuple[_Facts, set[str]]:
    """What the archive holds of tags in an hour, and those that it refuses."""
    found: _Facts = {}
    reading = recorded(
        client,
        server.controller(),
        web_ids,
        hour[0],
        hour[1] - 1,
        priority="history",
    )
    async with aclosing(reading.pages()) as pages:
        async for page in pages:
            for sample in page:
                found.setdefault(sample.tag.web_id, []).append(_fact(sample))
    # Of identical events one is as good as all.
    return {key: list(set(facts)) for key, facts in found.items()}, {*reading.failures}


def _facts(
    records: Sequence[Record], tags: Collection[str], hour: tuple[int, int]
) -> list[tuple[str, Fact]]:
    """The events of tags in an hour that messages have which have not failed."""
    start, end = hour
    found = []
    for record in records:
        if record.state is State.ERROR:
            continue
        for sample in _samples(record, tags, hour):
            key = sample.tag.web_id
            if start <= sample.ticks < end and key in tags:
                found.append((key, _fact(sample)))
    return found


def _samples(
    record: Record, tags: Collection[str], hour: tuple[int, int]
) -> Iterator[Sample]:
    """The samples of a message; none where it has none of that time."""
    try:
        has_any = any(
            each.key in tags and each.first < hour[1] and each.last >= hour[0]
            for each in record.tags()
        )
        payload = record.message().payload if has_any else None
        if isinstance(payload, list):
            yield from (each for each in payload if type(each) is Sample)
        elif isinstance(payload, bytes):
            yield from to_samples(_parsed(payload))[0]
    except (CodecError, DecodeError):
        # What cannot be read counts as not delivered, and comes again.
        return


def _parsed(payload: bytes) -> ChannelMessage:
    if payload.startswith(b"["):
        together = parse_array(payload)
        if together is not None:
            return together
    return parse_channel(payload)


def _fact(sample: Sample) -> Fact:
    """Time, value and status, as the event id has them."""
    value, status, _ = sample.event_id.rpartition("/")[2].split(".")
    return sample.ticks, int(value, 16), int(status, 16)
