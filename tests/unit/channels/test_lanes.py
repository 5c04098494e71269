"""Messages are parted by lanes; the events of a tag stay in order, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.channels.intake import Intake
from pichannels.channels.lanes import Lanes
from pichannels.journal import Journal
from pichannels.piwebasync.parsing import ChannelMessage
from pichannels.piwebasync.resolve import Point
from pichannels.values import TICKS_PER_SECOND as SECOND, format_ticks, parse_ticks

NOON = parse_ticks("2026-01-01T12:00:00Z")
POINTS = [Point(web_id=f"W{n}", name=f"T{n}", path=rf"\\S\T{n}", id=n) for n in (1, 2)]
Event = tuple[int, float, float | str]


def frame(*events: Event) -> bytes:
    """A frame of events: tag, seconds after noon, and value, `edited` or `deleted`."""
    streams = ",".join(
        f'{{"WebId":"W{tag}","Name":"T{tag}","Items":[{item(at, value)}]}}'
        for tag, at, value in events
    )
    return f'{{"Links":{{}},"Items":[{streams}]}}'.encode()


def item(at: float, value: float | str) -> str:
    time = format_ticks(NOON + int(at * SECOND))
    good, shown = "true", str(value)
    if value == "deleted":
        good, shown = "false", '{"Name":"No Data","Value":248,"IsSystem":true}'
    edited = "true" if value == "edited" else "false"
    shown = "7.50" if value == "edited" else shown
    return (
        f'{{"Timestamp":"{time}","Value":{shown},"UnitsAbbreviation":"",'
        f'"Good":{good},"Questionable":false,"Substituted":{edited}}}'
    )


@pytest.fixture
async def lanes(tmp_path: Path) -> AsyncIterator[Lanes]:
    """Those of a channel that has delivered 12:00:10 to 12:01, and it is 12:02."""
    covering = Covering("boiler", CoverageOptions(settle=10, ahead=0, repair=False))
    covering.server.learn(NOON + 121 * SECOND)
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    await covering.open(journal, POINTS)
    covering.ledger.joined([0, 1], NOON + 10 * SECOND, NOON + 60 * SECOND)
    yield Lanes(covering)
    await covering.close()
    await journal.close()


def parted(lanes: Lanes, *frames: bytes) -> list[tuple[str, list[tuple[str, int]]]]:
    """The lanes of what comes, each with the tags and seconds of its events."""
    (received,) = Intake("PI").messages(frames)
    parts = lanes.parts(received)
    return [(lane, events(one.message.parsed)) for lane, one in parts or ()]


def events(parsed: object) -> list[tuple[str, int]]:
    assert isinstance(parsed, ChannelMessage)
    names = [stream.name for stream in parsed.streams for _ in stream.events]
    seconds = [(at - NOON) // SECOND for at in parsed.ticks if at is not None]
    return list(zip(names, seconds, strict=True))


async def test_what_is_newer_than_all_that_is_delivered_is_live(lanes: Lanes) -> None:
    assert parted(lanes, frame((1, 115, 1.0), (2, 119, 2.0))) == []


async def test_what_was_not_delivered_is_live_however_late(lanes: Lanes) -> None:
    assert parted(lanes, frame((1, 5, 1.0), (2, 70, 2.0), (2, 80, "deleted"))) == []


async def test_values_edits_and_deletions_of_the_time_delivered_have_lanes(
    lanes: Lanes,
) -> None:
    assert parted(lanes, frame((1, 20, 1.0))) == [("late", [("T1", 20)])]
    assert parted(lanes, frame((1, 20, "edited"))) == [("correction", [("T1", 20)])]
    assert parted(lanes, frame((1, 20, "deleted"))) == [("delete", [("T1", 20)])]


async def test_a_message_of_several_lanes_is_parted(lanes: Lanes) -> None:
    assert parted(
        lanes,
        frame((1, 119, 1.0), (2, 30, 2.0)),
        frame((2, 119, 3.0), (1, 40, "edited")),
    ) == [
        ("live", [("T1", 119)]),
        ("late", [("T2", 30)]),
        ("live", [("T2", 119)]),
        ("correction", [("T1", 40)]),
    ]


async def test_events_stay_as_pi_wrote_them(lanes: Lanes) -> None:
    both = frame((1, 119, 1.0), (1, 20, "edited"))
    (received,) = Intake("PI").messages([both])
    parts = lanes.parts(received) or []
    texts = [item(119, 1.0), item(20, "edited")]
    for (_, part), text in zip(parts, texts, strict=True):
        assert text.encode() in part.message.payload
        assert part.manifest and part.message.meta == {"server": "PI"}


async def test_of_tags_that_the_ledger_does_not_know_all_is_live(lanes: Lanes) -> None:
    assert parted(lanes, frame((7, 20, 1.0))) == []
