"""Values of a tag from stored messages, also of ranges that are too long for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pichannels.journal import Journal, encode_manifest
from pichannels.manifest import ManifestEntry
from pichannels.message import Message
from pichannels.states import State
from pichannels.ui.reading import Timed
from pichannels.ui.tag_values import Values, ValuesWanted, values_of
from pichannels.values import TICKS_PER_SECOND, Sample, Tag, format_ticks

MINUTE = 60 * TICKS_PER_SECOND
START = 17_000_000_000 * TICKS_PER_SECOND // MINUTE * MINUTE
COUNT = 120


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A journal with a value each minute for two hours."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path, durability="normal")
    await journal.open()
    for minute in range(COUNT):
        at = START + minute * MINUTE
        msg = Message(payload=[Sample(Tag("T", key="T"), at, float(minute))])
        msg.ticks = at
        manifest = encode_manifest([ManifestEntry("T", at, at, 1)])
        ticket = journal.append("a", msg, manifest=manifest)
        journal.settle(ticket.seq, State.PROCESSED)
    await journal.flush()
    await journal.close()
    return path


def read(file: Path, count: int, parts: int) -> Values:
    start, end = format_ticks(START), format_ticks(START + COUNT * MINUTE)
    wanted = ValuesWanted(tag="T", start=start, end=end, count=count, parts=parts)
    timed = Timed(file, 60.0)
    try:
        return values_of(timed, wanted)
    finally:
        timed.close()


def test_the_newest_values_are_the_end_of_a_range(file: Path) -> None:
    found = read(file, 4, 1)
    assert [row.value for row in found.values] == [116.0, 117.0, 118.0, 119.0]
    assert not found.complete


def test_in_parts_a_long_range_is_seen_as_a_whole(file: Path) -> None:
    found = read(file, 4, 4)
    assert [row.value for row in found.values] == [29.0, 59.0, 89.0, 119.0]
    assert not found.complete


def test_parts_are_read_to_their_end_where_there_is_room(file: Path) -> None:
    found = read(file, 1000, 7)
    assert [row.value for row in found.values] == list(range(COUNT))
    assert found.complete
