"""What is told of coverage ledgers, and how little work that is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pichannels.channels import BaseChannel
from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.channels.hearing import Hearing, Mark
from pichannels.channels.resolving import Found, Resolver
from pichannels.control.coverage import CoverageSummaries, coverage_report, report_of
from pichannels.control.coverage_metrics import coverage_families
from pichannels.control.coverage_reports import (
    CoverageReport,
    CoverageWanted,
    TagCoverage,
)
from pichannels.control.ledgers import View, ledgers
from pichannels.coverage.expected import Patience, Verdict
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage, totals
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.manifest import ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.project import Project
from pichannels.values import TICKS_PER_SECOND as SECOND, parse_ticks

NOON = parse_ticks("2026-01-01T12:00:00Z")
EXACT = Margins(settle=0, overlap=0, ahead=0)


def point(number: int) -> Point:
    name = f"UNIT{number // 10}.TAG{number}"
    return Point(web_id=f"W{number}", name=name, path=rf"\\S\{name}", id=number + 1)


def at(seconds: float) -> int:
    return NOON + int(seconds * SECOND)


def view_of(count: int, channel: str = "boiler", now: float = 300) -> View:
    """Tags of two PI channels; the second was lost after 100 s and came back at 160."""
    ledger = Ledger(EXACT)
    streams = {ledger.add_tag(str(n + 1), NOON): point(n) for n in range(count)}
    half = count // 2
    ledger.subscribed("a", range(half), NOON)
    ledger.subscribed("b", range(half, count), NOON)
    ledger.heartbeat("b", at(100))
    ledger.lost("b", "network", at(110))
    ledger.subscribed("b", range(half, count), at(160))
    for sub in "ab":
        ledger.heartbeat(sub, at(now))
    return View(channel, ledger, streams, at(now), is_running=True)


async def told(view: View, **wanted: Any) -> CoverageReport:
    return await report_of([view], CoverageWanted(**wanted))


async def tags(view: View, **wanted: Any) -> list[TagCoverage]:
    return (await told(view, **{"count": 100, **wanted})).tags


async def test_a_channel_is_told_of_by_reasons_lengths_and_ages() -> None:
    (found,) = (await told(view_of(20))).channels
    assert (found.tags, found.states, found.at) == (
        20,
        {TagState.LIVE: 20},
        "2026-01-01T12:05:00Z",
    )
    assert (found.delivered, found.hole_seconds) == (20 * 300 - 10 * 60, 600)
    assert (found.tags_with_holes, found.longest_hole, found.oldest_hole) == (
        10,
        60,
        190,
    )
    (hole,) = found.holes
    assert (hole.reason, hole.tags, hole.since) == (
        "network",
        10,
        "2026-01-01T12:01:50Z",
    )


async def test_many_tags_are_worked_out_together() -> None:
    (found,) = (await told(view_of(100_000))).channels
    assert (found.tags, found.tags_with_holes) == (100_000, 50_000)
    assert found.worked_out < 100


async def test_the_loop_goes_on_while_many_tags_are_looked_at() -> None:
    work = asyncio.create_task(told(view_of(20_000), count=10))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_many_tags_that_differ_are_looked_at_in_small_parts() -> None:
    view = view_of(5000)
    for number in range(4000):
        view.ledger.reopen([number], at(number / 50), at(250), "asked", at(260))
    work = asyncio.create_task(told(view))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_totals_are_those_of_the_ledger_also_while_tags_are_held_back() -> None:
    view = view_of(20, now=190)
    for number in (3, 12, 15):
        entry = ManifestEntry(str(number + 1), at(200 + number), at(250), 1)
        view.ledger.arrived("a" if number < 10 else "b", number, [entry], at(190))
    view = view._replace(now=at(260))
    for sub in "ab":
        view.ledger.heartbeat(sub, view.now)
    (found,) = (await told(view)).channels
    wanted = totals(view.ledger, view.now)
    assert found.in_flight == round(wanted.in_flight / SECOND, 3) == 57 + 48 + 45
    assert found.delivered == round(wanted.delivered / SECOND, 3)
    assert found.messages == 3


async def test_what_is_in_flight_is_told_of_the_window_alone() -> None:
    view = view_of(20, now=190)
    entry = ManifestEntry("4", at(200), at(250), 1)
    view.ledger.arrived("a", 1, [entry], at(190))
    view.ledger.heartbeat("a", at(260))
    view = view._replace(now=at(260))
    window = {"start": "2026-01-01T12:03:30Z", "end": "2026-01-01T12:04:00Z"}
    (found,) = (await told(view, tags=["*TAG3"], **window)).channels
    assert (found.in_flight, found.delivered) == (30, 0)


async def test_tags_come_with_their_ranges_the_worst_first() -> None:
    view = view_of(20)
    view.ledger.reopen([7], at(10), at(110), "asked", at(120))
    first, second, *_ = await tags(view)
    assert (first.tag, first.path, first.hole_seconds) == (
        "UNIT0.TAG7",
        r"\\S\UNIT0.TAG7",
        100,
    )
    assert [(x.start, x.end) for x in first.delivered] == [
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:10Z"),
        ("2026-01-01T12:01:50Z", "2026-01-01T12:05:00Z"),
    ]
    (hole,) = second.holes
    assert (second.tag, hole.reason, hole.since) == (
        "UNIT1.TAG10",
        "network",
        "2026-01-01T12:01:50Z",
    )


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"tags": ["unit1.*"], "count": 3}, ["TAG10", "TAG11", "TAG12"]),
        ({"tags": [r"\\S\UNIT0.TAG?"], "count": 2, "skip": 3}, ["TAG4", "TAG5"]),
        ({"tags": ["UNIT0.TAG4", "11"]}, ["TAG10", "TAG4"]),
        ({"state": TagState.REMOVED}, ["TAG2"]),
        ({"holes": True, "skip": 8}, ["TAG18", "TAG19"]),
        ({"tags": ["UNIT0.*"], "holes": True}, []),
        ({"tags": ["UNIT[01].TAG1"]}, []),
    ],
)
async def test_tags_are_chosen_by_name_state_and_holes(
    wanted: dict[str, Any], names: list[str]
) -> None:
    view = view_of(20)
    view.ledger.set_state([2], TagState.REMOVED, at(290))
    found = await tags(view, **wanted)
    assert [one.tag.rpartition(".")[2] for one in found] == names


async def test_a_channel_is_told_of_by_those_tags_that_are_chosen() -> None:
    (found,) = (await told(view_of(20), tags=["*TAG1?"], state=TagState.LIVE)).channels
    assert (found.tags, found.tags_with_holes) == (10, 10)


async def test_what_was_never_covered_is_known_since_it_began() -> None:
    view = view_of(2)
    view.ledger.backfill([0], at(-3600), at(290))
    view.ledger.reopen([1], at(0), at(5), "never covered", NOON - SECOND)
    (first, second) = await tags(view)
    assert (first.holes[0].reason, first.oldest_hole) == ("backfill", 10)
    assert second.oldest_hole == 300


async def test_only_what_is_in_the_window_counts() -> None:
    report = await told(
        view_of(20),
        tags=["*TAG10"],
        start="2026-01-01T12:02:00Z",
        end="2026-01-01T12:03:00Z",
        count=1,
    )
    (tag,) = report.tags
    assert (tag.start, tag.end) == ("2026-01-01T12:02:00Z", "2026-01-01T12:03:00Z")
    assert (tag.hole_seconds, tag.delivered_seconds) == (40, 20)
    assert report.channels[0].hole_seconds == 40


async def test_a_window_that_ends_later_than_now_ends_now() -> None:
    (tag,) = await tags(view_of(20), tags=["*TAG0"], end="2026-01-02")
    assert (tag.end, tag.holes) == ("2026-01-01T12:05:00Z", [])


@pytest.mark.parametrize(
    "window",
    [
        {"start": "soon"},
        {"start": "2026-01-02", "end": "2026-01-01"},
        {"start": "2026-01-02", "end": "2026-01-02"},
    ],
)
async def test_a_window_that_is_none_is_refused(window: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="start"):
        await told(view_of(2), **window)


async def test_the_tags_of_several_channels_are_ranked_together() -> None:
    worse = view_of(4, "other")
    worse.ledger.reopen([3], NOON, at(200), "asked", at(210))
    views = [view_of(4), worse]
    report = await report_of(views, CoverageWanted(count=2, holes=True))
    assert [(x.channel, x.tag) for x in report.tags] == [
        ("other", "UNIT0.TAG3"),
        ("boiler", "UNIT0.TAG2"),
    ]
    assert report.matching == 4


async def test_a_report_does_not_grow_without_bound() -> None:
    view = view_of(40)
    for start in range(2000):
        view.ledger.exclude(
            [0, 1, 2, 3, 4, 5], at(start / 10), at(start / 10) + 1, "x", 0
        )
    report = await told(view, tags=["UNIT0.*"], count=40)
    assert len(report.tags) == 6
    assert all(len(tag.excluded) == 2000 for tag in report.tags)


# Where ledgers are

# Made outside of the loop: it looks up the time zone.
OPTIONS = CoverageOptions()


class Source(BaseChannel):
    """Has a ledger, as channels of PI tags do."""

    def __init__(self, name: str, *, by_path: bool = False) -> None:
        super().__init__(name)
        self.covering = Covering(name, OPTIONS, by_path=by_path)
        self.repairing = SimpleNamespace(samples=7, failures=2)
        self.observer = self.covering


async def running(folder: Path, *, by_path: bool = False) -> tuple[Source, Journal]:
    """A channel that has received two minutes, of which one message is in flight."""
    channel, journal = Source("boiler", by_path=by_path), Journal(folder / "journal.db")
    await journal.open()
    channel.covering.server.learn(at(1))
    points = [point(n) for n in range(3)]
    await channel.covering.open(journal, points)
    channel.covering.connected("s", [x.web_id for x in points], at(1))
    entry = ManifestEntry("W1", at(60), at(60), 1)
    manifest = encode_manifest([entry])
    msg = Message(payload="x")
    ticket = journal.append("boiler", msg, lane="live", manifest=manifest)
    channel.covering.accepted(ticket.seq, "live", manifest)
    channel.covering.ledger.heartbeat("s", at(130))
    resolver = Resolver(PIServer(url="https://pi.test"), None, 8000, 3600)
    await resolver.keep(
        journal, "boiler", ["*"], Found(list(points), {"NO": "unknown"})
    )
    return channel, journal


async def stopped(channel: Source, journal: Journal) -> None:
    channel.covering.closed("s")
    await channel.covering.close()
    await journal.close()


async def test_a_channel_at_work_tells_of_its_own_ledger(tmp_path: Path) -> None:
    channel, journal = await running(tmp_path)
    (view,) = await ledgers([channel, BaseChannel("plain")], journal)
    await stopped(channel, journal)
    assert (view.is_running, view.repaired, view.failed_reads) == (True, 7, 2)
    assert (view.ledger, view.name(1)) == (channel.covering.ledger, "UNIT0.TAG1")


@pytest.mark.parametrize("by_path", [False, True])
async def test_a_channel_that_does_not_run_is_told_of_from_the_journal(
    tmp_path: Path, by_path: bool
) -> None:
    channel, journal = await running(tmp_path, by_path=by_path)
    await stopped(channel, journal)
    await journal.open()
    report = await coverage_report(
        Project([Source("boiler"), BaseChannel("plain")]),
        journal,
        CoverageWanted(count=10, tags=["UNIT0.TAG?"]),
    )
    (view,) = await ledgers([Source("boiler")], journal)
    await journal.close()
    (found,) = report.channels
    assert (found.channel, found.is_running, found.tags) == ("boiler", False, 3)
    assert found.not_found == 1
    assert {tag.tag for tag in report.tags} == {f"UNIT0.TAG{n}" for n in range(3)}
    # What was not settled then is not claimed.
    ends = [coverage(view.ledger, n, view.now).delivered.last for n in range(3)]
    assert ends == [at(120), at(60), at(120)]


async def test_a_ledger_without_the_names_of_its_tags_says_the_same(
    tmp_path: Path,
) -> None:
    channel, journal = await running(tmp_path)
    await stopped(channel, journal)
    await journal.open()
    named, plain = [
        (await ledgers([Source("boiler")], journal, named=named))[0]._replace(now=9)
        for named in (True, False)
    ]
    await journal.close()
    found = [
        await report_of([view], CoverageWanted(count=0)) for view in (named, plain)
    ]
    assert (found[0], named.not_found) == (found[1], 1)


async def test_a_channel_that_keeps_no_ledger_any_more_is_left_out(
    tmp_path: Path,
) -> None:
    channel, journal = await running(tmp_path)
    await stopped(channel, journal)
    await journal.open()
    found = await ledgers([BaseChannel("boiler")], journal)
    await journal.close()
    assert found == []


async def test_tags_without_names_are_told_by_their_keys(tmp_path: Path) -> None:
    channel, journal = await running(tmp_path)
    journal.forget("channel:boiler", "points")
    await stopped(channel, journal)
    await journal.open()
    (view,) = await ledgers([Source("boiler")], journal)
    await journal.close()
    assert [view.name(tag) for tag in range(3)] == ["1", "2", "3"]


async def test_an_unknown_channel_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    with pytest.raises(UsageError, match="did you mean 'boiler'"):
        await coverage_report(
            Project([Source("boiler")]), journal, CoverageWanted(channel="boile")
        )


# Metrics


async def test_summaries_are_kept_for_a_while(tmp_path: Path) -> None:
    channel, journal = await running(tmp_path)
    summaries = CoverageSummaries()
    first, second = await asyncio.gather(
        summaries.of([channel]), summaries.of([channel])
    )
    await stopped(channel, journal)
    assert first is second
    assert first[0].repaired == 7


async def test_metrics_tell_of_holes_by_reason() -> None:
    families = {
        family.name: family
        for family in coverage_families((await told(view_of(20))).channels)
    }
    (hole,) = families["coverage_hole_seconds"].points
    assert (hole.value, hole.labels) == (
        600,
        {"channel": "boiler", "reason": "network"},
    )
    (oldest,) = families["coverage_oldest_hole_seconds"].points
    assert oldest.value == 190
    states = families["coverage_tags"].points
    assert {x.labels["state"]: x.value for x in states if x.value} == {"live": 20}


async def test_tags_are_found_and_counted_by_their_marks() -> None:
    hearing = Hearing(Patience())
    hearing.marks[3] = Mark(Verdict.STALE, at(20))
    hearing.quiet |= {n: Mark(Verdict.QUIET, at(90)) for n in (3, 5, 7)}
    view = view_of(20)._replace(hearing=hearing)
    report = await told(view, mark=Verdict.QUIET, count=10)
    assert [tag.key for tag in report.tags] == ["6", "8"]
    assert {tag.mark_since for tag in report.tags} == {"2026-01-01T12:01:30Z"}
    (channel,) = (await told(view)).channels
    assert channel.marks == {"quiet": 2, "stale": 1}
    (family,) = (
        family
        for family in coverage_families([channel])
        if family.name == "coverage_marks"
    )
    points = {point.labels["mark"]: point.value for point in family.points}
    assert points == {"quiet": 2, "stale": 1, "flat": 0, "blind": 0}
