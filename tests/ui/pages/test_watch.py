"""What all pages of an instance share: its polls, its incidents, its dead letters."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.control.chosen import Grouped
from pichannels.control.deadletters import group_letters
from pichannels.control.muting import MuteWanted, mute
from pichannels.engine import Engine
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.probes import Finding
from pichannels.project import Project
from pichannels.states import State
from pichannels.ui.links import Link, Links, Place
from pichannels.ui.pages.letters import LetterCount, Letters
from pichannels.ui.pages.watch import Point, Watch, Watches, note_point


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """An instance that does not run; its journal is in this folder."""
    return Link(Place(name="plant", data_dir=str(tmp_path)))


async def test_dead_letters_are_counted_and_those_that_are_muted(
    link: Link, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    for state in (State.ERROR, State.PROCESSED, State.ERROR, State.DROPPED):
        ticket = journal.append("orders", Message(payload="x"))
        await ticket.durable
        journal.settle(ticket.seq, state)
    await journal.flush()
    counting = LetterCount(link)
    assert await counting.count() == Letters(2)
    (group,) = await group_letters(journal, Grouped())
    await mute(journal, MuteWanted(group=group.id, until_change=True))
    found = await counting.count()
    assert found == Letters(2, muted=2)
    assert found.loud == 0
    await journal.close()
    await link.close()


async def test_nobody_can_tell_without_a_journal(link: Link) -> None:
    assert await LetterCount(link).count() is None
    await link.close()


async def test_incidents_that_repeat_are_one(link: Link) -> None:
    watch = Watch(link)
    watch.open()
    for _ in range(3):
        link.events.fire("message.failed", channel="orders", error="no")
    link.events.fire("message.failed", channel="notes", error="no")
    link.events.fire("channel.state", channel="notes", old="waiting", new="processing")
    found = [(one.facts["channel"], one.times) for one in watch.incidents]
    await watch.close()
    assert found == [("orders", 3), ("notes", 1)]


class Away(BaseNode):
    """A sink whose other side is not there."""

    is_sink = True

    async def probe(self) -> list[Finding]:
        return [Finding(False, "server", "away")]


async def troubles(link: Link) -> list[dict[str, str]]:
    """What does not work, as soon as that is known."""
    while True:
        found: list[dict[str, str]] = (await link.status())["troubles"]
        if found:
            return found
        await asyncio.sleep(0.05)


async def test_sinks_are_looked_at_while_somebody_looks(tmp_path: Path) -> None:
    project = Project([BaseChannel("a").add(Away(name="out"))])
    link = Link(Place(name="plant", data_dir=str(tmp_path)))
    async with Engine(project, data_dir=tmp_path):
        (found,) = await troubles(link)
        await link.close()
    assert (found["part"], found["reason"]) == ("a.out", "server: away")


async def test_a_watch_tells_why_there_is_nothing(tmp_path: Path) -> None:
    watches = Watches(Links([Place(name="plant", data_dir=str(tmp_path))]))
    watches.open()
    watch = watches.get("another name")
    await watch.first()
    await watches.close()
    assert watch.status is None
    assert "no instance runs" in watch.error


def test_polls_that_follow_soon_make_no_points_of_their_own() -> None:
    points: deque[Point] = deque()
    for at in (0.0, 2.0, 2.1, 2.6, 4.7, 4.8, 6.8):
        note_point(points, Point(at, {}))
    assert [point.at for point in points] == [0.0, 2.6, 4.8, 6.8]
