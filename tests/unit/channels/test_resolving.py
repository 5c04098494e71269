"""What was resolved is kept between two runs, as long as it is for the same tags."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels.resolving import Found, Resolver
from pichannels.channels.tags import Stream
from pichannels.journal import Journal
from pichannels.piwebasync.assets import Attribute
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer

POINT = Point("P1", "TAG", r"\\SRV\TAG", 7, zero=0.5)
ATTRIBUTE = Attribute("A1", "Flow", r"\\AF\Plant\Unit1|Flow")
STREAMS: list[Stream] = [POINT, ATTRIBUTE]
TAGS = [POINT.path, ATTRIBUTE.path]
FOUND = Found(STREAMS, {"NO": "there is none"}, {"P1": POINT.path})


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    yield journal
    await journal.close()


def resolver(**changed: Any) -> Resolver:
    server = PIServer(url="http://pi.test/piwebapi")
    options = {"data_server": None, "url_length": 4096, "ttl": 60.0}
    return Resolver(server, **options | changed)


async def test_points_and_attributes_are_kept_as_they_were(journal: Journal) -> None:
    await resolver().keep(journal, "c", TAGS, FOUND)

    kept = await resolver().kept(journal, "c", TAGS)
    assert kept is not None
    assert kept == FOUND


async def test_other_tags_are_asked_for_anew(journal: Journal) -> None:
    await resolver().keep(journal, "c", TAGS, FOUND)

    assert await resolver().kept(journal, "c", TAGS[:1]) is None


async def test_what_is_older_than_its_time_to_live_is_not_fresh(
    journal: Journal,
) -> None:
    await resolver().keep(journal, "c", TAGS, FOUND)

    kept = await resolver(ttl=-1.0).kept(journal, "c", TAGS)
    assert kept is not None
    assert not kept.is_fresh


@pytest.mark.parametrize("found", [{"wanted": [], "points": []}, b"", b"\x93\x01"])
async def test_what_another_version_has_kept_is_asked_for_anew(
    found: Any, journal: Journal
) -> None:
    await journal.save("channel:c", "points", found)

    assert await resolver().kept(journal, "c", TAGS) is None
