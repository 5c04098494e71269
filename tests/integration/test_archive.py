"""What the archive of PI holds of a tag is asked for through a running channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.control.archive import ArchiveWanted, archived
from pichannels.control.tags import TagsChange, change_tags
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.project import Project
from pichannels.simulator import Plant, Simulator
from pichannels.values import TICKS_PER_SECOND, format_ticks

TAG = "UNIT1.SPARE.AI1"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100, activity=0), poll=0.02) as running:
        yield running


@pytest.fixture
async def project(sim: Simulator, tmp_path: Path) -> AsyncIterator[Project]:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel("plant", url=sim.url, tags=[TAG], server="SIM")
    channel.add(decode.PI())
    channel.attach(journal=journal)
    await channel.start()
    try:
        await sim.connected()
        yield Project([channel])
    finally:
        await channel.stop()
        await journal.close()


async def test_what_pi_holds_of_a_tag_is_told(sim: Simulator, project: Project) -> None:
    event = sim.push(TAG, 7.25)
    start, end = (event.ticks + n * TICKS_PER_SECOND for n in (-60, 60))
    wanted = ArchiveWanted(
        channel="plant", tag=TAG, start=format_ticks(start), end=format_ticks(end)
    )
    found = await archived(project, wanted)
    assert (format_ticks(event.ticks), 7.25) in [
        (v.time, v.value) for v in found.values
    ]
    assert found.tag.endswith(TAG)


async def test_a_tag_of_another_channel_is_refused(project: Project) -> None:
    start, end = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    wanted = ArchiveWanted(channel="plant", tag="NOTHING", start=start, end=end)
    with pytest.raises(UsageError, match="NOTHING"):
        await archived(project, wanted)


async def test_tags_tell_what_pi_says_of_them(project: Project) -> None:
    (tag,) = (await change_tags(project, TagsChange(channel="plant"))).streams
    assert (tag.type, tag.units) != ("", "")
